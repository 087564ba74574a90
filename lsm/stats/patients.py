"""How well slides, not cells, are told apart: sensitivity, specificity, and detection against density."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, log_expit

from lsm.errors import WrongFormat
from lsm.stats._tails import check_confidence
from lsm.stats.binomial import share
from lsm.stats.estimate import Estimate, Share

Slides = Bool[np.ndarray, " slide"]
Calls = Bool[np.ndarray, " other"]
Scores = Float[np.ndarray, " other"]
Densities = Float[np.ndarray, " slide"]
Grid = Float[np.ndarray, " grid"]

CURVE_POINTS = 121
STEEPEST, SHALLOWEST = 30.0, 1.0
"""Of detection, in log odds per decade of density: a count that must exceed 0 rises by 3.3 per decade, one that must
exceed 50 false positives by some 25."""


@dataclass(frozen=True)
class PatientAccuracy:
    """Share of infected slides called positive and of others called negative, with Wilson's intervals.

    A slide without a verdict is neither: leave it out and say how many, or count it as wrong.
    """

    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class OperatingPoint:
    """The score from which slides are called positive, and what that gives."""

    threshold: float
    sensitivity: Estimate
    specificity: Estimate


def patient_accuracy(infected: Slides, called: Calls, *, confidence: float = 0.95) -> PatientAccuracy:
    """Sensitivity and specificity of a rule fixed before these slides. Raises WrongFormat for other lengths."""
    _same_length(infected, called)
    found, cleared = int((infected & called).sum()), int((~infected & ~called).sum())
    ill = int(infected.sum())
    return PatientAccuracy(
        share(found, ill, confidence=confidence), share(cleared, len(infected) - ill, confidence=confidence)
    )


def operating_point(
    infected: Slides,
    scores: Scores,
    *,
    specificity: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 2000,
) -> OperatingPoint:
    """The lowest threshold with this specificity on these slides, and the sensitivity there.

    A slide is called positive at `score >= threshold`. The threshold comes from the slides that it is judged on, so it
    is sought anew in every draw: infected and other slides are drawn with replacement, percentile intervals (Platt,
    Hanley and Yang, Stat. Med. 19, 313 (2000)). Raises WrongFormat where either kind is missing.
    """
    _same_length(infected, scores)
    check_confidence(confidence)
    ill, well = np.sort(scores[infected]), np.sort(scores[~infected])
    if not len(ill) or not len(well) or not 0 <= specificity <= 1:
        raise WrongFormat(
            f"{len(ill)} infected and {len(well)} other slides have no operating point at {specificity}.",
            hint="give slides of both kinds and a specificity of 0 to 1",
        )
    threshold = _threshold(well[None], specificity)
    drawn_ill = ill[rng.integers(len(ill), size=(draws, len(ill)))]
    drawn_well = np.sort(well[rng.integers(len(well), size=(draws, len(well)))], axis=1)
    thresholds = _threshold(drawn_well, specificity)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = np.quantile((drawn_ill >= thresholds[:, None]).mean(axis=1), tails)
    # of slides to come: those drawn were the ones that set their own threshold
    cleared = np.quantile((well[None] < thresholds[:, None]).mean(axis=1), tails)
    return OperatingPoint(
        float(threshold[0]),
        Estimate(float((ill >= threshold).mean()), *map(float, found)),
        Estimate(float((well < threshold).mean()), *map(float, cleared)),
    )


def sensitivity_by_density(
    per_ul: Densities, called: Calls, edges: Sequence[float], *, confidence: float = 0.95
) -> list[Share]:
    """Share of slides called positive between each edge and the next, the upper one left out, with Wilson's intervals.

    per_ul: true parasites per microlitre; slides beyond the edges are left out. Raises WrongFormat for other lengths.
    """
    _same_length(per_ul, called)
    within = [(per_ul >= low) & (per_ul < high) for low, high in pairwise(edges)]
    return [share(int(called[held].sum()), int(held.sum()), confidence=confidence) for held in within]


@dataclass(frozen=True, eq=False)
class DetectionCurve:
    """Logistic sensitivity against the logarithm of density, as the curves that the slides leave likely.

    midpoint: log10 of the density that half of the slides are found at [curve]. slope: log odds per decade [curve].
    weight: posterior probability of each [curve].
    """

    midpoint: Grid
    slope: Grid
    weight: Grid
    confidence: float

    def at(self, per_ul: float) -> Estimate:
        """Sensitivity at a density, the posterior's median and equal tails."""
        return self._middle(expit(self.slope * (np.log10(per_ul) - self.midpoint)))

    def density(self, sensitivity: float) -> Estimate:
        """Parasites per microlitre at which this share of slides is found: at 0.95 the limit of detection (EP17-A2)."""
        odds = np.log(sensitivity / (1 - sensitivity))
        found = self._middle(self.midpoint + odds / self.slope)
        return Estimate(10**found.value, 10**found.low, 10**found.high)

    def _middle(self, values: Grid) -> Estimate:
        order = np.argsort(values)
        below = np.cumsum(self.weight[order]) - self.weight[order] / 2
        tails = [0.5, (1 - self.confidence) / 2, (1 + self.confidence) / 2]
        return Estimate(*map(float, np.interp(tails, below, values[order])))


def fit_detection_curve(per_ul: Densities, called: Calls, *, confidence: float = 0.95) -> DetectionCurve:
    """Sensitivity as a function of density, from infected slides of known density.

    The posterior on a grid stays proper where all slides above some density are found, which maximum likelihood does
    not: midpoints are equally likely to two decades beyond the slides, slopes in their logarithm from 1 to 30 per
    decade. Raises WrongFormat for no slides, or densities that are not positive.
    """
    _same_length(per_ul, called)
    check_confidence(confidence)
    if not len(per_ul) or per_ul.min() <= 0:
        raise WrongFormat(
            f"{len(per_ul)} slides give no curve of detection.", hint="give infected slides with their densities"
        )
    place = np.log10(per_ul)
    midpoint = np.linspace(place.min() - 2, place.max() + 2, CURVE_POINTS)
    slope = np.geomspace(SHALLOWEST, STEEPEST, CURVE_POINTS)
    signed = np.where(called, 1.0, -1.0)
    fit = np.zeros((CURVE_POINTS, CURVE_POINTS))
    for each, sign in zip(place, signed, strict=True):
        fit += log_expit(sign * slope * (each - midpoint[:, None]))
    weight = np.exp(fit - fit.max())
    weight /= weight.sum()
    return DetectionCurve(
        np.repeat(midpoint, CURVE_POINTS), np.tile(slope, CURVE_POINTS), weight.ravel(), confidence=confidence
    )


def _threshold(well: Float[np.ndarray, "draw slide"], specificity: float) -> Float[np.ndarray, " draw"]:
    """Just above as many of the sorted scores as the specificity asks for."""
    below = int(np.ceil(specificity * well.shape[1] - 1e-9))
    return np.asarray(np.full(len(well), -np.inf) if below == 0 else np.nextafter(well[:, below - 1], np.inf))


def _same_length(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise WrongFormat(
            f"{len(first)} and {len(second)} values are not of the same slides.", hint="give one of each per slide"
        )
