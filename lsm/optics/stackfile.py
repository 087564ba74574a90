"""One image per LED as an HDF5 file: what `lsm simulate` writes and `lsm recover` reads.

| name | content |
|---|---|
| images | [led, y, x] float32, linear in light, 1.0 is the empty bright field |
| led_index | [led] each image's LED on the board |
| board/positions_mm, board/normals | [all, 3] |
| board/gain | [all], where LEDs differ |
| truth/transmission | [y, x] complex64, where the sample is known |

Attributes: `kind` (name and version of the format), `board` and `system` as JSON, `defocus_um`, and `made`,
JSON with whatever else made the images. A file is there whole or not at all.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Complex64, Float32, Int64

from lsm.errors import FileMissing, InputError, LsmError, WrongFormat
from lsm.illum import Glass, LedBoard
from lsm.optics.grid import ImagingSystem

KIND = "lsm LED stack 1"


@dataclass(frozen=True, eq=False)
class LedStack:
    """Images of some LEDs of a board, with what they were taken through.

    made: what else made them, plain values. truth: the sample, where it is known.
    """

    images: Float32[np.ndarray, "led y x"]
    leds: Int64[np.ndarray, " led"]
    board: LedBoard
    system: ImagingSystem
    defocus_um: float = 0.0
    made: Mapping[str, Any] = field(default_factory=dict)
    truth: Complex64[np.ndarray, "sy sx"] | None = None


class StackWriter:
    """Images of one stack, given in parts; see `new_stack`."""

    def __init__(self, file: h5py.File, images: int) -> None:
        self._file = file
        self._missing = np.ones(images, dtype=bool)

    def write(self, first: int, images: Float32[np.ndarray, "led y x"]) -> None:
        """Images from number `first` on."""
        part = slice(first, first + len(images))
        self._file["images"][part] = images
        self._missing[part] = False

    def write_truth(self, transmission: Complex64[np.ndarray, "sy sx"]) -> None:
        """The sample that was imaged."""
        self._file["truth/transmission"] = transmission

    def check_complete(self) -> None:
        """Raises WrongFormat where an image was not written."""
        if self._missing.any():
            raise WrongFormat(
                f"{int(self._missing.sum())} of {len(self._missing)} images were not written.",
                hint="write every image before the file is closed",
            )


@contextmanager
def new_stack(
    path: Path,
    board: LedBoard,
    system: ImagingSystem,
    leds: Int64[np.ndarray, " led"],
    *,
    defocus_um: float = 0.0,
    made: Mapping[str, Any] | None = None,
) -> Iterator[StackWriter]:
    """A new file to be filled part by part; it gets its name when all images are in it, or leaves nothing.

    Raises InputError if the file exists or its folder does not.
    """
    if path.exists():
        raise InputError(f"{path} exists.", hint="name another; nothing was changed")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {path}.", hint="make the folder first")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(unfinished, "w") as file:
            _write_facts(file, board, system, leds, defocus_um, made or {})
            writer = StackWriter(file, len(leds))
            yield writer
            writer.check_complete()
        if path.exists():
            raise InputError(f"{path} exists by now.", hint="name another; nothing was changed")
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_facts(
    file: h5py.File,
    board: LedBoard,
    system: ImagingSystem,
    leds: Int64[np.ndarray, " led"],
    defocus_um: float,
    made: Mapping[str, Any],
) -> None:
    side = system.camera_px
    file.create_dataset("images", (len(leds), side, side), np.float32)
    file["led_index"] = leds
    # positions as data sets: HDF5 ends attributes at 64 kB
    for name, values in board_arrays(board).items():
        file[f"board/{name}"] = values
    file.attrs.update(
        kind=KIND,
        board=json.dumps(board_facts(board)),
        system=system.model_dump_json(),
        defocus_um=defocus_um,
        made=json.dumps(dict(made)),
    )


def write_stack(path: Path, stack: LedStack) -> None:
    """Write a stack to a new file. Raises InputError if it exists or its folder does not."""
    with new_stack(path, stack.board, stack.system, stack.leds, defocus_um=stack.defocus_um, made=stack.made) as writer:
        writer.write(0, stack.images)
        if stack.truth is not None:
            writer.write_truth(stack.truth)


def read_stack(path: Path) -> LedStack:
    """The stack in a file. Raises FileMissing, or WrongFormat for another kind of file or version."""
    if not path.is_file():
        raise FileMissing(f"The LED stack {path} does not exist.", hint="lsm simulate writes one")
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("kind", "of no kind")
            if kind != KIND:
                raise WrongFormat(f"{path} is '{kind}', not '{KIND}'.", hint="lsm simulate writes LED stacks")
            return _stack(file)
    except LsmError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WrongFormat(f"{path} is not an LED stack: {error}.", hint="lsm simulate writes LED stacks") from error


def _stack(file: h5py.File) -> LedStack:
    board = board_of(json.loads(file.attrs["board"]), {name: values[()] for name, values in file["board"].items()})
    return LedStack(
        images=file["images"][()].astype(np.float32),
        leds=file["led_index"][()].astype(np.int64),
        board=board,
        system=ImagingSystem.model_validate_json(file.attrs["system"]),
        defocus_um=float(file.attrs["defocus_um"]),
        made=json.loads(file.attrs["made"]),
        truth=file["truth/transmission"][()].astype(np.complex64) if "truth/transmission" in file else None,
    )


def board_facts(board: LedBoard) -> dict[str, Any]:
    """What a board is beside its arrays, as plain values for JSON; `board_of` reads it."""
    return {
        "name": board.name,
        "wavelengths_um": board.wavelengths_um,
        "lambertian_order": board.lambertian_order,
        "glass": asdict(board.glass),
        "die_mm": board.die_mm,
        "die_points": board.die_points,
    }


def board_arrays(board: LedBoard) -> dict[str, np.ndarray]:
    """positions_mm and normals [led, 3], and gain [led] where LEDs differ."""
    arrays = {"positions_mm": board.positions_mm, "normals": board.normals}
    return arrays if board.gain is None else arrays | {"gain": board.gain}


def board_of(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LedBoard:
    """The board of `board_facts` and `board_arrays`. Raises KeyError, TypeError or ConfigError for other values."""
    table: dict[str, Any] = {**facts, **arrays}
    table |= {"wavelengths_um": tuple(facts["wavelengths_um"]), "glass": Glass(**facts["glass"])}
    return LedBoard(**table)
