"""Answers of an operator count as they should, also where only the most suspicious cells were looked at."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lsm.errors import InputError
from lsm.stats import (
    Answered,
    BetaShare,
    Decision,
    GammaRate,
    OperatorAccuracy,
    ReaderErrors,
    SequentialRule,
    anytime_density,
    reviewed_density,
    thin_film_density,
)

SENSITIVITY, FALSE = np.array([0.3, 0.4]), np.array([3e-3, 1e-3])
"""Of two bins, the second one the surer."""
ERRORS = ReaderErrors(BetaShare(0.7, 0.03), GammaRate(4e-3, 0.3))
RULE = SequentialRule(ERRORS, target_per_ul=20_000)
CELLS = 20_000


def answers(infected: tuple[int, int], not_infected: tuple[int, int], **operator: float) -> Answered:
    return Answered(SENSITIVITY / FALSE, np.array(infected), np.array(not_infected), OperatorAccuracy(**operator))


NONE = answers((0, 0), (0, 0))


def slides(fraction: float, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Infected and other cells per bin of slides that differ as the errors say."""
    rng = np.random.default_rng(seed)
    a, b = 0.7 * (0.21 / 9e-4 - 1), 0.3 * (0.21 / 9e-4 - 1)  # of the beta distribution with these moments
    found = rng.beta(a, b, number)[:, None] / 0.7 * SENSITIVITY
    false = rng.gamma(0.3**-2, 0.3**2, number)[:, None] * FALSE
    return rng.poisson(CELLS * fraction * found), rng.poisson(CELLS * (1 - fraction) * false)


@pytest.mark.parametrize("suspicious", [0, 40, 80, 130, 2000])
def test_without_answers_nothing_changes(suspicious: int):
    plain, same = anytime_density(suspicious, CELLS, ERRORS), reviewed_density(suspicious, CELLS, ERRORS, NONE)
    assert RULE.decide(suspicious, CELLS, NONE) is RULE.decide(suspicious, CELLS)
    assert same.per_ul == pytest.approx(plain.per_ul, rel=1e-4, abs=0.1)  # found by a search
    # both look for the ends, one to some millionths, one to some hundred-thousandths
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high), rel=1e-3, abs=0.1)


def test_one_infected_cell_seen_by_someone_who_never_errs_is_a_positive_slide():
    assert RULE.decide(80, CELLS) is Decision.UNDECIDED
    assert RULE.decide(80, CELLS, answers((0, 1), (0, 0))) is Decision.POSITIVE
    assert RULE.decide(80, CELLS, answers((0, 1), (0, 0), specificity=0.6)) is Decision.UNDECIDED


def test_rejections_lower_and_acceptances_raise_density_and_interval():
    rejected, plain, accepted = (
        reviewed_density(150, CELLS, ERRORS, given)
        for given in (answers((0, 0), (0, 30)), NONE, answers((0, 30), (0, 0)))
    )
    assert rejected.per_ul < plain.per_ul < accepted.per_ul
    assert rejected.high < plain.high
    assert accepted.low > plain.low


def test_rejected_cells_make_a_slide_negative():
    assert RULE.decide(100, CELLS) is Decision.UNDECIDED
    assert RULE.decide(100, CELLS, answers((0, 0), (0, 25))) is Decision.NEGATIVE


def test_an_operator_who_errs_says_less():
    plain, sure, unsure = (
        reviewed_density(150, CELLS, ERRORS, given).per_ul
        for given in (NONE, answers((0, 0), (0, 30)), answers((0, 0), (0, 30), sensitivity=0.7, specificity=0.7))
    )
    assert sure < unsure < plain


@pytest.mark.parametrize("fraction", [0.0, 2e-3, 0.02])
def test_a_review_of_the_surer_bin_alone_keeps_the_promise_of_the_interval(fraction: float):
    infected, others = slides(fraction, 40, seed=3)
    held, wrong = 0, 0
    for seen, false in zip(infected, others, strict=True):
        given = answers((0, int(seen[1])), (0, int(false[1])))
        found = reviewed_density(int(seen.sum() + false.sum()), CELLS, ERRORS, given)
        held += found.low <= fraction * 5e6 <= found.high
        said = RULE.decide(int(seen.sum() + false.sum()), CELLS, given)
        wrong += said is (Decision.POSITIVE if fraction == 0 else Decision.NEGATIVE) and not 0 < fraction < 4e-3
    # as many as 95 % and 5 % of 40 allow with a chance of 1 in 1000
    assert binomtest(held, 40, 0.95, alternative="less").pvalue > 1e-3
    assert binomtest(wrong, 40, 0.05, alternative="greater").pvalue > 1e-3


def test_a_full_review_settles_what_the_reader_left_open():
    infected, others = slides(2e-3, 10, seed=5)
    widths = []
    for seen, false in zip(infected, others, strict=True):
        count, given = int(seen.sum() + false.sum()), answers(tuple(seen.tolist()), tuple(false.tolist()))
        plain, found = thin_film_density(count, CELLS, ERRORS), reviewed_density(count, CELLS, ERRORS, given)
        widths.append((found.high - found.low) / (plain.high - plain.low))
        assert RULE.decide(count, CELLS, given) is Decision.POSITIVE
    assert np.median(widths) < 0.8


def test_impossible_answers_are_refused():
    with pytest.raises(InputError, match="answers are impossible"):
        answers((0, -1), (0, 0))
    with pytest.raises(InputError, match="tells nothing"):
        OperatorAccuracy(0.5, 1.0)
