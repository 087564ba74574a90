"""Slides that must end as unusable with their reason, never as negative; and good slides that must not."""

from collections import Counter
from collections.abc import Callable

import pytest
from twin_scan import RULES, Disturbed, kit_of, smear_config, twin

from lsm.devices import Microscope, Observe
from lsm.diagnose import Outcome, Verdict
from lsm.diagnose.scan import Ending, FocusConfig, ScanKit, ScanResult, scan_slide
from lsm.diagnose.scan.verdict import judge_scan
from lsm.samples import Bubble, ProceduralSmear, SpoiledSmear

NO_RECHECK = FocusConfig(recheck=False)


def scan(microscope: Microscope, kit: ScanKit) -> tuple[ScanResult, Verdict]:
    result = scan_slide(microscope, kit)
    return result, judge_scan(result, RULES, kit.rule)


def slipping(after: int, by_um: float) -> Microscope:
    """A slide that slips on the stage after that many exposures."""
    return Disturbed(twin(), lambda number, request: (by_um, by_um / 2, 0.0) if number >= after else (0.0, 0.0, 0.0))


def empty() -> Microscope:
    return twin(ProceduralSmear(smear_config(monolayer_per_mm2=10.0, platelets_per_red=0.0), 3))


def stained(factor: float) -> Microscope:
    return twin(SpoiledSmear(ProceduralSmear(smear_config(stain_spread=0.0), 3), stain=factor))


def blurred(z_um: float) -> Microscope:
    return Disturbed(twin(), lambda number, request: (0.0, 0.0, z_um))


UNUSABLE: dict[str, tuple[Callable[[], Microscope], str]] = {
    "unfocused": (lambda: blurred(40.0), "out of focus"),
    "far out of focus": (lambda: blurred(90.0), "out of focus"),
    "below the focus": (lambda: blurred(-45.0), "out of focus"),
    "empty": (empty, "empty"),
    "overstained": (lambda: stained(2.2), "overstained"),
    "hardly stained": (lambda: stained(0.25), "stained"),
    "slipped": (lambda: slipping(3, 60.0), "moved"),
    "slipped a little": (lambda: slipping(4, 15.0), "moved"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_spoiled_slide_is_unusable_with_its_reason(name: str):
    make, reason = UNUSABLE[name]
    _, verdict = scan(make(), kit_of(3, 3, focus=NO_RECHECK, decide=True))
    assert verdict.outcome is Outcome.UNUSABLE
    assert reason in verdict.reason


@pytest.mark.parametrize("overlap", [0.0, 0.1])
def test_a_slipped_slide_is_seen_with_and_without_overlap(overlap: float):
    result, verdict = scan(slipping(3, 100.0), kit_of(3, 3, overlap=overlap))
    assert result.ending is Ending.MOVED
    assert verdict.outcome is Outcome.UNUSABLE


@pytest.mark.parametrize("seed", [3, 11, 12, 13])
def test_good_fields_are_good(seed: int):
    """Slides of the design's kind, other ones than its statistics come from; 4.5 deviations are rare by chance."""
    result, verdict = scan(twin(seed=seed), kit_of(4, 2))
    faults = Counter(visit.fault for visit in result.run.visits)
    assert faults[""] >= 7, faults
    assert verdict.outcome is not Outcome.UNUSABLE


def test_a_bubble_spoils_its_field_alone():
    kit = kit_of(3, 1)
    middle = kit.plan.centres_um[1]
    bubble = Bubble(xy_um=(middle[0] + 20, middle[1] - 10), radius_um=50.0)
    result, _ = scan(twin(SpoiledSmear(ProceduralSmear(smear_config(), 3), bubbles=(bubble,))), kit)
    assert [visit.fault for visit in result.run.visits] == ["", "bubble or debris", ""]
    assert result.rows[1].bins.sum() == 0


def test_a_stage_that_ends_elsewhere_spoils_its_field_alone():
    def off(number: int, request: Observe) -> tuple[float, float, float]:
        return (30.0, 0.0, 0.0) if number == 2 else (0.0, 0.0, 0.0)

    result, _ = scan(Disturbed(twin(), off), kit_of(3, 2, overlap=0.2))
    assert [visit.fault for visit in result.run.visits] == ["", "", "stage elsewhere", "", "", ""]
    assert result.ending is Ending.SCANNED
