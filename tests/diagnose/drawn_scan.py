"""The report of a scan over 500 drawn fields, some of them faulty, with frames to cut cells from."""

from collections.abc import Callable
from functools import cache

import numpy as np
from drawn_run import BINS, BOARD, CELLS_PER_FIELD, FIELD_UM, MASKS, PIXEL_UM, calibration, codebook, draw, drawn_slide

from lsm.agent.results import CellFinding
from lsm.devices import Frame, Observe, Shown
from lsm.diagnose import VerdictRules
from lsm.diagnose.report import STANDING_LIMITS
from lsm.diagnose.scan import CellOdds, Suspect, SuspicionRule
from lsm.diagnose.scan.kit import suspicion_rule
from lsm.diagnose.scan.verdict import judge_said
from lsm.diagnose.scan_report.facts import FieldFacts, LightFacts, RuleFacts, ScanReport, VerdictFacts
from lsm.diagnose.scan_report.gather import false_positives, score_facts
from lsm.diagnose.scan_report.page import Illustrated
from lsm.diagnose.scan_report.queue import review_queue, turning_points
from lsm.diagnose.verdict import Verdict

COLUMNS, ROWS = 25, 20
FAULTS = {7: "bubble or debris", 41: "crowded", 42: "crowded", 260: "out of focus", 499: "empty"}
TARGET_PER_UL = 20_000.0
RULES = VerdictRules(target_per_ul=TARGET_PER_UL)
LIGHTS = (0, 1, 2, 3)


def rule() -> SuspicionRule:
    """As a scan by the agent would have it."""
    return suspicion_rule("agent", calibration(), RULES)


class Bins:
    """Ten equal score bins, as those of the drawn calibration."""

    @staticmethod
    def bins(scores: np.ndarray) -> np.ndarray:
        return np.minimum((scores * BINS).astype(int), BINS - 1)


def field_centre(field: int) -> tuple[float, float]:
    """Serpentine over the stage, first row from left to right."""
    row, column = divmod(field, COLUMNS)
    column = column if row % 2 == 0 else COLUMNS - 1 - column
    return ((column - COLUMNS / 2) * 210.0, (row - ROWS / 2) * 210.0)


def frames() -> Callable[[int], Frame]:
    """Every field looks like one of the drawn slide's."""
    slide, patterns = drawn_slide(), codebook()

    @cache
    def read(capture: int) -> Frame:
        field, pattern = divmod(capture, 4)
        place = field % 60
        x, y = (place % 10 + 0.5) * FIELD_UM, (place // 10 + 0.5) * FIELD_UM
        image = draw(slide, x, y, pattern, capture)
        request = Observe(patterns[pattern], 10.0, field_centre(field))
        return Frame(image, request, Shown(patterns[pattern].levels), field_centre(field), 0.0, 0, 10_000_000)

    return read


@cache
def scanned(fields: int = 500, prevalence: float = 0.03) -> tuple[ScanReport, np.ndarray, Verdict]:
    """Report, counts and verdict. Two of three fields are looked at under all lights, the rest in bright field."""
    slide = drawn_slide(prevalence)
    counts = np.zeros((MASKS, BINS), dtype=np.int64)
    said = rule().after(counts, 0)
    rows, suspects, evidence = [], [], CellOdds(calibration()).ratios
    for field in range(fields):
        lights = LIGHTS if field % 3 else (0,)
        mask = sum(1 << light for light in lights)
        inside = np.flatnonzero(slide.field == field % 60)
        bins = Bins.bins(slide.scores[inside])
        fault = FAULTS.get(field, "")
        if not fault:
            np.add.at(counts[mask], bins, 1)
            for cell, score_bin in zip(inside, bins, strict=True):
                if score_bin >= 8:
                    suspects.append(Suspect(_finding(int(cell), field, mask), float(evidence[mask, score_bin])))
        if field % 20 == 0 or field > fields - 3:
            said = rule().after(counts, field + 1)
        rows.append(
            FieldFacts(
                xy_um=field_centre(field),
                z_um=0.5,
                patterns=lights,
                captures=tuple(4 * field + light for light in lights),
                cells=0 if fault else CELLS_PER_FIELD,
                expected_infected=0.0 if fault else float((bins >= 8).mean()),
                quality=0.3 if fault else 0.95 - 0.3 * (field % 7) / 7,
                fault=fault,
                prevalence=said.estimate.prevalence,
                low=said.estimate.low,
                high=said.estimate.high,
                light_dose_led_ms=90.0 * (field + 1),
                time_s=0.4 * (field + 1),
            )
        )
    verdict = judge_said(said, counts, RULES, rule(), fields=fields)
    suspects.sort(key=lambda one: -one.evidence)
    odds, terms = CellOdds(calibration()), rule().terms(counts)
    queue = review_queue(suspects[:24], Bins(), odds, said.estimate, target=terms.target_per_ul / 5e6)
    patterns = codebook()
    report = ScanReport(
        slide="drawn & odd slide <0>",
        verdict=VerdictFacts.of(verdict),
        rule=RuleFacts.of(terms, suspicious=said.suspicious),
        ending="all fields of the plan were scanned",
        way="agent",
        planned=fields,
        captures=sum(len(row.patterns) for row in rows),
        focus_searches=3,
        light_dose_led_ms=90.0 * fields,
        time_s=0.4 * fields,
        travel_um=210.0 * fields,
        field_um=(FIELD_UM, FIELD_UM),
        na=0.1,
        fields=tuple(rows),
        lights=tuple(
            LightFacts(
                name=patterns[light].name,
                exposure_ms=10.0,
                total_duty=patterns[light].total_duty,
                pattern_digest=patterns[light].digest,
                captures=sum(light in row.patterns for row in rows),
                fields=sum(light in row.patterns for row in rows),
                agreement="read back: all 169 levels as asked",
            )
            for light in LIGHTS
        ),
        score_edges=tuple(np.linspace(0, 1, BINS + 1)[1:-1].tolist()),
        scores=score_facts(counts, calibration()),
        false_positives=false_positives(counts, odds),
        queue=queue,
        turning=turning_points(counts, queue, verdict, rule(), odds),
        provenance={"Rig": {"Name": "simulated", "Digest": "90ab12cd34ef5678"}, "Model": {"Name": "procedural"}},
        limits=STANDING_LIMITS,
    )
    return report, counts, verdict


def illustrated(report: ScanReport) -> Illustrated:
    """With the drawn frames."""
    return Illustrated(report, frames(), BOARD, codebook())


def _finding(cell: int, field: int, mask: int) -> CellFinding:
    slide, place = drawn_slide(), field % 60
    row = slide.truth.rows[cell]
    x0, y0 = (place % 10) * FIELD_UM, (place // 10) * FIELD_UM
    column, line = (float(row["x_um"]) - x0) / PIXEL_UM, (float(row["y_um"]) - y0) / PIXEL_UM
    half = float(row["radius_um"]) / PIXEL_UM + 1
    box = (column - half, line - half, column + half, line + half)
    x, y = field_centre(field)
    return CellFinding(x, y, box, float(slide.scores[cell]), field, mask)
