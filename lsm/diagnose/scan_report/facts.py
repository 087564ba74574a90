"""Everything that the report of a scan says, as plain values: report.json, from which page and PDF are made.

The JSON schema beside this file is generated from these classes:
`python -c "from lsm.diagnose.scan_report.facts import *; SCHEMA_FILE.write_text(schema_text())"`.
"""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import ValidationError

from lsm.config import Config
from lsm.diagnose.scan import Terms
from lsm.diagnose.verdict import Interval, Outcome, Verdict
from lsm.errors import FileMissing, WrongFormat
from lsm.stats import PrevalenceEstimate

VERSION = "lsm-scan-report/3"
RESEARCH_ONLY = "Research use only, not a diagnosis."
SCHEMA_FILE = Path(__file__).parent / "report.schema.json"

Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0)]
NotNegative = Annotated[float, Ge(0)]
Place = tuple[float, float]


class EstimateFacts(Config):
    """Infected share of the red cells with its interval at `confidence`, from so many cells."""

    prevalence: Share
    low: Share
    high: Share
    cells: Count
    confidence: Share

    @classmethod
    def of(cls, estimate: PrevalenceEstimate) -> "EstimateFacts":
        """The same values."""
        return cls(
            prevalence=estimate.prevalence,
            low=estimate.low,
            high=estimate.high,
            cells=estimate.cells,
            confidence=estimate.confidence,
        )

    def estimate(self) -> PrevalenceEstimate:
        """The same values."""
        return PrevalenceEstimate(self.prevalence, self.low, self.high, self.cells, self.confidence)


class VerdictFacts(Config):
    """What is said about the slide and why; densities in infected red cells per microlitre, by `convention`.

    interval: what that of the estimate holds against. interval_open: it still holds what the test has excluded, 0 of a
    positive slide, the target of a negative one; the reason then says so.
    """

    outcome: Outcome
    reason: str
    estimate: EstimateFacts
    per_ul: NotNegative
    per_ul_low: NotNegative
    per_ul_high: NotNegative
    red_cells_per_ul: NotNegative
    convention: str
    fields: Count
    more_fields: Count | None = None
    interval: Interval
    interval_open: bool = False

    @classmethod
    def of(cls, verdict: Verdict) -> "VerdictFacts":
        """The same values."""
        return cls(
            outcome=verdict.outcome,
            reason=verdict.reason,
            estimate=EstimateFacts.of(verdict.estimate),
            per_ul=verdict.per_ul,
            per_ul_low=verdict.per_ul_low,
            per_ul_high=verdict.per_ul_high,
            red_cells_per_ul=verdict.red_cells_per_ul,
            convention=verdict.convention,
            fields=verdict.fields,
            more_fields=verdict.more_fields,
            interval=verdict.interval,
            interval_open=verdict.interval_open,
        )

    @property
    def cells(self) -> int:
        """Red cells counted, each once."""
        return self.estimate.cells


class RuleFacts(Config):
    """What the verdict was asked for, and the reader that it rests on; fixed before the slide was looked at.

    target_per_ul: parasites per microlitre; a negative slide has fewer. alpha: share of slides without parasites that
    are called positive at most; beta: of slides of the target density that are called negative; whenever the scan ends.
    first_bin: cells of the score bins from it on are suspicious. suspicious: so many here.
    sensitivity, false_positives: shares of infected and of other cells that are suspicious, over slides, with the
    standard deviation between slides and with the coefficient of variation. least_per_ul: the lowest target that this
    reader tells from none in any number of cells, None where there is none.
    """

    target_per_ul: NotNegative
    alpha: Share
    beta: Share
    first_bin: Count
    suspicious: Count
    sensitivity: Share
    sensitivity_sd: NotNegative
    false_positives: Share
    false_positives_cv: NotNegative
    least_per_ul: NotNegative | None

    @classmethod
    def of(cls, terms: Terms, *, suspicious: int) -> "RuleFacts":
        """The same values."""
        errors, least = terms.errors, terms.least_per_ul
        return cls(
            target_per_ul=terms.target_per_ul,
            alpha=terms.alpha,
            beta=terms.beta,
            first_bin=terms.first_bin,
            suspicious=suspicious,
            sensitivity=errors.sensitivity.mean,
            sensitivity_sd=errors.sensitivity.sd,
            false_positives=errors.false_positives.mean,
            false_positives_cv=errors.false_positives.cv,
            least_per_ul=least if math.isfinite(least) else None,
        )


class FieldFacts(Config):
    """One field, in the order of the scan.

    xy_um, z_um: stage. patterns, captures: indices into the lights and into the record, in the order of capture.
    cells: red cells counted here and nowhere before. expected_infected: share of them, at the slide's estimate.
    quality: 0 unusable .. 1 good. fault: empty where the field counts. prevalence, low, high, light_dose_led_ms,
    time_s: of the scan, after this field.
    """

    xy_um: Place
    z_um: float
    patterns: tuple[Count, ...]
    captures: tuple[Count, ...]
    cells: Count
    expected_infected: Share
    quality: Share
    fault: str
    prevalence: Share
    low: Share
    high: Share
    light_dose_led_ms: NotNegative
    time_s: NotNegative


class LightFacts(Config):
    """A pattern of the codebook: total_duty in LEDs at full drive; captures and fields that used it; and in words, how
    the levels read back compare with those asked for.
    """

    name: str
    exposure_ms: NotNegative
    total_duty: NotNegative
    pattern_digest: str
    captures: Count
    fields: Count
    agreement: str


class MaskFacts(Config):
    """Red cells seen under one set of lights, by score bin, beside what uninfected cells alone would give.

    mask: bit k is light k. expected_uninfected: were every cell uninfected, on the mean calibration slide; low, high:
    the middle 95 % of slides to come.
    """

    mask: Count
    cells: tuple[Count, ...]
    expected_uninfected: tuple[NotNegative, ...]
    low: tuple[NotNegative, ...]
    high: tuple[NotNegative, ...]


class FalsePositiveFacts(Config):
    """Uninfected cells whose score speaks for infection (likelihood ratio above 1), per uninfected cell.

    per_cell, low, high: mean of the calibration slides, and the middle 95 % of slides to come.
    suspicious: cells of this slide with such a score. expected: of them false, at the mean rate.
    """

    per_cell: Share
    low: Share
    high: Share
    suspicious: Count
    expected: NotNegative


class CellFacts(Config):
    """A cell of the review queue.

    box_px: x0, y0, x1, y1 in the field's frames. score: class-balanced. bin, mask: of the calibration. evidence:
    likelihood ratio of infected to uninfected. probability, probability_high: at the slide's estimate and at the high
    end of its interval. weight: what the answer "not infected" adds to the logarithm of the odds against the target
    density.
    """

    id: str
    field: Count
    xy_um: Place
    box_px: tuple[float, float, float, float]
    score: Share
    bin: Count
    mask: Count
    evidence: NotNegative
    probability: Share
    probability_high: Share
    weight: NotNegative


class Answer(StrEnum):
    """What an operator says of a cell."""

    INFECTED = "infected"
    NOT_INFECTED = "not infected"
    UNSURE = "unsure"


class TurningFacts(Config):
    """What a review can do to the verdict: the fewest cells from the head of the queue, all answered alike, and what
    the slide would then be called.
    """

    answer: Answer
    cells: Count
    outcome: Outcome


class ReviewFacts(Config):
    """An operator's answers and what they did.

    sensitivity, specificity: of the operator. before: the verdict of the scan. if_unsure_infected, if_unsure_not: the
    verdicts had every cell that the operator was unsure of been answered so; None where there was none.
    """

    operator: str
    reviewed: str
    answers: dict[str, Answer]
    sensitivity: Share
    specificity: Share
    before: VerdictFacts
    if_unsure_infected: VerdictFacts | None = None
    if_unsure_not: VerdictFacts | None = None
    method: str


class ScanReport(Config):
    """report.json. score_edges: between the score bins, rising; a score on one is in the bin above it. provenance:
    groups of facts by title. limits: what the report cannot say.
    """

    version: Literal["lsm-scan-report/3"] = "lsm-scan-report/3"
    notice: Literal["Research use only, not a diagnosis."] = "Research use only, not a diagnosis."
    slide: str
    verdict: VerdictFacts
    rule: RuleFacts
    ending: str
    way: str
    planned: Count
    captures: Count
    focus_searches: Count
    light_dose_led_ms: NotNegative
    time_s: NotNegative
    travel_um: NotNegative
    field_um: Place
    na: NotNegative
    fields: tuple[FieldFacts, ...]
    lights: tuple[LightFacts, ...]
    score_edges: tuple[Share, ...]
    scores: tuple[MaskFacts, ...]
    false_positives: FalsePositiveFacts
    queue: tuple[CellFacts, ...]
    turning: tuple[TurningFacts, ...]
    provenance: dict[str, dict[str, str]]
    limits: tuple[str, ...]
    review: ReviewFacts | None = None

    def write(self, path: Path) -> Path:
        """As JSON; returns the path."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> "ScanReport":
        """What `write` wrote. Raises FileMissing, WrongFormat."""
        if not path.is_file():
            raise FileMissing(f"There is no report {path}.", hint="give the folder of a scan that has ended")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise WrongFormat(
                f"{path} is no report of the form {VERSION}: {error.errors()[0]['msg']}.",
                hint="give a report that this version wrote, unchanged; a scan made before it has to be made again",
            ) from error


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of report.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | ScanReport.model_json_schema(
        mode="serialization"
    )


def schema_text() -> str:
    """The schema as it is kept in the file."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"
