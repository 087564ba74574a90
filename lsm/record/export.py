"""Recordings in the formats that other programs read."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from lsm.errors import InputError, RecordError
from lsm.record.export_layout import Layout, plan
from lsm.record.reading import Recording, open_record

Writer = Callable[[Recording, Layout, Path], None]


class ExportFormat(StrEnum):
    """OME-TIFF is one file; OME-Zarr and NDTiff are folders."""

    OME_TIFF = "ome-tiff"
    OME_ZARR = "ome-zarr"
    NDTIFF = "ndtiff"


ENDINGS: Final[dict[ExportFormat, tuple[str, ...]]] = {
    ExportFormat.OME_TIFF: (".ome.tif", ".ome.tiff"),
    ExportFormat.OME_ZARR: (".zarr",),
    ExportFormat.NDTIFF: (),
}
"""Endings by which readers know a format; none where they look inside."""


@dataclass(frozen=True)
class Exported:
    """What an export holds. images: how many of them, see `lsm.record.export_layout`."""

    path: Path
    frames: int
    images: int
    pixel_um: float


def export_recording(path: Path, to: ExportFormat, out: Path, *, pixel_um: float | None = None) -> Exported:
    """What was written: every frame that the recording at `path` holds at this moment, without loss.

    out: new file or folder; it is there whole or not at all. pixel_um: camera pixel at the sample; None takes
    the recording's `camera_pixel_um`. Memory holds one image at a time and some kilobytes of text a frame.

    Raises InputError for a target that exists or has another format's ending, or without a pixel size;
    FileMissing, and RecordError for a recording that cannot be read and a target that cannot be written.
    """
    _check_target(to, out)
    write = _writer(to)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    with open_record(path) as recording:
        layout: Layout = plan(recording, pixel_um=pixel_um)
        try:
            write(recording, layout, partial)
            _refuse_existing(out)
            partial.rename(out)
        except OSError as error:
            raise RecordError(
                f"The export {out} cannot be written: {error.strerror or error}.", hint="check the folder and the disk"
            ) from error
        finally:
            _remove(partial)
    return Exported(out, layout.n_planes, len(layout.blocks), layout.pixel_um)


def _writer(to: ExportFormat) -> Writer:
    # their libraries take up to a second to import, which no other command should wait for
    if to is ExportFormat.OME_TIFF:
        from lsm.record.export_tiff import write_tiff

        return write_tiff
    if to is ExportFormat.OME_ZARR:
        from lsm.record.export_zarr import write_zarr

        return write_zarr
    from lsm.record.export_ndtiff import write_ndtiff

    return write_ndtiff


def format_of(out: Path) -> ExportFormat:
    """The format that the ending of a name stands for. Raises InputError where it stands for none."""
    for to, endings in ENDINGS.items():
        if endings and out.name.lower().endswith(endings):
            return to
    raise InputError(
        f"The ending of {out} stands for no format.", hint="end it in .ome.tif or .zarr, or say --to ndtiff"
    )


def _check_target(to: ExportFormat, out: Path) -> None:
    endings = ENDINGS[to]
    if endings and not out.name.lower().endswith(endings):
        raise InputError(
            f"{out} does not end in {' or '.join(endings)}, by which readers know {to.value}.",
            hint=f"name it {out.name.split('.')[0] or 'record'}{endings[0]}",
        )
    _refuse_existing(out)
    if not out.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {out}.", hint="make the folder first")


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists.", hint="name another; nothing was changed")


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)
