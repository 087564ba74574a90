"""Every format, from files in its exact layout."""

import base64
import io
from pathlib import Path

import annotated_files as make
import numpy as np
import pytest
from PIL import Image

from lsm.errors import FileMissing, InputError, LsmError, WrongFormat
from lsm.vision.data import CHULA_CATEGORIES, AnnotatedSet, Finding, read_annotations


def only(data: AnnotatedSet) -> list[tuple[str, list[float], bool]]:
    """Category, edges and ignore of the objects of the only image."""
    objects = data.images[0].objects
    assert len(data) == 1
    return [
        (data.categories[k], box.tolist(), bool(ignore))
        for k, box, ignore in zip(objects.category, objects.box_px, objects.ignore, strict=True)
    ]


def test_coco_boxes_are_corner_and_size_and_crowds_are_to_ignore(tmp_path: Path):
    file = make.coco(
        tmp_path,
        [
            {"id": 1, "image_id": 7, "category_id": 5, "bbox": [3.5, 2, 10, 20], "area": 200, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 60, 40], "iscrowd": 1},
        ],
    )
    data = read_annotations(file)
    assert data.categories == ("RBC", "WBC")
    assert only(data) == [("WBC", [3.5, 2, 13.5, 22], False), ("RBC", [0, 0, 60, 40], True)]
    assert data.images[0].name == "a.png"
    assert data.images[0].pixels().shape == (3, 40, 60)
    assert not data.has_masks


def test_coco_polygons_and_both_kinds_of_run_lengths_are_masks(tmp_path: Path):
    square = [10.0, 5.0, 20.0, 5.0, 20.0, 15.0, 10.0, 15.0]
    far = [30.0, 30.0, 34.0, 30.0, 34.0, 32.0, 30.0, 32.0]
    # down the columns: 10 columns of 40 pixels and 5 pixels, then 10 columns with 10 pixels inside
    runs = [405, *([10, 30] * 9), 10, 40 * 60 - 405 - 360 - 10]
    base = {"image_id": 7, "category_id": 2, "iscrowd": 0}
    file = make.coco(
        tmp_path,
        [
            base | {"id": 1, "bbox": [10, 5, 24, 27], "segmentation": [square, far]},
            base | {"id": 2, "segmentation": {"size": [40, 60], "counts": runs}},
            base | {"id": 3, "segmentation": [square]},
        ],
    )
    data = read_annotations(file)
    masks = data.images[0].objects.masks
    assert masks is not None
    inside = np.zeros((40, 60), dtype=bool)
    inside[5:15, 10:20] = True
    both = inside.copy()
    both[30:32, 30:34] = True
    for mask, expected in zip(masks, (both, inside, inside), strict=True):
        np.testing.assert_array_equal(mask.whole(40, 60), expected)
    assert data.images[0].objects.box_px.tolist() == [[10, 5, 34, 32], [10, 5, 20, 15], [10, 5, 20, 15]]
    assert data.has_masks


def test_coco_finds_images_where_coco_keeps_them(tmp_path: Path):
    file = make.coco(tmp_path / "annotations", [])
    file = file.rename(file.with_name("instances_val2017.json"))
    (tmp_path / "annotations/a.png").unlink()
    make.picture(tmp_path / "val2017/a.png")
    assert read_annotations(tmp_path).images[0].source == tmp_path / "val2017/a.png"


def test_voc_with_a_box_at_nought_counts_edges_from_there(tmp_path: Path):
    folder = make.voc(tmp_path, make.voc_object("RBC", 0, 3, 12, 9), make.voc_object("RBC", 5, 6, 20, 16))
    told: list[Finding] = []
    boxes = read_annotations(folder, tell=told.append).images[0].objects.box_px
    assert boxes.tolist() == [[0, 3, 12, 9], [5, 6, 20, 16]]
    assert [each.kind for each in told] == ["counted-from-0"]


def test_a_dot_in_a_name_is_no_ending(tmp_path: Path):
    folder = make.voc(tmp_path, make.voc_object("RBC", 1, 2, 30, 20), name="z0.5")
    pictures = folder / "JPEGImages"
    own = next(pictures.iterdir())
    Image.new("L", (60, 40), 255).save(pictures / "z0.png")
    assert read_annotations(folder).images[0].source == own


def test_voc_counts_pixels_from_one_and_names_the_last(tmp_path: Path):
    folder = make.voc(
        tmp_path,
        make.voc_object("WBC", 1, 1, 60, 40),
        make.voc_object("RBC", 11, 6, 20, 15, difficult="<difficult>1</difficult>"),
        make.voc_object("RBC", 11.5, 6, 20, 15, difficult=""),
    )
    for path in (folder, folder / "Annotations", folder / "Annotations/a.xml", tmp_path):
        assert only(read_annotations(path)) == [
            ("WBC", [0, 0, 60, 40], False),
            ("RBC", [10, 5, 20, 15], True),
            ("RBC", [10.5, 5, 20, 15], False),
        ]


def test_voc_takes_the_image_of_its_own_name_where_another_is_written_in_it(tmp_path: Path):
    folder = make.voc(tmp_path)
    make.picture(folder / "JPEGImages/b.jpg")
    (folder / "Annotations/b.xml").write_text((folder / "Annotations/a.xml").read_text())
    assert [image.name for image in read_annotations(folder).images] == ["a.jpg", "b.jpg"]


def test_voc_refuses_definitions_that_could_fill_the_memory(tmp_path: Path):
    make.voc(tmp_path)
    text = '<!DOCTYPE a [<!ENTITY b "cc">]><annotation><filename>&b;</filename></annotation>'
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "Annotations/a.xml").write_bytes(text.encode(encoding))
        with pytest.raises(WrongFormat, match="definitions <!DOCTYPE a"):
            read_annotations(tmp_path)


def test_labelme_shapes(tmp_path: Path):
    file = make.labelme(
        tmp_path,
        make.shape("WBC", "polygon", (10, 5), (20, 5), (20, 15), (10, 15)),
        make.shape("WBC", None, (30, 30), (34, 30), (34, 32), (30, 32)),
        make.shape("RBC", "circle", (40, 20), (43, 24)),
    )
    data = read_annotations(file)
    assert only(data) == [
        ("WBC", [10, 5, 20, 15], False),
        ("WBC", [30, 30, 34, 32], False),
        ("RBC", [35, 15, 45, 25], False),
    ]
    masks = data.images[0].objects.masks
    assert masks is not None
    assert [mask.area_px for mask in masks[:2]] == [100, 8]
    # a disc of radius 5: its area but for pixels on the edge
    assert masks[2].area_px == pytest.approx(np.pi * 25, rel=0.05)


def test_labelme_parts_of_a_group_are_one_object(tmp_path: Path):
    parts = [
        make.shape("WBC", "polygon", (10, 5), (20, 5), (20, 15), (10, 15), group_id=3),
        make.shape("WBC", "polygon", (30, 5), (34, 5), (34, 15), (30, 15), group_id=3),
        make.shape("RBC", "polygon", (30, 25), (34, 25), (34, 35), (30, 35), group_id=3),
    ]
    data = read_annotations(make.labelme(tmp_path, *parts))
    assert only(data) == [("WBC", [10, 5, 34, 15], False), ("RBC", [30, 25, 34, 35], False)]
    masks = data.images[0].objects.masks
    assert masks is not None
    assert [mask.area_px for mask in masks] == [140, 40]


def test_labelme_boxes_points_and_mask_pictures(tmp_path: Path):
    held = io.BytesIO()
    Image.fromarray(np.array([[1, 0, 1], [1, 1, 1]], dtype=bool)).save(held, "PNG")
    drawn = base64.b64encode(held.getvalue()).decode()
    make.labelme(tmp_path, make.shape("RBC", "rectangle", (20, 15), (10, 5)), make.shape("WBC", "point", (2, 30)))
    make.labelme(tmp_path, make.shape("RBC", "mask", (10, 5), (12, 6), mask=drawn), name="b")
    found = []
    data = read_annotations(tmp_path, side_px=8, tell=found.append)
    first, second = data.images
    # the box around the point is cut off at the border
    assert first.objects.box_px.tolist() == [[10, 5, 20, 15], [0, 26, 6, 34]]
    assert first.objects.masks is None
    assert second.objects.box_px.tolist() == [[10, 5, 13, 7]]
    assert second.objects.masks is not None
    assert second.objects.masks[0].area_px == 5
    assert [(each.severity, each.kind) for each in found] == [("warning", "masks-partial")]
    with pytest.raises(InputError, match="is a point"):
        read_annotations(tmp_path)


def test_labelme_uses_the_copy_of_an_image_that_is_not_there(tmp_path: Path):
    copy = base64.b64encode((make.picture(tmp_path / "else/a.png")).read_bytes()).decode()
    file = make.labelme(tmp_path, make.shape("RBC", "rectangle", (20, 15), (10, 5)), imageData=copy)
    there = read_annotations(file).images[0].pixels()
    (tmp_path / "a.png").unlink()
    image = read_annotations(file).images[0]
    assert not isinstance(image.source, Path)
    np.testing.assert_array_equal(image.pixels(), there)


@pytest.mark.parametrize("inside", [False, True])
def test_keras_rcnn_maxima_are_the_first_pixels_after(tmp_path: Path, inside: bool):
    file = make.keras_rcnn(
        tmp_path,
        make.keras_object("triangle", 5, 10, 15, 20, mask=None),
        make.keras_object("circle", 0, 0, 40, 60, mask=None),
        inside=inside,
    )
    data = read_annotations(file)
    assert data.origin.startswith("Keras R-CNN")
    assert only(data) == [("triangle", [10, 5, 20, 15], False), ("circle", [0, 0, 60, 40], False)]
    assert data.images[0].name == "images/8d02.png"


def test_keras_rcnn_masks_are_pictures_and_older_files_say_class(tmp_path: Path):
    inside = np.zeros((40, 60), dtype=np.uint8)
    inside[5:15, 10:20] = 255
    Image.fromarray(inside).save(tmp_path / "mask.png")
    marked = make.keras_object("nucleus", 5, 10, 15, 20, mask={"checksum": "0", "pathname": "/mask.png"})
    marked["class"] = marked.pop("category")
    data = read_annotations(make.keras_rcnn(tmp_path, marked))
    masks = data.images[0].objects.masks
    assert masks is not None
    np.testing.assert_array_equal(masks[0].whole(40, 60), inside > 0)
    assert data.categories == ("nucleus",)


def test_bbbc041_ignores_what_its_authors_could_not_name(tmp_path: Path):
    file = make.keras_rcnn(
        tmp_path, make.keras_object("red blood cell", 5, 10, 15, 20), make.keras_object("difficult", 20, 10, 30, 20)
    )
    data = read_annotations(file)
    assert data.origin == "BBBC041 training.json"
    assert data.categories == ("red blood cell", "leukocyte", "gametocyte", "ring", "trophozoite", "schizont")
    assert only(data)[0] == ("red blood cell", [10, 5, 20, 15], False)
    # whatever a detector calls it, it is neither asked for nor wrong
    assert only(data)[1:] == [(name, [10, 20, 20, 30], True) for name in data.categories]
    assert data.counts() == dict.fromkeys(data.categories, 0) | {"red blood cell": 1}


def test_lists_of_points_become_boxes_around_the_middle_of_their_pixels(tmp_path: Path):
    folder = make.points(tmp_path, "20 10 3\n0 39 10\n\n21 11 2\n")
    assert only(read_annotations(folder, side_px=7)) == [
        ("3", [17, 7, 24, 14], False),
        ("10", [0, 36, 4, 40], False),
        ("2", [18, 8, 25, 15], False),
    ]
    data = read_annotations(folder, side_px=7, categories=CHULA_CATEGORIES)
    assert [name for name, _, _ in only(data)] == ["spherocyte", "uncategorised", "microcyte"]
    assert read_annotations(folder, side_px=7).categories == ("2", "3", "10")
    for wrong in ({}, {"side_px": 0.0}, {"side_px": float("nan")}):
        with pytest.raises(InputError, match="holds points"):
            read_annotations(folder, **wrong)


def test_csv_points_may_name_category_and_image(tmp_path: Path):
    folder = make.points(tmp_path, "x,y\n20,10\n", name="12.csv")
    assert only(read_annotations(folder, side_px=5, category="cell")) == [("cell", [18, 8, 23, 13], False)]
    make.picture(tmp_path / "images/b.png")
    file = make.written(tmp_path / "all.csv", "image, X, Y, category\nb.png, 20, 10, ring\n12.jpg, 3, 4, cell\n")
    data = read_annotations(file, side_px=5)
    assert [(image.name, len(image.objects)) for image in data.images] == [("b.png", 1), ("12.jpg", 1)]
    assert data.categories == ("cell", "ring")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
@pytest.mark.parametrize("under", ["labels", "masks"])
def test_instance_labels_are_masks(tmp_path: Path, name: str, under: str):
    numbers = np.zeros((40, 60), dtype=np.uint16)
    numbers[5:15, 10:20] = 3
    numbers[7, 12] = 60000
    numbers[30:32, 0:2] = 7
    folder = make.labels(tmp_path, numbers, name=name, under=under)
    data = read_annotations(folder, category="nucleus")
    masks = data.images[0].objects.masks
    assert masks is not None
    assert [mask.area_px for mask in masks] == [99, 4, 1]
    assert data.images[0].objects.box_px.tolist() == [[10, 5, 20, 15], [0, 30, 2, 32], [12, 7, 13, 8]]
    assert data.counts() == {"nucleus": 3}
    assert data.has_masks


def test_palettes_of_instance_labels_are_numbers_and_the_manifest_groups(tmp_path: Path):
    numbers = np.zeros((40, 60), dtype=np.uint8)
    numbers[5:15, 10:20] = 2
    folder = make.labels(tmp_path, numbers)
    picture = Image.fromarray(numbers, "L").convert("P")
    picture.putpalette([0, 0, 0, 9, 9, 9, 0, 0, 0])
    picture.save(folder / "labels/a.png")
    (folder / "manifest.csv").write_text("id,patient\na,p7\n")
    image = read_annotations(folder).images[0]
    assert len(image.objects) == 1
    assert image.group == "p7"


def test_images_without_objects_belong_to_a_set_with_masks(tmp_path: Path):
    numbers = np.zeros((40, 60), dtype=np.uint8)
    folder = make.labels(tmp_path, numbers, name="b.png")
    make.picture(folder / "images/b.png", colour=False)
    make.labels(tmp_path, numbers + np.uint8(1))
    data = read_annotations(folder)
    assert [len(image.objects) for image in data.images] == [1, 0]
    assert data.has_masks


def test_categories_of_another_set_are_kept_in_its_order(tmp_path: Path):
    folder = make.voc(tmp_path, make.voc_object("RBC", 1, 1, 10, 10))
    assert read_annotations(folder, categories=("WBC", "RBC")).images[0].objects.category.tolist() == [1]
    with pytest.raises(WrongFormat, match="unknown category 'RBC'"):
        read_annotations(folder, categories=("WBC",))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", "[]", "is an empty list"),
        ("a.json", '{"b": 1, "c": 2}', "is an object with the keys b, c, which is none of the known formats"),
        ("a.json", "[1]", "is a list without 'image'"),
        ("a.json", "3", "is a single value"),
        ("a.xml", "<html/>", "XML that begins with <html>"),
        ("a.xml", "<html>", "is not XML"),
        ("a.yaml", "a: 1", "is a file .yaml"),
        ("a.txt", "0 0.5 0.5 0.1 0.1", "is a file .txt"),
        ("a.csv", "a,b\n1,2\n", "is a file .csv"),
    ],
)
def test_what_is_no_format_is_said_in_a_sentence(tmp_path: Path, name: str, text: str, sentence: str):
    with pytest.raises(WrongFormat) as error:
        read_annotations(make.written(tmp_path / name, text))
    assert sentence in error.value.message
    assert error.value.hint


def test_what_a_folder_holds_is_said_when_it_is_no_set(tmp_path: Path):
    for name in ("a.png", "b.png", "c.md"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    with pytest.raises(WrongFormat, match=r"holds 2 files .png, 1 file .md, the folder deep, which is none"):
        read_annotations(tmp_path)
    with pytest.raises(WrongFormat, match="holds nothing"):
        read_annotations(tmp_path / "deep")
    with pytest.raises(FileMissing, match="There are no annotations"):
        read_annotations(tmp_path / "none")


def test_more_than_one_set_must_be_named(tmp_path: Path):
    make.keras_rcnn(tmp_path / "c", make.keras_object("ring", 5, 10, 15, 20))
    make.keras_rcnn(tmp_path / "c", make.keras_object("ring", 5, 10, 15, 20), file="test.json")
    with pytest.raises(InputError, match=r"more than one file of annotations: test.json, training.json"):
        read_annotations(tmp_path / "c")
    make.voc(tmp_path / "two/a")
    make.voc(tmp_path / "two/b")
    with pytest.raises(InputError, match="more than one set: a, b"):
        read_annotations(tmp_path / "two")


def test_a_kind_that_was_named_is_not_guessed(tmp_path: Path):
    file = make.keras_rcnn(tmp_path, make.keras_object("red blood cell", 5, 10, 15, 20))
    assert read_annotations(file, kind="keras-rcnn").categories == ("red blood cell",)
    with pytest.raises(LsmError, match="has no 'categories'"):
        read_annotations(file, kind="coco")
