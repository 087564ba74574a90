"""From what a user names to a stack of single cells in a file."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from jaxtyping import Float

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import BSCCM_METADATA
from lsm.samples import CellCrops, ProceduralSmear, SmearConfig
from lsm.sensing.cells import (
    CellStack,
    CellStackConfig,
    compute_cell_stack,
    from_bsccm,
    from_paper_arrays,
    from_recovered,
    from_smears,
    write_cells,
)
from lsm.sensing.progress import Reporter
from lsm.vision.data import Format
from lsm.vision.data.formats import recognise

PHANTOM: Final = "phantom"
# some 600 red cells of which a third is infected, so that both classes can be drawn alike
PHANTOM_SMEAR: Final = SmearConfig(width_um=400.0, height_um=300.0, parasitaemia=0.33)


class Kind(StrEnum):
    """What a source is."""

    AUTO = "auto"
    CROPS = "crops"
    PAPER = "paper"
    BSCCM = "bsccm"
    RECOVERED = "recovered"
    PHANTOM = PHANTOM
    COCO = "coco"
    VOC = "voc"
    LABELME = "labelme"
    BBBC041 = "bbbc041"
    KERAS_RCNN = "keras-rcnn"
    POINTS = "points"
    LABELS = "labels"

    @property
    def annotated(self) -> Format | None:
        """The format of annotations that it is, or None for a source of stacks."""
        return Format(self.value) if self.value in list(Format) else None


_OPTICS: Final = frozenset({"board", "na", "camera_pixel_um", "sample_px", "sample_pixel_um"})
_CONFIG_READ: Final = {
    Kind.CROPS: frozenset(CellStackConfig.model_fields),
    Kind.PHANTOM: _OPTICS | {"colours", "seed"},
    Kind.RECOVERED: _OPTICS,
    Kind.PAPER: frozenset[str](),
    Kind.BSCCM: frozenset[str](),
}
"""Fields of the configuration that each kind of source reads."""

_OPTIONS_READ: Final = {
    "--board": (Kind.PAPER, Kind.BSCCM),
    "--central": (Kind.PAPER,),
    "--cells": (Kind.BSCCM,),
    "--offset-adu": (Kind.BSCCM,),
    "--saturated-adu": (Kind.BSCCM,),
    "--centres": (Kind.RECOVERED,),
}
"""Kinds of sources that read each option."""


@dataclass(frozen=True)
class Wanted:
    """What the options say; each kind of source reads its own part."""

    config: CellStackConfig
    board: Path | None
    central: bool
    cells: Sequence[int]
    camera: StackCamera
    centres: Path | None
    smears: int
    per_smear: int

    def options(self) -> dict[str, bool]:
        """Whether each option besides the configuration was given, by its name on the command line."""
        return {
            "--board": self.board is not None,
            "--central": self.central,
            "--cells": bool(self.cells),
            "--offset-adu": self.camera.offset_adu is not None,
            "--saturated-adu": self.camera.saturated_adu is not None,
            "--centres": self.centres is not None,
        }


def convert_source(source: str, kind: Kind, wanted: Wanted, out: Path, progress: Reporter) -> None:
    """Write the source's stack to a new file.

    Raises InputError, also for what this kind of source does not read, and what the readers raise.
    """
    path = Path(source)
    kind = kind_of(source) if kind is Kind.AUTO else kind
    if kind.annotated is not None:
        raise InputError(
            f"{source} holds annotations ({kind}), which are no stack of cells.",
            hint="say what to make of them: --to coco or --to keras-rcnn",
        )
    _check_read(source, kind, wanted)
    if kind is Kind.CROPS:
        compute_cell_stack(CellCrops.from_path(path), wanted.config, out, progress)
    elif kind is Kind.PAPER:
        write_cells(out, from_paper_arrays(path, board=_board(wanted), central=wanted.central))
    elif kind is Kind.BSCCM:
        write_cells(out, _bsccm(path, wanted))
    elif kind is Kind.RECOVERED:
        write_cells(out, _recovered(path, wanted))
    else:
        write_cells(out, _phantoms(wanted))


def _check_read(source: str, kind: Kind, wanted: Wanted) -> None:
    unread = [option for option, given in wanted.options().items() if given and kind not in _OPTIONS_READ[option]]
    unread += sorted(wanted.config.model_fields_set - _CONFIG_READ[kind])
    if unread:
        raise InputError(
            f"'{unread[0]}' does nothing for {source}, which is of the kind '{kind}'.",
            hint="leave it out, or say with --kind what the source is",
        )


def kind_of(source: str) -> Kind:
    """What a source is by its contents. Raises FileMissing or WrongFormat."""
    path = Path(source)
    if source == PHANTOM and not path.exists():
        return Kind.PHANTOM
    if not path.exists():
        raise FileMissing(f"There is no data set {path}.", hint=f"see lsm data list, or say '{PHANTOM}'")
    if path.is_dir():
        if (path / BSCCM_METADATA).is_file():
            return Kind.BSCCM
        if any((path / name).exists() for name in ("dev.npz", "Parasitized", "Uninfected")):
            return Kind.CROPS
        return _annotated(path) or Kind.PAPER
    if path.suffix == ".npz":
        return Kind.PAPER if _axes(path) == 4 else Kind.CROPS
    if h5py.is_hdf5(path):
        return Kind.RECOVERED
    if annotated := _annotated(path):
        return annotated
    raise WrongFormat(f"{path} is none of the sources.", hint="say what it is with --kind")


def _annotated(path: Path) -> Kind | None:
    try:
        return Kind(recognise(path)[0])
    except InputError:
        return None


def _axes(path: Path) -> int:
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(file["images"].ndim)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise WrongFormat(f"{path} holds no array 'images': {error}.", hint="see lsm data convert --help") from error


def _board(wanted: Wanted) -> LedBoard | None:
    return None if wanted.board is None else LedBoard.from_csv(wanted.board)


def _bsccm(path: Path, wanted: Wanted) -> CellStack:
    board = _board(wanted)
    if board is None or not wanted.cells:
        raise InputError(
            f"{path} does not say where its LEDs are, or which cells you want.", hint="give --board and --cells"
        )
    return from_bsccm(path, wanted.cells, board=board, camera=wanted.camera)


def _recovered(path: Path, wanted: Wanted) -> CellStack:
    if wanted.centres is None:
        raise InputError(f"{path} does not say where its cells are.", hint="give --centres, a CSV with x_um,y_um")
    config = wanted.config
    return from_recovered(
        path, _centres(wanted.centres), board=config.board.board(), system=config.system(config.colours[0])
    )


def _centres(path: Path) -> Float[np.ndarray, "cell 2"]:
    if not path.is_file():
        raise FileMissing(f"The centres {path} do not exist.", hint="give a CSV with x_um,y_um")
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            places = [(float(row["x_um"]), float(row["y_um"])) for row in csv.DictReader(lines)]
    except (KeyError, TypeError, ValueError) as error:
        raise WrongFormat(f"{path} has a line without x_um and y_um.", hint="first line: x_um,y_um") from error
    return np.array(places, dtype=np.float64).reshape(-1, 2)


def _phantoms(wanted: Wanted) -> CellStack:
    config = wanted.config
    smears = {
        f"phantom {config.seed + number}": ProceduralSmear(PHANTOM_SMEAR, config.seed + number)
        for number in range(wanted.smears)
    }
    return from_smears(
        smears,
        board=config.board.board(),
        system=config.system(config.colours[0]),
        cells_per_smear=wanted.per_smear,
        seed=config.seed,
        colours=config.colours,
    )
