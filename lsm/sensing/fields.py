"""Fields of view with known cells, as one LED stack each, computed once and kept on disk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.sensing.wholefolder import whole_folder

_STACKS = "stacks.npy"
_CELLS = "cells.npz"


@dataclass(frozen=True, eq=False)
class FieldCells:
    """Cells that truly lie in a set of fields, one row per cell and field; for training and scoring only.

    field: which field. x_px, y_px: centre, where the centre of the first pixel is 0.
    kind: 0 red cell, 1 white cell, 2 platelet, 3 precipitate.
    """

    field: Int[np.ndarray, " cell"]
    x_px: Float[np.ndarray, " cell"]
    y_px: Float[np.ndarray, " cell"]
    radius_px: Float[np.ndarray, " cell"]
    kind: Int[np.ndarray, " cell"]
    infected: Bool[np.ndarray, " cell"]

    def __len__(self) -> int:
        return len(self.field)

    def where(self, chosen: Bool[np.ndarray, " cell"] | Int[np.ndarray, " chosen"]) -> "FieldCells":
        """The chosen rows."""
        return type(self)(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def of_field(self, field: int) -> "FieldCells":
        """The cells of one field."""
        return self.where(self.field == field)

    @classmethod
    def joined(cls, parts: Iterable["FieldCells"]) -> "FieldCells":
        """One table from those of successive fields; field numbers count the parts."""
        held = list(parts)
        columns = [np.concatenate([getattr(part, f.name) for part in held]) for f in fields(cls)]
        columns[0] = np.repeat(np.arange(len(held)), [len(part) for part in held])
        return cls(*columns)


@dataclass(frozen=True, eq=False)
class Scene:
    """One field to be computed: its slide, complex transmission, distance from focus, and cells."""

    slide: int
    transmission: Complex[np.ndarray, "y x"]
    defocus_um: float
    cells: FieldCells


@dataclass(frozen=True, eq=False)
class FieldSet:
    """LED stacks [field, led, y, x] in float16 (1.0 is the empty bright field), slides and true cells."""

    stacks: Float[np.ndarray, "field led y x"]
    slide: Int[np.ndarray, " field"]
    cells: FieldCells

    def __len__(self) -> int:
        return len(self.slide)

    def stack(self, field: int) -> Float[Tensor, "led y x"]:
        """One field's stack in float32."""
        return torch.from_numpy(self.stacks[field].astype(np.float32))

    @classmethod
    def load(cls, folder: Path) -> "FieldSet":
        """The set in `folder`, its stacks mapped from disk. Raises WrongFormat for a damaged one."""
        try:
            stacks = np.load(folder / _STACKS, mmap_mode="r", allow_pickle=False)
            with np.load(folder / _CELLS, allow_pickle=False) as table:
                slide = table["slide"]
                cells = FieldCells(*(table[f.name] for f in fields(FieldCells)))
        except (OSError, ValueError, KeyError) as error:
            raise WrongFormat(f"The cached fields {folder} are damaged: {error}.", hint="delete the folder") from error
        return cls(stacks, slide, cells)

    @classmethod
    def cached(
        cls,
        folder: Path,
        scenes: Iterable[Scene],
        compute: Callable[[Scene], Float[Tensor, "led y x"]],
        *,
        shape: tuple[int, int, int, int],
        advance: Callable[[], None] = lambda: None,
    ) -> "FieldSet":
        """The set in `folder`; where there is none, `scenes` are computed into it, one at a time.

        shape: fields, LEDs, rows, columns. The folder appears only when it is complete.
        """
        if not folder.is_dir():
            with whole_folder(folder) as part:
                _write(part, scenes, compute, shape, advance)
        return cls.load(folder)


def _write(
    folder: Path,
    scenes: Iterable[Scene],
    compute: Callable[[Scene], Float[Tensor, "led y x"]],
    shape: tuple[int, int, int, int],
    advance: Callable[[], None],
) -> None:
    stacks = np.lib.format.open_memmap(folder / _STACKS, mode="w+", dtype=np.float16, shape=shape)
    slides, tables = [], []
    for index, scene in enumerate(scenes):
        stacks[index] = compute(scene).numpy().astype(np.float16)
        slides.append(scene.slide)
        tables.append(scene.cells)
        advance()
    stacks.flush()
    cells = FieldCells.joined(tables)
    columns = {f.name: getattr(cells, f.name) for f in fields(FieldCells)}
    np.savez(folder / _CELLS, slide=np.array(slides), **columns)
