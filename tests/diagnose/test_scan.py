"""A scan of a small slide by the twin: what it finds, counts, and hands over."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from twin_scan import RULES, kit_of, model, rig, smear_config, twin

from lsm.devices import Frame
from lsm.diagnose import Outcome
from lsm.diagnose.scan import Ending, ScanConfig, ScanResult, read_cells, scan_slide
from lsm.diagnose.scan.kit import scan_kit
from lsm.diagnose.scan.verdict import judge_scan
from lsm.diagnose.verdict import Interval
from lsm.errors import ModelMismatch
from lsm.samples import ProceduralSmear
from lsm.sensing import Bundle


@pytest.fixture(scope="module")
def told() -> list[tuple[Frame, dict[str, Any]]]:
    return []


@pytest.fixture(scope="module")
def scanned(told: list[tuple[Frame, dict[str, Any]]]) -> ScanResult:
    return scan_slide(twin(), kit_of(), on_capture=lambda frame, what: told.append((frame, what)))


def test_every_field_of_the_plan_is_scanned_once(scanned: ScanResult):
    assert scanned.ending is Ending.SCANNED
    assert [visit.fault for visit in scanned.run.visits] == [""] * 6
    assert scanned.run.captures == 6
    places = [visit.xy_um for visit in scanned.run.visits]
    assert len(set(places)) == 6
    assert max(np.hypot(*(np.array(a) - b)) for a, b in pairwise(places)) < 231


def test_every_frame_is_handed_over_with_what_it_is_for(scanned: ScanResult, told: list[tuple[Frame, dict[str, Any]]]):
    assert [what["field"] for _, what in told] == list(range(6))
    assert {what["action"] for _, what in told} == {"scan"}
    assert told[0][1]["cells"] == 0
    assert scanned.run.light_dose == pytest.approx(sum(frame.light_dose for frame, _ in told))


def test_memory_holds_a_bounded_number_of_cells(scanned: ScanResult):
    assert scanned.run.red_cells > 500
    in_one_field = max(visit.counts["red cell"] for visit in scanned.run.visits)
    assert len(scanned.run.cells) <= in_one_field + ScanConfig().suspects
    assert len(scanned.suspects) == ScanConfig().suspects
    evidence = [one.evidence for one in scanned.suspects]
    assert evidence == sorted(evidence, reverse=True)
    assert {crop.shape for one in scanned.suspects for crop in one.crops.values()} == {(13, 13)}


def test_all_counted_cells_are_in_the_file(tmp_path: Any):
    from lsm.diagnose.scan import CellFile

    with CellFile(tmp_path / "cells.bin") as cells:
        result = scan_slide(twin(), kit_of(2, 1), cells=cells)
    fields = list(read_cells(tmp_path / "cells.bin"))
    assert len(fields) == 2
    assert sum(map(len, fields)) == result.run.red_cells
    bins = np.bincount(np.searchsorted(model().tensors["scan.score_edges"].numpy(), np.concatenate(fields)["score"]))
    assert bins.tolist() == result.run.counts.sum(axis=0)[: len(bins)].tolist()


@pytest.mark.parametrize(("light", "all_of_them"), [("learned", True), ("agent", False)])
def test_fields_are_read_under_the_patterns_of_the_light(light: str, all_of_them: bool):
    result = scan_slide(twin(), kit_of(2, 1, light=light))
    masks = {visit.mask for visit in result.run.visits}
    assert all(mask & 1 for mask in masks)
    assert (masks == {15}) or not all_of_them
    assert np.flatnonzero(result.run.counts.sum(axis=1)).tolist() == sorted(masks)
    assert result.run.captures == sum(len(visit.patterns) for visit in result.run.visits)


def test_a_scan_ends_when_its_rule_decides():
    heavy = ProceduralSmear(smear_config(parasitaemia=0.3), 5)
    kit = kit_of(3, 3, light="learned", decide=True)
    result = scan_slide(twin(heavy), kit)
    assert result.ending is Ending.DECIDED
    assert len(result.run.visits) < 9
    verdict = judge_scan(result, RULES, kit.rule)
    assert verdict.outcome is Outcome.POSITIVE
    assert verdict.per_ul_low < 0.3 * 5e6 < verdict.per_ul_high
    assert verdict.interval is Interval.ANY_TIME


def test_what_was_scanned_to_a_planned_end_has_the_interval_of_one(scanned: ScanResult):
    verdict = judge_scan(scanned, RULES, kit_of().rule)
    assert verdict.interval is Interval.FIXED
    last = scanned.run.decisions[-1].estimate
    assert last.low <= verdict.estimate.low  # the one that holds at any time is wider
    assert verdict.estimate.high <= last.high
    assert verdict.estimate.prevalence == last.prevalence


def test_the_same_frames_lead_to_the_same_findings(scanned: ScanResult):
    again = scan_slide(twin(), kit_of())
    assert again.run.estimate == scanned.run.estimate
    assert np.array_equal(again.run.counts, scanned.run.counts)
    assert Counter(again.run.cells) == Counter(scanned.run.cells)


@pytest.mark.parametrize("light", ["bright field", "learned"])
def test_a_model_that_is_calibrated_for_policies_alone_is_refused_with_the_command_that_mends_it(light: Any):
    older = {name: tensor for name, tensor in model().tensors.items() if not name.startswith("scan")}
    bundle = Bundle.of(model().card, older)
    with pytest.raises(ModelMismatch, match="not calibrated for scans") as refused:
        scan_kit(bundle, rig(), ScanConfig(light=light), RULES)
    assert "lsm design CONFIG --calibrate MODEL" in refused.value.hint
