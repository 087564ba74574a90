"""A recording as an NDTiff folder, as Micro-Manager and pycromanager write and read them.

Axes: `position` is the image (see `export_layout`), `channel` the pattern's name, `time` and `z` the repetitions.
Metadata of each image carry Micro-Manager's names for position, exposure and time, and under `lsm` the light
that was really on ([led, [level per colour]]), the request and the decision.
"""

from contextlib import ExitStack
from pathlib import Path

from ndstorage import NDTiffDataset

from lsm.record.export_layout import ImageBlock, Layout, Plane, known
from lsm.record.reading import Recording


def write_ndtiff(recording: Recording, layout: Layout, path: Path) -> None:
    """Write the frames one by one into a new folder. Raises OSError, RecordError."""
    path.mkdir()
    summary = {"PixelSize_um": layout.pixel_um, "StartTime": layout.started, "lsm": layout.header}
    dataset = NDTiffDataset(str(path), summary_metadata=summary, writable=True)
    file = None
    with ExitStack() as opened:
        opened.callback(dataset.close)
        opened.callback(dataset.finish)
        for position, block in enumerate(layout.blocks):
            names = layout.channels(block)
            for number, plane in enumerate(block.planes):
                t, c, z = block.place(number)
                axes = {"position": position, "time": t, "channel": names[c], "z": z}
                image = recording.frame(plane.index).image
                dataset.put_image(axes, image, _metadata(layout, block, plane, names[c]))
                if dataset.current_writer is not file:
                    # it reads each file that it writes, and leaves that handle open
                    file = dataset.current_writer
                    opened.callback(file.reader.close)


def _metadata(layout: Layout, block: ImageBlock, plane: Plane, channel: str) -> dict[str, object]:
    rows, columns = layout.shape_px
    return {
        "Width": columns,
        "Height": rows,
        "PixelType": "GRAY16",
        "PixelSizeUm": layout.pixel_um,
        "ZStepUm": block.step_um or 0.0,
        "XPositionUm": known(plane.xy_um[0]),
        "YPositionUm": known(plane.xy_um[1]),
        "ZPositionUm": known(plane.z_um),
        "Exposure": plane.exposure_ms,
        "ElapsedTime-ms": plane.elapsed_s * 1000,
        "Channel": channel,
        "lsm": plane.facts | {"shown": layout.lights[plane.shown]},
    }
