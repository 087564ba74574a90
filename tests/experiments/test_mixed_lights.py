"""The rule of a scan under lights that change from field to field: its error rates, and what the experiment tells."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from lsm.diagnose.scan import Answer
from lsm.diagnose.scan.kit import suspicion_rule
from lsm.experiments.mixed_lights import MixedLightsConfig, Reader, error_rates, scan_counts, slides_to_come
from lsm.experiments.registry import experiment_config, run_experiment

SLIDES = 16


@pytest.fixture(scope="module")
def small() -> MixedLightsConfig:
    config = MixedLightsConfig.from_file(experiment_config("mixed_lights"))
    return config.model_copy(update={"slides": SLIDES, "fields": 12})


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.of("procedural")


@pytest.mark.parametrize("light", ["agent", "after a find"])
def test_error_rates_hold_under_lights_that_depend_on_what_was_found(
    light: str, small: MixedLightsConfig, reader: Reader
):
    rows = list(error_rates(reader, light, small, 0))
    target = suspicion_rule("agent", reader.calibration, small.verdict).target_per_ul
    assert [row["per_ul"] for row in rows] == [0.0, target]
    for row in rows:
        # as many as the level allows among so few slides, with a chance of 1 in 1000
        erred = round(row["share"][0] * SLIDES)
        assert binomtest(erred, SLIDES, row["level"], alternative="greater").pvalue > 1e-3


def test_a_light_that_looks_closer_after_a_find_mixes_sets_of_patterns(small: MixedLightsConfig, reader: Reader):
    rule = suspicion_rule("agent", reader.calibration, small.verdict)
    light, rng = reader.light("after a find"), np.random.default_rng(1)
    (shares,) = slides_to_come(reader.calibration, 0.01, 1, rng)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    scans = [scan_counts(shares, light, rule, small, rng) for _ in range(4)]
    assert max(scan.minority for scan in scans) > 0.05
    assert all(scan.fields == small.fields for scan in scans if scan.answer is Answer.GO_ON)


def test_the_short_form_ends_with_a_table_and_claims(tmp_path: Path):
    config = tmp_path / "small.toml"
    text = experiment_config("mixed_lights").read_text(encoding="utf-8")
    text = text.replace("slides = 40", "slides = 4").replace("fields = 100", "fields = 4")
    config.write_text(text.replace('"bright field", "learned", "agent", ', '"bright field", '), encoding="utf-8")
    found = run_experiment("mixed_lights", tmp_path / "out", config=config, quick=True)
    target = found["rows"][1]["per_ul"]
    assert target > 0
    assert [(row["light"], row["per_ul"], row["slides"]) for row in found["rows"]] == [
        (light, per_ul, 4) for light in ("bright field", "after a find") for per_ul in (0.0, target)
    ]
    assert len(found["claims"]) == 4
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert table.count("\n") == 6
