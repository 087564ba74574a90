"""A light file gives back what was designed, on the board it was designed for, or is refused in one sentence."""

import doctest
import json
import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lsm.illum.lightfile
from lsm.errors import ConfigError, FileMissing, InputError, ModelMismatch, WrongFormat
from lsm.illum import LedBoard, LightCapture, LightFile

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0, name="small")


def captures(count: int = 2) -> list[LightCapture]:
    rng = np.random.default_rng(3)
    return [
        LightCapture.of(
            rng.integers(0, 256, (9, 3), dtype=np.uint8),
            exposure_ms=float(rng.uniform(0.1, 200.0)),
            sign=1 - 2 * (k % 2),
            name=f"capture {k}",
        )
        for k in range(count)
    ]


def light() -> LightFile:
    return LightFile.of(BOARD, captures(), made={"accuracy": 0.9, "seeds": [1, 2]})


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    light().save(path)
    table = json.loads(path.read_text(encoding="utf-8"))
    change(table)
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def test_the_example_of_its_description_is_true():
    assert doctest.testmod(lsm.illum.lightfile).failed == 0


@settings(max_examples=15, deadline=None)
@given(
    levels=arrays(np.uint8, (2, 9, 3)),
    exposure_ms=st.floats(1e-3, 1e6),
    name=st.text(max_size=20),
)
def test_what_is_saved_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, levels: np.ndarray, exposure_ms: float, name: str
):
    path = tmp_path_factory.mktemp("light") / "light.json"
    made = LightFile.of(
        BOARD, [LightCapture.of(some, exposure_ms=exposure_ms, name=name) for some in levels], made={"note": name}
    )
    made.save(path)
    loaded = LightFile.load(path)
    assert loaded == made
    assert np.array_equal([pattern.levels for pattern in loaded.patterns(BOARD)], levels)
    assert [path.name for path in path.parent.iterdir()] == ["light.json"]


def test_the_digest_tells_what_is_shown_and_not_how_it_is_called():
    renamed = [capture.model_copy(update={"name": "other"}) for capture in captures()]
    longer = [capture.model_copy(update={"exposure_ms": capture.exposure_ms * 2}) for capture in captures()]
    digests = [LightFile.of(BOARD, some).light_digest for some in (captures(), renamed, longer, captures()[::-1])]
    assert digests[0] == digests[1] == light().light_digest
    assert len(set(digests)) == 3


def test_another_board_is_a_mismatch_that_names_both():
    other = LedBoard.grid(rows=3, columns=3, pitch_mm=4.0, distance_mm=50.0, name="wide")
    with pytest.raises(ModelMismatch) as told:
        light().patterns(other)
    assert all(word in told.value.message for word in ("small", "wide", BOARD.digest, other.digest))
    assert told.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(captures=[]), "no capture"),
        (lambda t: t["captures"][1]["levels"].pop(), "capture 1 has 8 LEDs"),
        (lambda t: t["captures"][0]["levels"][4].pop(), "2 or 3 levels"),
        (lambda t: t["captures"][0].update(levels=[]), "0 LEDs with no levels"),
        (lambda t: t["captures"][0]["levels"][4].__setitem__(1, 256), "levels.4.1' = 256"),
        (lambda t: t["captures"][0]["levels"][4].__setitem__(1, -1), "levels.4.1' = -1"),
        (lambda t: t["captures"][0]["levels"][4].__setitem__(1, 7.0), "levels.4.1' = 7.0"),
        (lambda t: t["captures"][0]["levels"][4].__setitem__(1, True), "levels.4.1' = True"),
        (lambda t: t["captures"][0]["levels"][4].__setitem__(1, math.nan), "NaN"),
        (lambda t: t["captures"][0].update(exposure_ms=math.inf), "Infinity"),
        (lambda t: t["captures"][0].update(exposure_ms=0.0), "exposure_ms' = 0.0"),
        (lambda t: t["captures"][0].update(sign=2), "sign' = 2"),
        (lambda t: t.update(leds=10), "its board has 10 LEDs"),
        (lambda t: t.update(color="red"), "unknown key 'color'"),
        (lambda t: t.pop("board_digest"), "lacks the key 'board_digest'"),
        (lambda t: t.update(kind="model"), "is no light file"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(change: Callable[[dict[str, Any]], object], said: str, tmp_path: Path):
    with pytest.raises(WrongFormat) as told:
        LightFile.load(edited(tmp_path / "light.json", change))
    assert said in told.value.message
    assert told.value.hint
    assert "\n" not in told.value.message


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"lsm light"', "[" * 100_000, "\udcff"])
def test_a_file_that_is_no_light_is_refused(text: str, tmp_path: Path):
    path = tmp_path / "light.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WrongFormat):
        LightFile.load(path)


def test_a_file_that_is_far_too_large_is_not_even_read(tmp_path: Path):
    path = tmp_path / "light.json"
    with path.open("wb") as out:
        out.truncate(2**34)
    with pytest.raises(WrongFormat, match="larger"):
        LightFile.load(path)


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_version_is_a_mismatch(version: object, tmp_path: Path):
    with pytest.raises(ModelMismatch, match="version"):
        LightFile.load(edited(tmp_path / "light.json", lambda table: table.update(version=version)))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileMissing, match=r"none\.json"):
        LightFile.load(tmp_path / "none.json")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_written(value: float):
    with pytest.raises(InputError):
        LightFile.of(BOARD, captures(), made={"loss": value})
    with pytest.raises(ConfigError):
        LightCapture.of(captures()[0].array, exposure_ms=value)


def test_captures_of_another_size_do_not_become_a_light():
    with pytest.raises(WrongFormat, match="4 LEDs"):
        LightFile.of(BOARD, [LightCapture.of(np.zeros((4, 3), np.uint8), exposure_ms=1.0)])


def test_a_disk_that_is_full_leaves_the_old_file_whole(tmp_path: Path):
    path = tmp_path / "light.json"
    light().save(path)
    larger = LightFile.of(BOARD, captures(20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            larger.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert LightFile.load(path) == light()
    assert [path.name for path in tmp_path.iterdir()] == ["light.json"]
