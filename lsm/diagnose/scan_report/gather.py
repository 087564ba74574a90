"""From a scan to the facts of its report."""

from collections.abc import Mapping, Sequence

import numpy as np

from lsm.diagnose import _light_figures
from lsm.diagnose._frame_figures import FrameReader
from lsm.diagnose.report import STANDING_LIMITS, shown_levels
from lsm.diagnose.scan import CellOdds, ScanKit, ScanResult
from lsm.diagnose.scan_report.facts import (
    FalsePositiveFacts,
    FieldFacts,
    LightFacts,
    MaskFacts,
    RuleFacts,
    ScanReport,
    VerdictFacts,
)
from lsm.diagnose.scan_report.queue import review_queue, turning_points
from lsm.diagnose.verdict import Verdict, VerdictRules
from lsm.stats import ScoreCalibration

TAILS = (0.025, 0.975)


def scan_report(
    result: ScanResult,
    verdict: Verdict,
    kit: ScanKit,
    rules: VerdictRules,
    frames: FrameReader,
    *,
    slide: str,
    provenance: Mapping[str, Mapping[str, str]],
) -> ScanReport:
    """All that is said about the scan. frames: the record's frame by capture index."""
    run, odds, terms = result.run, CellOdds(kit.calibration), kit.rule.terms(result.run.counts)
    target = terms.target_per_ul / rules.red_cells_per_ul
    queue = review_queue(result.suspects, kit.reader, odds, run.estimate, target=target)
    return ScanReport(
        slide=slide,
        verdict=VerdictFacts.of(verdict),
        rule=RuleFacts.of(terms, suspicious=result.said.suspicious),
        ending=result.ending.value,
        way=run.policy,
        planned=result.planned,
        captures=run.captures,
        focus_searches=result.searches,
        light_dose_led_ms=run.light_dose,
        time_s=run.time_s,
        travel_um=run.travel_um,
        field_um=run.field_um,
        na=kit.na,
        fields=_fields(result),
        lights=_lights(result, kit, frames),
        score_edges=tuple(kit.reader.score_edges.tolist()),
        scores=score_facts(run.counts, kit.calibration),
        false_positives=false_positives(run.counts, odds),
        queue=queue,
        turning=turning_points(run.counts, queue, verdict, kit.rule, odds),
        provenance={title: dict(facts) for title, facts in provenance.items()},
        limits=STANDING_LIMITS,
    )


def counts_of(report: ScanReport, calibration: ScoreCalibration) -> np.ndarray:
    """Red cells per set of lights and score bin, as the calibration has them."""
    counts = np.zeros(calibration.infected.shape, dtype=np.int64)
    for facts in report.scores:
        counts[facts.mask] = facts.cells
    return counts


def _fields(result: ScanResult) -> tuple[FieldFacts, ...]:
    run = result.run
    return tuple(
        FieldFacts(
            xy_um=row.visit.xy_um,
            z_um=row.z_um,
            patterns=row.visit.patterns,
            captures=row.visit.captures,
            cells=int(row.bins.sum()),
            expected_infected=share,
            quality=row.visit.quality,
            fault=row.visit.fault,
            prevalence=step.estimate.prevalence,
            low=step.estimate.low,
            high=step.estimate.high,
            light_dose_led_ms=step.light_dose,
            time_s=step.time_s,
        )
        for row, step, share in zip(result.rows, run.decisions, run.densities or (), strict=True)
    )


def _lights(result: ScanResult, kit: ScanKit, frames: FrameReader) -> tuple[LightFacts, ...]:
    visits, codebook = result.run.visits, kit.codebook
    shown = shown_levels(visits, frames, len(codebook))
    return tuple(
        LightFacts(
            name=pattern.name,
            exposure_ms=exposure_ms,
            total_duty=pattern.total_duty,
            pattern_digest=pattern.digest,
            captures=sum(visit.patterns.count(index) for visit in visits),
            fields=sum(index in visit.patterns for visit in visits),
            agreement=_light_figures.agreement(pattern, levels),
        )
        for index, (pattern, exposure_ms, levels) in enumerate(
            zip(codebook.patterns, codebook.exposures_ms, shown, strict=True)
        )
    )


def score_facts(counts: np.ndarray, calibration: ScoreCalibration) -> tuple[MaskFacts, ...]:
    """Cells per set of lights and score bin beside those expected without infection."""
    _, drawn = calibration.drawn
    facts = []
    for mask in np.flatnonzero(counts.sum(axis=1)):
        cells = int(counts[mask].sum())
        low, high = np.quantile(drawn[:, mask], TAILS, axis=0) * cells
        facts.append(
            MaskFacts(
                mask=int(mask),
                cells=tuple(int(value) for value in counts[mask]),
                expected_uninfected=_plain(calibration.p_uninfected[mask] * cells),
                low=_plain(low),
                high=_plain(high),
            )
        )
    return tuple(facts)


def false_positives(counts: np.ndarray, odds: CellOdds) -> FalsePositiveFacts:
    """Over all sets of lights, each by its share of the cells."""
    speaks = odds.ratios > 1
    share = counts.sum(axis=1, keepdims=True) / max(1, int(counts.sum()))
    _, drawn = odds.calibration.drawn
    rates = (drawn * speaks * share).sum(axis=(1, 2))
    low, high = np.minimum(np.quantile(rates, TAILS), 1.0)
    mean = min(1.0, float((odds.calibration.p_uninfected * speaks * share).sum()))
    return FalsePositiveFacts(
        per_cell=mean,
        low=float(low),
        high=float(high),
        suspicious=int(counts[speaks].sum()),
        expected=mean * int(counts.sum()),
    )


def _plain(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
