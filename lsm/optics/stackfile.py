"""One image per LED as an HDF5 file: what `lsm simulate` writes and `lsm recover` reads.

images [led, y, x] float32, linear in light, 1.0 for the empty bright field; led_index [led], the images'
LEDs on the board; group board with positions_mm and normals [all, 3]. The rest of board and imaging system
are JSON in attributes, as HDF5 bounds attributes at 64 kB.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32, Int64

from lsm.errors import FileMissing, LsmError, WrongFormat
from lsm.illum import Glass, LedBoard
from lsm.optics.grid import ImagingSystem

KIND = "lsm LED stack 1"


@dataclass(frozen=True, eq=False)
class LedStack:
    """Images of some LEDs of a board, with what they were taken through."""

    images: Float32[np.ndarray, "led y x"]
    leds: Int64[np.ndarray, " led"]
    board: LedBoard
    system: ImagingSystem
    defocus_um: float = 0.0


def write_stack(path: Path, stack: LedStack) -> None:
    """Write the stack to a new file."""
    board = stack.board
    facts = {
        "name": board.name,
        "wavelengths_um": board.wavelengths_um,
        "lambertian_order": board.lambertian_order,
        "glass": {"thickness_mm": board.glass.thickness_mm, "refractive_index": board.glass.refractive_index},
        "die_mm": board.die_mm,
        "die_points": board.die_points,
    }
    with h5py.File(path, "x") as file:
        file["images"], file["led_index"] = stack.images, stack.leds
        file["board/positions_mm"], file["board/normals"] = board.positions_mm, board.normals
        file.attrs.update(
            kind=KIND, board=json.dumps(facts), system=stack.system.model_dump_json(), defocus_um=stack.defocus_um
        )


def read_stack(path: Path) -> LedStack:
    """The stack in a file. Raises FileMissing, or WrongFormat for another kind of file."""
    if not path.is_file():
        raise FileMissing(f"The LED stack {path} does not exist.", hint="lsm simulate writes one")
    try:
        with h5py.File(path, "r") as file:
            facts = json.loads(file.attrs["board"])
            facts["wavelengths_um"] = tuple(facts["wavelengths_um"])
            facts["glass"] = Glass(**facts["glass"])
            board = LedBoard(positions_mm=file["board/positions_mm"][()], normals=file["board/normals"][()], **facts)
            return LedStack(
                images=file["images"][()].astype(np.float32),
                leds=file["led_index"][()].astype(np.int64),
                board=board,
                system=ImagingSystem.model_validate_json(file.attrs["system"]),
                defocus_um=float(file.attrs.get("defocus_um", 0.0)),
            )
    except LsmError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WrongFormat(
            f"{path} is not an LED stack: {error}.", hint="give a file that lsm simulate wrote, or lsm.optics.stackfile"
        ) from error
