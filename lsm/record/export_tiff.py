"""A recording as one OME-TIFF file: page k is frame k, uncompressed, so that every reader takes it."""

from pathlib import Path

import tifffile

import lsm
from lsm.record.export_layout import Layout
from lsm.record.export_xml import ome_xml
from lsm.record.reading import Recording

CLASSIC_BYTES = 2**32 - 2**26
"""Largest content of a classic TIFF file, with room for its directories; larger ones are BigTIFF."""

UM_PER_CM = 10_000.0


def write_tiff(recording: Recording, layout: Layout, path: Path) -> None:
    """Write the frames one by one, then the OME-XML that describes them. Raises OSError, RecordError."""
    rows, columns = layout.shape_px
    text = ome_xml(layout, pixels_in_tiff=True)
    big = layout.n_planes * (2 * rows * columns + 512) + len(text) > CLASSIC_BYTES
    per_cm = UM_PER_CM / layout.pixel_um
    with tifffile.TiffWriter(path, bigtiff=big, byteorder="<") as tiff:
        for index in range(layout.n_planes):
            tiff.write(
                recording.frame(index).image,
                photometric="minisblack",
                metadata=None,
                contiguous=False,
                # the first page's description is that of the file
                description=text if index == 0 else None,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                software=f"lsm {lsm.__version__}",
            )
