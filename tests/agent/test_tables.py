"""Slide tables survive the disk, and damage is noticed."""

from pathlib import Path

import numpy as np
import pytest

from lsm.agent.tables import SlideTables
from lsm.errors import FileMissing, WrongFormat
from lsm.stats import ScoreCalibration

World = tuple[SlideTables, ScoreCalibration]


def test_a_saved_table_comes_back_the_same(world: World, tmp_path: Path):
    world[0].save(tmp_path / "cache" / "tables.npz")
    assert SlideTables.load(tmp_path / "cache" / "tables.npz").digest == world[0].digest
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["tables.npz"]


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileMissing, match=r"nowhere\.npz"):
        SlideTables.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 half of one"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "tables.npz"
    path.write_bytes(content)
    with pytest.raises(WrongFormat):
        SlideTables.load(path)


def test_an_edited_file_is_refused(world: World, tmp_path: Path):
    path = tmp_path / "tables.npz"
    world[0].save(path)
    with np.load(path) as held:
        arrays = dict(held)
    arrays["truth"] = arrays["truth"] + 0.1
    np.savez(path, **arrays)
    with pytest.raises(WrongFormat):
        SlideTables.load(path)


def test_joined_parts_are_the_whole(world: World):
    whole = world[0]
    parts = [whole.select(slice(0, 5)), whole.select(slice(5, None))]
    assert SlideTables.join(parts).digest == whole.digest
