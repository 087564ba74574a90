"""What is really on a slide: one row per object."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, UInt8

from lsm.errors import WrongFormat

ROW = np.dtype(
    [
        ("x_um", "f8"),
        ("y_um", "f8"),
        ("radius_um", "f8"),
        ("kind", "u1"),
        ("infected", "?"),
        ("stage", "u1"),
        ("look_alike", "?"),
    ]
)


class Kind(IntEnum):
    """What an object is."""

    RED_CELL = 0
    WHITE_CELL = 1
    PLATELET = 2
    PRECIPITATE = 3


class Stage(IntEnum):
    """Stage of the P. falciparum in a red cell."""

    NONE = 0
    RING = 1
    TROPHOZOITE = 2
    SCHIZONT = 3
    GAMETOCYTE = 4


@dataclass(frozen=True, eq=False)
class CellTable:
    """Ground truth of a slide: `rows` is a structured array with the fields of ROW.

    x_um, y_um, radius_um: stage coordinates and size. kind, stage: values of Kind and Stage.
    infected: a red cell that holds a parasite. look_alike: holds, or is, something that resembles one.
    Raises WrongFormat for rows of another type.
    """

    rows: np.ndarray

    def __post_init__(self) -> None:
        if self.rows.dtype != ROW or self.rows.ndim != 1:
            raise WrongFormat(
                f"A cell table of type {self.rows.dtype} is not usable.",
                hint="build it with dtype=lsm.samples.table.ROW",
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def x_um(self) -> Float[np.ndarray, " cell"]:
        return self.rows["x_um"]

    @property
    def y_um(self) -> Float[np.ndarray, " cell"]:
        return self.rows["y_um"]

    @property
    def radius_um(self) -> Float[np.ndarray, " cell"]:
        return self.rows["radius_um"]

    @property
    def kind(self) -> UInt8[np.ndarray, " cell"]:
        return self.rows["kind"]

    @property
    def infected(self) -> Bool[np.ndarray, " cell"]:
        return self.rows["infected"]

    @property
    def stage(self) -> UInt8[np.ndarray, " cell"]:
        return self.rows["stage"]

    @property
    def look_alike(self) -> Bool[np.ndarray, " cell"]:
        return self.rows["look_alike"]

    @property
    def red_cells(self) -> "CellTable":
        """Only the red cells."""
        return CellTable(self.rows[self.kind == Kind.RED_CELL])

    @property
    def parasitaemia(self) -> float:
        """Infected fraction of the red cells; zero when there are none."""
        cells = self.red_cells
        return float(cells.infected.mean()) if len(cells) else 0.0

    def within(self, x0: float, x1: float, y0: float, y1: float) -> "CellTable":
        """Objects whose centre lies in x0 <= x < x1 and y0 <= y < y1 (um)."""
        inside = (self.x_um >= x0) & (self.x_um < x1) & (self.y_um >= y0) & (self.y_um < y1)
        return CellTable(self.rows[inside])
