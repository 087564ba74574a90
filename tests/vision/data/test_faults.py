"""What is wrong in annotations is refused by name, or mended and told."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import annotated_files as make
import numpy as np
import pytest

from lsm.errors import FileMissing, InputError, LsmError, WrongFormat
from lsm.vision.data import AnnotatedSet, Finding, Severity, read_annotations

BOX = {"id": 1, "image_id": 7, "category_id": 2, "bbox": [10, 5, 10, 10]}
RUNS = {"size": [40, 60], "counts": [405, 10, 1985]}


def mended(path: Path, **options: object) -> tuple[AnnotatedSet, list[Finding]]:
    found: list[Finding] = []
    return read_annotations(path, repair=True, tell=found.append, **options), found


def coco(folder: Path, **wrong: object) -> Path:
    return make.coco(folder, [BOX, BOX | {"id": 2} | wrong])


def no_file(folder: Path) -> Path:
    file = make.coco(folder, [BOX])
    (folder / "a.png").unlink()
    return file


def cut_header(folder: Path) -> Path:
    file = make.coco(folder, [BOX])
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:20])
    return file


def other_size(folder: Path) -> Path:
    file = make.coco(folder, [BOX])
    make.picture(folder / "a.png", size=(40, 61))
    return file


def two_entries(folder: Path) -> Path:
    entry = {"file_name": "a.png", "height": 40, "width": 60}
    return make.coco(folder, [BOX], images=[entry | {"id": 7}, entry | {"id": 8}])


def two_names(folder: Path) -> Path:
    """The second image is not there, but the first has its name."""
    entry = {"height": 40, "width": 60}
    images = [entry | {"id": 7, "file_name": "a.png"}, entry | {"id": 8, "file_name": "val/a.png"}]
    return make.coco(folder, [BOX], images=images)


def beside_a_good_one(make_wrong: Callable[[Path], Path], folder: Path) -> Path:
    """The wrong annotations with one more image, which is as it should be."""
    file = make_wrong(folder)
    held = json.loads(file.read_text())
    held["images"].append({"id": 99, "file_name": "good.png", "height": 40, "width": 60})
    held["annotations"].append(BOX | {"id": 99, "image_id": 99})
    make.picture(folder / "good.png")
    return make.written(file, held)


FAULTS = {
    "degenerate-box": (functools.partial(coco, bbox=[10, 5, 0, 10]), "The box (10, 5, 10, 15) of annotation 2", 2),
    "click": (functools.partial(coco, bbox=[10, 5, 1, 1]), "of annotation 2 of a.png is a single pixel", 2),
    "negative": (functools.partial(coco, bbox=[10, 5, -3, 10]), "of annotation 2 of a.png is empty", 2),
    "box-outside": (functools.partial(coco, bbox=[50, 5, 20, 10]), "(50, 5, 70, 15) of annotation 2 of a.png", 3),
    "far-outside": (functools.partial(coco, bbox=[61, 5, 20, 10]), "not inside the image of 60 x 40 pixels", 2),
    "unknown-category": (functools.partial(coco, category_id=9), "of the unknown category 'id 9'", 4),
    "no-image": (functools.partial(coco, image_id=3), "belongs to no image: there is no id 3", 2),
    "mask-damaged": (functools.partial(coco, segmentation=RUNS | {"counts": [405, 10]}), "Run lengths fill 415", 2),
    "no-place": (functools.partial(coco, bbox=None), "annotations[1] has neither bbox nor segmentation", 2),
    "short-polygon": (functools.partial(coco, segmentation=[[1, 2, 3, 4]]), "not a polygon x, y, x, y", 2),
    "odd-polygon": (functools.partial(coco, segmentation=[[1, 2, 9, 2, 9, 9, 1]]), "not a polygon x, y, x, y", 2),
    "mask-size": (functools.partial(coco, segmentation=RUNS | {"size": [60, 40]}), "an image of [60, 40] pixels", 2),
    "mask-empty": (functools.partial(coco, segmentation=[[0.1, 0.1, 0.2, 0.1, 0.2, 0.2]]), "has no pixel", 2),
    "image-missing": (no_file, "The image a.png does not exist", 1),
    "image-unreadable": (cut_header, "cannot be read as an image", 1),
    "size-differs": (other_size, "has 40 x 61 pixels, its annotation says 40 x 60", 1),
    "double-name": (two_entries, "has two images a.png", 2),
    "double-file": (two_names, "has two images for one file: a.png and val/a.png", 2),
}


@pytest.mark.parametrize(("wrong", "sentence", "kept"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_refused_by_name_or_mended_and_told(
    tmp_path: Path, wrong: Callable[[Path], Path], sentence: str, kept: int
):
    file = beside_a_good_one(wrong, tmp_path)
    with pytest.raises((WrongFormat, FileMissing)) as error:
        read_annotations(file)
    assert sentence in error.value.message
    assert "repair" in error.value.hint
    data, found = mended(file)
    errors = [each for each in found if each.severity is Severity.ERROR]
    assert len(errors) == 1
    assert sentence in errors[0].message
    assert sum(len(image.objects) for image in data.images) == kept
    assert "good.png" in [image.name for image in data.images]


def test_boxes_are_cut_off_at_the_border(tmp_path: Path):
    data, found = mended(coco(tmp_path, bbox=[-5, 30, 20, 15]))
    assert data.images[0].objects.box_px.tolist() == [[10, 5, 20, 15], [0, 30, 15, 40]]
    assert [each.kind for each in found] == ["box-outside"]


def test_an_image_in_another_folder_than_named_is_told_once(tmp_path: Path):
    entry = {"height": 40, "width": 60}
    images = [entry | {"id": 7, "file_name": "val/a.png"}, entry | {"id": 8, "file_name": "val/b.png"}]
    file = make.coco(tmp_path, [BOX], images=images)
    make.picture(tmp_path / "b.png")
    found: list[Finding] = []
    assert len(read_annotations(file, tell=found.append)) == 2
    assert [(each.severity, each.kind) for each in found] == [("warning", "image-elsewhere")]
    assert f"name val/a.png, and {tmp_path / 'a.png'} was taken" in found[0].message
    found.clear()
    for name in "ab":
        make.picture(tmp_path / "val" / f"{name}.png")
    assert len(read_annotations(file, tell=found.append)) == 2
    assert found == []


def test_rounding_at_the_border_is_no_fault(tmp_path: Path):
    data = read_annotations(coco(tmp_path, bbox=[49.995, 29.999, 10.01, 10.006]))
    assert data.images[0].objects.box_px[1].tolist() == [49.995, 29.999, 60, 40]


def test_an_object_of_an_unknown_category_is_ignored_whatever_it_is_called(tmp_path: Path):
    data, _ = mended(coco(tmp_path, category_id=9))
    objects = data.images[0].objects
    assert objects.ignore.tolist() == [False, True, True]
    assert objects.category.tolist() == [0, 0, 1]
    assert data.counts() == {"RBC": 1, "WBC": 0}


def test_repair_finds_damage_that_only_the_pixels_show(tmp_path: Path):
    file = beside_a_good_one(lambda folder: make.coco(folder, [BOX]), tmp_path)
    picture = tmp_path / "a.png"
    picture.write_bytes(picture.read_bytes()[:-2000])
    image = read_annotations(file).images[0]
    with pytest.raises(WrongFormat, match=r"a\.png cannot be read as an image"):
        image.pixels()
    data, found = mended(file)
    assert [image.name for image in data.images] == ["good.png"]
    assert [each.kind for each in found] == ["image-unreadable"]


def test_empty_sets_are_refused_and_images_without_objects_told(tmp_path: Path):
    for repair in (False, True):
        with pytest.raises(InputError, match=r"COCO annotations coco\.json has no image"):
            read_annotations(make.coco(tmp_path, [], images=[]), repair=repair)
    with pytest.raises(InputError, match=r"none of its images is there, such as a\.png"):
        read_annotations(no_file(tmp_path), repair=True)
    found: list[Finding] = []
    data = read_annotations(make.coco(tmp_path, []), tell=found.append)
    assert len(data) == 1
    assert [(each.severity, each.kind) for each in found] == [("warning", "no-objects")]


def test_some_masks_are_no_masks_and_that_is_told(tmp_path: Path):
    found: list[Finding] = []
    data = read_annotations(coco(tmp_path, segmentation=RUNS), tell=found.append)
    assert not data.has_masks
    assert [(each.severity, each.kind) for each in found] == [("warning", "masks-partial")]


def test_crowds_without_a_mask_have_all_of_their_box(tmp_path: Path):
    crowd = BOX | {"id": 3, "iscrowd": 1, "bbox": [1.5, 2, 3, 4]}
    data = read_annotations(make.coco(tmp_path, [BOX | {"segmentation": RUNS}, crowd]))
    masks = data.images[0].objects.masks
    assert masks is not None
    # from 1.5 to 4.5 it touches four columns
    assert [mask.area_px for mask in masks] == [10, 16]


def test_voc_clicks_are_told_as_bccd_has_them(tmp_path: Path):
    folder = make.voc(tmp_path, make.voc_object("RBC", 5, 6, 5, 6), make.voc_object("RBC", 1, 1, 9, 9))
    with pytest.raises(WrongFormat, match=r"The box \(4, 5, 5, 6\) of object 1 of a.jpg is a single pixel"):
        read_annotations(folder)
    data, found = mended(folder)
    assert (len(data.images[0].objects), [each.kind for each in found]) == (1, ["degenerate-box"])


def test_voc_objects_without_name_or_box_are_told(tmp_path: Path):
    sound, nowhere = make.voc_object("RBC", 1, 1, 9, 9), "<object><name>RBC</name></object>"
    folder = make.voc(tmp_path, sound, make.voc_object("", 11, 11, 19, 19), nowhere)
    for text, missing in ((nowhere, "bndbox"), (make.voc_object("", 1, 1, 9, 9), "name")):
        with pytest.raises(WrongFormat) as error:
            read_annotations(make.voc(tmp_path / "one", text))
        assert f"object without {missing}, number 1" in error.value.message
        assert "repair" in error.value.hint
    data, found = mended(folder)
    assert [each.kind for each in found] == ["unnamed", "degenerate-box"]
    assert (data.counts(), data.images[0].objects.ignore.tolist()) == ({"RBC": 1}, [False, True])


@pytest.mark.parametrize(
    ("kind", "points", "sentence"),
    [
        ("polygon", [(1, 1), (5, 5)], "not a polygon of at least three points"),
        (None, [], "not a polygon of at least three points"),
        ("rectangle", [(1, 1)], "not two or four corners"),
        ("circle", [(1, 1)], "not a centre and a point of the circle"),
        ("point", [(1, 1), (2, 2)], "not one point"),
        ("mask", [(1, 1)], "not two corners"),
    ],
)
def test_labelme_shapes_of_too_few_points_are_told(
    tmp_path: Path, kind: str | None, points: list[tuple[float, float]], sentence: str
):
    file = make.labelme(tmp_path, make.shape("RBC", kind, *points), make.shape("RBC", "rectangle", (20, 20), (30, 30)))
    with pytest.raises(WrongFormat, match=sentence):
        read_annotations(file)
    data, found = mended(file)
    assert data.images[0].objects.box_px.tolist() == [[20, 20, 30, 30]]
    assert [each.kind for each in found] == ["degenerate-box"]


def test_labelme_lines_outline_nothing(tmp_path: Path):
    file = make.labelme(
        tmp_path,
        make.shape("RBC", "linestrip", (1, 1), (5, 5)),
        make.shape("RBC", "rectangle", (1, 1), (9, 9), group_id=1),
        make.shape("RBC", "polygon", (1, 1), (9, 9), (1, 9), group_id=1),
        make.shape("RBC", "rectangle", (20, 20), (30, 30)),
    )
    with pytest.raises(WrongFormat, match="is a linestrip, which outlines no object"):
        read_annotations(file)
    data, found = mended(file)
    assert data.images[0].objects.box_px.tolist() == [[20, 20, 30, 30]]
    assert "is grouped of polygon, rectangle" in found[1].message


def test_points_outside_are_faults_and_boxes_that_reach_out_are_not(tmp_path: Path):
    folder = make.points(tmp_path, "59 39 1\n60 40 1\n")
    with pytest.raises(WrongFormat, match=r"line 2 of 12\.jpg is not inside"):
        read_annotations(folder, side_px=10)
    data, _ = mended(folder, side_px=10)
    assert data.images[0].objects.box_px[0].tolist() == [54.5, 34.5, 60, 40]


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (np.full((40, 60), 0.5, dtype=np.float32), "are not whole numbers"),
        (np.full((40, 60), -1, dtype=np.int32), "have the number -1"),
        (np.zeros((40, 60, 3), dtype=np.uint8), r"have the shape \(40, 60, 3\)"),
        (np.full((40, 60), np.nan, dtype=np.float32), "are not whole numbers"),
        (np.full((40, 60), 1e30), "have numbers up to"),
    ],
)
def test_labels_that_number_no_objects(tmp_path: Path, numbers: np.ndarray, sentence: str):
    folder = make.labels(tmp_path, numbers, name="a.npy")
    with pytest.raises(WrongFormat, match=sentence):
        read_annotations(folder)
    with pytest.raises(InputError, match="has no image"):
        read_annotations(folder, repair=True)


def test_labels_of_another_size_than_their_image(tmp_path: Path):
    folder = make.labels(tmp_path, np.ones((40, 59), dtype=np.uint8))
    with pytest.raises(WrongFormat, match=r"a\.png has 40 x 60 pixels, its annotation says 40 x 59"):
        read_annotations(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"annotations": {}}, "annotations is {}, not a list"),
        ({"annotations": [3]}, "annotations[0] has no 'image_id'"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3]}]}, "annotations[0].bbox is [1, 2, 3], not [x, y, width, height]"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, "4"]}]}, "annotations[0].bbox[3] is '4', not a number"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, True]}]}, "annotations[0].bbox[3] is True, not a number"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, float("nan")]}]}, "is nan, not a finite number"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, 10**400]}]}, "not a number of usual size"),
        ({"annotations": [BOX | {"segmentation": {"counts": "~~"}}]}, "has no 'size'"),
        ({"categories": [{"id": 1}]}, "categories[0] has no 'name'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "has the id 1 of another category"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "has two categories 'a'"),
        ({"categories": [{"id": 1, "name": "a\x1b[2J"}]}, "not a text"),
        ({"images": [{"id": 7, "file_name": "a.png"}] * 2}, "images[1] has the id 7 of another image"),
        ({"images": [{"id": 7, "file_name": "a.png", "height": 1.5, "width": 60}]}, "not a whole number"),
    ],
)
def test_a_coco_file_of_another_build_is_refused_with_the_place(
    tmp_path: Path, change: dict[str, object], sentence: str
):
    file = make.coco(tmp_path, [BOX], **change)
    for repair in (False, True):
        with pytest.raises(WrongFormat) as error:
            read_annotations(file, repair=repair)
        assert sentence in error.value.message
        assert str(file) in error.value.message or "coco.json" in error.value.message


@pytest.mark.parametrize("name", ["../../../../etc/hostname", "\x00", "a" * 5000, "\ud800", "..", "", "a.png/b.png"])
def test_names_of_images_that_no_file_can_have(tmp_path: Path, name: str):
    file = make.coco(tmp_path, [], images=[{"id": 7, "file_name": name}])
    with pytest.raises(LsmError):
        read_annotations(file)


def test_voc_without_what_it_must_have(tmp_path: Path):
    for text, sentence in (
        (make.voc_object("RBC", 1, 1, 9, 9).replace("<xmax>9", "<xmax>nine"), "has 'nine' as xmax"),
        (make.voc_object("RBC", 1, 1, 9, float("inf")), "has inf as ymax"),
        (make.voc_object("RBC", 1, 1, 9, 9).replace("<ymin>1</ymin>", ""), "has 'None' as ymin"),
    ):
        with pytest.raises(WrongFormat) as error:
            read_annotations(make.voc(tmp_path, text))
        assert sentence in error.value.message


def test_lines_that_are_no_points(tmp_path: Path):
    for text, sentence in (("1 2 3 4\n", "has '1 2 3 4' in line 1"), ("1 2\n1 x\n", "line 2"), ("nan 2\n", "line 1")):
        with pytest.raises(WrongFormat) as error:
            read_annotations(make.points(tmp_path, text), "points", side_px=5)
        assert sentence in error.value.message
    file = make.written(tmp_path / "b.csv", "x\n1\n")
    with pytest.raises(WrongFormat, match="has the columns x"):
        read_annotations(file, "points", side_px=5)
