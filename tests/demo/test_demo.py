"""The whole loop with real parts: what it leaves behind, and what it may not know."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lsm.diagnose.demo import DemoConfig, DemoResult, run_demo
from lsm.errors import InputError
from lsm.record import open_record
from lsm.samples import CellTable, ProceduralSmear
from lsm_sim.board import read_led_frames

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300)]


def test_both_ways_get_the_same_number_of_captures(demo: DemoResult):
    agent, fixed = demo.rows
    assert agent.captures == fixed.captures >= 1
    assert agent.score is not None
    assert agent.score.true_prevalence == fixed.score.true_prevalence > 0


def test_every_frame_is_recorded_with_its_request_light_place_and_decision(demo: DemoResult):
    with open_record(demo.record) as recording:
        assert recording.complete
        assert recording.n_frames == sum(row.captures for row in demo.rows)
        for frame, decision in zip(recording.frames(), recording.decisions(), strict=True):
            assert frame.image.shape == (192, 192)
            np.testing.assert_array_equal(frame.shown.levels, frame.request.pattern.levels)
            # the simulated stage stops within 0.5 um of its target
            assert np.abs(np.subtract(frame.xy_um, frame.request.xy_um)).max() <= 0.5
            assert decision["run"] in {"agent", "baseline"}
            assert decision["action_name"].startswith("pattern")


def test_what_the_record_calls_light_is_what_the_firmware_emitted(demo: DemoResult):
    """Every lit frame of the record appears, in order, in the board's own log of what it drove into its LEDs."""
    emitted = [levels for _, levels in read_led_frames(demo.record.parent / "board" / "frames.bin") if levels.any()]
    with open_record(demo.record) as recording:
        shown = [frame.shown.levels for frame in recording.frames()]
    assert len(emitted) == len(shown)
    for ours, theirs in zip(shown, emitted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_light_is_on_only_during_exposures(demo: DemoResult):
    log = read_led_frames(demo.record.parent / "board" / "frames.bin")
    lit = [bool(levels.any()) for _, levels in log]
    assert not lit[0]
    assert not lit[-1]
    assert not any(first and second for first, second in pairwise(lit))


def test_the_report_needs_no_network_and_shows_the_run(demo: DemoResult):
    page = demo.report.read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []
    assert f"{demo.run.estimate.cells:,}" in page
    assert "Research use only" in page


class _Scrambled:
    """A smear whose truth was shuffled among its cells after it was painted; everything else is the same."""

    def __init__(self, smear: ProceduralSmear) -> None:
        self.extent_um, self.transmission = smear.extent_um, smear.transmission
        rows = smear.truth().rows.copy()
        rows["infected"] = ~rows["infected"]
        rows["x_um"] = rows["x_um"][::-1]
        self._truth = CellTable(rows)

    def truth(self) -> CellTable:
        return self._truth


@pytest.fixture
def scrambled(monkeypatch: pytest.MonkeyPatch, config: DemoConfig, tmp_path: Path, demo: DemoResult) -> DemoResult:
    import lsm.diagnose.demo as module

    slide = module._slide
    monkeypatch.setattr(module, "_slide", lambda *arguments: _Scrambled(slide(*arguments)))
    return run_demo(config, tmp_path / "scrambled")


def test_nothing_but_the_score_depends_on_the_truth(demo: DemoResult, scrambled: DemoResult):
    """Frames, decisions, estimates and verdict are the same to the bit; only the score is another."""
    with open_record(demo.record) as one, open_record(scrambled.record) as other:
        assert list(one.decisions()) == list(other.decisions())
        for ours, theirs in zip(one.frames(), other.frames(), strict=True):
            np.testing.assert_array_equal(ours.image, theirs.image)
    assert demo.run.estimate == scrambled.run.estimate
    assert demo.verdict == scrambled.verdict
    assert [cell.p_infected for cell in demo.run.cells] == [cell.p_infected for cell in scrambled.run.cells]
    assert demo.rows[0].score != scrambled.rows[0].score


def test_nothing_is_overwritten(demo: DemoResult, config: DemoConfig):
    before = {path: path.stat().st_mtime_ns for path in demo.record.parent.rglob("*")}
    with pytest.raises(InputError, match="not empty"):
        run_demo(config, demo.record.parent)
    assert {path: path.stat().st_mtime_ns for path in demo.record.parent.rglob("*")} == before
