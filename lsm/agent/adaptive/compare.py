"""Whether one policy beats another at the same spending, with intervals over training seeds and patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lsm.agent.adaptive.evaluate import Measure, Outcome
from lsm.errors import WrongFormat
from lsm.stats.paired import PairedDifference, drawn_seeds, resampled_interval

DRAWS = 2000
ROUNDING = 1e-9
"""Relative, of means of some thousand float64 numbers."""

Table = Float[np.ndarray, "seed cell"]


@dataclass(frozen=True)
class Saving:
    """Share of spending that is saved at equal quality, with its 95 % interval.

    spent, needed: mean spending of the one, and of the other at the quality of the one. reached: share of the
    resamples in which the other reached that quality at all. Elsewhere the spending at its best quality stands for
    what it would need, so that the saving is a lower bound; where `reached` is small, compare qualities instead.

    saved, low, high and needed are None where the other's curve does not reach down to the one: its cheapest setting
    spends more, or has the better quality. What it would need is then below its cheapest setting, nobody knows how
    far. Resamples in which that is so count as a saving of nothing at most.
    """

    saved: float | None
    low: float | None
    high: float | None
    spent: float
    needed: float | None
    reached: float

    def at_least(self, share: float) -> bool:
        """Whether the interval shows such a saving."""
        return self.low is not None and self.low >= share


@dataclass(frozen=True, eq=False)
class TradeOff:
    """Quality against spending of one policy at several settings (thresholds, prices, numbers of captures).

    quality, spent: of each seed and cell, at each setting. Between two settings lies their mixture: the one at some
    cells, the other at the rest, by chance. Only settings on the upper hull count, as they are found on these same
    cells; that flatters the curve, so let a claim be that something lies above it.
    """

    quality: Float[np.ndarray, "setting seed cell"]
    spent: Float[np.ndarray, "setting seed cell"]

    @classmethod
    def of(
        cls,
        settings: Sequence[Sequence[Outcome]],
        *,
        quality: Measure = "correct",
        spent: Measure = "captures",
    ) -> "TradeOff":
        """The curve of these settings, each with one outcome per training seed (one where nothing is trained)."""
        tables = [[table(outcomes, measure) for outcomes in settings] for measure in (quality, spent)]
        return cls(np.stack(tables[0]), np.stack(tables[1]))

    def at(self, spending: float, seeds: int) -> Table:
        """Quality of each seed and cell where the mean spending is `spending`, as nearly as the settings allow."""
        hull = upper_hull(self.spent.mean(axis=(1, 2)), self.quality.mean(axis=(1, 2)))
        ends = self.spent.mean(axis=(1, 2))[hull]
        after = int(np.clip(np.searchsorted(ends, spending), 1, max(1, len(hull) - 1)))
        if len(hull) == 1:
            mixed = self.quality[hull[0]]
        else:
            share = float(np.clip((spending - ends[after - 1]) / (ends[after] - ends[after - 1]), 0, 1))
            mixed = (1 - share) * self.quality[hull[after - 1]] + share * self.quality[hull[after]]
        return _for_seeds(mixed, seeds)


def compare(
    ours: Sequence[Outcome],
    theirs: Sequence[Outcome],
    *,
    rng: np.random.Generator,
    measure: Measure = "correct",
    one_seed: bool = False,
) -> PairedDifference:
    """Mean of ours minus theirs at the same cells, with a 95 % interval from resampling patients and seeds.

    One outcome per training seed; a single one of theirs stands against each of ours. one_seed: a single one of ours
    will do, with an interval over patients alone.
    Raises WrongFormat for trials with other cells, and for a single seed otherwise.
    """
    _check_cells([*ours, *theirs])
    here, there = table(ours, measure), _for_seeds(table(theirs, measure), len(ours))
    return _paired(here, there, ours[0].patient, rng, one_seed=one_seed)


def compare_at_equal_spending(
    ours: Sequence[Outcome],
    theirs: TradeOff,
    *,
    rng: np.random.Generator,
    quality: Measure = "correct",
    spent: Measure = "captures",
    one_seed: bool = False,
) -> PairedDifference:
    """Quality of ours minus that of their curve at our mean spending, with an interval as in `compare`.

    Left and right of their curve its nearest end stands.
    """
    spending = float(table(ours, spent).mean())
    there = theirs.at(spending, len(ours))
    return _paired(table(ours, quality), there, ours[0].patient, rng, one_seed=one_seed)


def saving_at_equal_quality(
    ours: Sequence[Outcome],
    theirs: TradeOff,
    *,
    rng: np.random.Generator,
    quality: Measure = "correct",
    spent: Measure = "captures",
    one_seed: bool = False,
) -> Saving:
    """How much less ours spends than their curve needs for our quality; seeds and patients as in `compare`."""
    resample = _Resample.of(len(ours), ours[0].patient, rng, one_seed=one_seed)
    used, reached = resample.means(table(ours, spent)), resample.means(table(ours, quality))
    tables = [_for_seeds(each, len(ours)) for each in (*theirs.spent, *theirs.quality)]
    drawn = np.stack([resample.means(each) for each in tables], axis=1)
    settings = len(theirs.quality)
    found = [
        _needed(row[:settings], row[settings:], mine, wanted)
        for row, mine, wanted in zip(drawn, used.tolist(), reached.tolist(), strict=True)
    ]
    share = float(np.mean([each.reached for each in found]))
    spending, good = float(table(ours, spent).mean()), float(table(ours, quality).mean())
    central = _needed(theirs.spent.mean(axis=(1, 2)), theirs.quality.mean(axis=(1, 2)), spending, good)
    if not central.covered:
        return Saving(None, None, None, spending, None, share)
    saved = 1 - used / np.array([each.spent for each in found])
    saved = np.where([each.covered for each in found], saved, np.minimum(saved, 0))
    low, high = np.quantile(saved, [0.025, 0.975])
    return Saving(1 - spending / central.spent, float(low), float(high), spending, central.spent, share)


def table(outcomes: Sequence[Outcome], measure: Measure) -> Table:
    """A measure of each seed's policy at each cell."""
    return np.stack([outcome.per_cell(measure) for outcome in outcomes])


def upper_hull(spent: Float[np.ndarray, " setting"], quality: Float[np.ndarray, " setting"]) -> list[int]:
    """Settings on the concave upper hull from the least spending to the best quality, by rising spending."""
    hull: list[int] = []
    for index in np.lexsort((-quality, spent)).tolist():
        if hull and quality[index] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(spent, quality, hull[-1], index) >= _slope(spent, quality, hull[-2], hull[-1]):
            hull.pop()
        hull.append(index)
    return hull


@dataclass(frozen=True, eq=False)
class _Resample:
    """Seeds and patients drawn together, as in `lsm.stats.paired`; one draw serves every table."""

    seeds: Float[np.ndarray, "draw seed"]
    patients: Float[np.ndarray, "draw patient"]
    member: np.ndarray

    @classmethod
    def of(cls, seeds: int, patient: np.ndarray, rng: np.random.Generator, *, one_seed: bool) -> "_Resample":
        if seeds < 2 and not one_seed:
            raise WrongFormat("One training seed gives no interval.", hint="give at least two")
        names, member = np.unique(patient, return_inverse=True)
        drawn = drawn_seeds(seeds, DRAWS, rng)
        people = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS).astype(np.float64)
        return cls(drawn, people, member)

    def means(self, values: Table) -> Float[np.ndarray, " draw"]:
        """Mean of a table in every draw."""
        count = self.patients.shape[1]
        sums = np.stack([np.bincount(self.member, weights=row, minlength=count) for row in values])
        cells = np.bincount(self.member, minlength=count).astype(np.float64)
        total: Float[np.ndarray, " draw"] = np.einsum("ds,sp,dp->d", self.seeds, sums, self.patients, optimize=True)
        return np.asarray(total / (self.patients @ cells))


class _Needed(NamedTuple):
    """Spending at which a curve has the wanted quality, or at its nearer end.

    reached: it gets so high. covered: it begins at no more than the given spending, and at no more than that quality.
    """

    spent: float
    reached: bool
    covered: bool


def _needed(
    spent: Float[np.ndarray, " setting"], quality: Float[np.ndarray, " setting"], spending: float, wanted: float
) -> _Needed:
    hull = upper_hull(spent, quality)
    # equal means of other tables differ in their last bits
    covered = bool(spent[hull[0]] <= spending * (1 + ROUNDING) and quality[hull[0]] <= wanted + ROUNDING)
    if wanted > quality[hull[-1]]:
        return _Needed(float(spent[hull[-1]]), False, covered)
    return _Needed(float(np.interp(wanted, quality[hull], spent[hull])), True, covered)


def _slope(
    spent: Float[np.ndarray, " setting"], quality: Float[np.ndarray, " setting"], first: int, second: int
) -> float:
    run = float(spent[second] - spent[first])
    return float(quality[second] - quality[first]) / run if run > 0 else float("inf")


def _for_seeds(values: Float[np.ndarray, "some cell"], seeds: int) -> Table:
    """One row for each training seed. Raises WrongFormat where rows are neither one nor as many."""
    if len(values) not in (1, seeds):
        raise WrongFormat(
            f"{len(values)} seeds cannot be paired with {seeds}.", hint="give as many outcomes, or one for all"
        )
    return np.broadcast_to(values, (seeds, values.shape[1]))


def _paired(
    ours: Table, theirs: Table, patient: np.ndarray, rng: np.random.Generator, *, one_seed: bool
) -> PairedDifference:
    deltas = ours - theirs
    low, high = resampled_interval(deltas, patient, rng=rng, draws=DRAWS, one_seed=one_seed)
    return PairedDifference(float(deltas.mean()), low, high, len(deltas), len(np.unique(patient)))


def _check_cells(outcomes: Sequence[Outcome]) -> None:
    first = outcomes[0]
    for other in outcomes:
        if not (np.array_equal(other.patient, first.patient) and np.array_equal(other.infected, first.infected)):
            raise WrongFormat(
                f"'{other.policy}' was tried on other cells than '{first.policy}'.", hint="use one trial for both"
            )
