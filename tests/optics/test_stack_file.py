"""LED stacks on disk: what is written is read, and nothing is half-written."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem
from lsm.optics.stackfile import LedStack, new_stack, read_stack, write_stack

BOARD = LedBoard(
    "bent",
    np.array([[0.0, 1.0, -60.0], [3.0, 0.0, -58.0], [-3.0, 0.5, -59.0]]),
    np.array([[0.0, 0.0, 1.0]] * 3),
    (0.62, 0.51),
    2.0,
    glass=Glass(1.0, 1.5),
    die_mm=0.4,
    die_points=2,
    gain=np.array([1.0, 0.8, 1.2]),
)
SYSTEM = ImagingSystem(sample_px=64, margin_px=2)
IMAGES = np.arange(2 * 12 * 12, dtype=np.float32).reshape(2, 12, 12)
STACK = LedStack(
    IMAGES, np.array([2, 0]), BOARD, SYSTEM, -3.5, {"pixel": "area"}, np.full((64, 64), 1 + 2j, np.complex64)
)


def test_a_stack_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "stack.h5"
    write_stack(path, STACK)
    found = read_stack(path)
    np.testing.assert_array_equal(found.images, IMAGES)
    np.testing.assert_array_equal(found.leds, [2, 0])
    np.testing.assert_array_equal(found.truth, STACK.truth)
    assert found.board.digest == BOARD.digest
    assert (found.board.name, found.system, found.defocus_um, found.made) == ("bent", SYSTEM, -3.5, STACK.made)


def test_parts_may_come_in_any_order(tmp_path: Path):
    with new_stack(tmp_path / "stack.h5", BOARD, SYSTEM, STACK.leds) as writer:
        writer.write(1, IMAGES[1:])
        writer.write(0, IMAGES[:1])
    np.testing.assert_array_equal(read_stack(tmp_path / "stack.h5").images, IMAGES)


def test_an_interrupted_or_incomplete_stack_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), new_stack(tmp_path / "stack.h5", BOARD, SYSTEM, STACK.leds):
        raise KeyboardInterrupt
    with (
        pytest.raises(WrongFormat, match="1 of 2 images"),
        new_stack(tmp_path / "stack.h5", BOARD, SYSTEM, STACK.leds) as writer,
    ):
        writer.write(0, IMAGES[:1])
    assert list(tmp_path.iterdir()) == []


def test_files_that_exist_are_kept(tmp_path: Path):
    path = tmp_path / "stack.h5"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        write_stack(path, STACK)
    path.unlink()
    with (  # noqa: PT012
        pytest.raises(InputError, match="by now"),
        new_stack(path, BOARD, SYSTEM, STACK.leds) as writer,
    ):
        writer.write(0, IMAGES)
        path.write_text("mine")
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["stack.h5"]


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="no folder"):
        write_stack(tmp_path / "no" / "stack.h5", STACK)


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(FileMissing, match="does not exist"):
        read_stack(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("x")
    with pytest.raises(WrongFormat, match="not an LED stack"):
        read_stack(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["kind"] = "lsm LED stack 9"
    with pytest.raises(WrongFormat, match="'lsm LED stack 9', not 'lsm LED stack 1'"):
        read_stack(tmp_path / "other.h5")
    write_stack(tmp_path / "cut.h5", STACK)
    with h5py.File(tmp_path / "cut.h5", "a") as file:
        del file["led_index"]
    with pytest.raises(WrongFormat, match="led_index"):
        read_stack(tmp_path / "cut.h5")
