"""`lsm record export` and `lsm record replay`: recordings for other programs, and as a microscope."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from lsm.cli import _show
from lsm.cli._light import COLOURS, Light, named_pattern
from lsm.devices import Observe
from lsm.errors import FileMissing, InputError, RecordError
from lsm.illum import LedBoard
from lsm.record import open_record
from lsm.record.export import ExportFormat, export_recording, format_of
from lsm.record.replay import Replay, ReplayedFrame
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import is_recording, open_stack
from lsm.scope import RigConfig, find_rig

PICTURE, EXACT = (".png",), (".tif", ".tiff", ".npy")
SHOWN_PERCENT = (0.1, 99.9)


class Noise(StrEnum):
    """What noise a replayed image has."""

    MEASURED = "as-measured"
    CAPTURED = "as-captured"


def export(
    path: Annotated[Path, typer.Argument(help="Recording (HDF5), also one that is still being written.")],
    out: Annotated[Path, typer.Argument(help="New file NAME.ome.tif, new folder NAME.zarr, or with --to ndtiff NAME.")],
    to: Annotated[
        ExportFormat | None, typer.Option(help="Format of other programs.", show_default="by the ending of OUT")
    ] = None,
    pixel_um: Annotated[
        float | None,
        typer.Option(help="Camera pixel at the sample, where the recording does not say it.", min=1e-6),
    ] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Write every frame of a recording, with pixel size, pattern, position, focus and time, for other programs.

    Frames become several images where the run moved or changed its order of patterns: all planes of an image lie
    over each other, none is left out or made up.

    Example: lsm record export out/demo/record.h5 smear.ome.zarr
    """
    to = to or format_of(out)
    done = export_recording(path, to, out, pixel_um=pixel_um)
    source = "the recording" if pixel_um is None else "--pixel-um"
    if as_json:
        facts = {"export": str(done.path), "format": to.value, "frames": done.frames, "images": done.images}
        typer.echo(json.dumps(facts | {"pixel_um": done.pixel_um, "pixel_from": source}))
        return
    console = Console(markup=False)
    console.print(
        f"{_counted(done.frames, 'frame')} in {_counted(done.images, 'image')}; "
        f"the pixel is {done.pixel_um:g} um, from {source}.",
        highlight=False,
    )
    console.print(f"Written: {done.path}", soft_wrap=True, highlight=False)
    if to is ExportFormat.OME_ZARR and done.images > 1:
        last = done.images - 1
        console.print(f"Images:  {done.path}/0 to {done.path}/{last}, each opens by its path", soft_wrap=True)


def replay(
    path: Annotated[Path, typer.Argument(help="Recording, stack of lsm simulate, red.npz, or a folder of BSCCM.")],
    out: Annotated[Path, typer.Option(help="New image: .png for the eye, stretched; .tif or .npy in ADU.")],
    pattern: Annotated[Light, typer.Option(help="What to light.")] = Light.BRIGHT_FIELD,
    na: Annotated[float, typer.Option(help="Aperture of bright-field, dark-field, dpc; outer of annulus.")] = 0.1,
    na_min: Annotated[float, typer.Option(help="Inner numerical aperture of the annulus.")] = 0.0,
    led: Annotated[int, typer.Option(help="Which LED, for `led`.")] = 0,
    colour: Annotated[
        str, typer.Option(show_default="green, or the only one", help=f"{', '.join(COLOURS)}, where there is a choice.")
    ] = "",
    exposure_ms: Annotated[float, typer.Option(help="Exposure of the image.")] = 1.0,
    place_um: Annotated[
        tuple[float, float] | None, typer.Option(show_default="the first one measured", help="Stage position x y.")
    ] = None,
    focus_um: Annotated[float | None, typer.Option(help="Focus position.", show_default="of the first place")] = None,
    rig: Annotated[
        str, typer.Option(help="Rig of a recording, for its LED board.", show_default="what the recording says")
    ] = "",
    board: Annotated[Path | None, typer.Option(help="LED positions instead: CSV with x_mm,y_mm,z_mm.")] = None,
    cell: Annotated[int | None, typer.Option(help="Which cell, of BSCCM.")] = None,
    offset_adu: Annotated[float | None, typer.Option(help="Dark signal, where there is no dark frame.")] = None,
    saturated_adu: Annotated[float | None, typer.Option(help="Value from which a pixel is saturated.")] = None,
    gain_e_per_adu: Annotated[float | None, typer.Option(help="Electrons per ADU, for the noise.")] = None,
    read_noise_e: Annotated[float | None, typer.Option(help="Read noise in electrons, for the noise.")] = None,
    noise: Annotated[Noise, typer.Option(help="Of the sum, or what one capture would have had.")] = Noise.MEASURED,
    mask: Annotated[bool, typer.Option("--mask", help="Let pixels of unknown value pass, at saturation.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of fresh noise.")] = 0,
    as_json: _show.AsJson = False,
) -> None:
    """Compute the image under any light from a measured stack with one image per LED, and say how noisy it is.

    Example: lsm record replay green.npz --pattern dark-field --na 0.1 --out dark.png
    """
    _check_image(out)
    told = {"offset_adu": offset_adu, "saturated_adu": saturated_adu}
    told |= {"gain_e_per_adu": gain_e_per_adu, "read_noise_e": read_noise_e}
    camera = StackCamera.from_table({key: value for key, value in told.items() if value is not None})
    stack = open_stack(path, board=_board(path, rig, board), camera=camera, cell=cell)
    microscope = Replay(
        stack,
        noise="as measured" if noise is Noise.MEASURED else "as captured",
        saturated="mask" if mask else "error",
        seed=seed,
    )
    try:
        light = named_pattern(microscope.board, pattern, na=na, na_min=na_min, led=led, colour=colour)
        frame = microscope.observe(Observe(light, exposure_ms, place_um, focus_um))
    finally:
        microscope.close()
    _save(out, frame)
    _tell(out, frame, as_json=as_json)


def _board(path: Path, rig: str, table: Path | None) -> LedBoard | None:
    if table is not None:
        return LedBoard.from_csv(table)
    name = rig
    if not rig and path.is_file() and is_recording(path):
        with open_record(path) as recording:
            name = str(recording.header.get("rig", ""))
        if not name:
            raise InputError(f"{path} does not say with which rig it was recorded.", hint="give --rig or --board")
    if not name:
        return None
    try:
        return RigConfig.from_file(find_rig(name)).led.board.build()
    except FileMissing as error:
        raise FileMissing(f"The rig '{name}' of {path} is not known here.", hint="give its file with --rig") from error


def _check_image(out: Path) -> None:
    if out.suffix.lower() not in PICTURE + EXACT:
        raise InputError(f"{out} is of no kind that can be written.", hint=f"end it in {', '.join(PICTURE + EXACT)}")
    if out.exists():
        raise InputError(f"{out} exists.", hint="name another; nothing was changed")
    if not out.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {out}.", hint="make the folder first")


def _save(out: Path, frame: ReplayedFrame) -> None:
    try:
        if out.suffix.lower() == ".npy":
            np.save(out, frame.image, allow_pickle=False)
        elif out.suffix.lower() in PICTURE:
            low, high = _range(frame)
            shown = ((frame.image.astype(np.float64) - low) / max(high - low, 1)).clip(0, 1)
            Image.fromarray(np.rint(255 * shown).astype(np.uint8)).save(out)
        else:
            Image.fromarray(frame.image).save(out)
    except OSError as error:
        raise RecordError(f"{out} cannot be written: {error.strerror or error}.", hint="check the disk") from error


def _range(frame: ReplayedFrame) -> tuple[int, int]:
    low, high = np.percentile(frame.image, SHOWN_PERCENT)
    return int(low), int(high)


def _tell(out: Path, frame: ReplayedFrame, *, as_json: bool) -> None:
    unknown = int((~frame.valid).sum())
    noise = frame.metadata["noise_sd_adu_median"]
    if as_json:
        facts: dict[str, Any] = {"image": str(out), "pattern": frame.request.pattern.name, "unknown_px": unknown}
        facts |= {"median_adu": float(np.median(frame.image)), **frame.metadata}
        typer.echo(json.dumps(facts | {"xy_um": frame.xy_um, "z_um": frame.z_um, "exposure_ms": frame.exposure_ms}))
        return
    spread = "of unknown noise" if noise == "unknown" else f"noise {noise} ADU ({frame.metadata['noise']})"
    console = Console(markup=False)
    console.print(
        f"{frame.request.pattern.name} at {frame.exposure_ms:g} ms: sum of {frame.metadata['images_summed']} images, "
        f"median {np.median(frame.image):.0f} ADU, {spread}.",
        highlight=False,
        soft_wrap=True,
    )
    if (clipped := int(frame.metadata["clipped_px"]) - unknown) > 0:
        console.print(f"{_counted(clipped, 'pixel')} at saturation: ask for a shorter exposure.", highlight=False)
    if unknown:
        console.print(f"{unknown} pixels have no known value and stand at saturation.", highlight=False)
    low, high = _range(frame)
    stretch = f", {low} to {high} ADU from black to white" if out.suffix.lower() in PICTURE else ""
    console.print(f"Image: {out}{stretch}", highlight=False, soft_wrap=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
