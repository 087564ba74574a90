"""`lsm design` says what the LED board shows of its patterns, writes them as a light, and takes them from one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lsm.cli.app import app
from lsm.cli.design import light_file, shown_light
from lsm.config import shipped_config
from lsm.errors import ConfigError, FileMissing
from lsm.illum import LEVELS, LedBoard, LightCapture, LightFile
from lsm.sensing import Bundle

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.mark.parametrize("name", ["procedural", "nih"])
def test_what_is_told_of_the_shipped_patterns_follows_from_their_levels(name: str):
    bundle = Bundle.shipped(name)
    rows = shown_light(bundle, BOARD)
    limit_ma = 0.3 * 20 * BOARD.n_leds * BOARD.n_colours
    assert [row["pattern"] for row in rows] == [pattern.name for pattern in bundle.patterns(BOARD)]
    for row, pattern in zip(rows, bundle.patterns(BOARD), strict=True):
        asked_ma = 20 * pattern.total_duty
        # to the fourth decimal; rounding down to whole levels costs less than one of 255
        assert row["scale"] == pytest.approx(min(1.0, limit_ma / asked_ma), abs=1 / LEVELS + 1e-4)
        assert row["current_ma"] <= limit_ma
        assert row["current_ma"] == pytest.approx(row["scale"] * asked_ma, rel=0.01)
        assert row["max_error"] <= 0.5 / (row["scale"] * pattern.levels.max()) + 1e-4


def test_a_pattern_beyond_the_current_limit_is_told_to_be_dimmed():
    shipped = Bundle.shipped("procedural")
    codebook = shipped.select("codebook")
    white = torch.full_like(codebook["duty_levels"], LEVELS)
    rows = shown_light(shipped.with_part("codebook", codebook | {"duty_levels": white}), BOARD)
    # 169 green channels of 20 mA are 3380 mA, a third of full white, of which 30 % are allowed
    assert rows[0]["scale"] == pytest.approx(0.9, abs=1 / LEVELS)
    assert rows[0]["current_ma"] <= 3042


def given_light(path: Path, *, colour: int = 1) -> LightFile:
    levels = np.zeros((2, BOARD.n_leds, 3), np.uint8)
    levels[:, :, colour] = np.random.default_rng(1).integers(0, 256, (2, BOARD.n_leds))
    captures = [LightCapture.of(some, exposure_ms=5.0, sign=sign) for some, sign in zip(levels, (1, -1), strict=True)]
    light = LightFile.of(BOARD, captures)
    light.save(path)
    return light


def config_with(folder: Path, lines: str) -> Path:
    text = shipped_config("design/tiny.toml").read_text(encoding="utf-8")
    path = folder / "design.toml"
    path.write_text(f"{text}\n[illumination]\n{lines}\n", encoding="utf-8")
    return path


def test_the_light_of_a_shipped_model_is_that_of_its_codebook():
    bundle = Bundle.shipped("nih")
    light = light_file(bundle, BOARD)
    assert light.patterns(BOARD) == bundle.patterns(BOARD)
    assert [capture.exposure_ms for capture in light.captures] == pytest.approx(bundle.exposures_ms.tolist(), rel=1e-4)
    assert light.made["weights_digest"] == bundle.card.weights_digest


def test_a_design_takes_its_light_from_a_file_and_writes_it_with_a_picture(tmp_path: Path):
    given = given_light(tmp_path / "given.json")
    config = config_with(tmp_path, f'light = "{tmp_path / "given.json"}"\nmax_ma = 3000')
    out = tmp_path / "model"
    words = [str(config), "--out", str(out), "--cache", str(tmp_path / "cache"), "--tensorboard", str(tmp_path / "tb")]
    result = CliRunner().invoke(app, ["design", *words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    bundle, light = Bundle.load(out), LightFile.load(Path(told["light_file"]))
    assert bundle.card.config["illumination"]["light_digest"] == given.light_digest
    assert light.patterns(BOARD) == bundle.patterns(BOARD)
    for capture, asked in zip(light.captures[1:], given.captures, strict=True):
        assert np.array_equal(capture.array, asked.array)
    assert [row["scale"] for row in told["light"]] == [1.0, 1.0, 1.0]
    with Image.open(told["light_picture"]) as picture:
        grey = np.asarray(picture.convert("L"))
    assert grey.std() > 20
    assert {path.name for path in next((tmp_path / "tb").iterdir()).iterdir()} == {
        "learned-classifier",
        "baseline-classifier",
        "cell-finder",
    }


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        ('light = "none.json"', FileMissing, "none.json"),
        ('light = "red.json"', ConfigError, "other colours"),
        ("max_ma = 0.01", ConfigError, "max_ma = 0.01"),
        ("bits = 12", ConfigError, "bits"),
    ],
)
def test_a_light_that_cannot_be_is_refused_before_the_work(
    lines: str, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    given_light(tmp_path / "red.json", colour=0)
    found = CliRunner().invoke(app, ["design", str(config_with(tmp_path, lines))]).exception
    assert isinstance(found, error)
    assert said in str(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["design.toml", "red.json"]
