"""The values in which the statistics answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrevalenceEstimate:
    """Fraction of red cells that are infected, 0..1, with its interval at `confidence`.

    cells: red cells that carried the estimate; without any the interval is 0..1.
    """

    prevalence: float
    low: float
    high: float
    cells: int
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2
