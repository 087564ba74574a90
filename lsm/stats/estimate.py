"""The values in which the statistics answer, and what a prevalence means per cell and per microlitre."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RED_CELLS_PER_UL = 5e6


@dataclass(frozen=True)
class Estimate:
    """A value with the low and the high end of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Share(Estimate):
    """A share 0..1 counted as `right` of `of`; nan from 0 to 1 where nothing was counted."""

    right: int
    of: int


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
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def density_per_ul(prevalence: float, *, red_cells_per_ul: float = RED_CELLS_PER_UL) -> float:
    """Infected red cells per microlitre of blood.

    The thin-film convention of 5 x 10^6 red cells per microlitre (WHO, Basic Malaria Microscopy, 2010);
    a measured red-cell count of the patient replaces it where there is one.
    """
    return prevalence * red_cells_per_ul


def cell_posterior(score: Float[np.ndarray, "*cell"], prevalence: float) -> Float[np.ndarray, "*cell"]:
    """Probability that a cell is infected on a slide of the given prevalence, same shape as `score`.

    score: class-balanced probability 0..1, the posterior at 50 % prevalence. Bayes' rule on the odds,
    Saerens, Latinne and Decaestecker, Neural Computation 14, 21 (2002), eq. 4.
    """
    infected = score * prevalence
    total = infected + (1 - score) * (1 - prevalence)
    return np.divide(infected, total, out=np.zeros_like(infected), where=total > 0)
