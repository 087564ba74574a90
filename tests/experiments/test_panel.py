"""The virtual panel: its slides, what scoring makes of answers, and a small one from end to end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.devices import Microscope
from lsm.diagnose.scan import ScanKit, ScanResult, scan_slide
from lsm.errors import ConfigError
from lsm.experiments.panel import Group, PanelConfig, draw_slides, run_panel, score_panel
from lsm.experiments.panel.amounts import drawn_means
from lsm.experiments.panel.answers import PERFECT
from lsm.experiments.panel.scope import SlideOptics
from lsm.experiments.registry import experiment_config, run_experiment
from lsm.illum import bright_field
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.samples._placed import PlacedSmear
from lsm.sensing.progress import Silent
from lsm.twin import FieldRenderer, TwinConfig

CONFIG = experiment_config("panel")
WHOLE = PanelConfig.from_file(CONFIG)
ARM = "agent"
ALONE = PanelConfig.from_file(CONFIG, arms={ARM: {"light": "agent"}})


def reading(per_ul: float | None, outcome: str, *, cells: int = 20_000, called: int = 20) -> dict[str, Any]:
    density = None if per_ul is None else [per_ul, 0.8 * per_ul, 1.2 * per_ul]
    amounts = {"cells": cells, "fields": 100, "captures": 400, "time_s": 90.0, "light_dose": 5000.0, "ending": "x"}
    looked = {"cells": cells, "called": called, "expected_found": 0.5, "expected_false": 1e-3, "least_per_ul": 9000.0}
    return {"outcome": outcome, "per_ul": density, "called": looked, "called_of_all": looked} | amounts


def scores_of(answer: Any) -> dict[str, Any]:
    """The scores of an arm that answers every slide as told."""
    slides = draw_slides(ALONE)
    truths = {slide.name: {"cells": 25_000, "infected": round(slide.per_ul / 200)} for slide in slides}
    scores = score_panel(ALONE, slides, {slide.name: {ARM: answer(slide)} for slide in slides}, truths)
    arm: dict[str, Any] = scores["arms"][ARM]
    return arm | {"perfect": scores[PERFECT]}


def rightly(slide: Any) -> dict[str, Any]:
    return reading(1.1 * slide.per_ul, "positive" if slide.per_ul else "negative")


def test_the_panel_has_the_composition_of_the_who_set():
    slides = draw_slides(WHOLE)
    assert [sum(slide.part == part for slide in slides) for part in ("detection", "counting")] == [35, 20]
    assert WHOLE.size == 55
    assert min(slide.per_ul for slide in slides) == 0
    assert 50_000 < max(slide.per_ul for slide in slides) <= 100_000
    assert slides == draw_slides(WHOLE)
    assert slides != draw_slides(PanelConfig.from_file(CONFIG, seed=1))


def test_slides_differ_as_they_are_said_to():
    slides = draw_slides(WHOLE)
    factors = np.array([slide.look_alikes for slide in slides]).ravel()
    # 165 gamma variates: the standard error of their mean is 0.04, of their deviation 0.04
    assert factors.mean() == pytest.approx(1, abs=0.15)
    assert factors.std() == pytest.approx(WHOLE.variation.look_alike_cv, abs=0.15)
    # 55 normal ones: 10 % each
    assert np.std([np.log(slide.density) for slide in slides]) == pytest.approx(0.25, rel=0.35)
    assert np.std([slide.focus_um for slide in slides]) == pytest.approx(3.0, rel=0.35)
    assert len({slide.seed for slide in slides}) == len(slides)


def test_a_reduced_panel_has_slides_of_the_whole_one():
    some = PanelConfig.from_file(CONFIG, slides=6)
    assert some.reduced
    slides = draw_slides(some)
    assert len(slides) == 6
    assert set(slides) <= set(draw_slides(WHOLE))
    assert {slide.part for slide in slides} == {"detection", "counting"}
    assert slides[0].per_ul == 0


def test_impossible_groups_are_refused():
    with pytest.raises(ConfigError, match="counting"):
        Group(part="counting", slides=3, per_ul=(0, 0))
    with pytest.raises(ConfigError, match="200 to 80"):
        Group(part="detection", slides=3, per_ul=(200, 80))
    one = {"one": {"part": "detection", "slides": 3, "per_ul": [0, 0]}}
    with pytest.raises(ConfigError, match="detection and for counting"):
        PanelConfig.from_file(CONFIG, groups=one)


def test_a_reader_without_errors_is_of_level_1_and_not_for_certain():
    arm = scores_of(rightly)
    assert arm["detection"][0] == arm["sensitivity"][0] == arm["specificity"][0] == arm["counts"][0] == 1
    assert arm["detection"][3:] == [35, 35]
    assert arm["counts"][3:] == [20, 20]
    assert arm["level"]["level"] == 1
    assert 0.9 < arm["level"]["probability"][0] <= 1
    assert arm["detection"][1] < 1
    assert arm["level"]["basis"] == "detection and counts alone, no species"
    assert arm["ratios"]["bias"][0] == pytest.approx(1.1)


def test_no_verdict_is_wrong_and_told_apart_from_a_negative_one():
    arm = scores_of(lambda slide: reading(1.1 * slide.per_ul, "positive" if slide.per_ul else "indeterminate"))
    assert arm["specificity"][0] == 0
    assert arm["detection"][3:] == [20, 35]
    assert arm["no_verdict"][3:] == [15, 55]
    assert arm["forced"]["detection"][3:] == [35, 35]
    assert arm["level"]["level"] == 4
    assert arm["forced"]["level"]["level"] == 1


def test_counts_beyond_a_quarter_and_unusable_slides_are_wrong():
    assert scores_of(lambda slide: reading(1.3 * slide.per_ul, "positive"))["counts"][3:] == [0, 20]
    unusable = scores_of(lambda slide: reading(None, "unusable", cells=0, called=0))
    assert unusable["counts"][3:] == [0, 20]
    assert unusable["detection"][3:] == [0, 35]
    assert unusable["ratios"] is None
    assert unusable["false_calls"] is None


def test_every_figure_lies_in_its_interval():
    arm = scores_of(rightly)
    ends = [arm[name][:3] for name in ("detection", "sensitivity", "specificity", "counts", "no_verdict")]
    ends += [*arm["amounts"].values(), arm["false_calls"]["per_cell"], arm["found_per_ul"]["half"]]
    for value, low, high in ends:
        assert low <= value <= high
    assert arm["level"]["best"] <= arm["level"]["level"] <= arm["level"]["worst"]
    assert sum(arm["level"]["probability"]) == pytest.approx(1, abs=1e-3)  # rounded to four digits


def test_a_perfect_reader_misses_what_is_not_in_the_fields():
    perfect = scores_of(rightly)["perfect"]
    # one infected cell among 25,000 stands for 200 per microlitre: of slides below 100 there is none
    assert perfect["sensitivity"][3] < perfect["sensitivity"][4]
    assert perfect["specificity"][0] == 1
    assert set(perfect["amounts"]) == {"cells"}


def test_false_positives_that_vary_between_slides_are_told():
    numbers = iter(range(100))
    arm = scores_of(lambda slide: reading(slide.per_ul, "positive", called=[2, 80][next(numbers) % 2]))
    even = scores_of(lambda slide: reading(slide.per_ul, "positive", called=41))
    assert arm["false_calls"]["slides"] == 15
    assert arm["false_calls"]["cv"][1] > even["false_calls"]["cv"][2]
    assert arm["false_calls"]["per_ul"][0] == pytest.approx(5e6 * arm["false_calls"]["per_cell"][0] / 0.5)


def test_false_positives_are_those_of_all_fields_not_of_scans_that_ended_early():
    stopped = {"cells": 400, "called": 3, "expected_found": 0.5, "expected_false": 1e-3, "least_per_ul": 9000.0}
    arm = scores_of(lambda slide: reading(slide.per_ul, "positive", called=20) | {"called": stopped})
    assert arm["false_calls"]["per_cell"][0] == pytest.approx(1e-3, rel=0.02)  # 15 x 20 of 15 x 20,000 cells


def test_means_over_a_fixed_composition_do_not_vary_with_it():
    values = np.array([[1.0] * 5 + [100.0] * 5])
    rng = np.random.default_rng(0)
    assert drawn_means(values, ["low"] * 5 + ["high"] * 5, 50, rng) == pytest.approx(50.5)
    assert np.std(drawn_means(values, None, 400, rng)) > 10


def test_what_is_remembered_of_a_slide_changes_no_image():
    smear = ProceduralSmear(SmearConfig(width_um=600.0, height_um=600.0), 3)
    slide = draw_slides(WHOLE)[0].model_copy(update={"focus_um": 20.0, "tilt_um_per_mm": (10.0, 0.0)})
    optics = SlideOptics.of(slide, smear, TwinConfig(), kept=2)
    board, place = optics.renderer.board, (400.0, 300.0)
    levels = bright_field(board, na=0.1).levels
    alone = FieldRenderer(smear, board, TwinConfig(cached_positions=1))
    # 20 um at the middle, 10 um/mm times 0.1 mm more at this place
    expected = alone.rate(levels, place, 5.0 - 21.0)
    for _ in range(2):
        assert optics.renderer.rate(levels, place, 5.0).equal(expected)


SMALL: dict[str, Any] = {
    "slides": 2,
    "film_um": [1200.0, 800.0],
    "scan": {"suspects": 1, "region": {"columns": 2, "rows": 1}},
    "draws": 200,
}


def blind(microscope: Microscope, kit: ScanKit) -> ScanResult:
    """A scan during which nobody may ask what is on the slide."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PlacedSmear, "truth", _asked)
        return scan_slide(microscope, kit)


def test_a_small_panel_from_slides_to_scores_without_a_look_at_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lsm.experiments.panel.read.scan_slide", blind)
    config = PanelConfig.from_file(CONFIG, **SMALL)
    results = run_panel(config, tmp_path, workers=1, progress=Silent())
    assert results["reduced"]
    assert list(results["scores"]["arms"]) == list(WHOLE.arms)
    for slide in results["slides"]:
        cells = [slide["arms"][name]["cells"] for name in WHOLE.arms]
        assert min(cells) > 100
        captures = [slide["arms"][name]["captures"] for name in WHOLE.arms]
        assert captures[1] > captures[0] >= slide["arms"]["bright field scan"]["fields"]
        for name in WHOLE.arms:
            again = slide["arms"][name]["called_of_all"]
            # of slides without parasites all fields are read once more, for the false positives
            assert (again is None) == (slide["per_ul"] > 0)
            assert again is None or again["cells"] > 0
    told = (tmp_path / "table.md").read_text()
    assert "Reduced panel: 2 of 55" in told
    assert all(name in told for name in WHOLE.arms)
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    table = next(tmp_path.glob("runs/*/readings.jsonl"))
    before = table.read_bytes()
    again = run_panel(config, tmp_path, workers=1, progress=Silent())
    assert table.read_bytes() == before
    assert again["scores"] == results["scores"]


def test_it_is_an_experiment(tmp_path: Path):
    config = tmp_path / "panel.toml"
    text = CONFIG.read_text(encoding="utf-8").replace("columns = 2\nrows = 2", "columns = 1\nrows = 1")
    text = text.replace("slides = 4\ncol", "slides = 2\ncol").replace("[8400.0, 2300.0]", "[1200.0, 800.0]")
    config.write_text(text, encoding="utf-8")
    results = run_experiment("panel", tmp_path / "out", config=config, quick=True)
    assert results == json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["quick"]
    assert results["config"]["slides"] == 2
    assert set(results["machine"]) >= {"commit", "cpu", "date"}


def _asked(smear: Any) -> Any:
    raise AssertionError("a scan asked for the truth")
