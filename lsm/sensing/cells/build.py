"""Cell stacks computed from real crops, once, and kept on disk."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from jaxtyping import Complex64, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem
from lsm.samples import CellCrops, Grey, single_cells
from lsm.sensing.cells.cellfile import new_cells, read_cells
from lsm.sensing.cells.render import lamp_images, lamps_of
from lsm.sensing.cells.stack import CellStack
from lsm.sensing.progress import Reporter, Silent
from lsm.twin import GridBoardConfig

ROWS_PER_STEP: Final = 125
POSES: Final = 64
_VERSION: Final = 1
"""Raised when the way images are computed changes, so that old files are not taken for new ones."""

NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class CellStackConfig(Config):
    """Which images of single cells are computed: light, optics, cells, and what differs from row to row.

    board: every LED of it, in each of `colours` (channels of the board; 0 red, 1 green, 2 blue), colour by colour.
    na, camera_pixel_um, sample_px, sample_pixel_um: see ImagingSystem; the cell lies alone in the middle.
    grey, path_um_per_absorbance: how a crop's grey levels become a transmission, see `single_cells`.
    variants: rows per cell, each with draws of its own of the following, which are standard deviations:
    defocus_um, one per row. stain_spread: of the logarithm of the exponent on the cell's transmission.
    board_shift_mm (x and y alike), board_rotation_deg (around the axis): drawn for 64 poses of the board, of which
    each row takes one, because directions of light are computed once per pose.
    seed: of all draws.
    """

    board: GridBoardConfig = GridBoardConfig()
    colours: tuple[Annotated[int, Field(ge=0, le=2)], ...] = (1,)
    na: Positive = 0.10
    camera_pixel_um: Positive = 1.2
    sample_px: Annotated[int, Field(ge=8)] = 128
    sample_pixel_um: Positive = 0.15
    grey: Grey = "own"
    path_um_per_absorbance: NonNegative = 0.2
    defocus_um: NonNegative = 0.0
    board_shift_mm: NonNegative = 0.0
    board_rotation_deg: NonNegative = 0.0
    stain_spread: NonNegative = 0.0
    variants: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_light(self) -> "CellStackConfig":
        if not self.colours or len(set(self.colours)) != len(self.colours):
            raise ConfigError(f"The colours {self.colours} are none or not all different.", hint="such as [0, 1, 2]")
        return self

    def system(self, colour: int) -> ImagingSystem:
        """The optics in one colour of the board. Raises ConfigError where the numbers do not fit together."""
        return ImagingSystem(
            na=self.na,
            wavelength_um=self.board.board().wavelengths_um[colour],
            camera_pixel_um=self.camera_pixel_um,
            sample_px=self.sample_px,
            sample_pixel_um=self.sample_pixel_um,
        )


@dataclass(frozen=True, eq=False)
class _Draws:
    """What differs from row to row, and the board's poses."""

    crop: Int64[np.ndarray, " row"]
    defocus_um: Float[np.ndarray, " row"]
    stain: Float[np.ndarray, " row"]
    pose: Int64[np.ndarray, " row"]
    positions_mm: Float[np.ndarray, "pose led 3"]

    def steps(self) -> Iterator[Int64[np.ndarray, " part"]]:
        """Rows that are computed together: of one pose."""
        for pose in range(len(self.positions_mm)):
            rows = np.flatnonzero(self.pose == pose)
            yield from np.array_split(rows, -(-len(rows) // ROWS_PER_STEP)) if len(rows) else ()


def build_cell_stack(
    crops: CellCrops, config: CellStackConfig, cache_folder: Path, progress: Reporter | None = None
) -> CellStack:
    """The stack of all crops, from the folder where it is there, otherwise computed into it.

    Row number = crop number * variants + variant. The file is named after the digest of the configuration and of
    the crops' contents; a damaged one is computed again. Processes that compute the same at once each write a file
    of their own, and the last one stays: their bytes are equal.
    Images are float16: off by at most 2^-11 of themselves, which is less than shot noise up to 4 million electrons
    per pixel and lamp. Raises ConfigError where grid and board do not fit, WrongFormat for an image that is not finite.
    """
    digest = hashlib.sha256(f"{_VERSION} {config.digest()} {crops_digest(crops)}".encode()).hexdigest()[:16]
    path = cache_folder / f"cells-{digest}.h5"
    try:
        return read_cells(path)
    except (FileMissing, WrongFormat):
        cache_folder.mkdir(parents=True, exist_ok=True)
        compute_cell_stack(crops, config, path, progress, replace=True)
    return read_cells(path)


def crops_digest(crops: CellCrops) -> str:
    """First 16 hexadecimal digits of the SHA-256 of images, labels and patients."""
    parts = (crops.images.tobytes(), crops.infected.tobytes(), "\n".join(map(str, crops.patient)).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def compute_cell_stack(
    crops: CellCrops, config: CellStackConfig, path: Path, progress: Reporter | None = None, *, replace: bool = False
) -> None:
    """Compute the stack of all crops into a new file, or in place of an old one; see `build_cell_stack`."""
    board = config.board.board()
    systems = [config.system(colour) for colour in config.colours]
    draws = _draw(config, board, len(crops))
    steps = list(draws.steps())
    made = {
        "config": config.model_dump(mode="json"),
        "crops": crops_digest(crops),
        "undersampled": [system.undersampled for system in systems],
        "float16_relative_error": 2.0**-11,
    }
    led, colour = lamps_of(board, config.colours)
    with (
        new_cells(
            path,
            side_px=(systems[0].camera_px, systems[0].camera_px),
            led=led,
            colour=colour,
            infected=np.repeat(crops.infected, config.variants),
            patient=np.repeat(crops.patient, config.variants),
            crop=draws.crop,
            board=board,
            system=systems[0],
            source=f"simulated optics on {len(crops)} cell crops (grey levels: {config.grey})",
            made=made,
            replace=replace,
        ) as file,
        (progress or Silent()).stage("cell stack", len(steps)) as stage,
    ):
        for rows in steps:
            file.write(rows, _images(crops, config, systems, board, draws, rows).numpy())
            stage.advance()


def _images(
    crops: CellCrops,
    config: CellStackConfig,
    systems: list[ImagingSystem],
    board: LedBoard,
    draws: _Draws,
    rows: Int64[np.ndarray, " part"],
) -> Float[Tensor, "part lamp y x"]:
    chosen = draws.crop[rows]
    part = CellCrops(crops.images[chosen], crops.infected[chosen], crops.patient[chosen])

    def slides(wavelength_um: float) -> Complex64[np.ndarray, "part y x"]:
        return single_cells(
            part,
            n_px=config.sample_px,
            pixel_um=config.sample_pixel_um,
            wavelength_um=wavelength_um,
            grey=config.grey,
            path_um_per_absorbance=config.path_um_per_absorbance,
            stain_exponent=draws.stain[rows],
        )

    # what does not differ from row to row is computed once for all
    moved = config.board_shift_mm > 0 or config.board_rotation_deg > 0
    pose = draws.positions_mm[draws.pose[rows[0]]] if moved else None
    defocus_um = draws.defocus_um[rows] if config.defocus_um > 0 else 0.0
    return lamp_images(slides, board, systems, positions_mm=pose, defocus_um=defocus_um)


def _draw(config: CellStackConfig, board: LedBoard, cells: int) -> _Draws:
    rows = cells * config.variants
    rng = np.random.default_rng([config.seed, 0])
    defocus, stain = rng.standard_normal(rows), rng.standard_normal(rows)
    poses = POSES if config.board_shift_mm or config.board_rotation_deg else 1
    pose = rng.integers(0, poses, rows)
    shift_mm = config.board_shift_mm * rng.standard_normal((poses, 1, 2))
    angle = np.radians(config.board_rotation_deg) * rng.standard_normal((poses, 1))
    x, y, z = board.positions_mm.T
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=2)
    positions_mm = np.concatenate([turned + shift_mm, np.broadcast_to(z[:, None], (poses, len(z), 1))], axis=2)
    return _Draws(
        crop=np.repeat(np.arange(cells), config.variants),
        defocus_um=config.defocus_um * defocus,
        stain=np.exp(config.stain_spread * stain),
        pose=pose,
        positions_mm=positions_mm,
    )
