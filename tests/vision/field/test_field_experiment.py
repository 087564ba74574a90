"""The experiment on whole fields: its accounts on a few tiny ones, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsm.errors import ConfigError
from lsm.experiments.detect_light import DetectLightConfig, run
from lsm.experiments.registry import experiment, experiment_config
from lsm.illum import LightFile
from lsm.sensing.progress import Silent
from lsm.vision.detect.detector import Detector

TINY = """
seeds = 1
rates = [0.05, 1e-4]
draws = 20
disturbed_fields = 2
slides_per_job = 1

[rig]
system = { sample_px = 192, margin_px = 4 }
led_board = { rows = 5, columns = 5, pitch_mm = 4.0, distance_mm = 50.0 }

[train]
slides = 1
fields_per_slide = 2
parasitaemia = [0.5, 0.5]
masks = false
smear = { width_um = 160.0, height_um = 120.0 }

[test]
slides = 2
fields_per_slide = 1
first_slide = 1
parasitaemia = [0.5, 0.5]
masks = false
smear = { width_um = 160.0, height_um = 120.0 }

[model]
width = 8
depth = 0

[training]
steps = 2
fields_per_step = 1
crop_px = 24

[arms."bright field"]
kind = "bright field"

[arms.learned]
with_bright = true

[[pairs]]
of = "learned"
minus = "bright field"

[[disturbances]]
kind = "blur"
strength = 1.0

[[disturbances]]
kind = "colour"
strength = 0.2
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("out")
    (out / "tiny.toml").write_text(TINY, encoding="utf-8")
    found = run(out / "tiny.toml", out, quick=False, seeds=None, workers=1, progress=Silent())
    return json.loads(json.dumps(dict(found))), out


def test_every_arm_is_scored_on_the_same_cells_and_compared(ran: tuple[dict[str, Any], Path]):
    results, _ = ran
    arms = results["arms"]
    assert list(arms) == ["bright field", "learned"]
    assert arms["learned"]["infected"] == arms["bright field"]["infected"] > 0
    assert arms["learned"]["slides"] == 2
    assert arms["bright field"]["dark_field_share"] == 0
    assert arms["learned"]["dark_field_share"] > 0.3
    assert len(arms["learned"]["exposure_ms"]) == 2
    assert arms["learned"]["in_words"][1] == "needs 30,000 cells"
    (pair,) = results["pairs"]
    assert pair["0.0001"]["verdict"] == "not measured"
    assert pair["ap"]["value"] == pytest.approx(arms["learned"]["ap"] - arms["bright field"]["ap"])


def test_worse_images_are_scored_where_they_can_be(ran: tuple[dict[str, Any], Path]):
    results, _ = ran
    kinds = {
        arm: [row["disturbance"] and row["disturbance"]["kind"] for row in rows]
        for arm, rows in results["robustness"].items()
    }
    # one capture is grey; two have a cast
    assert kinds == {"bright field": [None, "blur"], "learned": [None, "blur", "colour"]}


def test_what_was_learned_can_be_shown_and_used(ran: tuple[dict[str, Any], Path]):
    results, out = ran
    config = DetectLightConfig.from_file(out / "tiny.toml")
    light = LightFile.load(out / "light.json")
    patterns = light.patterns(config.rig.led_board.board())
    assert [capture.name for capture in light.captures] == ["bright field", "learned 1"]
    assert patterns[1].total_duty > 0
    assert Detector.load(out / "detector.safetensors").facts.channels == 2
    assert results["shown"]["learned"]["frames"] == 2
    assert (out / "light.png").stat().st_size > 1000
    table = (out / "table.md").read_text(encoding="utf-8")
    assert "| learned minus bright field |" in table
    assert "needs 30,000 cells" in table


def test_a_second_run_finds_everything_done(ran: tuple[dict[str, Any], Path]):
    results, out = ran
    before = (out / "runs" / "table.jsonl").read_bytes()
    again = run(out / "tiny.toml", out, quick=False, seeds=None, workers=1, progress=Silent())
    assert (out / "runs" / "table.jsonl").read_bytes() == before
    assert json.loads(json.dumps(dict(again))) == results


def test_the_shipped_configuration_compares_what_the_issue_asks_for_and_has_a_short_form():
    config = DetectLightConfig.from_file(experiment_config(experiment("field_detection").name))
    assert config.rig.system.na == 0.10
    assert {light.kind for light in config.arms.values()} == {"bright field", "dark field", "model", "learned"}
    assert len(config.pairs) == 6
    # about 60 cells a field: 30,000 are needed for one false alarm in ten thousand
    assert config.test.slides * config.test.fields_per_slide * 50 > 30_000
    short = config.quick()
    assert list(short.arms) == ["bright field", "learned with the detector"]
    assert [(pair.of, pair.minus) for pair in short.pairs] == [("learned with the detector", "bright field")]
    assert short.quick(2).seeds == 2


def test_settings_that_do_not_fit_are_refused():
    table: dict[str, Any] = {"arms": {"one": {"kind": "bright field"}}}
    with pytest.raises(ConfigError, match="names no arm 'two'"):
        DetectLightConfig.from_table(table | {"pairs": [{"of": "one", "minus": "two"}]})
    slides = {"train": {"seed": 3, "slides": 5}, "test": {"seed": 3, "first_slide": 4}}
    with pytest.raises(ConfigError, match="Test slides 4 to 23 are among those of the training"):
        DetectLightConfig.from_table(table | slides)
