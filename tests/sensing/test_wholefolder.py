"""Folders appear whole or not at all."""

from pathlib import Path

import pytest

from lsm.sensing.wholefolder import whole_folder


def test_a_folder_appears_when_it_is_full(tmp_path: Path):
    with whole_folder(tmp_path / "deep" / "it") as part:
        (part / "file").write_text("ours", encoding="utf-8")
        assert not (tmp_path / "deep" / "it").exists()
    assert (tmp_path / "deep" / "it" / "file").read_text(encoding="utf-8") == "ours"
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["it"]


def test_a_failure_leaves_nothing(tmp_path: Path):
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "it") as part:
        (part / "not there" / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_who_was_first_keeps_the_folder(tmp_path: Path):
    with whole_folder(tmp_path / "it") as part:
        (part / "file").write_text("ours", encoding="utf-8")
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "file").write_text("theirs", encoding="utf-8")
    assert (tmp_path / "it" / "file").read_text(encoding="utf-8") == "theirs"
    assert [each.name for each in tmp_path.iterdir()] == ["it"]
