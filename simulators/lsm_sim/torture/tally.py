"""What came of injected faults, counted by class."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

GRACE_S = 1.0
"""So much longer than its timeout may a fault take to end."""
DARK_WITHIN_S = 2.5
KEPT_NOTES = 5


class Outcome(StrEnum):
    """What came of one fault.

    RECOVERED: the work went on and every result was right. STOPPED: an error of lsm's own, nothing wrong returned.
    WRONG: a result that is not true and was not refused. CRASHED: an error that lsm does not raise on purpose.
    """

    RECOVERED = "recovered"
    STOPPED = "stopped safely"
    WRONG = "silently wrong"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Trial:
    """One fault. allowed_s: the longest of the timeouts that it meets. dark_s: from its end until the LEDs were dark.

    reconnected: the microscope had to be connected anew afterwards.
    """

    kind: str
    outcome: Outcome
    took_s: float
    allowed_s: float
    dark_s: float = 0.0
    reconnected: bool = False
    note: str = ""

    @property
    def hung(self) -> bool:
        return self.took_s > self.allowed_s + GRACE_S

    @property
    def left_lit(self) -> bool:
        return self.dark_s > DARK_WITHIN_S

    @property
    def good(self) -> bool:
        return self.outcome in (Outcome.RECOVERED, Outcome.STOPPED) and not self.hung and not self.left_lit


@dataclass(frozen=True)
class ClassTally:
    """The trials of one class of faults."""

    kind: str
    injected: int
    by_outcome: dict[Outcome, int]
    hangs: int
    left_lit: int
    reconnected: int
    longest_s: float
    allowed_s: float
    notes: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, trials: Sequence[Trial]) -> "ClassTally":
        return cls(
            kind=kind,
            injected=len(trials),
            by_outcome={outcome: sum(trial.outcome is outcome for trial in trials) for outcome in Outcome},
            hangs=sum(trial.hung for trial in trials),
            left_lit=sum(trial.left_lit for trial in trials),
            reconnected=sum(trial.reconnected for trial in trials),
            longest_s=max(trial.took_s for trial in trials),
            allowed_s=max(trial.allowed_s for trial in trials),
            notes=tuple(trial.note for trial in trials if trial.note and not trial.good)[:KEPT_NOTES],
        )

    def plain(self) -> dict[str, Any]:
        return {
            "class": self.kind,
            "injected": self.injected,
            **{outcome.replace(" ", "_"): count for outcome, count in self.by_outcome.items()},
            "hangs": self.hangs,
            "left_lit": self.left_lit,
            "reconnected": self.reconnected,
            "longest_s": round(self.longest_s, 3),
            "allowed_s": round(self.allowed_s, 3),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class TortureReport:
    """All classes, and what was measured beside them.

    dark_after_death_s: from the host's death to dark LEDs, of each killing. left_out: classes that this rig does not
    allow, with the reason. limits: what the fuzzed requests came to; None where they were not run.
    """

    rig: str
    seed: int
    trials: tuple[Trial, ...]
    dark_after_death_s: tuple[float, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] | None = None
    minutes: float = 0.0

    @property
    def classes(self) -> list[ClassTally]:
        kinds = dict.fromkeys(trial.kind for trial in self.trials)
        return [ClassTally.of(kind, [trial for trial in self.trials if trial.kind == kind]) for kind in kinds]

    @property
    def promise_kept(self) -> bool:
        """Nothing silently wrong, crashed, hanging or left lit, and nothing moved outside its limits."""
        limits = self.limits or {}
        inside = not any(limits.get(count, 0) for count in ("outside", "changed", "crashed"))
        dark = all(seconds <= DARK_WITHIN_S for seconds in self.dark_after_death_s)
        return all(trial.good for trial in self.trials) and inside and dark

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rig": self.rig,
            "seed": self.seed,
            "faults": len(self.trials),
            "minutes": round(self.minutes, 1),
            "promise_kept": self.promise_kept,
            "totals": _totals(self.classes),
            "classes": [each.plain() for each in self.classes],
            "dark_after_death_s": spread(self.dark_after_death_s),
            "limits": self.limits,
            "left_out": self.left_out,
        }


def spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """Count, median, 99 % and longest; None of nothing."""
    if not seconds:
        return None
    return {
        "killings": len(seconds),
        "median": round(float(np.median(seconds)), 3),
        "p99": round(float(np.quantile(seconds, 0.99)), 3),
        "max": round(float(max(seconds)), 3),
    }


def _totals(classes: Iterable[ClassTally]) -> dict[str, float]:
    held = list(classes)
    totals: dict[str, float] = {
        outcome.replace(" ", "_"): sum(each.by_outcome[outcome] for each in held) for outcome in Outcome
    }
    for name in ("hangs", "left_lit", "reconnected"):
        totals[name] = sum(getattr(each, name) for each in held)
    totals["longest_s"] = round(max((each.longest_s for each in held), default=0.0), 3)
    return totals
