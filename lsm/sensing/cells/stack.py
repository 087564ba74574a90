"""One image per cell and lamp, mapped from a file: what light and network are learned from."""

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Int64
from torch import Tensor

from lsm.errors import InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem
from lsm.optics.lamps import mix_rows, widen_rows

ROWS_PER_CHECK = 64

Rows = Int64[np.ndarray, " chosen"]


class CellStack:
    """Images of single cells [row, lamp, y, x]; a row is one cell as it was met once, a lamp one LED in one colour.

    images: float16, 1.0 is the empty bright field under that lamp (LED irradiance not included). Read only
    where they are asked for, from the memory map that `read_cells` gives. float16 keeps 11 bits: the images are
    off by at most 2^-11 of themselves, or 2^-25 in the darkest field (below 2^-14).
    led, colour: index on the board and its colour channel [lamp].
    infected: label [row]; asking for it raises InputError where the cells have none (`labelled` is False).
    patient: name [row]. crop: number of the source cell [row]; several rows may show one cell.
    board, system: None where the source does not give them; `system` has the wavelength of the first lamp.
    source: which data these are, for every table made from them. made: plain facts for JSON.
    Immutable. Raises WrongFormat where the parts do not fit together or an image in memory is not finite.
    """

    def __init__(
        self,
        images: Float16[np.ndarray, "row lamp y x"],
        led: Int64[np.ndarray, " leds"],
        colour: Int64[np.ndarray, " colours"],
        infected: Bool[np.ndarray, " labels"] | None,
        patient: np.ndarray,
        crop: Int64[np.ndarray, " crops"],
        board: LedBoard | None,
        system: ImagingSystem | None,
        source: str,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        _check_parts(images, (led, colour), {"infected": infected, "patient": patient, "crop": crop}, board)
        if not isinstance(images, np.memmap):
            check_finite(images, source=source)
        self._stored = images
        self._rows: Rows | None = None
        self._infected = infected
        self.led = led
        self.colour = colour
        self.patient = patient
        self.crop = crop
        self.board = board
        self.system = system
        self.source = source
        self.made: Mapping[str, Any] = MappingProxyType(dict(made or {}))

    def __len__(self) -> int:
        return len(self.crop)

    def __repr__(self) -> str:
        rows, lamps, height, width = self.shape
        return f"CellStack({rows} rows, {lamps} lamps, {height} x {width} px, {self.source})"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Rows, lamps, height and width in pixels."""
        lamps, height, width = self._stored.shape[1:]
        return len(self), lamps, height, width

    @property
    def n_lamps(self) -> int:
        return len(self.led)

    @property
    def images(self) -> Float16[np.ndarray, "row lamp y x"]:
        """The images; of chosen rows a copy."""
        if self._rows is None:
            return self._stored
        chosen: Float16[np.ndarray, "row lamp y x"] = np.take(self._stored, self._rows, axis=0)
        return chosen

    @property
    def labelled(self) -> bool:
        """Whether it is known which cells are infected."""
        return self._infected is not None

    @property
    def infected(self) -> Bool[np.ndarray, " row"]:
        if self._infected is None:
            raise InputError(
                f"Nobody has labelled the cells of {self.source}.",
                hint="they show what light does to real cells; to learn or score, use a stack with labels",
            )
        return self._infected

    def patients(self) -> np.ndarray:
        """The patients' names, each once, sorted."""
        return np.unique(self.patient)

    def where(self, rows: Rows | Bool[np.ndarray, " row"]) -> "CellStack":
        """The chosen rows, in that order; their images stay where they are until they are read."""
        chosen = np.arange(len(self))[rows]
        view = copy.copy(self)
        vars(view).update(
            _rows=chosen if self._rows is None else self._rows[chosen],
            _infected=None if self._infected is None else self._infected[chosen],
            patient=self.patient[chosen],
            crop=self.crop[chosen],
        )
        return view

    def batch(self, rows: Rows) -> Float32[Tensor, "chosen lamp pixel"]:
        """Images of these rows of the stack, for a network; [lamp, y * x] each."""
        return widen_rows(self._flat, self._stored_rows(rows))

    def mix(
        self, rows: Rows, weights: Float[Tensor, "capture lamp"] | Float[Tensor, "each capture lamp"]
    ) -> Float32[Tensor, "chosen capture y x"]:
        """Images of these rows under weighted lamps, the same for all rows or for each its own.

        Differentiable in the weights, which hold LED irradiance and exposure. Raises WrongFormat where they do not fit.
        """
        mixed = mix_rows(self._flat, self._stored_rows(rows), weights)
        return mixed.reshape(*mixed.shape[:2], *self._stored.shape[2:])

    @property
    def _flat(self) -> Float16[np.ndarray, "stored lamp pixel"]:
        return self._stored.reshape(*self._stored.shape[:2], -1)

    def _stored_rows(self, rows: Rows) -> Rows:
        return rows if self._rows is None else self._rows[rows]


def check_finite(images: Float16[np.ndarray, "row lamp y x"], *, source: str, first_row: int = 0) -> None:
    """Raises WrongFormat for an image that is not finite everywhere, naming row and lamp."""
    for start in range(0, len(images), ROWS_PER_CHECK):
        part = images[start : start + ROWS_PER_CHECK]
        # an exponent of all ones is infinite or no number
        bad = (part.view(np.uint16) & 0x7C00) == 0x7C00
        if bad.any():
            row, lamp = (int(index[0]) for index in np.nonzero(bad.any(axis=(2, 3))))
            raise WrongFormat(
                f"The image of row {first_row + start + row} under lamp {lamp} of {source} is not finite.",
                hint="every pixel is a number below 65504, where 1 is the empty bright field",
            )


def _check_parts(
    images: np.ndarray,
    lamps: tuple[np.ndarray, np.ndarray],
    columns: Mapping[str, np.ndarray | None],
    board: LedBoard | None,
) -> None:
    if images.ndim != 4 or min(images.shape[1:]) < 1:
        raise WrongFormat(f"A stack of shape {images.shape} holds no images.", hint="give [row, lamp, y, x]")
    for name, column in columns.items():
        if column is not None and column.shape != images.shape[:1]:
            raise WrongFormat(
                f"{len(column)} values of '{name}' do not fit {len(images)} rows.", hint="give one for each row"
            )
    for name, column in zip(("led", "colour"), lamps, strict=True):
        if column.shape != images.shape[1:2]:
            raise WrongFormat(
                f"{len(column)} values of '{name}' do not fit {images.shape[1]} lamps.", hint="give one for each lamp"
            )
        limit = None if board is None else {"led": board.n_leds, "colour": board.n_colours}[name]
        if column.min() < 0 or (limit is not None and column.max() >= limit):
            raise WrongFormat(
                f"The lamps' values of '{name}' go from {column.min()} to {column.max()}.",
                hint="they count from 0" + (f" to {limit - 1} on board '{board.name}'" if board and limit else ""),
            )
