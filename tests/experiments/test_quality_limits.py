"""What spoils a field is there to be seen, what is counted is what a scan would say, and the experiment tells it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from lsm.errors import ConfigError, FileMissing
from lsm.experiments.quality_limits import QualityLimitsConfig
from lsm.experiments.quality_limits.config import BubblesConfig, DustConfig, Sizes
from lsm.experiments.quality_limits.fields import judge_fields
from lsm.experiments.quality_limits.run import counts_of, jobs_of
from lsm.experiments.quality_limits.spoils import draw_bubble, draw_dust, rim_seen_um
from lsm.experiments.registry import experiment_config, run_experiment

CONFIG = experiment_config("quality_limits")
WHOLE = QualityLimitsConfig.from_file(CONFIG)
BUBBLES = WHOLE.bubbles
FIELD_UM = 230.0


def test_the_rim_of_a_bubble_is_seen_as_far_as_it_lies_in_the_field():
    whole = BUBBLES.rim_length_um(40.0)
    # 720 points stand for the rim
    within = 3 * whole / 720
    assert rim_seen_um(BUBBLES, (10.0, -20.0), 40.0, FIELD_UM) == pytest.approx(whole)
    assert rim_seen_um(BUBBLES, (FIELD_UM / 2, 0.0), 40.0, FIELD_UM) == pytest.approx(whole / 2, abs=within)
    assert rim_seen_um(BUBBLES, (FIELD_UM / 2 + 40.0, 0.0), 40.0, FIELD_UM) == 0
    assert rim_seen_um(BUBBLES, (0.0, 0.0), 2 * FIELD_UM, FIELD_UM) == 0


def test_every_bubble_shows_its_rim_and_every_speck_its_centre():
    rng, centre_um = np.random.default_rng(2), (800.0, 300.0)
    outside = 0
    for _ in range(300):
        bubble = draw_bubble(BUBBLES, centre_um, FIELD_UM, rng)
        off_um = (bubble.xy_um[0] - centre_um[0], bubble.xy_um[1] - centre_um[1])
        assert rim_seen_um(BUBBLES, off_um, bubble.radius_um, FIELD_UM) >= BUBBLES.rim_um
        outside += max(map(abs, off_um)) > FIELD_UM / 2
        speck = draw_dust(WHOLE.dust, centre_um, FIELD_UM, rng)
        assert max(abs(speck.xy_um[0] - 800.0), abs(speck.xy_um[1] - 300.0)) <= FIELD_UM / 2
        for body, sizes in ((bubble, BUBBLES), (speck, WHOLE.dust)):
            assert sizes.radius_um[0] <= body.radius_um <= sizes.radius_um[1]
    assert 0 < outside < 300


@pytest.mark.parametrize("edges", [{"radius_um": (9.0, 6.0)}, {"radius_um": (6.0, 9.0), "parts_um": (10.0,)}])
def test_sizes_that_do_not_rise_are_refused(edges: dict[str, Any]):
    with pytest.raises(ConfigError, match="do not rise"):
        Sizes.from_table(edges)


def test_a_bubble_that_is_all_rim_is_refused():
    with pytest.raises(ConfigError, match="clear middle"):
        BubblesConfig(radius_um=(4.0, 20.0), index_steps={"air": -0.33})


def test_bubbles_are_called_bubbles_and_neither_sound_fields_nor_small_specks_are():
    specks = DustConfig(radius_um=(2.0, 3.0))
    job, *_ = jobs_of(WHOLE.model_copy(update={"slides": 2, "dust": specks}), "procedural")
    fields = judge_fields(job.model_dump(mode="json"))["fields"]
    faults = {(field["condition"], field["fault"]) for field in fields}
    assert faults == {
        ("sound", ""),
        ("dust", ""),
        ("bubble under water", "bubble or debris"),
        ("bubble in a mounting medium", "bubble or debris"),
    }
    for slide in (100, 101):
        its = {field["condition"]: field for field in fields if field["slide"] == slide}
        assert len(its) == 4
        assert its["bubble under water"]["radius_um"] == its["bubble in a mounting medium"]["radius_um"]
        assert its["bubble under water"]["off"] > WHOLE.quality.unlike > its["sound"]["off"]
    alone = job.model_copy(update={"first_slide": 101, "slides": 1})
    assert judge_fields(alone.model_dump(mode="json"))["fields"] == [field for field in fields if field["slide"] == 101]


def field(condition: str, radius_um: float, fault: str, white_cells: int = 0) -> dict[str, Any]:
    return {"condition": condition, "radius_um": radius_um, "fault": fault, "off": 1.0, "white_cells": white_cells}


def test_parts_add_up_and_every_count_has_its_interval():
    sound = [field("sound", 0.0, "crowded" if k == 0 else "", white_cells=k % 2) for k in range(20)]
    dust = [
        field("dust", radius_um, "bubble or debris" if radius_um > 8 else "") for radius_um in (6, 7, 9, 10, 20, 40)
    ]
    rows = counts_of(WHOLE, [*sound, *dust])
    assert [(row["condition"], row["fields"]) for row in rows[:2]] == [("sound", 20), ("sound, with a white cell", 10)]
    assert rows[0]["named"][0] == 0
    count, share, low, high = rows[0]["refused"]
    assert (count, share) == (1, 0.05)
    exact = binomtest(1, 20).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=5e-5)  # written with four digits
    whole, *parts = (row for row in rows if row["condition"] == "dust")
    assert whole["fields"] == 6
    assert [row["fields"] for row in parts] == [3, 1, 2]
    assert [row["named"][0] for row in parts] == [1, 1, 2]
    assert [row["named"] for row in rows if row["condition"] == "bubble under water"] == [None] * 4


def test_the_experiment_ends_with_table_picture_and_counts(tmp_path: Path):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.read_text(encoding="utf-8").replace("slides = 12", "slides = 1"), encoding="utf-8")
    found = run_experiment("quality_limits", tmp_path / "out", config=config, quick=True)
    assert list(found["counts"]) == ["procedural"]
    assert [row["fields"] for row in found["counts"]["procedural"] if row["condition"] == "sound"] == [1]
    assert found["commits"]
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "slides 100 to 100" in table
    assert table.count("\n| ") == 1 + len(found["counts"]["procedural"])
    assert (tmp_path / "out" / "picture.png").stat().st_size > 5000


def test_without_the_crops_the_whole_form_says_so_before_the_first_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("LSM_DATA", raising=False)
    with pytest.raises(FileMissing, match="NIH"):
        run_experiment("quality_limits", tmp_path)
    assert not (tmp_path / "fields.jsonl").exists()
