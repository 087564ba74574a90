"""The report of a scan as one HTML file that needs no network."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lsm.agent.results import FieldVisit
from lsm.diagnose._frame_figures import FrameReader, cell_crop, under_each_light
from lsm.diagnose._page import LIGHT_UNIT, bar, board_facts, environment, pattern_cards, rounded, spent
from lsm.diagnose._style import embed_pixels
from lsm.diagnose.compare import ComparisonRow, comparison_lines
from lsm.diagnose.report import shown_levels
from lsm.diagnose.scan_report.facts import CellFacts, ScanReport, VerdictFacts
from lsm.diagnose.scan_report.figures import faults, page_figures
from lsm.diagnose.verdict import Outcome
from lsm.figures import Embedded
from lsm.illum import LedBoard, Pattern
from lsm.types import DutyLevels

Pixels = UInt8[np.ndarray, "crop_y crop_x"]


@dataclass(frozen=True, eq=False)
class Illustrated:
    """The facts with what pictures are made of: the record's frame by capture index, the board and its patterns.

    comparison: ways of looking at the same slide, on the page alone; nothing else of it may know the slide's truth.
    """

    report: ScanReport
    frames: FrameReader
    board: LedBoard
    patterns: tuple[Pattern, ...]
    comparison: tuple[ComparisonRow, ...] = ()

    def crops(self) -> Iterator[tuple[CellFacts, tuple[Pixels | None, ...]]]:
        """Each cell of the queue under each light; None where it was not seen with one."""
        frames = lru_cache(maxsize=16)(self.frames)
        for cell in self.report.queue:
            field = self.report.fields[cell.field]
            taken = dict(zip(field.patterns, field.captures, strict=True))
            yield (
                cell,
                tuple(
                    cell_crop(frames(taken[light]).image, cell.box_px, width_um=self.report.field_um[0])
                    if light in taken
                    else None
                    for light in range(len(self.patterns))
                ),
            )

    def shown(self) -> list[DutyLevels | None]:
        """The levels read back the first time each pattern was used."""
        visits = [self._visit(index) for index in range(len(self.report.fields))]
        return shown_levels(visits, self.frames, len(self.patterns))

    def sample(self) -> tuple[tuple[str, Embedded], ...]:
        """A field that counts under each of its lights, its cells of the queue boxed; none where no field counts."""
        fields, queued = self.report.fields, Counter(cell.field for cell in self.report.queue)
        good = [index for index, field in enumerate(fields) if not field.fault]
        if not good:
            return ()
        chosen = max(good, key=lambda index: (len(set(fields[index].patterns)), queued[index], fields[index].cells))
        return under_each_light(
            self._visit(chosen),
            chosen + 1,
            self.frames,
            [light.name for light in self.report.lights],
            width_um=self.report.field_um[0],
            marked=[
                (str(number), cell.box_px)
                for number, cell in enumerate(self.report.queue, start=1)
                if cell.field == chosen
            ],
        )

    def _visit(self, field: int) -> FieldVisit:
        facts = self.report.fields[field]
        return FieldVisit(facts.xy_um, facts.captures, facts.patterns)


def write_page(path: Path, content: Illustrated) -> Path:
    """Write the page and return its path."""
    path.write_text(render_page(content), encoding="utf-8")
    return path


def render_page(content: Illustrated) -> str:
    """The page with every image inside it; the same content gives the same bytes."""
    return environment().get_template("scan.html.j2").render(_context(content))


def tiles(report: ScanReport) -> dict[str, str]:
    """What was counted and what it cost, by label."""
    good = sum(not field.fault for field in report.fields)
    return spent(
        cells=report.verdict.cells,
        fields=f"{good} good of {len(report.fields)}",
        captures=report.captures,
        light_dose=report.light_dose_led_ms,
        time_s=report.time_s,
        travel_um=report.travel_um,
    )


def asked(report: ScanReport) -> str:
    """The target of the verdict, its error rates, and the reader that they rest on."""
    rule, target = report.rule, f"{rounded(report.rule.target_per_ul)} parasites per microlitre"
    reach = "no density" if rule.least_per_ul is None else f"no less than {rounded(rule.least_per_ul)} per microlitre"
    return (
        f"Asked: fewer than {target}? Whenever the scan ends, at most {100 * rule.alpha:.3g}% of slides without "
        f"parasites are called positive and at most {100 * rule.beta:.3g}% of slides with the target density negative, "
        "if slides differ as those of the calibration do. "
        f"Suspicious: a score of {report.score_edges[rule.first_bin - 1]:.4g} or more, with "
        f"{100 * rule.sensitivity:.3g}% of infected cells ({100 * rule.sensitivity_sd:.2g} points standard deviation "
        f"between slides) and {100 * rule.false_positives:.2g}% of others (varying by "
        f"{100 * rule.false_positives_cv:.0f}%). In any number of cells this reader tells {reach} from none."
    )


def turned(report: ScanReport) -> str:
    """What a review could do to the verdict, were all answers alike and right."""
    if not report.turning and report.verdict.outcome is not Outcome.UNUSABLE:
        return "The same answer to all of these cells would not change the verdict."
    return " ".join(
        f"Were the first {f'{turn.cells} cells' if turn.cells > 1 else 'cell'} rightly called {turn.answer.value}, "
        f"the slide would be {turn.outcome.value}."
        for turn in report.turning
    )


def choices(report: ScanReport) -> list[tuple[str, int, int]]:
    """(lights, fields, cells counted) for each set of lights that fields were looked at with."""
    fields: Counter[tuple[int, ...]] = Counter()
    cells: Counter[tuple[int, ...]] = Counter()
    for field in report.fields:
        lights = tuple(sorted(set(field.patterns)))
        fields[lights] += 1
        cells[lights] += field.cells
    return [
        (", ".join(report.lights[light].name for light in lights), count, cells[lights])
        for lights, count in fields.most_common()
    ]


def choices_caption(report: ScanReport) -> str:
    """Why fields were looked at with these lights."""
    if report.way.startswith(("bright field", "learned")):
        return "The same lights in every field that was good in bright field."
    return "The agent took further lights of a field where they narrow the interval more per second than a new field."


def said_rows(report: ScanReport) -> list[tuple[str, VerdictFacts]]:
    """What was said before and after a review, and at the extremes of what was left unsure."""
    review = report.review
    if review is None:
        return []
    rows = [("The scan", review.before), ("With the answers", report.verdict)]
    if review.if_unsure_infected is not None:
        rows.append(("Were all unsure ones infected", review.if_unsure_infected))
    if review.if_unsure_not is not None:
        rows.append(("Were none of them infected", review.if_unsure_not))
    return rows


def _context(content: Illustrated) -> dict[str, Any]:
    report = content.report
    names = [light.name for light in report.lights]
    return {
        "report": report,
        "slide": report.slide,
        "digest": report.digest(),
        "verdict": report.verdict,
        "bar": bar(report.verdict.estimate.estimate()),
        "tiles": list(tiles(report).items()),
        "light_unit": LIGHT_UNIT,
        "figures": page_figures(report),
        "misread": report.false_positives,
        "faults": faults(report),
        "good": sum(not field.fault for field in report.fields),
        "cards": [
            {
                "cell": cell,
                "thumbs": [
                    (
                        name,
                        None
                        if pixels is None
                        else embed_pixels(pixels, f"cell {number} under {name}, contrast stretched", enlarge=6),
                    )
                    for name, pixels in zip(names, crops, strict=True)
                    if pixels is not None or report.lights[names.index(name)].captures
                ],
            }
            for number, (cell, crops) in enumerate(content.crops(), start=1)
        ],
        "patterns": pattern_cards(
            content.board,
            content.patterns,
            content.shown(),
            na=report.na,
            exposures_ms=[light.exposure_ms for light in report.lights],
            captures=[light.captures for light in report.lights],
        ),
        "samples": content.sample(),
        "comparison": content.comparison,
        "lines": comparison_lines(content.comparison) if content.comparison else (),
        "asked": asked(report),
        "turned": turned(report),
        "choices": choices(report),
        "choices_caption": choices_caption(report),
        "provenance": {**report.provenance, "Board": board_facts(content.board, report.na)},
        "review": report.review,
        "answered": 0 if report.review is None else len(report.review.answers),
        "said_rows": said_rows(report),
    }
