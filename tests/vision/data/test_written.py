"""What is written is what was there, for us and for COCO's own reader."""

import contextlib
import json
from pathlib import Path
from typing import Any

import annotated_files as make
import numpy as np
import pytest
from faster_coco_eval import COCO
from faster_coco_eval.core import mask as coco_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from lsm.errors import InputError, WrongFormat
from lsm.vision.data import WRITERS, AnnotatedImage, AnnotatedSet, Format, Mask, Objects, read_annotations
from lsm.vision.data.outlines import mask_of_outlines
from lsm.vision.data.rle import mask_from_runs, runs_from_mask, runs_from_text, text_from_runs

BOTH = pytest.mark.parametrize("format_", [Format.COCO, Format.KERAS_RCNN])


def masks(marks: np.ndarray) -> tuple[Mask, ...]:
    return tuple(Mask.of(marks == k) for k in np.unique(marks[marks > 0]))


def small_set(folder: Path, *, masked: bool = True) -> AnnotatedSet:
    """Two images in files, a third in memory; one without objects."""
    marks = np.zeros((40, 60), dtype=np.int64)
    marks[5:15, 10:20], marks[20:30, 50:60], marks[0, 0] = 1, 2, 3
    pieces = masks(marks)
    objects = Objects(
        np.stack([piece.box_px for piece in pieces]),
        np.array([1, 0, 1]),
        pieces if masked else None,
        np.array([False, False, True]),
    )
    empty = Objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), () if masked else None)
    files = [make.picture(folder / name) for name in ("a.png", "deep/b.jpg")]
    images = (
        AnnotatedImage("first", files[0], (40, 60), objects, "patient 1"),
        AnnotatedImage("deep/b.jpg", files[1], (40, 60), empty, "patient 1"),
        AnnotatedImage.of("in memory", np.random.default_rng(0).random((4, 40, 60)).astype(np.float32), objects),
    )
    return AnnotatedSet(images, ("RBC", "WBC"), "made by hand")


def same(one: AnnotatedSet, other: AnnotatedSet) -> None:
    assert one.categories == other.categories
    for mine, its in zip(one.images, other.images, strict=True):
        assert (mine.name, mine.size, mine.group) == (its.name, its.size, its.group)
        np.testing.assert_array_equal(mine.pixels(), its.pixels())
        # x + (width = x1 - x) rounds twice: an ulp of coordinates up to 60
        np.testing.assert_allclose(mine.objects.box_px, its.objects.box_px, rtol=0, atol=2e-14)
        assert mine.objects.category.tolist() == its.objects.category.tolist()
        assert mine.objects.ignore.tolist() == its.objects.ignore.tolist()
        assert (mine.objects.masks is None) == (its.objects.masks is None)
        for mask, its_mask in zip(mine.objects.masks or (), its.objects.masks or (), strict=True):
            np.testing.assert_array_equal(mask.whole(*mine.size), its_mask.whole(*mine.size))


@BOTH
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, format_: Format, masked: bool):
    data = small_set(tmp_path, masked=masked)
    WRITERS[format_](data, tmp_path / "out.json")
    again = read_annotations(str(tmp_path / "out.json"), categories=data.categories, repair=True)
    # an object of one pixel is a click where it has no mask
    if masked:
        same(data, again)
    else:
        assert [len(image.objects) for image in again.images] == [2, 0, 2]


@BOTH
def test_a_failure_leaves_the_old_file(tmp_path: Path, format_: Format, monkeypatch: pytest.MonkeyPatch):
    held = small_set(tmp_path, masked=False)
    data, out = AnnotatedSet(held.images[:2], held.categories), tmp_path / "out.json"
    out.write_text("old")
    written = Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        written(path, text[:10], **options)
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        WRITERS[format_](data, out)
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_failure_leaves_no_masks_and_another_attempt_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = small_set(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    saved, pictures = Image.Image.save, 0

    def full(image: Image.Image, *place: Any, **options: Any) -> None:
        nonlocal pictures
        pictures += 1
        if pictures == 3:
            raise OSError("no space")
        saved(image, *place, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="no space"):
        WRITERS[Format.KERAS_RCNN](data, tmp_path / "out.json")
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.setattr(Image.Image, "save", saved)
    WRITERS[Format.KERAS_RCNN](data, tmp_path / "out.json")
    assert len(list((tmp_path / "out_masks").glob("*.png"))) >= 3


@pytest.mark.parametrize(
    ("format_", "folder"), [("coco", "out_images"), ("keras-rcnn", "out_images"), ("keras-rcnn", "out_masks")]
)
def test_pictures_are_never_written_over(tmp_path: Path, format_: str, folder: str):
    data = small_set(tmp_path)
    mine = make.picture(tmp_path / folder / "00002.png")
    before = mine.read_bytes(), sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=f"{folder} exists"):
        WRITERS[Format(format_)](data, tmp_path / "out.json")
    assert (mine.read_bytes(), sorted(tmp_path.rglob("*"))) == before


@BOTH
def test_images_elsewhere_are_named_by_their_whole_path(tmp_path: Path, format_: Format):
    data = small_set(tmp_path / "here")
    (tmp_path / "there").mkdir()
    WRITERS[format_](data, tmp_path / "there/out.json")
    same(data, read_annotations(tmp_path / "there/out.json", categories=data.categories))
    with pytest.raises(InputError, match="There is no folder"):
        WRITERS[format_](data, tmp_path / "none/out.json")


def test_coco_s_own_reader_finds_the_same(tmp_path: Path):
    data = small_set(tmp_path)
    WRITERS[Format.COCO](data, tmp_path / "out.json")
    theirs = COCO(tmp_path / "out.json")
    assert [theirs.cats[k]["name"] for k in theirs.get_cat_ids()] == ["RBC", "WBC"]
    for number, image in enumerate(data.images, start=1):
        found = theirs.load_anns(theirs.get_ann_ids(img_ids=[number]))
        assert [each["category_id"] - 1 for each in found] == image.objects.category.tolist()
        assert [bool(each["iscrowd"]) for each in found] == image.objects.ignore.tolist()
        for each, box, mask in zip(found, image.objects.box_px, image.objects.masks or (), strict=True):
            x, y, width, height = each["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(box.tolist())
            np.testing.assert_array_equal(theirs.annToMask(each).astype(bool), mask.whole(*image.size))
            assert each["area"] == mask.area_px


def test_keras_rcnn_files_have_the_published_layout(tmp_path: Path):
    WRITERS[Format.KERAS_RCNN](small_set(tmp_path), tmp_path / "out.json")
    entry = json.loads((tmp_path / "out.json").read_text())[0]
    assert entry["image"]["pathname"] == "a.png"
    assert entry["image"]["shape"] == {"r": 40, "c": 60, "channels": 3}
    assert len(entry["image"]["checksum"]) == 32
    first = entry["objects"][0]
    assert first["bounding_box"] == {"minimum": {"r": 5, "c": 10}, "maximum": {"r": 15, "c": 20}}
    assert first["category"] == "WBC"
    assert (tmp_path / first["mask"]["pathname"]).is_file()


boxes = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 30), st.floats(1.01, 10), st.floats(1.01, 10)).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    ),
    max_size=5,
)


@BOTH
@settings(max_examples=25, deadline=None)
@given(boxes=boxes)
def test_boxes_survive_both_formats(
    tmp_path_factory: pytest.TempPathFactory, format_: Format, boxes: list[list[float]]
):
    folder = tmp_path_factory.mktemp("boxes")
    objects = Objects(np.array(boxes).reshape(-1, 4), np.arange(len(boxes)) % 2)
    data = AnnotatedSet((AnnotatedImage("a.png", make.picture(folder / "a.png"), (40, 60), objects),), ("a", "b"))
    WRITERS[format_](data, folder / "out.json")
    same(data, read_annotations(folder / "out.json", categories=("a", "b")))


any_mask = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(np.any)


@given(any_mask)
@settings(max_examples=60, deadline=None)
def test_run_lengths_are_those_of_coco(mask: np.ndarray):
    height, width = mask.shape
    runs = runs_from_mask(Mask.of(mask), height, width)
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert text_from_runs(runs) == (theirs.decode() if isinstance(theirs, bytes) else theirs)
    assert runs_from_text(text_from_runs(runs)) == runs
    back = mask_from_runs(runs, height, width)
    assert back is not None
    np.testing.assert_array_equal(back.whole(height, width), mask)


@given(st.lists(st.integers(0, 2**33), max_size=8))
@settings(deadline=None)
def test_texts_of_run_lengths_hold_numbers_of_any_size(runs: list[int]):
    assert runs_from_text(text_from_runs(runs)) == runs


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_run_lengths_or_refused(text: str):
    with contextlib.suppress(WrongFormat):
        mask_from_runs(runs_from_text(text), 5, 4)


@given(st.integers(3, 9), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_polygons_are_coco_s_but_for_pixels_on_the_edge(corners: int, seed: int):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.random(corners)) * 2 * np.pi
    radius = rng.uniform(5, 18, corners)
    outline = np.stack([30 + radius * np.cos(angle), 20 + radius * np.sin(angle)], axis=1)
    mine = mask_of_outlines([outline], 40, 60)
    theirs = coco_mask.decode(coco_mask.frPyObjects([outline.reshape(-1).tolist()], 40, 60))[..., 0].astype(bool)
    ours = np.zeros((40, 60), dtype=bool) if mine is None else mine.whole(40, 60)
    y, x = np.nonzero(ours != theirs)
    # they round corners to fifths of a pixel and walk the edge: a pixel's centre may lie that far on its other side
    assert all(distance_to_edge(outline, column + 0.5, row + 0.5) < 1.0 for row, column in zip(y, x, strict=True))


def distance_to_edge(outline: np.ndarray, x: float, y: float) -> float:
    start, end = outline, np.roll(outline, -1, axis=0)
    along = end - start
    part = ((np.array([x, y]) - start) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12)
    nearest = start + np.clip(part, 0, 1)[:, None] * along
    return float(np.hypot(nearest[:, 0] - x, nearest[:, 1] - y).min())
