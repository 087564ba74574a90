"""Infected cells found at so few false alarms that a slide can be believed.

A rate of false positives counts detections that are no infected cell, per red cell that is not infected. Below three
expected false positives a rate is not measured but guessed: then the answer is how many cells it would take.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float, Int

from lsm.config import Config
from lsm.errors import InputError
from lsm.stats.paired import verdict
from lsm.vision.data import AnnotatedSet, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import judge

Weights = Float[np.ndarray, "draw slide"]
"""How often each slide is taken in each draw."""

PerDraw = Float[np.ndarray, " draw"]

RATES: Final = (1e-3, 1e-4)
_EXPECTED: Final = 3
"""False positives that must be expected: of a rate r, none is seen in 3 / r cells in one case out of twenty."""

_VALUES_AT_ONCE: Final = 2**21


@dataclass(frozen=True, eq=False)
class Alarms:
    """Detections of infected cells on some slides, and the cells that are there.

    score, hit, slide: of each detection; a hit is an infected cell, each once.
    infected, uninfected: cells of each slide, without those to ignore. names: of the slides.
    """

    score: Float[np.ndarray, " found"]
    hit: Bool[np.ndarray, " found"]
    slide: Int[np.ndarray, " found"]
    infected: Int[np.ndarray, " slide"]
    uninfected: Int[np.ndarray, " slide"]
    names: tuple[str, ...]


def alarms(
    found: Sequence[Detections],
    data: AnnotatedSet,
    *,
    infected: Sequence[str],
    uninfected: Sequence[str],
    iou: float = 0.5,
) -> Alarms:
    """What a detector's findings in these images come to; images of one group are one slide.

    infected: categories that are an alarm, taken as one; a second detection of the same cell is a false one.
    uninfected: categories by whose number false alarms are told. A detection in an object to ignore is left out.
    Raises InputError for a category that the set does not have, or another number of images.
    """
    wanted = [_numbers(data, names) for names in (infected, uninfected)]
    if len(found) != len(data):
        raise InputError(f"{len(found)} images were searched, the set has {len(data)}.", hint="one for each image")
    names = tuple(dict.fromkeys(image.group or image.name for image in data.images))
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((2, len(names)), dtype=np.int64)
    scores, hits, slides = [], [], []
    for each, image in zip(found, data.images, strict=True):
        slide = place[image.group or image.name]
        asked = image.objects.where(~image.objects.ignore)
        for row, kinds in enumerate(wanted):
            counts[row, slide] += int(np.isin(asked.category, kinds).sum())
        mine = each.where(np.isin(each.category, wanted[0]))
        hit, counted = _hits(mine, image.objects, wanted[0], iou)
        scores.append(mine.score[counted])
        hits.append(hit[counted])
        slides.append(np.full(int(counted.sum()), slide))
    return Alarms(
        score=np.concatenate([*scores, np.zeros(0)]),
        hit=np.concatenate([*hits, np.zeros(0, dtype=bool)]),
        slide=np.concatenate([*slides, np.zeros(0, dtype=np.int64)]),
        infected=counts[0],
        uninfected=counts[1],
        names=names,
    )


def _numbers(data: AnnotatedSet, names: Sequence[str]) -> list[int]:
    missing = [name for name in names if name not in data.categories]
    if missing or not names:
        raise InputError(
            f"The set has no category '{', '.join(missing)}'.", hint=f"its categories: {', '.join(data.categories)}"
        )
    return [data.categories.index(name) for name in names]


def _hits(
    mine: Detections, objects: Objects, infected: list[int], iou: float
) -> tuple[Bool[np.ndarray, " found"], Bool[np.ndarray, " found"]]:
    """Which detections are an infected cell, and which count at all; those in anything to ignore do not."""
    judged = judge(
        mine, objects.where(np.isin(objects.category, infected) | objects.ignore), iou=iou, same_category=False
    )
    return judged.hit, judged.counted


class AtRate(Config):
    """Sensitivity where false positives are at most `rate` per uninfected cell, with its interval over slides.

    None where the set has fewer than `needs` uninfected cells.
    """

    rate: float
    sensitivity: float | None = None
    low: float | None = None
    high: float | None = None
    needs: Annotated[int, Ge(0)]

    def __str__(self) -> str:
        if self.sensitivity is None:
            return f"needs {self.needs:,} cells"
        return f"{self.sensitivity:.3f} ({self.low:.3f} to {self.high:.3f})"


class InfectedScores(Config):
    """How well infected cells are found. Intervals: 95 %, from resampling whole slides.

    ap: average precision, the area under precision against recall, at IoU 0.5.
    """

    ap: float
    ap_low: float
    ap_high: float
    at: tuple[AtRate, ...]
    infected: int
    uninfected: int
    slides: int


class Difference(Config):
    """One detector's value minus another's on the same slides, with its 95 % interval; None where one has no value."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str:
        """As it came out."""
        if self.value is None or self.low is None or self.high is None:
            return "not measured"
        return verdict(self.low, self.high)


def cells_needed(rate: float) -> int:
    """Uninfected cells from which a rate of false positives is told. Raises InputError outside 0..1."""
    if not 0 < rate < 1:
        raise InputError(f"A rate of {rate:g} false positives per cell is impossible.", hint="such as 1e-3")
    return math.ceil(_EXPECTED / rate - 1e-9)


def infected_scores(
    found: Alarms | Sequence[Alarms],
    rng: np.random.Generator,
    *,
    rates: Sequence[float] = RATES,
    draws: int = 1000,
) -> InfectedScores:
    """Scores of one detector, or the mean over several trainings that searched the same slides.

    Raises InputError where no infected cell is there, or trainings did not search the same slides.
    """
    runs = _same_slides(found)
    first = runs[0]
    weights = _draws(len(first.names), draws, rng)
    ranked = [_Ranked(run) for run in runs]
    ap, ap_low, ap_high = _interval(_mean_at(ranked, None, weights), least=0)
    at = []
    for rate in rates:
        needs = cells_needed(rate)
        row = AtRate(rate=rate, needs=needs)
        if int(first.uninfected.sum()) >= needs:
            value, low, high = _interval(_mean_at(ranked, rate, weights), least=0)
            row = AtRate(rate=rate, needs=needs, sensitivity=value, low=low, high=high)
        at.append(row)
    return InfectedScores(
        ap=ap,
        ap_low=ap_low,
        ap_high=ap_high,
        at=tuple(at),
        infected=int(first.infected.sum()),
        uninfected=int(first.uninfected.sum()),
        slides=len(first.names),
    )


def difference(
    better: Alarms | Sequence[Alarms],
    than: Alarms | Sequence[Alarms],
    rng: np.random.Generator,
    *,
    rate: float | None = None,
    draws: int = 1000,
) -> Difference:
    """Average precision of one minus that of the other, or their sensitivity at a rate.

    Slides are drawn for both alike. Raises InputError where they did not search the same slides.
    """
    ours, theirs = _same_slides(better), _same_slides(than)
    _same_slides([*ours, *theirs])
    if rate is not None and int(ours[0].uninfected.sum()) < cells_needed(rate):
        return Difference()

    weights = _draws(len(ours[0].names), draws, rng)
    one, other = (_mean_at([_Ranked(run) for run in runs], rate, weights) for runs in (ours, theirs))
    middle, low, high = _interval(one - other, least=-1)
    return Difference(value=middle, low=low, high=high)


def _same_slides(found: Alarms | Sequence[Alarms]) -> list[Alarms]:
    runs = [found] if isinstance(found, Alarms) else list(found)
    if not runs or not int(runs[0].infected.sum()):
        raise InputError("No infected cell is marked on the slides.", hint="take slides with infected cells")
    for run in runs:
        alike = run.names == runs[0].names and np.array_equal(run.infected, runs[0].infected)
        if not (alike and np.array_equal(run.uninfected, runs[0].uninfected)):
            raise InputError("The trainings did not search the same slides.", hint="search the same set with each")
    return runs


def _draws(slides: int, draws: int, rng: np.random.Generator) -> Weights:
    """How often each slide is taken: first once each, then slides drawn with replacement."""
    times = rng.multinomial(slides, np.full(slides, 1 / slides), size=draws if slides > 1 else 0)
    return np.concatenate([np.ones((1, slides)), times])


def _interval(drawn: PerDraw, *, least: float) -> tuple[float, float, float]:
    """The value on all slides, and the 2.5 and 97.5 % quantiles of the draws that hold infected and other cells.

    Where no other draw is possible, all values from the least to 1.
    """
    finite = drawn[1:][np.isfinite(drawn[1:])]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (least, 1.0)
    return float(drawn[0]), float(low), float(high)


def _mean_at(runs: Sequence["_Ranked"], rate: float | None, weights: Weights) -> PerDraw:
    """Sensitivity at the rate, or average precision without one; mean over the trainings."""
    portion = max(1, _VALUES_AT_ONCE // max(1, *(run.levels for run in runs)))
    parts = [weights[start : start + portion] for start in range(0, len(weights), portion)]
    each = [
        np.concatenate([run.precision(part) if rate is None else run.sensitivity(part, rate) for part in parts])
        for run in runs
    ]
    mean: PerDraw = np.mean(each, axis=0)
    return mean


class _Ranked:
    """The detections of one training from the strongest down; equal scores stand or fall together."""

    def __init__(self, run: Alarms) -> None:
        order = np.argsort(-run.score, kind="stable")
        self._run = run
        self._slide, self._hit = run.slide[order], run.hit[order]
        self._last = np.flatnonzero(np.append(np.diff(run.score[order]) != 0, np.ones(min(1, len(order)), dtype=bool)))

    @property
    def levels(self) -> int:
        """How many detections there are."""
        return len(self._hit)

    def sensitivity(self, weights: Weights, rate: float) -> PerDraw:
        """Share of infected cells found at the lowest threshold that keeps false positives within the rate."""
        true, false = self._counts(weights)
        infected, uninfected = weights @ self._run.infected, weights @ self._run.uninfected
        # counts of false positives only grow towards lower thresholds
        allowed = (false <= rate * uninfected[:, None] + 1e-9).sum(axis=1)
        found = np.concatenate([np.zeros((len(true), 1)), true], axis=1)[np.arange(len(true)), allowed]
        return _share(found, np.where(uninfected > 0, infected, 0.0))

    def precision(self, weights: Weights) -> PerDraw:
        """Average precision: with each recall the best precision at it or at any higher one."""
        true, false = self._counts(weights)
        precision = true / np.maximum(true + false, 1e-12)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        gained = np.diff(true, axis=1, prepend=0.0)
        return _share((gained * best).sum(axis=1), weights @ self._run.infected)

    def _counts(self, weights: Weights) -> tuple[Float[np.ndarray, "draw level"], Float[np.ndarray, "draw level"]]:
        """True and false detections down to each distinct score."""
        weight = weights[:, self._slide]
        true, false = np.cumsum(weight * self._hit, axis=1), np.cumsum(weight * ~self._hit, axis=1)
        return true[:, self._last], false[:, self._last]


def _share(part: PerDraw, whole: PerDraw) -> PerDraw:
    """NaN where there is nothing to share."""
    share: PerDraw = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share
