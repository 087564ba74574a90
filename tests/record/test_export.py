"""Exports hold every pixel and every value of the recording, as readers of other projects see them."""

import json
import shutil
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import ndstorage
import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image

from lsm.cli import main
from lsm.devices import Frame
from lsm.errors import FileMissing, InputError, RecordError
from lsm.illum import Pattern
from lsm.record import Recorder, Recording, export_tiff, export_zarr, open_record
from lsm.record.export import ExportFormat, export_recording
from record.frames import BOARD, decide, make_frame

HEADER = {
    "rig": "bench <1>",
    "camera_pixel_um": 1.625,
    "objective": {"na": 0.1, "magnification": 4.0, "immersion_index": 1.0},
    "started": "2026-03-02T10:15:00+00:00",
}
NAMES = ("bright field", "learned 1", 'half disc "µ"')
PATTERNS = [Pattern.of(BOARD, np.full((BOARD.n_leds, 3), 0.2 * n, dtype=np.float32), name=NAMES[n]) for n in range(3)]
# pattern, x in um, focus asked for in um (None: left alone)
VISITS: list[tuple[int, float, float | None]] = [
    *((0, 100.0, None), (1, 100.3, None), (0, 100.0, None), (1, 99.8, None), (0, 100.0, None)),
    *((2, 900.0, -4.0), (2, 900.0, -2.0), (2, 900.0, 0.0)),
    *((1, 100.0, 0.0), (2, 100.0, 0.0)),
]
# first frame and shape t, c, z of every image: the stage moved, or the order of patterns changed
IMAGES = [(0, (2, 2, 1)), (4, (1, 1, 1)), (5, (1, 1, 3)), (8, (1, 2, 1))]
FORMATS = {ExportFormat.OME_TIFF: "run.ome.tif", ExportFormat.OME_ZARR: "run.zarr", ExportFormat.NDTIFF: "run"}


def visit(index: int) -> Frame:
    """Frame of the run above; its image, light, decision and times follow from its index."""
    pattern, x_um, z_um = VISITS[index]
    frame = make_frame(index)
    return replace(
        frame,
        request=replace(frame.request, pattern=PATTERNS[pattern], xy_um=(x_um, 7.0), z_um=z_um),
        xy_um=(x_um, 7.25),
        z_um=0.5 if z_um is None else z_um + 0.01,
        started_ns=10**15 + 250_000_000 * index**2,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "record.h5"
    with Recorder(path, HEADER) as recorder:
        for index in range(len(VISITS)):
            recorder.add(visit(index), decide(index))
        recorder.finish({"verdict": "negative"})
    return path


@pytest.fixture(scope="module")
def exports(run: Path) -> dict[ExportFormat, Path]:
    made = {to: run.with_name(name) for to, name in FORMATS.items()}
    for to, out in made.items():
        done = export_recording(run, to, out)
        assert (done.frames, done.images, done.pixel_um) == (len(VISITS), len(IMAGES), 1.625)
    assert sorted(path.name for path in run.parent.iterdir()) == sorted(["record.h5", *FORMATS.values()])
    return made


def places() -> Iterator[tuple[int, int, tuple[int, int, int]]]:
    """Frame, image, and time, channel and focus in that image, of all frames."""
    for image, (first, (times, channels, foci)) in enumerate(IMAGES):
        for offset in range(times * channels * foci):
            repeat, channel = divmod(offset, channels)
            yield first + offset, image, (repeat, channel, 0) if foci == 1 else (0, channel, repeat)


def elapsed_s(index: int) -> float:
    return 0.25 * index**2


def lit(frame: Frame) -> list[list[object]]:
    return [[int(led), frame.shown.levels[led].tolist()] for led in np.flatnonzero(frame.shown.levels.any(axis=1))]


def check_facts(facts: dict[str, object], index: int) -> None:
    frame = visit(index)
    assert facts["frame"] == index
    assert facts["decision"] == decide(index)
    assert facts["metadata"] == frame.metadata
    assert (facts["limited"], facts["latch"]) == (frame.shown.limited, frame.shown.latch)
    asked = facts["requested"]
    assert (asked["xy_um"], asked["z_um"]) == ([VISITS[index][1], 7.0], VISITS[index][2])


def test_ome_tiff_opens_in_tifffile(exports: dict[ExportFormat, Path]):
    with tifffile.TiffFile(exports[ExportFormat.OME_TIFF]) as tiff:
        assert tiff.is_ome
        assert not tiff.is_bigtiff
        assert [series.get_shape(squeeze=False) for series in tiff.series] == [
            (times, foci, channels, 64, 48, 1) for _, (times, channels, foci) in IMAGES
        ]
        for index, image, (t, c, z) in places():
            pixels = tiff.series[image].asarray(squeeze=False)[t, z, c, :, :, 0]
            assert np.array_equal(pixels, visit(index).image)
            assert np.array_equal(tiff.pages[index].asarray(), visit(index).image)
        per_cm = tiff.pages.first.tags["XResolution"].value
        # TIFF keeps it as a ratio of two 32-bit numbers
        assert per_cm[0] / per_cm[1] == pytest.approx(10_000 / 1.625, rel=1e-9)


def test_ome_xml_says_pixel_pattern_place_and_time(run: Path, exports: dict[ExportFormat, Path]):
    ome = ome_types.from_xml(tifffile.tiffcomment(exports[ExportFormat.OME_TIFF]))
    with open_record(run) as recording:
        first_s = recording.wall_ns(0) / 1e9
    notes = {note.id: json.loads(note.value) for note in ome.structured_annotations.comment_annotations}
    assert (ome.instruments[0].microscope.model, ome.instruments[0].objectives[0].lens_na) == ("bench <1>", 0.1)
    assert ome.instruments[0].objectives[0].nominal_magnification == 4.0
    for index, number, (t, c, z) in places():
        image, frame = ome.images[number], visit(index)
        assert abs(image.acquisition_date.timestamp() - first_s) < 0.001
        assert image.objective_settings.refractive_index == 1.0
        pixels = image.pixels
        assert (pixels.physical_size_x, pixels.physical_size_y) == (1.625, 1.625)
        assert pixels.physical_size_x_unit.value == pixels.physical_size_y_unit.value == "µm"
        assert pixels.physical_size_z == (2.0 if number == 2 else None)
        assert pixels.channels[c].name == frame.request.pattern.name
        plane = next(p for p in pixels.planes if (p.the_t, p.the_c, p.the_z) == (t, c, z))
        assert (plane.position_x, plane.position_y, plane.position_z) == (*frame.xy_um, frame.z_um)
        assert plane.position_x_unit.value == plane.position_z_unit.value == "µm"
        assert (plane.delta_t, plane.delta_t_unit.value) == (elapsed_s(index), "s")
        assert (plane.exposure_time, plane.exposure_time_unit.value) == (frame.exposure_ms, "ms")
        light, facts = (notes[reference.id] for reference in plane.annotation_refs)
        assert light["led_levels"] == lit(frame)
        check_facts(facts, index)
        assert notes[image.annotation_refs[0].id]["summary"] == {"verdict": "negative"}


def test_ome_xml_keeps_the_order_of_its_schema(exports: dict[ExportFormat, Path]):
    """ome-types takes children in any order, other readers need not: the schema that it ships has the order."""
    order = schema_order(Path(ome_types.__file__).with_name("ome-2016-06.xsd"))
    root = ElementTree.fromstring(tifffile.tiffcomment(exports[ExportFormat.OME_TIFF]))  # noqa: S314 -- our own
    checked = 0
    for parent in root.iter():
        names = [child.tag.partition("}")[2] for child in parent]
        known = order.get(parent.tag.partition("}")[2], [])
        if known:
            places = [known.index(name) for name in names]
            assert places == sorted(places), parent.tag
            checked += 1
    assert checked > len(VISITS)


def schema_order(schema: Path) -> dict[str, list[str]]:
    """Names of the children in the order in which the schema lists them, by parent, inherited ones first."""
    xsd = "{http://www.w3.org/2001/XMLSchema}"
    root = ElementTree.parse(schema).getroot()  # noqa: S314 -- shipped with ome-types

    def named(node: ElementTree.Element) -> list[str]:
        base = node.find(f".//{xsd}extension")
        inherited = [] if base is None else types.get(base.get("base", ""), [])
        return inherited + [e.get("ref") or e.get("name") or "" for e in node.iter(f"{xsd}element") if e is not node]

    types: dict[str, list[str]] = {}
    for _ in range(3):  # types are built on types, two deep
        types |= {node.get("name", ""): named(node) for node in root.findall(f"{xsd}complexType")}
    elements = {node.get("name", ""): node for node in root.findall(f"{xsd}element")}
    return {name: types.get(node.get("type", "")) or named(node) for name, node in elements.items()}


def test_ome_zarr_opens_in_its_own_reader(exports: dict[ExportFormat, Path]):
    root = exports[ExportFormat.OME_ZARR]
    assert zarr.open_group(root / "OME", mode="r").attrs["ome"]["series"] == ["0", "1", "2", "3"]
    nodes = [next(iter(Reader(parse_url(root / str(number)))())) for number in range(len(IMAGES))]
    for index, number, place in places():
        node, frame = nodes[number], visit(index)
        assert np.array_equal(np.asarray(node.data[0][place]), frame.image)
        assert node.metadata["channel_names"][place[1]] == frame.request.pattern.name
        assert [axis.get("unit") for axis in node.metadata["axes"]] == ["second", None, *["micrometer"] * 3]
        scale, moved = node.metadata["coordinateTransformations"][0]
        assert scale["scale"][-2:] == [1.625, 1.625]
        first = IMAGES[number][0]
        # the middle of the image is where the stage was
        assert moved["translation"][-1] + 23.5 * 1.625 == pytest.approx(visit(first).xy_um[0], abs=1e-9)
        assert moved["translation"][-2] + 31.5 * 1.625 == pytest.approx(7.25, abs=1e-9)
        assert moved["translation"][0] == elapsed_s(first)
        low, high = node.metadata["contrast_limits"][place[1]]
        assert low <= frame.image.min() <= frame.image.max() <= high
    assert nodes[2].metadata["coordinateTransformations"][0][0]["scale"][2] == 2.0
    assert nodes[0].metadata["coordinateTransformations"][0][0]["scale"][0] == elapsed_s(2)


def test_ome_zarr_has_every_value_and_fits_the_model(exports: dict[ExportFormat, Path]):
    root = exports[ExportFormat.OME_ZARR]
    for index, number, place in places():
        group = zarr.open_group(root / str(number), mode="r")
        kept, frame = group.attrs["lsm"], visit(index)
        facts = next(plane for plane in kept["planes"] if plane["tcz"] == list(place))
        check_facts(facts, index)
        assert (facts["xy_um"], facts["z_um"]) == (list(frame.xy_um), frame.z_um)
        assert (facts["elapsed_s"], facts["exposure_ms"]) == (elapsed_s(index), frame.exposure_ms)
        assert kept["lights"][facts["shown"]] == lit(frame)
        Image.from_zarr(group)
    assert zarr.open_group(root, mode="r").attrs["lsm"]["header"]["rig"] == "bench <1>"
    described = ome_types.from_xml((root / "OME" / "METADATA.ome.xml").read_text(encoding="ascii"))
    assert [len(image.pixels.planes) for image in described.images] == [4, 1, 3, 2]


def test_ndtiff_opens_in_its_own_reader(exports: dict[ExportFormat, Path]):
    with closing(ndstorage.Dataset(str(exports[ExportFormat.NDTIFF]))) as dataset:
        assert dataset.summary_metadata["PixelSize_um"] == 1.625
        assert len(dataset.get_image_coordinates_list()) == len(VISITS)
        for index, number, (t, _, z) in places():
            frame = visit(index)
            axes = {"position": number, "time": t, "channel": frame.request.pattern.name, "z": z}
            assert np.array_equal(dataset.read_image(**axes), frame.image)
            facts = dataset.read_metadata(**axes)
            assert facts["PixelSizeUm"] == 1.625
            assert (facts["XPositionUm"], facts["YPositionUm"], facts["ZPositionUm"]) == (*frame.xy_um, frame.z_um)
            assert (facts["ElapsedTime-ms"], facts["Exposure"]) == (elapsed_s(index) * 1000, frame.exposure_ms)
            assert facts["lsm"]["shown"] == lit(frame)
            check_facts(facts["lsm"], index)


def test_a_run_at_one_place_is_one_image_at_the_root(tmp_path: Path):
    with Recorder(tmp_path / "record.h5", HEADER) as recorder:
        for index in range(4):
            recorder.add(visit(index), decide(index))
    out = tmp_path / "one.ome.zarr"
    assert export_recording(tmp_path / "record.h5", ExportFormat.OME_ZARR, out).images == 1
    node = next(iter(Reader(parse_url(out))()))
    assert node.data[0].shape == (2, 2, 1, 64, 48)
    assert zarr.open_group(out, mode="r").attrs["lsm"]["header"]["rig"] == "bench <1>"


def test_patterns_of_one_name_are_different_channels(tmp_path: Path):
    """Without names, with the same one, and with signs that XML cannot hold."""
    names = ("", "light", "light", "bad\x00\ud800")
    with Recorder(tmp_path / "record.h5", HEADER) as recorder:
        for index, name in enumerate(names):
            duty = np.full((BOARD.n_leds, 3), 0.1 * index, dtype=np.float32)
            frame = visit(0)
            recorder.add(replace(frame, request=replace(frame.request, pattern=Pattern.of(BOARD, duty, name=name))))
    out = tmp_path / "run.ome.tif"
    export_recording(tmp_path / "record.h5", ExportFormat.OME_TIFF, out)
    channels = [channel.name for channel in ome_types.from_xml(tifffile.tiffcomment(out)).images[0].pixels.channels]
    assert len(set(channels)) == 4
    assert channels[0].startswith("pattern ")
    assert channels[1].startswith("light ")
    assert channels[3] == "bad??"


@pytest.mark.parametrize("to", FORMATS)
def test_a_recording_that_is_still_being_written(tmp_path: Path, to: ExportFormat):
    with Recorder(tmp_path / "record.h5", HEADER) as recorder:
        for index in range(5):
            recorder.add(visit(index), decide(index))
        done = export_recording(tmp_path / "record.h5", to, tmp_path / FORMATS[to])
        recorder.add(visit(5), decide(5))
    assert (done.frames, done.images) == (5, 2)


@pytest.mark.parametrize("to", FORMATS)
def test_a_position_that_is_not_known_is_left_out(tmp_path: Path, to: ExportFormat):
    """A microscope without a focus drive may say NaN, for which neither XML nor JSON has a word."""
    with Recorder(tmp_path / "record.h5", HEADER | {"objective": {"na": 10**400}}) as recorder:
        recorder.add(replace(visit(0), z_um=float("nan")))
    out = tmp_path / FORMATS[to]
    export_recording(tmp_path / "record.h5", to, out)
    texts = [path.read_bytes() for path in ([out] if out.is_file() else sorted(out.rglob("*"))) if path.is_file()]
    assert not any(b"NaN" in text or b'"nan"' in text for text in texts)
    if to is ExportFormat.OME_TIFF:
        plane = ome_types.from_xml(tifffile.tiffcomment(out)).images[0].pixels.planes[0]
        assert (plane.position_x, plane.position_z) == (100.0, None)


def test_times_of_a_resumed_run_go_on_after_the_computer_was_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The monotonic clock begins anew; the wall clock says how much later."""
    path, out = tmp_path / "record.h5", tmp_path / "run.ome.tif"
    recorder = Recorder(path, HEADER)
    recorder.add(replace(visit(0), started_ns=time.monotonic_ns()))
    recorder.close()
    running_ns = time.monotonic_ns
    monkeypatch.setattr(time, "monotonic_ns", lambda: running_ns() - 10**13)
    with Recorder.resume(path) as resumed:
        resumed.add(replace(visit(1), started_ns=time.monotonic_ns()))
        resumed.add(replace(visit(2), started_ns=time.monotonic_ns() + 60 * 10**9))
    export_recording(path, ExportFormat.OME_TIFF, out)
    times_s = [
        plane.delta_t for image in ome_types.from_xml(tifffile.tiffcomment(out)).images for plane in image.pixels.planes
    ]
    assert times_s[0] == 0
    # the test itself takes far less than the minute between the frames
    assert 0 < times_s[1] < 60 < times_s[2] < 120


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_half_written_is_left(run: Path, tmp_path: Path, to: ExportFormat, monkeypatch: pytest.MonkeyPatch):
    """The recording turns out to be damaged in the middle."""
    path = tmp_path / "record.h5"
    shutil.copy(run, path)
    whole, read = Recording.frame, []

    def damaged(recording: Recording, index: int) -> Frame:
        read.append(index)
        if read.count(3) == 2:  # the second time is the one that is written
            raise RecordError("Frame 3 is damaged.", hint="")
        return whole(recording, index)

    monkeypatch.setattr(Recording, "frame", damaged)
    with pytest.raises(RecordError, match="Frame 3 is damaged"):
        export_recording(path, to, tmp_path / FORMATS[to])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_overwritten(run: Path, tmp_path: Path, to: ExportFormat):
    out = tmp_path / FORMATS[to]
    out.write_text("precious")
    with pytest.raises(InputError, match="exists"):
        export_recording(run, to, out)
    assert out.read_text() == "precious"


def test_a_full_disk_is_named_and_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_zarr.zarr.Group, "create_array", full)
    with pytest.raises(RecordError, match=r"cannot be written: No space left.*check the folder"):
        export_recording(run, ExportFormat.OME_ZARR, tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_refused_in_one_sentence(run: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"run.tif does not end in .ome.tif.*name it run.ome.tif"):
        export_recording(run, ExportFormat.OME_TIFF, tmp_path / "run.tif")
    with pytest.raises(InputError, match="no folder"):
        export_recording(run, ExportFormat.NDTIFF, tmp_path / "nowhere" / "run")
    with pytest.raises(FileMissing):
        export_recording(tmp_path / "missing.h5", ExportFormat.NDTIFF, tmp_path / "run")
    Recorder(tmp_path / "empty.h5", HEADER).close()
    with pytest.raises(InputError, match="no frame to export"):
        export_recording(tmp_path / "empty.h5", ExportFormat.NDTIFF, tmp_path / "run")


@pytest.mark.parametrize("told", [None, 0, -1.0, "1.6", True])
def test_a_pixel_that_the_recording_does_not_say_must_be_given(tmp_path: Path, told: object):
    header = {"rig": "r"} if told is None else {"camera_pixel_um": told}
    with Recorder(tmp_path / "record.h5", header) as recorder:
        recorder.add(visit(0))
    out = tmp_path / "run.ome.tif"
    with pytest.raises(InputError, match="give --pixel-um"):
        export_recording(tmp_path / "record.h5", ExportFormat.OME_TIFF, out)
    assert export_recording(tmp_path / "record.h5", ExportFormat.OME_TIFF, out, pixel_um=0.5).pixel_um == 0.5
    ome = ome_types.from_xml(tifffile.tiffcomment(out))
    assert ome.images[0].pixels.physical_size_x == 0.5
    # what the header does not say is not made up
    assert (ome.instruments[0].objectives, ome.images[0].objective_settings) == ([], None)


@pytest.mark.parametrize("to", FORMATS)
def test_memory_does_not_grow_with_the_run(tmp_path: Path, to: ExportFormat):
    """Three times the frames: less than one more image in memory at the peak, though 8 more were written."""
    side = 384
    peaks = []
    for frames in (4, 12):
        path = tmp_path / f"{frames}.h5"
        with Recorder(path, HEADER) as recorder:
            for index in range(frames):
                recorder.add(replace(make_frame(index % 3, shape=(side, side)), xy_um=(0.0, 0.0)))
        tracemalloc.start()
        export_recording(path, to, tmp_path / f"{frames}-{FORMATS[to]}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2 * side * side


def test_a_run_beyond_4_gib_is_a_big_tiff(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The border is moved down, since 4 GiB would take too long."""
    monkeypatch.setattr(export_tiff, "CLASSIC_BYTES", 10_000)
    export_recording(run, ExportFormat.OME_TIFF, tmp_path / "run.ome.tif")
    with tifffile.TiffFile(tmp_path / "run.ome.tif") as tiff, open_record(run) as recording:
        assert tiff.is_bigtiff
        assert all(np.array_equal(page.asarray(), f.image) for page, f in zip(tiff.pages, recording.frames()))  # noqa: B905


def test_the_command_says_what_it_wrote(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run.zarr"
    with pytest.raises(SystemExit) as stop:
        main(["record", "export", str(run), str(out)])
    assert stop.value.code in (0, None)
    said = capsys.readouterr().out
    assert "10 frames in 4 images; the pixel is 1.625 um, from the recording." in said
    assert "/0 to " in said
    with pytest.raises(SystemExit):
        main(["record", "export", str(run), str(tmp_path / "x.ome.tif"), "--pixel-um", "2", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert (facts["frames"], facts["pixel_um"], facts["pixel_from"]) == (10, 2.0, "--pixel-um")
    with pytest.raises(SystemExit) as stop:
        main(["record", "export", str(run), str(out), "--to", "ome-zarr"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit):
        main(["record", "export", str(run), str(tmp_path / "no-ending")])
    assert "or say --to ndtiff" in capsys.readouterr().err
