"""An operator's answers to the queue of a scan, and the verdict with them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lsm.config import Config
from lsm.diagnose.scan import CellOdds, StoppingRule
from lsm.diagnose.scan_report.facts import Answer, ReviewFacts, ScanReport, VerdictFacts
from lsm.diagnose.scan_report.gather import counts_of
from lsm.diagnose.scan_report.queue import METHOD, reviewed_verdict
from lsm.diagnose.verdict import Outcome, VerdictRules
from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.stats import OperatorAccuracy, ScoreCalibration


class Answers(Config):
    """answers.json, as the page saves it: what an operator says of cells, by their id."""

    version: Literal["lsm-review-answers/1"]
    slide: str
    report_digest: str
    operator: str = ""
    answers: dict[str, Answer]

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Raises FileMissing, WrongFormat."""
        if not path.is_file():
            raise FileMissing(f"There are no answers {path}.", hint="save them from report.html")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise WrongFormat(
                f"{path} holds no answers: {error.errors()[0]['msg']}.", hint="save them from report.html, unchanged"
            ) from error


@dataclass(frozen=True)
class Review:
    """The report of the scan, and the same with the answers."""

    before: ScanReport
    after: ScanReport


def apply_answers(
    report: ScanReport,
    answers: Answers,
    rules: VerdictRules,
    rule: StoppingRule,
    calibration: ScoreCalibration,
    operator: OperatorAccuracy,
) -> Review:
    """The verdict with the answers, by the rule of the scan; the report given is left as it is.

    Raises InputError for answers to another report, to cells that it does not ask about, for none at all, and for a
    slide that is unusable: no answer mends it.
    """
    _refuse(report, answers)
    counts, odds, before = counts_of(report, calibration), CellOdds(calibration), report.verdict

    def said(unsure: Answer) -> VerdictFacts:
        given = {cell: unsure if answer is Answer.UNSURE else answer for cell, answer in answers.answers.items()}
        verdict = reviewed_verdict(
            counts,
            report.queue,
            given,
            rules,
            rule,
            odds,
            before=before.interval,
            fields=before.fields,
            operator=operator,
        )
        return VerdictFacts.of(verdict)

    unsure = Answer.UNSURE in answers.answers.values()
    review = ReviewFacts(
        operator=answers.operator,
        reviewed=datetime.now(UTC).isoformat(timespec="seconds"),
        answers=answers.answers,
        sensitivity=operator.sensitivity,
        specificity=operator.specificity,
        before=before,
        if_unsure_infected=said(Answer.INFECTED) if unsure else None,
        if_unsure_not=said(Answer.NOT_INFECTED) if unsure else None,
        method=METHOD,
    )
    after = report.model_copy(update={"verdict": said(Answer.UNSURE), "review": review})
    return Review(report, after)


def _refuse(report: ScanReport, answers: Answers) -> None:
    if answers.report_digest != report.digest():
        raise InputError(
            f"The answers are to another report (slide '{answers.slide}'), not to this one (slide '{report.slide}').",
            hint="answer in the report.html that lies beside report.json",
        )
    unknown = sorted(set(answers.answers) - {cell.id for cell in report.queue})
    if unknown or not answers.answers:
        raise InputError(
            f"The answers name {', '.join(unknown) or 'no cell'}, which the report does not ask about.",
            hint=f"its queue holds {len(report.queue)} cells",
        )
    if report.verdict.outcome is Outcome.UNUSABLE:
        raise InputError(f"The slide is unusable: {report.verdict.reason}", hint="no answers mend that; scan it again")
