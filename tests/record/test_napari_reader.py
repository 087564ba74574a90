"""Exports open in napari: its plug-in's own reader, without a window. Skipped where the plug-in is not installed.

Where it is, it brings plug-ins for pytest whose warnings our rule takes for errors: `-W ignore::DeprecationWarning`.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.record import Recorder
from lsm.record.export import ExportFormat, export_recording
from record.test_export import HEADER, IMAGES, VISITS, elapsed_s, places, visit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    plugin = pytest.importorskip("napari_ome_zarr", reason="napari and its plug-in for OME-Zarr are not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # napari's own


def layers(folder: Path, indices: range) -> list[tuple[list[Any], dict[str, Any], str]]:
    """What napari is given of a recording of these frames: data, settings and kind of each layer, channels together."""
    with Recorder(folder / "record.h5", HEADER) as recorder:
        for index in indices:
            recorder.add(visit(index))
        recorder.finish({})
    export_recording(folder / "record.h5", ExportFormat.OME_ZARR, folder / "run.zarr")
    reader = plugin.napari_get_reader(str(folder / "run.zarr"))
    assert reader is not None
    return list(reader(str(folder / "run.zarr")))


def test_one_field_opens_as_a_layer_for_each_light(tmp_path: Path):
    (data, settings, kind), *more = layers(tmp_path, range(4))
    assert (more, kind) == ([], "image")
    # t c z y x; napari makes a layer of each place along the channel axis
    assert settings["channel_axis"] == 1
    for index in range(4):
        repeat, light = divmod(index, 2)
        assert np.array_equal(np.asarray(data[0][repeat, light, 0]), visit(index).image)
        assert settings["name"][light] == f"x 100.0, y 7.2 um: {visit(index).request.pattern.name}"
        low, high = settings["contrast_limits"][light]
        assert low <= visit(index).image.min() <= visit(index).image.max() <= high
    assert settings["axis_labels"] == ("t", "z", "y", "x")
    assert settings["units"] == ("second", "micrometer", "micrometer", "micrometer")
    assert settings["scale"] == [elapsed_s(2), 1.0, 1.625, 1.625]


def test_a_run_over_several_places_opens_with_all_of_its_images(tmp_path: Path):
    found = layers(tmp_path, range(len(VISITS)))
    assert [data[0].shape[:3] for data, _, _ in found] == [shape for _, shape in IMAGES]
    for index, image, place in places():
        data, settings, _ = found[image]
        assert np.array_equal(np.asarray(data[0][place]), visit(index).image)
        # the plug-in takes no translation: where an image lies is told by its name alone
        assert settings["name"][place[1]].startswith(f"x {visit(IMAGES[image][0]).xy_um[0]:.1f}, y 7.2 um: ")
        assert not np.any(settings["affine"].translate)
