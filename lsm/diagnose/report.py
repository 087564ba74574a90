"""One page that holds everything about a run and needs no network to be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lsm.agent.results import Decision, FieldVisit, SlideRun
from lsm.diagnose import _frame_figures, _slide_figures
from lsm.diagnose._frame_figures import FrameReader
from lsm.diagnose._page import LIGHT_UNIT, bar, board_facts, environment, pattern_cards, spent
from lsm.diagnose.compare import interval, led_seconds, percent
from lsm.diagnose.verdict import Verdict
from lsm.errors import WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.types import DutyLevels

STANDING_LIMITS = (
    "This page is the output of a research instrument. It has not been validated on patients and must not "
    "be used to diagnose, to treat or to exclude a disease.",
    "The interval covers counting error and how much calibration slides differ from one another. It does not "
    "cover a slide that is unlike all of them: another stain, another microscope, another species.",
    "Cells are judged one by one at low magnification; species and stage are not determined.",
    "Densities assume the stated number of red cells per microlitre, not a count of this patient's blood.",
)


@dataclass(frozen=True, eq=False)
class ReportContent:
    """What the report is made of; nothing in it knows the truth.

    frames: the record's frame by capture index. patterns, exposures_ms: the codebook in its order.
    na: the objective's numerical aperture.
    provenance: groups of facts by title ("Rig", "Model", "Identity"), each a label with its value.
    """

    slide: str
    run: SlideRun
    verdict: Verdict
    frames: FrameReader
    board: LedBoard
    patterns: tuple[Pattern, ...]
    exposures_ms: tuple[float, ...]
    na: float
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: tuple[str, ...] = STANDING_LIMITS
    gallery_size: int = 12


def write_report(path: Path, content: ReportContent) -> Path:
    """Write the page and return its path; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(content), encoding="utf-8")
    return path


def render_report(content: ReportContent) -> str:
    """The page as HTML with every image inside it; the same content gives the same bytes.

    Raises WrongFormat where codebook, exposures and run do not fit together.
    """
    _check(content)
    return environment().get_template("report.html.j2").render(_context(content))


def _context(content: ReportContent) -> dict[str, Any]:
    run, names = content.run, [pattern.name for pattern in content.patterns]
    frames = lru_cache(maxsize=64)(content.frames)
    shown = shown_levels(run.visits, frames, len(names))
    cards = pattern_cards(
        content.board,
        content.patterns,
        shown,
        na=content.na,
        exposures_ms=content.exposures_ms,
        captures=[sum(visit.patterns.count(index) for visit in run.visits) for index in range(len(names))],
    )
    tiles = spent(
        cells=content.verdict.cells,
        fields=str(content.verdict.fields),
        captures=run.captures,
        light_dose=run.light_dose,
        time_s=run.time_s,
        travel_um=run.travel_um,
    )
    return {
        "content": content,
        "slide": content.slide,
        "run": run,
        "verdict": content.verdict,
        "bar": bar(content.verdict.estimate),
        "tiles": list(tiles.items()),
        "light_unit": LIGHT_UNIT,
        "provenance": {**content.provenance, "Board": board_facts(content.board, content.na)},
        "slide_map": _slide_figures.slide_map(run, names),
        "settling": _slide_figures.settling(run),
        "patterns": cards,
        "samples": _frame_figures.field_samples(run, frames, names),
        "cells_image": _frame_figures.cells_on_frame(run, frames, names),
        "gallery": _frame_figures.gallery(run, frames, names, size=content.gallery_size),
        "histogram": _slide_figures.score_histogram(run),
        "strip": _slide_figures.decision_strip(run) if run.decisions else None,
        "steps": [_step(run, number, step) for number, step in enumerate(run.decisions, start=1)],
        "faulty": [(order, visit.fault) for order, visit in enumerate(run.visits, start=1) if visit.fault],
    }


def shown_levels(visits: Sequence[FieldVisit], frames: FrameReader, patterns: int) -> list[DutyLevels | None]:
    """The levels read back the first time each pattern was used; None for a pattern that was not."""
    first: dict[int, int] = {}
    for visit in visits:
        for pattern, capture in zip(visit.patterns, visit.captures, strict=True):
            first.setdefault(pattern, capture)
    return [frames(first[index]).shown.levels if index in first else None for index in range(patterns)]


def _step(run: SlideRun, number: int, step: Decision) -> dict[str, str]:
    return {
        "number": str(number),
        "field": str(step.field + 1),
        "action": run.action_names[step.action],
        "chance": f"{step.probabilities[step.action]:.0%}" if step.probabilities else "fixed",
        "estimate": percent(step.estimate.prevalence),
        "interval": interval(step.estimate),
        "light": led_seconds(step.light_dose),
        "time": f"{step.time_s:.1f} s",
    }


def _check(content: ReportContent) -> None:
    used: Sequence[int] = [pattern for visit in content.run.visits for pattern in visit.patterns]
    if len(content.patterns) != len(content.exposures_ms) or max(used, default=0) >= len(content.patterns):
        raise WrongFormat(
            f"A codebook of {len(content.patterns)} patterns with {len(content.exposures_ms)} exposures does not fit "
            f"a run that used pattern {max(used, default=0)}.",
            hint="give the codebook of the model that made the run",
        )
