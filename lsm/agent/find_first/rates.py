"""How often the real reader is right about a cell, by how crowded the field is."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Float
from pydantic import model_validator

from lsm.agent.find_first.measure import ReadCells
from lsm.config import Config
from lsm.errors import ConfigError

Share = Annotated[float, Ge(0), Le(1)]
PerField = Float[np.ndarray, "..."]
FEWEST_CELLS = 200
"""Measured cells of a class below which a knot's rate is left out."""


class ReaderRates(Config):
    """Rates at one threshold on the reader's score, at knots of the density of red cells.

    threshold: a cell with this score or more is suspicious. per_mm2: knots, ascending. found: share of red cells that
    the reader finds at all. sensitivity, false_rate: share of infected and of uninfected red cells that are found and
    suspicious. slide_spread: standard deviation between slides of the logarithm of the false rate.
    Between knots rates are interpolated, beyond them they stay.
    """

    threshold: Share
    per_mm2: Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)]
    found: tuple[Share, ...]
    sensitivity: tuple[Share, ...]
    false_rate: tuple[Share, ...]
    slide_spread: Annotated[float, Ge(0)] = 0.0

    @model_validator(mode="after")
    def _one_of_each(self) -> "ReaderRates":
        lengths = {len(self.per_mm2), len(self.found), len(self.sensitivity), len(self.false_rate)}
        if len(lengths) != 1 or list(self.per_mm2) != sorted(set(self.per_mm2)):
            raise ConfigError(
                "The reader's rates do not belong to ascending densities.",
                hint="give per_mm2, found, sensitivity and false_rate one entry per knot",
            )
        return self

    def at(self, per_mm2: PerField) -> tuple[PerField, PerField, PerField]:
        """Found share, sensitivity and false rate in fields of these densities."""
        found, sensitivity, false_rate = (
            np.interp(per_mm2, self.per_mm2, rates) for rates in (self.found, self.sensitivity, self.false_rate)
        )
        return found, sensitivity, false_rate

    @classmethod
    def of(cls, cells: ReadCells, *, false_rate: float, knots: tuple[float, ...]) -> "ReaderRates":
        """The rates of measured cells at the threshold where uninfected cells are suspicious at this rate overall.

        knots: densities per mm2; a field counts for the nearest one. Raises ConfigError without infected cells.
        """
        if not cells.infected.any() or cells.infected.all():
            raise ConfigError("Rates need infected and uninfected cells.", hint="measure slides of 20 % parasitaemia")
        score = np.nan_to_num(cells.p_infected, nan=-1.0)
        threshold = float(np.quantile(score[~cells.infected], 1 - false_rate))
        suspicious = score >= threshold
        places = np.array(knots)
        nearest = np.abs(cells.per_mm2[:, None] - places).argmin(axis=1)[cells.field]
        rows = []
        for index, place in enumerate(knots):
            here = nearest == index
            if min((here & cells.infected).sum(), (here & ~cells.infected).sum()) < FEWEST_CELLS:
                continue
            rows.append(
                (
                    place,
                    round(float((score[here] >= 0).mean()), 4),
                    round(float(suspicious[here & cells.infected].mean()), 4),
                    round(float(suspicious[here & ~cells.infected].mean()), 6),
                )
            )
        per_mm2, found, sensitivity, false_rates = zip(*rows, strict=True)
        spread = _slide_spread(cells, suspicious)
        return cls(
            threshold=round(threshold, 4),
            per_mm2=per_mm2,
            found=found,
            sensitivity=sensitivity,
            false_rate=false_rates,
            slide_spread=round(spread, 3),
        )


def _slide_spread(cells: ReadCells, suspicious: np.ndarray) -> float:
    """Spread between slides of the log false rate, beyond what counting alone gives."""
    slide = cells.slide[cells.field]
    false = np.array([(suspicious & ~cells.infected & (slide == each)).sum() for each in np.unique(slide)], float)
    healthy = np.array([(~cells.infected & (slide == each)).sum() for each in np.unique(slide)], float)
    if len(false) < 2 or not false.all():
        return 0.0
    excess = np.log(false / healthy).var(ddof=1) - (1 / false).mean()
    return float(np.sqrt(max(excess, 0.0)))
