"""What is counted: runs whose interval held the truth, with the interval of that share itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from lsm.stats import clopper_pearson


@dataclass(frozen=True)
class Tally:
    """Coverage of one interval under one condition."""

    interval: str
    condition: str
    held: int
    runs: int

    @classmethod
    def of(cls, interval: str, condition: str, held: Bool[np.ndarray, "..."]) -> "Tally":
        """Of runs that held the truth or did not."""
        return cls(interval, condition, int(held.sum()), held.size)

    @property
    def coverage(self) -> float:
        """Share of the runs."""
        return self.held / self.runs

    def row(self, asked: tuple[float, float]) -> dict[str, Any]:
        """For results.json. as_asked: whether the share lies where it should; possible: whether it may, given its own
        interval.
        """
        low, high = clopper_pearson(self.held, self.runs)
        return {
            "interval": self.interval,
            "condition": self.condition,
            "coverage": round(self.coverage, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "runs": self.runs,
            "as_asked": asked[0] <= self.coverage <= asked[1],
            "possible": low <= asked[1] and high >= asked[0],
        }
