"""What `check` finds in a set and between its parts; what is sound has no findings."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lsm.vision.data import AnnotatedImage, AnnotatedSet, Finding, Mask, Objects, blocks, check, doubles_together, split
from lsm.vision.data.looks import look_at, same_pictures

SIDE = 96


def field(seed: int, *, cells: int = 12) -> np.ndarray:
    """A grey picture of bright discs, uint8 [y, x]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    picture = np.full((SIDE, SIDE), 40.0) + rng.normal(0, 3, (SIDE, SIDE))
    for _ in range(cells):
        cy, cx, radius = *rng.uniform(0, SIDE, 2), rng.uniform(5, 10)
        picture += 120 * (np.hypot(y - cy, x - cx) < radius)
    return picture.clip(0, 255).astype(np.uint8)


def objects(*boxes: tuple[float, float, float, float], category: Sequence[int] = ()) -> Objects:
    return Objects(np.array(boxes, dtype=float).reshape(-1, 4), np.array(category or [0] * len(boxes), dtype=np.int64))


def image(name: str, seed: int, marked: Objects | None = None, *, group: str = "") -> AnnotatedImage:
    return AnnotatedImage.of(name, field(seed), objects((10, 10, 30, 30)) if marked is None else marked, group=group)


def a_set(*images: AnnotatedImage, origin: str = "the set") -> AnnotatedSet:
    return AnnotatedSet(images, ("RBC", "WBC"), origin)


def kinds(found: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(str(each.severity), each.kind) for each in found]


def jpeg(pixels: np.ndarray, *, quality: int, scale: float = 1.0) -> np.ndarray:
    held = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.resize((round(picture.width * scale), round(picture.height * scale))).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))


def test_a_sound_set_has_no_findings():
    parts = a_set(*(image(f"{k}.png", k) for k in range(12))), a_set(*(image(f"{k}.png", k) for k in range(20, 30)))
    assert check(parts[0], others=parts[1:]) == []


@pytest.mark.parametrize(
    ("marked", "kind", "sentence"),
    [
        (
            objects((10, 10, 30, 30), (5, 5, 5, 9)),
            ("error", "degenerate-box"),
            "1 box (object 2) is of a.png without area",
        ),
        (objects((10, 10, 11, 11)), ("error", "degenerate-box"), "1 box (object 1) is"),
        (objects((np.nan, 1, 2, 3)), ("error", "degenerate-box"), "1 box (object 1) is"),
        (
            objects((90, 10, 97, 30), (-1, 5, 20, 50)),
            ("error", "box-outside"),
            "2 boxes (objects 1, 2) are of a.png not inside its 96 x 96 pixels",
        ),
        (objects((10, 10, 30, 30), category=[-1]), ("error", "no-category"), "1 object (object 1) is of a.png"),
        (objects((10, 10, 30, 30), (10, 10, 30, 30.2)), ("warning", "duplicate-box"), "1 objects marked twice"),
        (
            objects((10, 10, 30, 30), (10, 10, 30, 30.2), category=[0, 1]),
            ("error", "two-categories"),
            "a.png has one object marked as 'RBC' and as 'WBC'",
        ),
    ],
)
def test_bad_objects(marked: Objects, kind: tuple[str, str], sentence: str):
    found = check(a_set(image("a.png", 0, marked), image("b.png", 1)))
    assert kinds(found) == [kind]
    assert sentence in found[0].message
    assert found[0].images == ("a.png",)
    assert found[0].hint


def test_cells_that_touch_and_objects_to_ignore_are_not_doubles():
    clump = objects((10, 10, 30, 30), (14, 10, 34, 30), (10, 10, 30, 30))
    ignored = Objects(clump.box_px, clump.category, None, np.array([False, False, True]))
    assert check(a_set(image("a.png", 0, ignored))) == []


def test_a_mask_of_one_pixel_is_an_object_and_one_elsewhere_is_told():
    dot = Mask(10, 10, np.ones((1, 1), dtype=bool))
    sound = Objects(np.array([[10.0, 10, 11, 11]]), np.array([0]), (dot,))
    assert check(a_set(image("a.png", 0, sound))) == []
    off = Objects(np.array([[50.0, 10, 60, 20]]), np.array([0]), (dot,))
    assert kinds(check(a_set(image("a.png", 0, off)))) == [("warning", "mask-off-box")]


@pytest.mark.parametrize(("quality", "scale"), [(95, 1.0), (60, 1.0), (80, 0.7), (90, 1.5)])
def test_a_picture_encoded_anew_is_known_in_its_set_and_across_parts(quality: int, scale: float):
    copy = AnnotatedImage.of("copy.jpg", jpeg(field(3), quality=quality, scale=scale), objects((10, 10, 30, 30)))
    train, val = [image(f"{k}.png", k) for k in range(6)], [image(f"v{k}.png", k + 50) for k in range(3)]
    within = check(a_set(*train, copy))
    assert kinds(within) == [("warning", "duplicate-image")]
    assert within[0].images == ("3.png", "copy.jpg")
    across = check(a_set(*train, origin="train"), others=[a_set(*val, copy, origin="val")])
    assert kinds(across) == [("error", "duplicate-across")]
    assert "train and val: 3.png, copy.jpg" in across[0].message
    across = check(a_set(*train, origin="cells.json"), others=[a_set(*val, copy, origin="cells.json")])
    assert "cells.json (set 1) and cells.json (set 2)" in across[0].message


def test_pictures_of_one_bit_less_light_are_not_called_the_same():
    looks = [look_at(np.asarray(field(k), dtype=np.float32)[None] / 255) for k in range(60)]
    assert same_pictures(looks) == []


def test_even_pictures_are_only_the_same_to_the_byte():
    even = [np.full((SIDE, SIDE), level, dtype=np.uint8) for level in (0, 1, 1)]
    found = check(a_set(*(AnnotatedImage.of(f"{k}", each) for k, each in enumerate(even))))
    assert [each.images for each in found if each.kind == "duplicate-image"] == [("1", "2")]


def test_one_picture_with_two_labels_is_an_error():
    found = check(a_set(image("a.png", 0), image("b.png", 0, objects((1, 1, 9, 9), category=[1])), image("c.png", 1)))
    assert kinds(found) == [("warning", "duplicate-image"), ("error", "two-labels")]
    assert "a.png and b.png, has 'RBC', 'WBC' in one copy and not in another" in found[1].message


def test_groups_and_categories_of_parts():
    train = a_set(image("a.png", 0, group="p1"), image("b.png", 1, group="p2"), origin="train")
    val = AnnotatedSet((image("c.png", 2, group="p2"), image("d.png", 3)), ("WBC", "RBC"), "val")
    found = check(train, others=[val])
    assert kinds(found) == [("error", "categories-differ"), ("error", "group-across")]
    assert "RBC, WBC in train and WBC, RBC in val" in found[0].message
    assert found[1].images == ("b.png", "c.png")


def test_unreadable_images_and_other_channels(tmp_path: Path):
    for name, pixels in (("a.png", field(0)), ("b.png", np.stack([field(1)] * 3, axis=2)), ("c.png", field(2))):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:-100])
    names = ("a.png", "b.png", "c.png", "d.png", "none.png")
    images = [AnnotatedImage(name, tmp_path / name, (SIDE, SIDE), objects((10, 10, 30, 30))) for name in names]
    found = check(a_set(*images))
    assert kinds(found) == [("error", "image-unreadable")] * 2 + [("error", "channels-differ")]
    assert [each.images for each in found] == [("d.png",), ("none.png",), ("b.png",)]
    assert "1 images have 3 channels, the others 1" in found[2].message


def test_empty_sets():
    assert kinds(check(a_set())) == [("error", "no-images")]
    assert kinds(check(a_set(image("a.png", 0, objects())))) == [("warning", "no-objects")]


def labelled(names: Sequence[str], ill: Sequence[bool], folder: Path | None = None) -> AnnotatedSet:
    """Images with a WBC where `ill`, in files where a folder is given."""
    images = []
    for k, (name, has) in enumerate(zip(names, ill, strict=True)):
        marked = objects((10, 10, 30, 30), (50, 50, 70, 70), category=[0, int(has)])
        if folder is None:
            images.append(image(name, k, marked))
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(field(k)).save(folder / name)
        images.append(AnnotatedImage(name, folder / name, (SIDE, SIDE), marked))
    return a_set(*images)


ILL = [k % 2 == 0 for k in range(12)]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (lambda k, ill: f"{'sick' if ill else 'healthy'}_{k}.png", "The word 'healthy' in names tells"),
        (lambda k, ill: f"{'sick' if ill else 'healthy'}/{k}.png", "The word 'sick' in names tells"),
        (
            lambda k, ill: f"{k}.{'png' if ill else 'bmp'}",
            "The ending .png tells in the set whether an image has 'WBC'",
        ),
    ],
)
def test_names_that_tell_the_label(tmp_path: Path, name: object, sentence: str):
    data = labelled([name(k, ill) for k, ill in enumerate(ILL)], ILL, tmp_path)
    found = check(data)
    assert {each[1] for each in kinds(found)} == {"label-leak"}
    assert any(sentence in each.message for each in found)


def test_numbers_that_sort_the_label_tell_it():
    ill = [k < 9 for k in range(18)]
    found = check(labelled([f"{k:03d}.png" for k in range(18)], ill))
    assert [each.message for each in found] == [
        "The number in an image's name tells in the set whether an image has 'WBC'."
    ]


def test_names_that_tell_nothing_are_left_in_peace(tmp_path: Path):
    names = [f"{'north' if k % 3 else 'south'}/smear_{k}.png" for k in range(12)]
    assert check(labelled(names, ILL, tmp_path)) == []


def test_notes_in_files_that_name_a_category(tmp_path: Path):
    data = labelled([f"{k}.png" for k in range(4)], [False] * 4, tmp_path)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Description", "patient 4, many WBC here")
    Image.fromarray(field(1)).save(tmp_path / "1.png", pnginfo=notes)
    found = check(data)
    assert [(each.kind, each.images) for each in found] == [("label-leak", ("1.png",))]


def test_doubles_are_kept_on_one_side():
    seeds = [0, 1, 2, 3, 4, 5, 0, 7, 8, 9]
    data = blocks(a_set(*(image(f"{k}.png", seed) for k, seed in enumerate(seeds))), 2)
    together = doubles_together(data)
    groups = [each.group for each in together.images]
    assert groups[0] == groups[1] == groups[6] == groups[7]
    assert len(set(groups)) == 4
    for seed in range(8):
        rest, held = split(together, 0.4, seed)
        assert "duplicate-across" not in [each.kind for each in check(rest, others=[held])]
