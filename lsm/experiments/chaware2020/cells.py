"""Where the cells of a study come from."""

import os
from functools import lru_cache
from pathlib import Path

from lsm.experiments.cell_run import lamps_of, nih_crops, open_cells
from lsm.experiments.chaware2020.config import StudyConfig
from lsm.experiments.chaware2020.digits import digit_crops
from lsm.experiments.chaware2020.slide import replayed_pieces
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.sensing.cells import CellStack, build_cell_stack, from_smears
from lsm.sensing.cells.light import Lamps

SMEAR_SEED = 20_200


def open_study(config: StudyConfig, cache: Path) -> tuple[CellStack, Lamps]:
    """Cells and their lamps; computed ones are kept in `cache` where that takes long. Raises FileMissing."""
    text = config.model_dump_json(exclude={"prices", "designs"})
    return _opened(text, cache, os.environ.get("LSM_DATA"))


@lru_cache(maxsize=2)
def _opened(text: str, cache: Path, _data: str | None) -> tuple[CellStack, Lamps]:
    config = StudyConfig.model_validate_json(text)
    if config.source == "nih":
        stack = open_cells(nih_crops(), cache, config.stack, config.cells)
    elif config.source == "digits":
        stack = build_cell_stack(digit_crops(config.cells), config.stack, cache)
    elif config.source == "phantoms":
        stack = _phantoms(config)
    else:
        stack = replayed_pieces(cache)
    return stack, lamps_of(stack, config.stack.na)


def _phantoms(config: StudyConfig) -> CellStack:
    wanted = config.phantoms
    smear = SmearConfig(width_um=wanted.width_um, height_um=wanted.width_um, parasitaemia=wanted.parasitaemia)
    smears = {f"smear {number}": ProceduralSmear(smear, SMEAR_SEED + number) for number in range(wanted.smears)}
    board = config.stack.board.board()
    return from_smears(
        smears,
        board=board,
        system=config.stack.system(config.stack.colours[0]),
        cells_per_smear=wanted.cells_per_smear,
        seed=SMEAR_SEED,
        colours=config.stack.colours,
    )
