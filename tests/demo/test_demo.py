"""The demonstration with real parts: what it leaves behind, and what it may not know."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lsm.diagnose.demo import DemoConfig, DemoResult, run_demo
from lsm.diagnose.slide import diagnose, resume
from lsm.errors import InputError
from lsm.record import open_record
from lsm.samples import CellTable, ProceduralSmear
from lsm_sim.board import read_led_frames

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300)]


def test_both_scans_look_at_the_same_fields_of_the_same_slide(demo: DemoResult):
    bright, learned = demo.rows
    assert bright.fields == learned.fields == 2
    assert (bright.captures, learned.captures) == (2, 8)
    assert bright.score is not None
    assert learned.score is not None
    assert bright.score.true_prevalence == learned.score.true_prevalence > 0
    # the finder's own figures on the design's slides lie above 0.9
    assert min(row.score.recall for row in demo.rows if row.score) > 0.8


def test_every_frame_is_recorded_with_its_request_light_place_and_decision(demo: DemoResult):
    for scan in (demo.bright, demo.learned):
        with open_record(scan.record) as recording:
            assert recording.complete
            assert recording.n_frames == scan.run.captures
            for frame, decision in zip(recording.frames(), recording.decisions(), strict=True):
                assert frame.image.shape == (192, 192)
                np.testing.assert_array_equal(frame.shown.levels, frame.request.pattern.levels)
                # the simulated stage stops within 0.5 um of its target
                assert np.abs(np.subtract(frame.xy_um, frame.request.xy_um)).max() <= 0.5
                assert decision["action"] == "scan"


def test_what_the_records_call_light_is_what_the_firmware_emitted(demo: DemoResult):
    """Every lit frame of the records appears, in order, in the board's own log of what it drove into its LEDs."""
    emitted = [levels for _, levels in read_led_frames(demo.board / "frames.bin") if levels.any()]
    shown = []
    for scan in (demo.bright, demo.learned):
        with open_record(scan.record) as recording:
            shown += [frame.shown.levels for frame in recording.frames()]
    assert len(emitted) == len(shown)
    for ours, theirs in zip(shown, emitted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_light_is_on_only_during_exposures(demo: DemoResult):
    lit = [bool(levels.any()) for _, levels in read_led_frames(demo.board / "frames.bin")]
    assert not lit[0]
    assert not lit[-1]
    assert not any(first and second for first, second in pairwise(lit))


def test_the_report_needs_no_network_and_compares_both_scans(demo: DemoResult):
    page = demo.learned.report.read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []
    assert f"{demo.learned.run.estimate.cells:,}" in page
    assert "Research use only" in page
    for row in demo.rows:
        assert f'<th scope="col">{row.policy}</th>' in page
    assert 'class="score"' in page
    assert 'class="score"' not in demo.bright.report.read_text(encoding="utf-8")


def test_nobody_goes_on_with_a_slide_that_is_gone(demo: DemoResult, config: DemoConfig, tmp_path: Path):
    settings = config.scan("bright field", "procedural", "lost")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(settings, tmp_path / "run", on_step=stop, made_of="procedural")
    with pytest.raises(InputError, match="went with the program"):
        resume(tmp_path / "run")


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
    """Frames, decisions, cells, estimates and verdicts are the same to the bit; only the score is another."""
    for ours, theirs in ((demo.bright, scrambled.bright), (demo.learned, scrambled.learned)):
        with open_record(ours.record) as one, open_record(theirs.record) as other:
            assert list(one.decisions()) == list(other.decisions())
            for frame, again in zip(one.frames(), other.frames(), strict=True):
                np.testing.assert_array_equal(frame.image, again.image)
        assert ours.run.estimate == theirs.run.estimate
        assert ours.verdict == theirs.verdict
        assert ours.cells is not None
        assert theirs.cells is not None
        assert ours.cells.read_bytes() == theirs.cells.read_bytes()
    assert demo.rows[0].score != scrambled.rows[0].score


def test_nothing_is_overwritten(demo: DemoResult, config: DemoConfig):
    folder = demo.board.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(InputError, match="not empty"):
        run_demo(config, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
