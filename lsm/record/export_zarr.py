"""A recording as OME-Zarr 0.5 (Zarr 3): one chunk a frame, axes t c z y x.

A recording that is one image (see `export_layout`) has it at the root. Otherwise the root is a collection in
the layout of bioformats2raw: images `0`, `1`, ... in the order taken, listed in `OME/series`, and the whole
run's OME-XML in `OME/METADATA.ome.xml`; viewers open one image by its path.

Space is in micrometres of the stage: the translation puts the middle of an image where the stage was read back
at its first plane, at 0 where that is unknown. The time scale is the mean time between repetitions. Exact values
of every plane are in the image's attribute `lsm`: `planes` in the order taken, each with its place `tcz` in the
array, position, focus, start (seconds), exposure, light shown (a key of `lights`, as [led, [level per colour]]),
request and decision.
There is one resolution level.
"""

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from lsm.record.export_layout import ImageBlock, Layout, known
from lsm.record.export_xml import ome_xml
from lsm.record.reading import Recording

VERSION = "0.5"
MICROMETER = "micrometer"
FULL_ADU = 65535


def write_zarr(recording: Recording, layout: Layout, path: Path) -> None:
    """Write the frames one by one into a new folder. Raises OSError, RecordError."""
    root = zarr.open_group(path, mode="w", zarr_format=3)
    if len(layout.blocks) == 1:
        _write_image(root, recording, layout, layout.blocks[0], _run(layout))
        return
    root.attrs.update({"ome": {"version": VERSION, "bioformats2raw.layout": 3}, "lsm": _run(layout)})
    names = [str(number) for number in range(len(layout.blocks))]
    root.create_group("OME").attrs["ome"] = {"version": VERSION, "series": names}
    (path / "OME" / "METADATA.ome.xml").write_bytes(ome_xml(layout, pixels_in_tiff=False))
    for name, block in zip(names, layout.blocks, strict=True):
        _write_image(root.create_group(name), recording, layout, block, {})


def _write_image(
    group: zarr.Group, recording: Recording, layout: Layout, block: ImageBlock, run: dict[str, Any]
) -> None:
    rows, columns = layout.shape_px
    array = group.create_array(
        "0",
        shape=(block.n_times, block.cycle, block.n_foci, rows, columns),
        chunks=(1, 1, 1, rows, columns),
        dtype=np.uint16,
        dimension_names=("t", "c", "z", "y", "x"),
    )
    for number, plane in enumerate(block.planes):
        array[block.place(number)] = recording.frame(plane.index).image
    group.attrs.update({"ome": _ome(layout, block), "lsm": _planes(layout, block) | run})


def _ome(layout: Layout, block: ImageBlock) -> dict[str, Any]:
    first, last = block.planes[0], block.planes[-block.cycle]
    between_s = (last.elapsed_s - first.elapsed_s) / (block.n_times - 1) if block.n_times > 1 else 0.0
    rows, columns = layout.shape_px
    x_um, y_um, z_um = (known(axis) or 0.0 for axis in (*first.xy_um, first.z_um))
    pixel_um = layout.pixel_um
    corner_um = [y_um - (rows - 1) / 2 * pixel_um, x_um - (columns - 1) / 2 * pixel_um]
    # a scale of zero is not allowed: a single time has none, so that a second stands for it
    scale = [between_s or 1.0, 1.0, block.step_um or 1.0, pixel_um, pixel_um]
    moved = [first.elapsed_s, 0.0, z_um, *corner_um]
    return {
        "version": VERSION,
        "multiscales": [
            {
                "name": f"x {x_um:.1f}, y {y_um:.1f} um",
                "axes": [
                    {"name": "t", "type": "time", "unit": "second"},
                    {"name": "c", "type": "channel"},
                    *({"name": axis, "type": "space", "unit": MICROMETER} for axis in "zyx"),
                ],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": scale},
                            {"type": "translation", "translation": moved},
                        ],
                    }
                ],
            }
        ],
        "omero": {"channels": _channels(layout, block)},
    }


def _channels(layout: Layout, block: ImageBlock) -> list[dict[str, Any]]:
    spans = [block.span_adu(channel) for channel in range(block.cycle)]
    return [
        {
            "label": name,
            "color": "FFFFFF",
            "active": True,
            "window": {"min": 0, "max": FULL_ADU, "start": low, "end": high},
        }
        for name, (low, high) in zip(layout.channels(block), spans, strict=True)
    ]


def _planes(layout: Layout, block: ImageBlock) -> dict[str, Any]:
    planes = [
        plane.facts | {"tcz": block.place(number), "elapsed_s": plane.elapsed_s, "exposure_ms": plane.exposure_ms}
        for number, plane in enumerate(block.planes)
    ]
    return {"planes": planes, "lights": {plane.shown: layout.lights[plane.shown] for plane in block.planes}}


def _run(layout: Layout) -> dict[str, Any]:
    return {"header": layout.header, "summary": layout.summary, "pixel_um": layout.pixel_um}
