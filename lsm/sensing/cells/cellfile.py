"""A CellStack as an HDF5 file.

| name | content |
|---|---|
| images | [row, lamp, y, x] float16, contiguous, 1.0 is the empty bright field under that lamp |
| led, colour | [lamp] |
| infected | [row] bool, where the cells are labelled |
| patient, crop | [row] text, int64 |
| board | JSON, where it is known |

Attributes: `kind` (name and version of the format), `source`, `made` and `system` as JSON, `crc32c` of the images.
float16 keeps 11 bits: images are off by at most 2^-11 of themselves, or 2^-25 where they are below 2^-14.
A file is there whole or not at all.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import google_crc32c
import h5py
import numpy as np
from jaxtyping import Bool, Float, Int64

from lsm.errors import FileMissing, InputError, LsmError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem
from lsm.optics.stackfile import board_arrays, board_facts, board_of
from lsm.sensing.cells.stack import CellStack, check_finite

KIND: Final = "lsm cell stack 1"
BYTES_PER_CHECK: Final = 2**24


class CellWriter:
    """Rows of one stack, given in any order; see `new_cells`."""

    def __init__(self, images: h5py.Dataset, source: str) -> None:
        self._images = images
        self._source = source
        self._missing = np.ones(len(images), dtype=bool)

    def write(self, rows: Int64[np.ndarray, " part"], images: Float[np.ndarray, "part lamp y x"]) -> None:
        """Images of these rows. Raises WrongFormat for one that is not finite in float16."""
        with np.errstate(over="ignore"):
            half = images.astype(np.float16)
        for row, image in zip(rows.tolist(), half, strict=True):
            check_finite(image[None], source=self._source, first_row=row)
            self._images[row] = image
        self._missing[rows] = False

    def check_complete(self) -> None:
        """Raises WrongFormat where a row was not written."""
        if self._missing.any():
            raise WrongFormat(
                f"{int(self._missing.sum())} of {len(self._missing)} rows of {self._source} were not written.",
                hint="write every row before the file is closed",
            )


@contextmanager
def new_cells(
    path: Path,
    *,
    side_px: tuple[int, int],
    led: Int64[np.ndarray, " lamp"],
    colour: Int64[np.ndarray, " lamp"],
    infected: Bool[np.ndarray, " row"] | None,
    patient: np.ndarray,
    crop: Int64[np.ndarray, " row"],
    board: LedBoard | None,
    system: ImagingSystem | None,
    source: str,
    made: Mapping[str, Any],
    replace: bool = False,
) -> Iterator[CellWriter]:
    """A new file to be filled row by row; it gets its name when all rows are in it, or leaves nothing.

    replace: take the place of a file of that name. Raises InputError if there is one otherwise, or no folder.
    """
    if path.exists() and not replace:
        raise InputError(f"{path} exists.", hint="name another; nothing was changed")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {path}.", hint="make the folder first")
    # processes of several computers may share the folder
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with h5py.File(unfinished, "w") as file:
            images = _new_images(file, (len(crop), len(led), *side_px))
            file["led"], file["colour"], file["crop"] = led, colour, crop
            file["patient"] = [str(name) for name in patient]
            if infected is not None:
                file["infected"] = infected
            if board is not None:
                file["board"] = _board_text(board)
            file.attrs.update(kind=KIND, source=source, made=json.dumps(dict(made)))
            if system is not None:
                file.attrs["system"] = system.model_dump_json()
            writer = CellWriter(images, source)
            yield writer
            writer.check_complete()
            file.flush()
            file.attrs["crc32c"] = _checksum(_mapped(unfinished, images))
        if path.exists() and not replace:
            raise InputError(f"{path} exists by now.", hint="name another; nothing was changed")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_cells(path: Path, stack: CellStack) -> None:
    """Write a stack to a new file. Raises InputError if it exists or its folder does not."""
    with new_cells(
        path,
        side_px=stack.shape[2:],
        led=stack.led,
        colour=stack.colour,
        infected=stack.infected if stack.labelled else None,
        patient=stack.patient,
        crop=stack.crop,
        board=stack.board,
        system=stack.system,
        source=stack.source,
        made=stack.made,
    ) as file:
        for row in range(len(stack)):
            one = np.array([row])
            file.write(one, stack.where(one).images)


def read_cells(path: Path) -> CellStack:
    """The stack in a file, its images mapped. Raises FileMissing, or WrongFormat for a damaged or other file."""
    if not path.is_file():
        raise FileMissing(f"The cell stack {path} does not exist.", hint="lsm data convert writes one")
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("kind", "of no kind")
            if kind != KIND:
                raise WrongFormat(f"{path} is '{kind}', not '{KIND}'.", hint="lsm data convert writes cell stacks")
            return _stack(path, file)
    except LsmError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WrongFormat(f"{path} is no whole cell stack: {error}.", hint="delete it and make it again") from error


def _stack(path: Path, file: h5py.File) -> CellStack:
    images = _mapped(path, file["images"])
    if _checksum(images) != file.attrs["crc32c"]:
        raise WrongFormat(f"The images in {path} are damaged.", hint="delete it and make it again")
    system = file.attrs.get("system")
    return CellStack(
        images,
        led=file["led"][()].astype(np.int64),
        colour=file["colour"][()].astype(np.int64),
        infected=file["infected"][()].astype(bool) if "infected" in file else None,
        patient=np.array(file["patient"].asstr()[()], dtype=np.str_),
        crop=file["crop"][()].astype(np.int64),
        board=_board(file["board"].asstr()[()]) if "board" in file else None,
        system=None if system is None else ImagingSystem.model_validate_json(system),
        source=str(file.attrs["source"]),
        made=json.loads(file.attrs["made"]),
    )


def _new_images(file: h5py.File, shape: tuple[int, int, int, int]) -> h5py.Dataset:
    """Contiguous and without fill: the place in the file is known, and every row is written once."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, b"images", h5py.h5t.IEEE_F16LE, space, properties))


def _mapped(path: Path, images: h5py.Dataset) -> np.memmap[Any, Any]:
    offset = images.id.get_offset()
    if offset is None or images.dtype != np.float16:
        raise WrongFormat(
            f"The images in {path} are {images.dtype} in pieces, which cannot be mapped.",
            hint="lsm data convert writes them in one piece",
        )
    return np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=images.shape)


def _checksum(images: np.ndarray) -> int:
    crc, memory = 0, images.reshape(-1).view(np.uint8)
    for start in range(0, len(memory), BYTES_PER_CHECK):
        crc = google_crc32c.extend(crc, memory[start : start + BYTES_PER_CHECK].tobytes())
    return crc


def _board_text(board: LedBoard) -> str:
    return json.dumps(board_facts(board) | {name: values.tolist() for name, values in board_arrays(board).items()})


def _board(text: str) -> LedBoard:
    facts = json.loads(text)
    lists = {name: facts.pop(name, None) for name in ("positions_mm", "normals", "gain")}
    return board_of(facts, {name: np.array(held, dtype=np.float64) for name, held in lists.items() if held is not None})
