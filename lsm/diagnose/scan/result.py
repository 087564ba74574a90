"""What a scan leaves behind."""

from dataclasses import dataclass
from enum import StrEnum

from lsm.agent.results import Decision, SlideRun
from lsm.diagnose.scan._watched import WatchedMicroscope
from lsm.diagnose.scan.plan import ScanPlan
from lsm.diagnose.scan.rule import Said
from lsm.diagnose.scan.suspects import Suspect
from lsm.diagnose.scan.tally import FieldRow, Tally
from lsm.stats import PrevalenceEstimate


class Ending(StrEnum):
    """Why a scan ended."""

    DECIDED = "the rule decided"
    SCANNED = "all fields of the plan were scanned"
    FAULTY = "too many fields were faulty"
    MOVED = "the slide moved"


@dataclass(frozen=True, eq=False)
class ScanResult:
    """A scan's findings; bounded, but for one row per field.

    run: the form that verdict and report read. Its cells are the most suspicious ones and all of one field.
    said: by the rule, after the last field that counts. searches: of the focus. planned: fields of the plan.
    """

    run: SlideRun
    ending: Ending
    said: Said
    rows: tuple[FieldRow, ...]
    suspects: tuple[Suspect, ...]
    searches: int
    planned: int


def as_run(
    name: str,
    plan: ScanPlan,
    tally: Tally,
    watched: WatchedMicroscope,
    estimate: PrevalenceEstimate,
    decisions: tuple[Decision, ...],
) -> SlideRun:
    """The run that verdict and report read."""
    kept = {(cell.field, cell.box_px): cell for cell in tally.likeliest}
    kept |= {(one.cell.field, one.cell.box_px): one.cell for one in tally.suspects.ranked()}
    patterns = max((max(row.visit.patterns) for row in tally.rows), default=0) + 1
    return SlideRun(
        policy=name,
        visits=tuple(row.visit for row in tally.rows),
        cells=tuple(kept.values()),
        counts=tally.counts.copy(),
        captures=watched.captures,
        light_dose=watched.light_dose,
        time_s=watched.time_s,
        travel_um=watched.travel_um,
        extent_um=(plan.x_um[1], plan.y_um[1]),
        field_um=plan.field_um,
        estimate=estimate,
        action_names=tuple(f"pattern {index}" for index in range(patterns)),
        decisions=decisions,
        densities=tuple(tally.expected_infected(estimate.prevalence).tolist()),
    )
