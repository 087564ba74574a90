"""Positive, negative or not yet: a sequential test between no parasites and a target density, over cells counted.

Two likelihood ratios are watched (Wald, Ann. Math. Stat. 16, 117 (1945)). Against "no parasites" stands a mixture of
densities from the target up, so that a heavily infected slide is not mistaken for one with many false positives;
against the target stands "no parasites". Each ratio is a martingale under what it speaks against, whatever the sizes of
the fields, and so exceeds 1 / error with at most the probability `error` at any time (Ville, 1939): the rule may be
asked after every cell or field, and the scan may end for any other reason. Where false positives or sensitivity differ
between slides the likelihoods are averaged over what the slide's may be; errors are then those over slides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln, logsumexp, xlogy

from lsm.errors import InputError
from lsm.stats.estimate import RED_CELLS_PER_UL
from lsm.stats.limits import blank_count, chance_above
from lsm.stats.rates import GammaRate, ReaderErrors
from lsm.stats.reviewed import Answered

Counts = Int[np.ndarray, " case"]
Cells = Float[np.ndarray, " case"]
LogRatios = Float[np.ndarray, " case"]

TARGET_WEIGHT = 0.5
"""Of the target itself among the densities that stand against none; the others share the rest."""
HIGHEST_PER_UL = 1e6
STEP = 4.0
"""Ratio of one of those densities to the next."""


class Decision(StrEnum):
    """What a count says of a slide."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class FixedDesign:
    """The test of equal errors that counts a fixed number of cells: positive above `blank_count` suspicious ones."""

    cells: int
    blank_count: int


@dataclass(frozen=True)
class SequentialRule:
    """When a count is called positive or negative.

    errors: of the reader. target_per_ul: a negative slide has less than this density, parasites per microlitre. alpha:
    probability that a slide without parasites is ever called positive. beta: that one of the target density, or above,
    is ever called negative. Raises InputError for impossible numbers.
    """

    errors: ReaderErrors
    target_per_ul: float = 100.0
    alpha: float = 0.025
    beta: float = 0.05
    red_cells_per_ul: float = RED_CELLS_PER_UL

    def __post_init__(self) -> None:
        if not (0 < self.target_per_ul < self.red_cells_per_ul and 0 < self.alpha < 1 and 0 < self.beta < 1):
            raise InputError(
                f"A target of {self.target_per_ul} per microlitre with errors of {self.alpha} and {self.beta} is "
                "impossible.",
                hint="give a density below that of red cells and errors between 0 and 1",
            )

    def extra_rate(self, per_ul: float) -> float:
        """Further suspicious ones per cell on a slide of this density."""
        sensitivity, false = self.errors.sensitivity.mean, self.errors.false_positives.mean
        return per_ul / self.red_cells_per_ul * (sensitivity - false)

    def on_slide(self, false_positives: GammaRate) -> "SequentialRule":
        """The rule where the slide's own rate has been estimated (`GammaRate.given`).

        Control events may be counted along with the cells: their probability is the same with and without parasites, so
        that the ratios stay martingales as the estimate sharpens.
        """
        return replace(self, errors=replace(self.errors, false_positives=false_positives))

    def log_ratios(
        self, suspicious: Counts, cells: Cells, answered: Answered | None = None
    ) -> tuple[LogRatios, LogRatios]:
        """Logarithms of the ratios (against none, against the target) of each pair of counts.

        answered: cells that an operator has looked at; their answers, given the counts, belong to both likelihoods.
        """
        above = self.target_per_ul * STEP ** np.arange(1 + _steps(HIGHEST_PER_UL / self.target_per_ul))
        none = self._log_probability(suspicious, cells, 0.0, answered)
        found = np.stack([self._log_probability(suspicious, cells, density, answered) for density in above])
        shares = np.full((len(above), 1), (1 - TARGET_WEIGHT) / max(len(above) - 1, 1))
        shares[0] = TARGET_WEIGHT if len(above) > 1 else 1.0
        impossible = np.isneginf(none)
        against_none = np.where(impossible, np.inf, logsumexp(found, axis=0, b=shares) - np.where(impossible, 0, none))
        return against_none, none - found[0]

    def _log_probability(self, suspicious: Counts, cells: Cells, per_ul: float, answered: Answered | None) -> LogRatios:
        """Of the counts, and of the answers where there are any, on slides of this density."""
        fraction = np.full(len(cells), per_ul / self.red_cells_per_ul)
        if per_ul == 0 or self.errors.sensitivity.sd == 0:
            extra = self.extra_rate(per_ul)
            found = self.errors.false_positives.log_probability(suspicious, cells, extra=extra)
        else:
            mean = cells[:, None] * self.errors.called(fraction)
            terms = xlogy(suspicious[:, None], mean) - mean - gammaln(suspicious[:, None] + 1.0)
            found = logsumexp(terms, axis=1) - math.log(mean.shape[1])
        if answered is None:
            return found
        return np.asarray(found + answered.log_probability(suspicious, cells, fraction, self.errors))

    def decide(self, suspicious: int, cells: int, answered: Answered | None = None) -> Decision:
        """What these totals say; the first answer that is not `undecided` is the one that counts (`SequentialCount`).

        answered: as in `log_ratios`. Raises InputError for impossible counts.
        """
        if not 0 <= suspicious <= cells:
            raise InputError(f"{suspicious} of {cells} cells are suspicious.", hint="count every cell once")
        pair = np.array([suspicious]), np.array([float(cells)])
        (against_none,), (against_target,) = self.log_ratios(*pair, answered)
        if against_none >= -math.log(self.alpha):
            return Decision.POSITIVE
        return Decision.NEGATIVE if against_target >= -math.log(self.beta) else Decision.UNDECIDED

    def boundaries(self, cells: Cells) -> tuple[Counts, Counts]:
        """(largest count that is negative, -1 where none is; smallest that is positive) at each number of cells."""
        edges = -math.log(self.alpha), -math.log(self.beta)
        positive = _first(lambda count, cells: self.log_ratios(count, cells)[0] >= edges[0], cells)
        not_negative = _first(lambda count, cells: self.log_ratios(count, cells)[1] < edges[1], cells)
        return not_negative - 1, positive

    def fixed_design(self, *, cells_max: int = 1_000_000_000) -> FixedDesign | None:
        """The smallest fixed number of cells with these errors, within 0.1 %; None where cells_max do not suffice.

        Where false positives differ between slides there may be none: `limit_of_detection` levels off.
        """

        def missed(cells: int) -> float:
            blank = blank_count(cells, self.errors, alpha=self.alpha)
            return 1 - chance_above(blank, cells, self.target_per_ul / self.red_cells_per_ul, self.errors)

        tried = np.unique(np.geomspace(100, cells_max, 200).astype(np.int64))
        enough = next((place for place, cells in enumerate(tried) if missed(int(cells)) <= self.beta), None)
        if enough is None:
            return None
        start = int(tried[max(enough - 1, 0)])
        # the miss rises with every step of the blank count, so the first that suffices is looked for one by one
        for cells in range(start, int(tried[enough]) + 1, max(1, start // 1000)):
            if missed(cells) <= self.beta:
                return FixedDesign(cells, int(blank_count(cells, self.errors, alpha=self.alpha)))
        return FixedDesign(int(tried[enough]), int(blank_count(int(tried[enough]), self.errors, alpha=self.alpha)))


@dataclass
class SequentialCount:
    """A scan in progress: told the counts field by field, it says what is decided; the first decision stays."""

    rule: SequentialRule
    suspicious: int = 0
    cells: int = 0
    decision: Decision = field(default=Decision.UNDECIDED, init=False)
    decided_at: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._look(self.rule)

    def add(self, suspicious: int, cells: int, *, false_positives: GammaRate | None = None) -> Decision:
        """The decision after a further field with so many suspicious ones among its cells, each counted once.

        false_positives: of this slide, where controls were counted; see `SequentialRule.on_slide`.
        Raises InputError for impossible counts; nothing is then added.
        """
        if not 0 <= suspicious <= cells:
            raise InputError(f"{suspicious} of {cells} cells are suspicious.", hint="count every cell once")
        self.suspicious += suspicious
        self.cells += cells
        return self._look(self.rule if false_positives is None else self.rule.on_slide(false_positives))

    def _look(self, rule: SequentialRule) -> Decision:
        if self.decision is Decision.UNDECIDED and self.cells:
            self.decision = rule.decide(self.suspicious, self.cells)
            self.decided_at = None if self.decision is Decision.UNDECIDED else self.cells
        return self.decision


def _steps(ratio: float) -> int:
    return max(0, math.floor(math.log(ratio) / math.log(STEP))) if ratio > 1 else 0


def _first(holds: Callable[[Counts, Cells], np.ndarray], cells: Cells) -> Counts:
    """The smallest count for which a condition holds that stays true from there on, one more than the cells where none.

    One for each number of cells.
    """
    low, high = np.full(len(cells), -1), np.ones(len(cells), dtype=np.int64)
    most = cells.astype(np.int64) + 1
    while (searched := np.flatnonzero(high < most)[~holds(high[high < most], cells[high < most])]).size:
        low[searched] = high[searched]
        high[searched] = np.minimum(2 * high[searched], most[searched])
    while (open_ := np.flatnonzero(high - low > 1)).size:
        middle = (low[open_] + high[open_]) // 2
        held = holds(middle, cells[open_])
        high[open_[held]], low[open_[~held]] = middle[held], middle[~held]
    return high
