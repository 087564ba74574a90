"""The labelled cells that a configuration names, computed once and kept."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from lsm.agent.adaptive.training.config import CellTrainingConfig
from lsm.errors import FileMissing, WrongFormat
from lsm.samples import CellCrops, ProceduralSmear
from lsm.sensing.cells import CellStack, from_smears
from lsm.sensing.cells.build import CellStackConfig, build_cell_stack
from lsm.sensing.cells.cellfile import read_cells, write_cells
from lsm.sensing.progress import Reporter, Silent

_VERSION: Final = 1
"""Raised when the way cells are computed changes, so that old files are not taken for new ones."""


def labelled_cells(
    config: CellTrainingConfig, cache: Path, *, crops: Path | None = None, progress: Reporter | None = None
) -> CellStack:
    """All cells of the configuration, from the folder where they are there, otherwise computed into it.

    crops: the NIH cell crops, for a configuration that asks for them. Raises FileMissing without them.
    """
    if config.cells.source == "nih":
        return _of_crops(config, cache, crops, progress)
    words = (config.rig.digest(), config.cells.digest(), str(config.seed), str(_VERSION))
    path = cache / f"smear-cells-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}.h5"
    try:
        return read_cells(path)
    except (FileMissing, WrongFormat):
        stack = _of_smears(config, progress or Silent())
    cache.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    write_cells(path, stack)
    return read_cells(path)


def smear_of(config: CellTrainingConfig, patient: str) -> ProceduralSmear:
    """The computed smear that stands for a patient."""
    number = int(patient.rsplit(" ", 1)[-1])
    return ProceduralSmear(config.cells.smear, config.seed * 10_000 + number)


def _of_smears(config: CellTrainingConfig, progress: Reporter) -> CellStack:
    rig, parts = config.rig, []
    with progress.stage("cells", config.cells.smears) as stage:
        for number in range(config.cells.smears):
            name = f"smear {number}"
            parts.append(
                from_smears(
                    {name: smear_of(config, name)},
                    board=rig.board.board(),
                    system=rig.system,
                    cells_per_smear=config.cells.cells_per_smear,
                    seed=config.seed * 10_000 + number,
                    colours=(rig.colour,),
                    off_centre_um=config.cells.off_centre_um,
                )
            )
            stage.advance()
    first = parts[0]
    total = sum(map(len, parts))
    return CellStack(
        np.concatenate([part.images for part in parts]),
        led=first.led,
        colour=first.colour,
        infected=np.concatenate([part.infected for part in parts]),
        patient=np.concatenate([part.patient for part in parts]),
        crop=np.arange(total),
        board=first.board,
        system=first.system,
        source=f"simulated optics on phantoms: {total} cells of {len(parts)} smears",
        made={"places_um": [place for part in parts for place in part.made["places_um"]]},
    )


def _of_crops(config: CellTrainingConfig, cache: Path, folder: Path | None, progress: Reporter | None) -> CellStack:
    if folder is None:
        raise FileMissing("This configuration needs the NIH cell crops.", hint="set LSM_DATA, or give --cells")
    crops = CellCrops.from_path(folder)
    chosen = np.zeros(len(crops), dtype=bool)
    chosen[np.linspace(0, len(crops) - 1, min(config.cells.crops, len(crops))).round().astype(np.int64)] = True
    rig = config.rig
    stack = CellStackConfig(
        board=rig.board,
        colours=(rig.colour,),
        na=rig.na,
        camera_pixel_um=rig.camera_pixel_um,
        # alone on its slide a cell needs no margin
        sample_px=rig.sample_px - 2 * rig.margin_px * rig.system.decimation,
        sample_pixel_um=rig.sample_pixel_um,
    )
    return build_cell_stack(crops.where(chosen), stack, cache, progress)
