"""Crops in memory, cut from annotated images, and read from folders and tables."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lsm.errors import FileMissing, InputError, LsmError, WrongFormat
from lsm.vision.classify import CropSet, cut_objects, cut_tiles, read_counts, read_folders
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects


def numbered(n: int = 4) -> CropSet:
    images = np.arange(n * 4, dtype=np.float32).reshape(n, 1, 2, 2)
    return CropSet(images, ("a", "b"), category=np.arange(n) % 2, group=np.array(["x", "", "x", ""])[:n])


def test_units_are_groups_and_each_that_stands_alone():
    units = numbered().units()
    assert units[0] == units[2]
    assert len(set(units.tolist())) == 3
    assert len(set(CropSet(np.zeros((3, 1, 2, 2), np.float32)).units().tolist())) == 3


def test_where_keeps_what_belongs_together():
    chosen = numbered().where(np.array([2, 1]))
    assert chosen.images[:, 0, 0, 0].tolist() == [8, 4]
    assert chosen.category is not None
    assert chosen.category.tolist() == [0, 1]
    assert chosen.group.tolist() == ["x", ""]
    assert numbered().where(np.array([True, False, False, False])).numbers() == {"a": 1, "b": 0}


def test_joins_what_fits():
    both = CropSet.joined([numbered(2), numbered(3)])
    assert len(both) == 5
    assert both.numbers() == {"a": 3, "b": 2}
    with pytest.raises(WrongFormat, match="cannot join"):
        CropSet.joined([numbered(), CropSet(np.zeros((1, 1, 3, 3), np.float32))])
    with pytest.raises(InputError, match="no crops"):
        CropSet.joined([])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_whole_numbers_are_parts_of_their_largest(kind: type):
    images = np.full((1, 1, 2, 2), np.iinfo(kind).max // 5, dtype=kind)
    assert torch.allclose(CropSet(images).pixels(np.array([0])), torch.tensor(0.2), atol=1e-7)


def test_refuses_what_does_not_fit():
    images = np.zeros((2, 1, 2, 2), np.float32)
    with pytest.raises(WrongFormat, match="2 crops have 3 entries in 'group'"):
        CropSet(images, group=np.array(["x", "y", "z"]))
    with pytest.raises(WrongFormat, match="category 1; there are 1"):
        CropSet(images, ("a",), category=np.array([0, 1]))
    with pytest.raises(WrongFormat, match="category -1"):
        CropSet(images, ("a",), category=np.array([0, -1]))
    for count in (-1.0, np.nan):
        with pytest.raises(WrongFormat, match="count"):
            CropSet(images, count=np.array([0, count]))
    with pytest.raises(WrongFormat, match="int32"):
        CropSet(images.astype(np.int32)).pixels(np.array([0]))


def boxed(*box_px: tuple[float, float, float, float], ignore: int | None = None) -> Objects:
    found = np.array(box_px, dtype=np.float64).reshape(-1, 4)
    skipped = np.zeros(len(found), dtype=bool)
    if ignore is not None:
        skipped[ignore] = True
    return Objects(found, np.arange(len(found)) % 2, None, skipped)


def board(objects: Objects, *, height: int = 8, width: int = 12, name: str = "one") -> AnnotatedImage:
    """Every pixel says where it is: 100 times its row plus its column."""
    y, x = np.mgrid[:height, :width]
    return AnnotatedImage.of(name, (100 * y + x).astype(np.float32), objects)


def test_crops_have_their_objects_in_the_middle():
    data = AnnotatedSet((board(boxed((4, 3, 7, 6), (5, 2, 6, 3))),), ("a", "b"), "boards")
    found = cut_objects(data, 3)
    assert found.images[0, 0].tolist() == [[304, 305, 306], [404, 405, 406], [504, 505, 506]]
    assert found.images[1, 0, 1, 1] == 205
    assert found.category is not None
    assert found.category.tolist() == [0, 1]
    assert found.group.tolist() == ["one", "one"]
    assert found.origin == "boards"


def test_crops_at_the_edge_see_the_mirror_image():
    found = cut_objects(AnnotatedSet((board(boxed((0, 0, 1, 1), (11, 7, 12, 8))),), ("a", "b")), 3)
    assert found.images[0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [100, 100, 101]]
    assert found.images[1, 0].tolist() == [[610, 611, 611], [710, 711, 711], [710, 711, 711]]


def test_crops_of_objects_outside_or_wider_than_the_image_have_the_same_size():
    data = AnnotatedSet((board(boxed((-40, -40, -30, -30), (90, 90, 95, 95), (0, 0, 12, 8))),), ("a", "b"))
    assert cut_objects(data, 11).images.shape == (3, 1, 11, 11)


def test_ignored_objects_are_not_cut():
    data = AnnotatedSet((board(boxed((4, 3, 7, 6), (5, 2, 6, 3), ignore=0)),), ("a", "b"))
    assert cut_objects(data, 3).numbers() == {"a": 0, "b": 1}
    with pytest.raises(InputError, match="no objects"):
        cut_objects(AnnotatedSet((board(boxed()),), ("a",)), 3)


def test_crops_are_shrunk_by_averaging():
    found = cut_objects(AnnotatedSet((board(boxed((2, 2, 8, 8))),), ("a", "b")), 6, size_px=3)
    assert found.images.shape == (1, 1, 3, 3)
    # a slope keeps its value at the middle of the crop whatever the filter
    assert found.images[0, 0, 1, 1] == pytest.approx(454.5, rel=1e-5)


def test_tiles_count_each_object_once():
    objects = boxed((0, 0, 2, 2), (3, 0, 5, 2), (4, 4, 8, 8), (8, 0, 12, 4), (6, 1, 7, 2))
    found = cut_tiles(AnnotatedSet((board(objects),), ("a", "b")), 4)
    assert found.images.shape == (6, 1, 4, 4)
    assert found.images[:, 0, 0, 0].tolist() == [0, 4, 8, 400, 404, 408]
    # the middle of the second box is on the border: it belongs to the tile that begins there
    assert found.count is not None
    assert found.count.tolist() == [1, 2, 1, 0, 1, 0]
    assert found.count.sum() == len(objects)


def test_tiles_that_hold_an_ignored_object_are_left_out():
    data = AnnotatedSet((board(boxed((0, 0, 2, 2), (8, 0, 12, 4), ignore=1)),), ("a", "b"))
    assert cut_tiles(data, 4).images[:, 0, 0, 0].tolist() == [0, 4, 400, 404, 408]


def test_tiles_step_and_shrink():
    found = cut_tiles(AnnotatedSet((board(boxed()),), ("a",)), 4, step_px=2, size_px=2)
    assert found.images.shape == (15, 1, 2, 2)
    with pytest.raises(InputError, match="no whole tile of 9 px"):
        cut_tiles(AnnotatedSet((board(boxed()),), ("a",)), 9)
    with pytest.raises(InputError, match="step of 0 px"):
        cut_tiles(AnnotatedSet((board(boxed()),), ("a",)), 4, step_px=0)
    with pytest.raises(InputError, match="0 px is empty"):
        cut_tiles(AnnotatedSet((board(boxed()),), ("a",)), 4, size_px=0)


def test_refuses_images_of_different_channels():
    colour = AnnotatedImage.of("two", np.zeros((3, 8, 12), np.float32), boxed((1, 1, 3, 3)))
    data = AnnotatedSet((board(boxed((1, 1, 3, 3))), colour), ("a", "b"), "mixed")
    for cut in (cut_objects, cut_tiles):
        with pytest.raises(InputError, match="mixed have 1 and 3 channels"):
            cut(data, 4)


def save(path: Path, level: int, *, side: int = 6, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side), level if mode == "L" else (level,) * 3).save(path)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    for name, level in (("dead", 51), ("alive", 102)):
        for k in range(3):
            save(tmp_path / name / f"P{k}_cell.png", level)
    (tmp_path / "alive" / "notes.txt").write_text("no image", encoding="utf-8")
    return tmp_path


def test_reads_a_folder_for_each_class(cells: Path):
    found = read_folders(cells, group="P[0-9]+")
    assert found.categories == ("alive", "dead")
    assert found.numbers() == {"alive": 3, "dead": 3}
    assert found.images.mean(axis=(1, 2, 3)) == pytest.approx([0.4] * 3 + [0.2] * 3)
    assert found.group.tolist() == ["P0", "P1", "P2"] * 2
    assert read_folders(cells, group="P([0-9]+)_").group.tolist() == ["0", "1", "2"] * 2
    assert read_folders(cells).group.tolist() == [""] * 6


def test_reads_sixteen_bits_and_many_channels(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "1.tif", np.full((40, 6, 6), 13107, dtype=np.uint16))
    found = read_folders(tmp_path)
    assert found.images.shape == (2, 40, 6, 6)
    assert found.images.mean() == pytest.approx(0.2)


def test_sizes_must_agree_or_be_asked_for(cells: Path):
    save(cells / "dead" / "big.png", 51, side=9)
    with pytest.raises(WrongFormat, match=r"big\.png has the shape \(1, 9, 9\)"):
        read_folders(cells)
    found = read_folders(cells, size_px=5)
    assert found.images.shape == (7, 1, 5, 5)
    assert found.images[-1].mean() == pytest.approx(0.2)
    save(cells / "dead" / "colour.png", 51, mode="RGB")
    with pytest.raises(WrongFormat, match="the same channels"):
        read_folders(cells, size_px=5)


def test_folders_that_are_no_classes_are_refused(cells: Path):
    with pytest.raises(FileMissing, match="does not exist"):
        read_folders(cells / "nowhere")
    with pytest.raises(WrongFormat, match="holds 0 folders"):
        read_folders(cells / "dead")
    (cells / "empty").mkdir()
    with pytest.raises(WrongFormat, match="empty holds no images"):
        read_folders(cells)
    with pytest.raises(InputError, match="not a regular expression"):
        read_folders(cells, group="(")
    (cells / "empty").rmdir()
    with pytest.raises(InputError, match="0 px is empty"):
        read_folders(cells, size_px=0)


def test_a_damaged_image_is_named(cells: Path):
    (cells / "dead" / "P9_cell.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(WrongFormat, match=r"P9_cell\.png"):
        read_folders(cells)


def test_reads_counts_from_a_table(cells: Path):
    table = cells / "counts.csv"
    table.write_text("file,count,class,group\ndead/P0_cell.png,3,x,A\nalive/P1_cell.png,0,w,B\n", encoding="utf-8")
    found = read_counts(table)
    assert found.count is not None
    assert found.category is not None
    assert found.count.tolist() == [3, 0]
    assert found.categories == ("w", "x")
    assert found.category.tolist() == [1, 0]
    assert found.group.tolist() == ["A", "B"]
    table.write_text("file,count\ndead/P0_cell.png,2.5\n", encoding="utf-8")
    assert read_counts(table).category is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("file,count\n", "no rows"),
        ("file,number\ndead/P0_cell.png,3\n", "lacks the column 'count'"),
        ("file,count\ndead/P0_cell.png,many\n", "line 2: the count 'many'"),
        ("file,count\ndead/P0_cell.png,-1\n", "'-1'"),
        ("file,count\ndead/P0_cell.png,inf\n", "'inf'"),
        ("file,count\ndead/P0_cell.png\n", "line 2: not as many entries"),
        ("file,count\ndead/P0_cell.png,1,2\n", "line 2: not as many entries"),
        ("file,count\nnowhere.png,1\n", "does not exist"),
    ],
)
def test_tables_that_say_nothing_are_refused(cells: Path, text: str, said: str):
    table = cells / "counts.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(LsmError, match=said):
        read_counts(table)


def test_a_table_of_bytes_is_refused(tmp_path: Path):
    (tmp_path / "counts.csv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(WrongFormat, match="not a CSV table"):
        read_counts(tmp_path / "counts.csv")
    with pytest.raises(FileMissing):
        read_counts(tmp_path / "other.csv")
