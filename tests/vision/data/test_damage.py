"""Whatever bytes a file holds: a set, or one of our own errors."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import annotated_files as make
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lsm.errors import LsmError
from lsm.vision.data import read_annotations, read_pixels
from lsm.vision.data.formats import READERS, Format
from lsm.vision.data.rle import text_from_runs

ROUNDS = 60


def a_coco(folder: Path) -> Path:
    runs = {"size": [40, 60], "counts": [405, 10, 1985]}
    text = {"size": [40, 60], "counts": text_from_runs([405, 10, 1985])}
    base = {"image_id": 7, "category_id": 2, "bbox": [10, 5, 10, 10], "iscrowd": 0}
    polygon = [[10, 5, 20, 5, 20, 15]]
    return make.coco(
        folder, [base | {"id": k, "segmentation": each} for k, each in enumerate((runs, text, polygon, []))]
    )


def a_voc(folder: Path) -> Path:
    return make.voc(folder, make.voc_object("RBC", 1, 2, 30, 20)) / "Annotations/a.xml"


def a_labelme(folder: Path) -> Path:
    kinds = [("polygon", (1, 1), (9, 9), (1, 9)), ("circle", (9, 9), (5, 5)), ("rectangle", (9, 9), (5, 5))]
    return make.labelme(folder, *(make.shape("RBC", kind, *points) for kind, *points in kinds))


def a_keras_rcnn(folder: Path) -> Path:
    return make.keras_rcnn(folder, make.keras_object("red blood cell", 5, 10, 15, 20, mask=None))


def a_point_list(folder: Path) -> Path:
    return make.points(folder, "20 10 3\n0 39 10\n") / "labels/12.txt"


def a_csv(folder: Path) -> Path:
    return make.points(folder, 'x,y,category\n20,10,"3"\n0,39,10\n', name="12.csv") / "labels/12.csv"


def a_label_picture(folder: Path) -> Path:
    return make.labels(folder, np.ones((40, 60), dtype=np.uint16)) / "labels/a.png"


FILES = {
    Format.COCO: a_coco,
    Format.VOC: a_voc,
    Format.LABELME: a_labelme,
    Format.KERAS_RCNN: a_keras_rcnn,
    Format.BBBC041: a_keras_rcnn,
    Format.POINTS: a_point_list,
    Format.LABELS: a_label_picture,
}


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Cut off, or with some bytes changed, often near the start."""
    if rng.random() < 0.3:
        return whole[: rng.randrange(len(whole))]
    held = bytearray(whole)
    for _ in range(rng.randrange(1, 5)):
        held[rng.randrange(min(len(held), rng.choice((64, len(held)))))] = rng.randrange(256)
    return bytes(held)


def set_or_error(read: Callable[[], object]) -> bool:
    """Whether it was read. Any error but ours, or one without advice, ends the test."""
    try:
        read()
    except LsmError as error:
        if not error.message or not error.hint:
            raise
        return False
    return True


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("repair", [False, True])
def test_damaged_annotations_are_a_set_or_our_own_error(tmp_path: Path, kind: Format, repair: bool):
    file = FILES[kind](tmp_path)
    whole, rng = file.read_bytes(), random.Random(int(repair))
    place = tmp_path if kind is Format.LABELS else file
    for _ in range(ROUNDS):
        file.write_bytes(damaged(whole, rng))
        set_or_error(lambda: read_annotations(place, kind=kind, repair=repair, side_px=5))
    file.write_bytes(whole)
    assert set_or_error(lambda: read_annotations(place, kind=kind, repair=repair, side_px=5))


def test_damaged_csv_is_a_set_or_our_own_error(tmp_path: Path):
    file, rng = a_csv(tmp_path), random.Random(2)
    whole = file.read_bytes()
    for _ in range(ROUNDS):
        file.write_bytes(damaged(whole, rng))
        set_or_error(lambda: read_annotations(file, side_px=5))


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.txt", "a.csv"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.binary(max_size=200))
def test_any_bytes_are_a_set_or_our_own_error(tmp_path: Path, name: str, held: bytes):
    (tmp_path / name).write_bytes(held)
    assert not set_or_error(lambda: read_annotations(tmp_path / name, side_px=5))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a.png", "RBC", "polygon", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["r", "c", "size", "counts"]), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", [Format.COCO, Format.LABELME, Format.KERAS_RCNN])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.randoms(use_true_random=False), value=values)
def test_json_with_any_value_in_any_place(tmp_path: Path, kind: Format, chosen: random.Random, value: object):
    file = FILES[kind](tmp_path)
    root = json.loads(file.read_text())
    node = root
    while True:
        key = chosen.choice(range(len(node)) if isinstance(node, list) else sorted(node))
        if not isinstance(node[key], dict | list) or not node[key] or chosen.random() < 0.3:
            break
        node = node[key]
    node[key] = value
    file.write_text(json.dumps(root))
    set_or_error(lambda: READERS[kind](file, None))


def test_deep_and_long_json(tmp_path: Path):
    for text in ("[" * 100_000, '{"images":' * 50_000, "9" * 10_000, '[{"image": ' + "1" * 5000 + "}]"):
        file = make.written(tmp_path / "a.json", text)
        assert not set_or_error(lambda file=file: read_annotations(file))


PICTURES: dict[str, Callable[[Path], None]] = {
    "a.png": lambda path: Image.fromarray(np.full((20, 30, 3), 7, dtype=np.uint8)).save(path),
    "b.png": lambda path: Image.fromarray(np.full((20, 30), 7, dtype=np.uint16)).save(path),
    "a.jpg": lambda path: Image.fromarray(np.full((20, 30, 3), 7, dtype=np.uint8)).save(path),
    "a.bmp": lambda path: Image.fromarray(np.full((20, 30, 3), 7, dtype=np.uint8)).save(path),
    "a.npy": lambda path: np.save(path, np.zeros((40, 20, 30), dtype=np.float32)),
    "a.tif": lambda path: tifffile.imwrite(path, np.zeros((40, 20, 30), dtype=np.float32)),
    "b.tif": lambda path: tifffile.imwrite(path, np.zeros((20, 30), dtype=np.uint16), compression="zlib"),
    "c.tif": lambda path: Image.fromarray(np.full((20, 30, 3), 7, dtype=np.uint8)).save(path, compression="tiff_lzw"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_damaged_images_are_pixels_or_our_own_error(tmp_path: Path, name: str):
    file = tmp_path / name
    PICTURES[name](file)
    whole, rng = file.read_bytes(), random.Random(3)
    assert set_or_error(lambda: read_pixels(file))
    refused = 0
    for _ in range(ROUNDS):
        file.write_bytes(damaged(whole, rng))
        refused += not set_or_error(lambda: read_pixels(file))
    assert refused
