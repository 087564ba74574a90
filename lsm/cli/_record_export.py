"""`lsm record export` and `lsm record replay`: recordings for other programs, and as a microscope."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsm.record.export import ExportFormat, export_recording

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


def export(
    path: Annotated[Path, typer.Argument(help="Recording (HDF5), also one that is still being written.")],
    out: Annotated[Path, typer.Argument(help="New file NAME.ome.tif, or new folder NAME.zarr or NAME (ndtiff).")],
    to: Annotated[ExportFormat, typer.Option(help="Format of other programs.")] = ExportFormat.OME_TIFF,
    pixel_um: Annotated[
        float | None,
        typer.Option(help="Camera pixel at the sample, where the recording does not say it.", min=1e-6),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write every frame of a recording, with pixel size, pattern, position, focus and time, for other programs.

    Frames become several images where the run moved or changed its order of patterns: all planes of an image lie
    over each other, none is left out or made up.

    Example: lsm record export out/demo/record.h5 smear.zarr --to ome-zarr
    """
    done = export_recording(path, to, out, pixel_um=pixel_um)
    source = "the recording" if pixel_um is None else "--pixel-um"
    if as_json:
        facts = {"export": str(done.path), "format": to.value, "frames": done.frames, "images": done.images}
        typer.echo(json.dumps(facts | {"pixel_um": done.pixel_um, "pixel_from": source}))
        return
    console = Console()
    console.print(
        f"{_counted(done.frames, 'frame')} in {_counted(done.images, 'image')}; "
        f"the pixel is {done.pixel_um:g} um, from {source}.",
        highlight=False,
    )
    console.print(f"Written: {done.path}", soft_wrap=True, highlight=False)
    if to is ExportFormat.OME_ZARR and done.images > 1:
        last = done.images - 1
        console.print(f"Images:  {done.path}/0 to {done.path}/{last}, each opens by its path", soft_wrap=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
