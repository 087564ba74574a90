"""How far two readers of the same slides agree, on what they call and on what they count."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import nct, norm
from scipy.stats import t as student_t

from lsm.errors import WrongFormat
from lsm.stats._tails import check_confidence
from lsm.stats.binomial import share
from lsm.stats.estimate import Estimate, Share

Densities = Float[np.ndarray, " slide"]
Others = Float[np.ndarray, " other"]
WITHIN = 0.25
"""The tolerance of a count in the competence assessment of the WHO."""


@dataclass(frozen=True)
class DensityAgreement:
    """Ratios of the first reader's density to the second's.

    bias: geometric mean. lower, upper: limits between which 95 % of ratios lie, each with its own interval.
    slides: with parasites for both readers; only they have a ratio.
    """

    bias: Estimate
    lower: Estimate
    upper: Estimate
    slides: int


def cohen_kappa(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator, confidence: float = 0.95, draws: int = 4000
) -> Estimate:
    """Agreement beyond chance of two readers' calls, 1 where they always agree; nan where all calls are the same.

    first, second: names or numbers of what each reader called each slide. Cohen, Educ. Psychol. Meas. 20, 37 (1960).
    The interval is that of a Dirichlet posterior whose prior weighs as much as one slide (Perks, J. Inst. Actuar. 73,
    285 (1947)): the usual standard error is far too small for panels of some 35 slides, and zero where all agree.
    Raises WrongFormat for no slides or different ones.
    """
    _check(first, second)
    check_confidence(confidence)
    names, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    kinds = len(names)
    if kinds == 1:
        return Estimate(np.nan, -1.0, 1.0)
    table = np.zeros((kinds, kinds))
    np.add.at(table, (place[: len(first)], place[len(first) :]), 1)
    drawn = rng.gamma(table + 1 / kinds**2, size=(draws, kinds, kinds))
    drawn /= drawn.sum(axis=(1, 2), keepdims=True)
    low, high = np.quantile(_kappa(drawn), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(_kappa(table[None] / len(first))[0]), float(low), float(high))


def density_agreement(first: Densities, second: Others, *, confidence: float = 0.95) -> DensityAgreement:
    """Limits of agreement of two readers' densities, as ratios.

    Bland and Altman, Lancet 327, 307 (1986), on logarithms; intervals are exact for normally distributed logarithms
    (Carkeet, Optom. Vis. Sci. 92, e71 (2015)). Raises WrongFormat for fewer than three slides on which both counted
    parasites.
    """
    _check(first, second)
    check_confidence(confidence)
    both = (first > 0) & (second > 0)
    slides = int(both.sum())
    if slides < 3:
        raise WrongFormat(f"{slides} slides have no limits of agreement.", hint="give at least three with parasites")
    difference = np.log(first[both] / second[both])
    middle, spread, root = float(difference.mean()), float(difference.std(ddof=1)), np.sqrt(slides)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    quantile = float(norm.ppf(0.975))
    bias = middle + spread / root * student_t.ppf(tails, slides - 1)
    above = spread / root * nct.ppf(tails, slides - 1, quantile * root)
    return DensityAgreement(
        _ratio(middle, *bias),
        _ratio(middle - quantile * spread, *(middle - above[::-1])),
        _ratio(middle + quantile * spread, *(middle + above)),
        slides,
    )


def concordance(first: Densities, second: Others, *, confidence: float = 0.95) -> Estimate:
    """Concordance correlation of two readers' log densities, 1 where they are equal.

    Lin, Biometrics 45, 255 (1989), with the variance as corrected in Biometrics 56, 324 (2000), by Fisher's z. Slides
    on which either reader counted none have no logarithm and are left out. Raises WrongFormat for fewer than four
    slides with parasites for both, or all of one density.
    """
    _check(first, second)
    check_confidence(confidence)
    both = (first > 0) & (second > 0)
    slides = int(both.sum())
    if slides < 4 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        raise WrongFormat(f"{slides} slides have no concordance.", hint="give at least four of different densities")
    x, y = np.log(first[both]), np.log(second[both])
    shift = float(x.mean() - y.mean())
    product = float(((x - x.mean()) * (y - y.mean())).mean())
    value = 2 * product / float(x.var() + y.var() + shift**2)
    if value > 1 - 1e-12:
        return Estimate(1.0, 1.0, 1.0)
    variance = _fisher_variance(value, product / float(x.std() * y.std()), shift**2 / float(x.std() * y.std()), slides)
    half = float(norm.ppf((1 + confidence) / 2)) * np.sqrt(variance)
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return Estimate(value, float(low), float(high))


def share_within(
    counted: Densities, reference: Others, *, tolerance: float = WITHIN, confidence: float = 0.95
) -> Share:
    """Share of slides whose density is within the tolerance of the reference's, itself included, by Wilson's interval.

    Raises WrongFormat for different slides or references without parasites.
    """
    _check(counted, reference)
    if reference.min() <= 0:
        raise WrongFormat("A reference without parasites has no 25 %.", hint="leave negative slides out")
    right = np.abs(counted - reference) <= tolerance * reference * (1 + 1e-12)
    return share(int(right.sum()), len(right), confidence=confidence)


def _kappa(table: Float[np.ndarray, "draw kind kind"]) -> Float[np.ndarray, " draw"]:
    agreed = np.trace(table, axis1=1, axis2=2)
    by_chance = (table.sum(axis=1) * table.sum(axis=2)).sum(axis=1)
    return np.asarray(np.divide(agreed - by_chance, 1 - by_chance, out=np.ones_like(agreed), where=by_chance < 1))


def _fisher_variance(value: float, correlation: float, shift: float, slides: int) -> float:
    r, c = correlation**2, 1 - value**2
    first = (1 - r) * value**2 / (c * r)
    second = 2 * value**3 * (1 - value) * shift / (correlation * c**2)
    third = value**4 * shift**2 / (2 * r * c**2)
    return (first + second - third) / (slides - 2)


def _ratio(value: float, low: float, high: float) -> Estimate:
    return Estimate(float(np.exp(value)), float(np.exp(low)), float(np.exp(high)))


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or not len(first):
        raise WrongFormat(
            f"{len(first)} and {len(second)} values are not two readings of the same slides.",
            hint="give one of each reader for every slide",
        )
