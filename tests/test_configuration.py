"""Configurations are frozen, forbid typos and say in one sentence what is wrong."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing


class Inner(Config):
    pitch_mm: float = Field(3.0, gt=0)


class Outer(Config):
    seed: int = 0
    board: Inner = Inner()


def _write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_a_file_and_lets_options_override(tmp_path: Path):
    path = _write(tmp_path, "seed = 3\n[board]\npitch_mm = 2.5\n")
    read = Outer.from_file(path, seed=4)
    assert (read.seed, read.board.pitch_mm) == (4, 2.5)
    assert Outer.from_file(path, seed=None).seed == 3


def test_unknown_key_names_the_nearest_known_one(tmp_path: Path):
    with pytest.raises(ConfigError, match="unknown key 'sed'") as caught:
        Outer.from_file(_write(tmp_path, "sed = 3\n"))
    assert "seed" in caught.value.hint
    with pytest.raises(ConfigError, match=r"board\.pich_mm") as caught:
        Outer.from_file(_write(tmp_path, "[board]\npich_mm = 3\n"))
    assert "pitch_mm" in caught.value.hint


def test_value_out_of_range_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"board\.pitch_mm.* = -1"):
        Outer.from_file(_write(tmp_path, "[board]\npitch_mm = -1\n"))


class Needy(Config):
    seed: int = Field(ge=0)


def test_missing_key_is_named_and_not_the_table_around_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config\.toml lacks the key 'seed'\."):
        Needy.from_file(_write(tmp_path, ""))


def test_a_wrong_option_is_not_blamed_on_the_file(tmp_path: Path):
    path = _write(tmp_path, "seed = 3\n")
    with pytest.raises(ConfigError, match=r"^The option 'seed' = -1 is not valid"):
        Needy.from_file(path, seed=-1)
    path = _write(tmp_path, "board.pitch_mm = 3.0\n")
    with pytest.raises(ConfigError, match=r"^The option 'board\.pitch_mm' = -1 is not valid"):
        Outer.from_file(path, board={"pitch_mm": -1})
    with pytest.raises(ConfigError, match=r"config\.toml: 'board\.pitch_mm' = 0 is not valid"):
        Outer.from_file(_write(tmp_path, "board.pitch_mm = 0\n"), seed=4)


def test_missing_file_and_broken_toml(tmp_path: Path):
    with pytest.raises(FileMissing):
        Outer.from_file(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        Outer.from_file(_write(tmp_path, "seed = = 3"))


def test_digest_depends_on_values_only():
    assert Outer().digest() == Outer(seed=0).digest()
    assert Outer().digest() != Outer(seed=1).digest()


def test_is_immutable():
    with pytest.raises(ValidationError):
        Outer().seed = 1
