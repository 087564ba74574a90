"""Parasites per microlitre from a count, with what is not known of the reader in the interval."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import betainc

from lsm.errors import InputError
from lsm.stats.corrected import AmongRedCells, AmongWhiteCells, corrected_interval
from lsm.stats.estimate import RED_CELLS_PER_UL, Estimate
from lsm.stats.rates import ReaderErrors

WHITE_CELLS_PER_UL = 8000.0


@dataclass(frozen=True)
class DensityEstimate:
    """Parasites per microlitre with the interval at `confidence`, and what it rests on.

    suspicious: cells called infected. among: cells that were looked at (red), or counted beside (white). convention: in
    words, how cells become microlitres. false_positives: of this slide per cell, by what was known before and by its
    count. at_any_time: whether the interval holds however the end of the scan was chosen.
    """

    per_ul: float
    low: float
    high: float
    confidence: float
    suspicious: int
    among: int
    convention: str
    false_positives: Estimate
    at_any_time: bool = False

    @property
    def relative_half_width(self) -> float:
        """Half the interval over the estimate; infinite where that is zero."""
        return (self.high - self.low) / 2 / self.per_ul if self.per_ul > 0 else np.inf


def thin_film_density(
    suspicious: int,
    cells: int,
    errors: ReaderErrors,
    *,
    red_cells_per_ul: float = RED_CELLS_PER_UL,
    confidence: float = 0.95,
) -> DensityEstimate:
    """Parasites per microlitre from suspicious ones among red cells, each counted once; see `corrected_interval`.

    red_cells_per_ul: the convention of 5 x 10^6 (WHO, Basic Malaria Microscopy, 2010) or the patient's own number,
    whose error is not in the interval. The interval holds where the number of cells was fixed beforehand; where the
    count itself ended the scan use `anytime_density`. Without cells nothing is known. Raises InputError for impossible
    counts.
    """
    check_red_counts(suspicious, cells, red_cells_per_ul)
    low, high = 0.0, 1.0
    if cells:
        (low,), (high,) = corrected_interval(
            np.array([suspicious]), AmongRedCells(cells), errors, confidence=confidence
        )
    return thin_film_estimate(suspicious, cells, errors, (low, high), red_cells_per_ul, confidence)


def thin_film_estimate(
    suspicious: int,
    cells: int,
    errors: ReaderErrors,
    ends: tuple[float, float],
    red_cells_per_ul: float,
    confidence: float,
    *,
    at_any_time: bool = False,
) -> DensityEstimate:
    """The estimate of Rogan and Gladen with these ends of the infected fraction, moved apart where it lies outside."""
    middle = 0.0
    if cells:
        middle = float(AmongRedCells(cells).moment(np.array([suspicious]), errors)[0])
    return DensityEstimate(
        middle * red_cells_per_ul,
        min(float(ends[0]), middle) * red_cells_per_ul,
        max(float(ends[1]), middle) * red_cells_per_ul,
        confidence,
        suspicious,
        cells,
        f"thin film, {red_cells_per_ul / 1e6:g} million red cells per microlitre assumed",
        false_positive_estimate(suspicious, cells, errors, confidence=confidence),
        at_any_time,
    )


def thick_film_density(
    parasites: int,
    white_cells: int,
    errors: ReaderErrors,
    *,
    white_cells_per_ul: float = WHITE_CELLS_PER_UL,
    confidence: float = 0.95,
) -> DensityEstimate:
    """Parasites per microlitre from parasites counted beside white cells, both numbers being random.

    errors: false positives are per white cell. white_cells_per_ul: the convention of 8,000 (WHO, Basic Malaria
    Microscopy, 2010) or the patient's own number, whose error is not in the interval. Without white cells nothing is
    known and the high end is infinite. Raises InputError for impossible counts.
    """
    check_counts(parasites, white_cells, white_cells_per_ul)
    low, middle, high = 0.0, 0.0, np.inf
    if white_cells:
        law, count = AmongWhiteCells(white_cells), np.array([parasites])
        (low,), (high,) = corrected_interval(count, law, errors, confidence=confidence)
        (middle,) = law.moment(count, errors)
    per_ul, low_per_ul, high_per_ul = (float(value) * white_cells_per_ul for value in (middle, low, high))
    false = errors.false_positives
    return DensityEstimate(
        per_ul,
        low_per_ul,
        high_per_ul,
        confidence,
        parasites,
        white_cells,
        f"thick film, {white_cells} white cells counted, {white_cells_per_ul:,.0f} per microlitre assumed",
        Estimate(false.mean, *false.interval(confidence)),
    )


def false_positive_estimate(suspicious: int, cells: int, errors: ReaderErrors, *, confidence: float = 0.95) -> Estimate:
    """The slide's false positives per cell, mean and equal-tailed interval, given its count and no idea of its density.

    With a flat prior on the infected fraction a rate is as likely as before times the probability that the count allows
    so many false positives: few suspicious cells bound the rate from above, many say nothing of it.
    """
    _, false = errors.nodes
    weight = np.ones_like(false)
    if cells:
        weight = 1 - betainc(suspicious + 1, max(cells - suspicious, 1), false)
    if weight.sum() == 0:
        # fewer than any rate that is thought of makes likely
        weight[np.argmin(false)] = 1.0
    return Estimate(float(np.average(false, weights=weight)), *_middle(false, weight, confidence))


def check_red_counts(suspicious: int, cells: int, red_cells_per_ul: float) -> None:
    """Raises InputError for negative numbers, or more suspicious cells than there are."""
    check_counts(suspicious, cells, red_cells_per_ul)
    if suspicious > cells:
        raise InputError(f"{suspicious} of {cells} cells are suspicious.", hint="count every cell once")


def check_counts(suspicious: int, cells: int, cells_per_ul: float) -> None:
    """Raises InputError for negative numbers."""
    if suspicious < 0 or cells < 0 or cells_per_ul <= 0:
        raise InputError(
            f"{suspicious} suspicious ones beside {cells} cells at {cells_per_ul} per microlitre are impossible.",
            hint="give counts from 0 on and a positive number per microlitre",
        )


def _middle(
    values: Float[np.ndarray, " node"], weight: Float[np.ndarray, " node"], confidence: float
) -> tuple[float, float]:
    order = np.argsort(values)
    below = np.cumsum(weight[order]) / weight.sum()
    places = np.searchsorted(below, [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = values[order][np.minimum(places, len(values) - 1)]
    return float(low), float(high)
