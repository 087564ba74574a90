"""Two ways of looking at one slide, side by side: for the terminal and for the report."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rich.table import Table

from lsm.agent.results import SlideRun
from lsm.diagnose.score import RunScore
from lsm.stats import PrevalenceEstimate

NOT_KNOWN = "-"


@runtime_checkable
class Ranged(Protocol):
    """Whatever has an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class ComparisonRow:
    """What one policy found on the slide and what it spent; score is there only where the truth is known.

    verdict: in one word, reason: in sentences; empty where none was asked for.
    """

    policy: str
    estimate: PrevalenceEstimate
    captures: int
    fields: int
    light_dose: float
    time_s: float
    travel_um: float
    score: RunScore | None = None
    verdict: str = ""
    reason: str = ""

    @classmethod
    def of(
        cls, run: SlideRun, score: RunScore | None = None, *, verdict: str = "", reason: str = ""
    ) -> "ComparisonRow":
        """The row of a run."""
        return cls(
            run.policy,
            run.estimate,
            run.captures,
            len(run.visits),
            run.light_dose,
            run.time_s,
            run.travel_um,
            score,
            verdict,
            reason,
        )


@dataclass(frozen=True)
class ComparisonLine:
    """One quantity, its value under each policy, and whether it needed the truth."""

    label: str
    values: tuple[str, ...]
    from_truth: bool


def comparison_lines(rows: Sequence[ComparisonRow]) -> tuple[ComparisonLine, ...]:
    """The quantities in reading order; those from the truth only where any row has a score."""
    scored = any(row.score is not None for row in rows)
    truth = [(label, True, _scored(value)) for label, value in _FROM_TRUTH] if scored else []
    first, rest = truth[:1], truth[1:]
    said = (("Verdict", _verdict),) if any(row.verdict for row in rows) else ()
    measured = [(label, False, value) for label, value in (*said, *_MEASURED)]
    return tuple(
        ComparisonLine(label, tuple(value(row) for row in rows), from_truth)
        for label, from_truth, value in (*first, *measured, *rest)
    )


def comparison_table(rows: Sequence[ComparisonRow], *, title: str = "One slide, two ways to look at it") -> Table:
    """A table for the terminal: one column per policy, one line per quantity."""
    table = Table(
        title=title, title_justify="left", caption="Research use only, not a diagnosis.", caption_justify="left"
    )
    table.add_column("")
    for row in rows:
        table.add_column(row.policy, justify="right")
    for line in comparison_lines(rows):
        table.add_row(line.label, *line.values, style="cyan" if line.from_truth else None)
    return table


def percent(fraction: float) -> str:
    """A fraction as a percentage with two digits where they matter, down to a millionth."""
    if 1e-6 <= abs(fraction) < 1e-3:
        return f"{fraction:.{math.ceil(-math.log10(abs(fraction)) - 1)}%}"
    return f"{fraction:.2%}" if abs(fraction) < 0.1 else f"{fraction:.1%}"


def interval(estimate: Ranged) -> str:
    """The interval of an estimate as percentages."""
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def led_seconds(light_dose: float) -> str:
    """Light in LED-seconds: one LED channel at full drive for one second."""
    return f"{light_dose / 1000:.2f} LED s"


def _verdict(row: ComparisonRow) -> str:
    return row.verdict or NOT_KNOWN


def _scored(value: Callable[[RunScore], str]) -> Callable[[ComparisonRow], str]:
    return lambda row: NOT_KNOWN if row.score is None else value(row.score)


_MEASURED: tuple[tuple[str, Callable[[ComparisonRow], str]], ...] = (
    ("Estimated parasitaemia", lambda row: percent(row.estimate.prevalence)),
    ("Its interval", lambda row: interval(row.estimate)),
    ("Captures", lambda row: f"{row.captures}"),
    ("Fields visited", lambda row: f"{row.fields}"),
    ("Red cells counted", lambda row: f"{row.estimate.cells:,}"),
    ("Light emitted", lambda row: led_seconds(row.light_dose)),
    ("Time (modelled)", lambda row: f"{row.time_s:.1f} s"),
    ("Stage travel", lambda row: f"{row.travel_um / 1000:.2f} mm"),
)

_FROM_TRUTH: tuple[tuple[str, Callable[[RunScore], str]], ...] = (
    ("True parasitaemia", lambda score: percent(score.true_prevalence)),
    ("Error of the estimate", lambda score: f"{100 * score.absolute_error:.2f} points"),
    ("Relative error (ln)", lambda score: f"{score.log_error:.2f}"),
    ("Interval holds the truth", lambda score: "yes" if score.covered else "no"),
    (
        "AUC of infected cells",
        lambda score: NOT_KNOWN if score.infected_auc is None else f"{score.infected_auc:.3f}",
    ),
    ("Found cells that are red cells", lambda score: f"{score.precision:.1%}"),
    ("Red cells that were found", lambda score: f"{score.recall:.1%}"),
)
