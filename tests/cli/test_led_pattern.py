"""`lsm led show --pattern`: a designed light on a board."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lsm.cli.app import app
from lsm.errors import FileMissing, InputError, LsmError, ModelMismatch
from lsm.illum import LedBoard, LightCapture, LightFile
from lsm_sim.board import NativeBoard, read_led_frames

pytestmark = pytest.mark.firmware

GRID = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.fixture
def light(tmp_path: Path) -> Path:
    rng = np.random.default_rng(8)
    levels = np.where(rng.random((2, 169, 3)) < 0.2, rng.integers(1, 90, (2, 169, 3)), 0).astype(np.uint8)
    names = ("bright", "dark side")
    captures = [LightCapture.of(levels[k], exposure_ms=12.5 * (k + 1), sign=1 - 2 * k, name=names[k]) for k in range(2)]
    LightFile.of(GRID, captures).save(tmp_path / "light.json")
    return tmp_path / "light.json"


def shown(*words: str) -> str:
    result = CliRunner().invoke(app, ["led", "show", *words, "--seconds", "0"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(where: str, *words: str) -> LsmError:
    error = CliRunner().invoke(app, ["led", "show", where, *words, "--seconds", "0"]).exception
    assert isinstance(error, LsmError), error
    assert error.hint
    return error


@pytest.mark.parametrize("number", [0, 1])
def test_the_board_shows_the_levels_of_the_file(light: Path, number: int, tmp_path: Path):
    with NativeBoard(run_dir=tmp_path) as board:
        facts = json.loads(shown(board.port, "--pattern", str(light), "--capture", str(number), "--json"))
        emitted = [levels for _, levels in read_led_frames(board.frames_path) if levels.any()]
    capture = LightFile.load(light).captures[number]
    assert facts["leds_lit"] == int(capture.array.any(axis=1).sum())
    assert facts["strongest_level"] == int(capture.array.max())
    assert (facts["capture"], facts["captures"], facts["sign"]) == (number, 2, capture.sign)
    assert facts["exposure_ms"] == capture.exposure_ms
    assert emitted
    assert all(np.array_equal(levels, capture.array) for levels in emitted)


def test_the_sentence_names_capture_and_exposure(light: Path):
    text = shown("simulated", "--pattern", str(light), "--capture", "1")
    assert "dark side, designed for 25 ms and subtracted:" in text
    assert "bright, designed for 12.5 ms:" in shown("simulated", "--pattern", str(light))


def test_a_light_of_another_board_is_refused_before_anything_shines(tmp_path: Path):
    other = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0, name="other")
    path = tmp_path / "light.json"
    LightFile.of(other, [LightCapture.of(np.full((9, 3), 255, np.uint8), exposure_ms=1.0)]).save(path)
    with NativeBoard(run_dir=tmp_path) as board:
        error = refused(board.port, "--pattern", str(path))
        emitted = [levels for _, levels in read_led_frames(board.frames_path) if levels.any()]
    assert isinstance(error, ModelMismatch)
    assert "'other'" in error.message
    assert emitted == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--capture", "2"], "--capture 2"),
        (["dark-field"], "dark-field"),
        (["--level", "10"], "level 10"),
        (["--colour", "red"], "colour red"),
    ],
)
def test_what_contradicts_the_file_is_refused(light: Path, words: list[str], said: str):
    error = refused("simulated", *words, "--pattern", str(light))
    assert isinstance(error, InputError)
    assert said in error.message


def test_a_file_that_is_missing_or_not_named_is_explained(tmp_path: Path):
    assert isinstance(refused("simulated", "--pattern", str(tmp_path / "none.json")), FileMissing)
    assert "--pattern" in refused("simulated", "--capture", "1").hint
