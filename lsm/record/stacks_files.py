"""LED stacks that others measured, or that `lsm simulate` computed, and the one door to all of them.

Images that are linear in light but not in ADU are given some: one millisecond at full drive of every LED fills
90 % of 16 bits at the brightest pixel. Nothing is known of their dark signal, which was taken off before.
"""

import csv
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from jaxtyping import Float

from lsm.errors import FileMissing, InputError, NotMeasured, WrongFormat
from lsm.illum import Glass, LedBoard
from lsm.record.reading import open_record
from lsm.record.schema import SCHEMA_ATTRIBUTE
from lsm.record.stacks import ROUNDING_ADU2, Dark, LedImage, LedImages, StackCamera, StackInMemory
from lsm.record.stacks_recording import RecordedStack

LARGEST_BYTES: Final = 8 * 2**30
"""A thousand LEDs at 2048 x 2048 pixels of 16 bits."""
FILL_ADU: Final = 0.9 * 65535
BSCCM_METADATA: Final = "BSCCM_global_metadata.json"
HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"

# optics of the Fourier-ptychography data of the Smart Imaging Lab, as its data_description.txt gives them
FPM_PITCH_MM, FPM_DISTANCE_MM, FPM_GLASS = 4.0, 90.88, Glass(thickness_mm=1.0, refractive_index=1.52)
FPM_STORED_POWER: Final = 0.75
"""Stored values are c * counts ** 0.75: found in the data, see the README beside them."""


def open_stack(
    path: Path, *, board: LedBoard | None = None, camera: StackCamera | None = None, cell: int | None = None
) -> LedImages:
    """The measured stack in a file or folder, whichever kind it is.

    - a recording of lsm: needs the `board` with which it was recorded;
    - an LED stack of `lsm simulate`;
    - red.npz or green.npz of fpm_blood_smear;
    - a folder in the layout of BSCCM: needs `board`, `camera` and the number of the `cell`.

    Raises FileMissing, InputError for what is needed and not given, WrongFormat for anything else, and as
    `RecordedStack`.
    """
    if path.is_dir():
        if not (path / BSCCM_METADATA).is_file():
            raise WrongFormat(f"The folder {path} is no LED stack.", hint=f"one of BSCCM holds {BSCCM_METADATA}")
        if board is None or camera is None or cell is None:
            raise InputError(
                f"{path} does not say its LEDs' positions or its camera's dark signal.",
                hint="give the board (--board), the camera (--offset-adu, --saturated-adu) and --cell",
            )
        return bsccm_stack(path, cell, board, camera)
    if not path.is_file():
        raise FileMissing(f"The LED stack {path} does not exist.", hint="check the path")
    if path.suffix == ".npz":
        return fpm_stack(path)
    if not is_recording(path):
        return simulated_stack(path)
    if board is None:
        raise InputError(f"{path} does not say where its LEDs are.", hint="give the rig or board of the recording")
    recording = open_record(path)
    try:
        return RecordedStack(recording, board, camera=camera)
    except BaseException:
        recording.close()
        raise


def simulated_stack(path: Path) -> StackInMemory:
    """What `lsm simulate` wrote, in its one colour; its noise is known where it was given electrons.

    Raises FileMissing or WrongFormat.
    """
    # imports torch, which replaying a recording does without
    from lsm.optics import Camera
    from lsm.optics.stackfile import read_stack

    stack = read_stack(path)
    board = replace(stack.board, wavelengths_um=(stack.system.wavelength_um,))
    electrons = stack.made.get("electrons")
    if electrons is None:
        return _linear(str(path), board, stack.images.astype(np.float64), stack.leds, StackCamera(), exact=True)
    camera = StackCamera(gain_e_per_adu=float(electrons), read_noise_e=Camera().read_noise_e)
    # its camera holds twice the empty bright field
    return _linear(str(path), board, stack.images.astype(np.float64), stack.leds, camera, full=1.999)


def fpm_stack(path: Path) -> StackInMemory:
    """One colour of fpm_blood_smear, made linear in light; its noise is unknown, since frames were merged.

    The board has the LEDs that are there, in the order of the file. Raises WrongFormat.
    """
    names = ("images", "led_grid_xy", "offset_x_mm", "offset_y_mm", "wavelength_um")
    try:
        _refuse_large(path)
        with np.load(path) as file:
            held = {name: file[name] for name in names}
        light = held["images"].astype(np.float64) ** (1 / FPM_STORED_POWER)
        offset_mm = [float(held["offset_x_mm"]), float(held["offset_y_mm"])]
        xy_mm = held["led_grid_xy"] * FPM_PITCH_MM + offset_mm
        wavelength_um = float(held["wavelength_um"])
    except (OSError, KeyError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise WrongFormat(
            f"{path} is no stack of fpm_blood_smear: {error}.", hint=f"it holds {', '.join(names)}"
        ) from error
    if light.ndim != 3 or xy_mm.shape != (len(light), 2):
        raise WrongFormat(
            f"{path} has images {light.shape} and LEDs {xy_mm.shape}.", hint="one image [led, y, x] for each LED"
        )
    positions_mm = np.column_stack([xy_mm, np.full(len(light), -FPM_DISTANCE_MM)])
    board = LedBoard(
        path.stem, positions_mm, np.tile([0.0, 0.0, 1.0], (len(light), 1)), (wavelength_um,), glass=FPM_GLASS
    )
    return _linear(str(path), board, light, np.arange(len(light)), StackCamera())


def _refuse_large(path: Path) -> None:
    """Raises ValueError where an array claims more than the file has packed, or than memory should be taken for."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(member)
            claimed = math.prod(shape) * kind.itemsize
            if not claimed <= info.file_size <= LARGEST_BYTES:
                raise ValueError(f"its array '{info.filename}' claims {claimed} bytes of {info.file_size}")


def bsccm_stack(folder: Path, cell: int, board: LedBoard, camera: StackCamera) -> StackInMemory:
    """The single-LED images of one cell of the Berkeley Single Cell Computational Microscopy data set.

    Its layout as its own reader documents it: BSCCM_index.csv names the `data_path` of each `global_index`;
    BSCCM_images.zarr has under it led_array/cell_N [channel, y, x]; BSCCM_global_metadata.json names the channels.
    A channel led_N is LED N of the dome, counted from 1; channels of several LEDs are left out. BSCCM-coherent has
    such channels, BSCCM has one. The dome's positions come from elsewhere: `board`, in its order, of which the
    images are the only colour or green. The exposure is taken as 1 ms.
    Raises FileMissing, WrongFormat, NotMeasured for another cell or no single-LED channel.
    """
    # half a second that no other stack should wait for
    import zarr

    colour = min(1, board.n_colours - 1)
    try:
        metadata = json.loads((folder / BSCCM_METADATA).read_text(encoding="utf-8"))
        names = [str(name) for name in metadata["led_array"]["channel_names"]]
        where = _bsccm_path(folder, cell)
        stored: Any = zarr.open_group(folder / "BSCCM_images.zarr", mode="r")[where]
        if math.prod(stored.shape) * stored.dtype.itemsize > LARGEST_BYTES:
            raise ValueError(f"cell {cell} claims images of {stored.shape}")
        images = np.squeeze(stored)
    except OSError as error:
        raise FileMissing(f"{folder} lacks a file of BSCCM: {error}.", hint="is the data set complete?") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WrongFormat(f"{folder} is not laid out as BSCCM: {error}.", hint="see its bsccm package") from error
    leds = {int(found[1]) - 1: n for n, name in enumerate(names) if (found := re.fullmatch(r"(?i)led\D*(\d+)", name))}
    outside = [led + 1 for led in leds if not 0 <= led < board.n_leds]
    if images.ndim != 3 or len(images) != len(names) or outside:
        raise WrongFormat(
            f"Cell {cell} of {folder} has images {images.shape} for {len(names)} channels, LEDs outside the board: "
            f"{outside[:5]}.",
            hint="give the board of the dome, all its LEDs in their order",
        )
    if not leds:
        raise NotMeasured(
            f"{folder} has no image of a single LED.", hint="BSCCM-coherent has; BSCCM has patterns of many LEDs"
        )
    return _counted(f"{folder}, cell {cell}", board, {led: images[n] for led, n in leds.items()}, camera, colour)


def _bsccm_path(folder: Path, cell: int) -> str:
    with (folder / "BSCCM_index.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if int(row["global_index"]) == cell:
                return f"{row['data_path']}/led_array/cell_{cell}"
    raise NotMeasured(f"{folder} has no cell {cell}.", hint="see the column global_index of BSCCM_index.csv")


def _counted(
    source: str, board: LedBoard, images: Mapping[int, Any], camera: StackCamera, colour: int
) -> StackInMemory:
    """A stack of single exposures of 1 ms in ADU."""
    if camera.offset_adu is None or camera.saturated_adu is None:
        raise InputError(
            f"The dark signal or saturation of {source} is unknown.", hint="give --offset-adu and --saturated-adu"
        )
    read_adu2, gain = camera.read_variance_adu2, camera.gain_e_per_adu
    found = {}
    for led, image in images.items():
        saturated = image >= camera.saturated_adu
        found[led] = LedImage(
            light=(image.astype(np.float64) - camera.offset_adu).astype(np.float32),
            shot=None if gain is None or read_adu2 is None else 1 / gain,
            floor=None if read_adu2 is None else read_adu2 + ROUNDING_ADU2,
            dark_share=1.0,
            saturated=saturated if saturated.any() else None,
        )
    shape = next(iter(found.values())).light.shape
    dark = Dark(np.full(shape, camera.offset_adu, dtype=np.float32), 0.0)
    return StackInMemory(source, board, found, dark, camera, camera.saturated_adu, colour)


def _linear(
    source: str,
    board: LedBoard,
    light: Float[np.ndarray, "image y x"],
    leds: Any,
    camera: StackCamera,
    *,
    exact: bool = False,
    full: float | None = None,
) -> StackInMemory:
    """A stack of images linear in light. camera: its noise in units of the images. full: where they saturate.

    exact: the images are free of noise.
    """
    brightest = float(light.sum(axis=0).max())
    if not (np.isfinite(light).all() and brightest > 0):
        raise WrongFormat(f"{source} holds images that are dark or not finite.", hint="was it read to its end?")
    adu = FILL_ADU / brightest
    gain, read_e = camera.gain_e_per_adu, camera.read_noise_e
    known = gain is not None and read_e is not None
    scaled = (
        StackCamera(gain_e_per_adu=gain / adu, read_noise_e=read_e) if known and gain is not None else StackCamera()
    )
    shot = floor = 0.0 if exact else None
    if scaled.gain_e_per_adu is not None:
        shot, floor = 1 / scaled.gain_e_per_adu, scaled.read_variance_adu2
    images = {}
    for led, image in zip(leds, light, strict=True):
        saturated = None if full is None or not (image >= full).any() else image >= full
        images[int(led)] = LedImage((image * adu).astype(np.float32), shot, floor, 0.0, saturated)
    dark = Dark(np.zeros(light.shape[1:], dtype=np.float32), 0.0)
    return StackInMemory(source, board, images, dark, scaled)


def is_recording(path: Path) -> bool:
    """Whether the file is a recording, or one of HDF5 that is too damaged to say."""
    with path.open("rb") as file:
        if file.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            return False
    try:
        with h5py.File(path, "r", swmr=True, locking=False) as content:
            return SCHEMA_ATTRIBUTE in content.attrs
    except (OSError, RuntimeError):
        # for open_record to explain, which also mends a file whose writer was killed
        return True
