"""Two readers of the same slides: published and constructed values, coverage, and panels on which all agree."""

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr

from lsm.errors import WrongFormat
from lsm.stats import cohen_kappa, concordance, density_agreement, share_within


def calls(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Slides that make up a table of what one reader and the other said."""
    pairs = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    first, second = zip(*pairs, strict=True)
    return np.array(first), np.array(second)


def test_kappa_of_a_textbook_table():
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, table 18.1: 100 subjects, kappa 0.68."""
    found = cohen_kappa(*calls([[75, 1, 4], [5, 4, 1], [0, 0, 10]]), rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0.68, abs=0.005)  # two digits
    assert found.low < 0.60 < 0.76 < found.high


def test_readers_who_always_agree_are_still_uncertain():
    found = cohen_kappa(*calls([[20, 0], [0, 15]]), rng=np.random.default_rng(0))
    assert found.value == 1.0
    assert 0.7 < found.low < 0.97


def test_one_call_for_all_slides_has_no_kappa():
    assert np.isnan(cohen_kappa(np.ones(20), np.ones(20), rng=np.random.default_rng(0)).value)


def test_kappa_covers_where_the_usual_standard_error_does_not():
    truth = np.array([[0.68, 0.02], [0.02, 0.28]])
    by_chance = 0.7**2 + 0.3**2
    kappa = (0.96 - by_chance) / (1 - by_chance)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        table = rng.multinomial(35, truth.ravel()).reshape(2, 2)
        found = cohen_kappa(*calls(table.tolist()), rng=rng, draws=500)
        hits += found.low <= kappa <= found.high
    assert binomtest(hits, 300, 0.94, alternative="less").pvalue > 1e-3  # 95.7 % in ten thousand runs


def readings(rng: np.random.Generator, slides: int, *, bias: float = 1.2, spread: float = 0.3):
    truth = 10 ** rng.uniform(2, 5, slides)
    return truth * bias * np.exp(rng.normal(0, spread, slides)), truth


def test_limits_of_agreement_are_those_of_the_logarithms():
    first, second = readings(np.random.default_rng(0), 4000)
    found = density_agreement(first, second)
    # 4,000 slides: half a percent for the bias, one for the limits
    assert found.bias.value == pytest.approx(1.2, rel=0.02)
    assert found.lower.value == pytest.approx(1.2 * np.exp(-1.96 * 0.3), rel=0.04)
    assert found.upper.value == pytest.approx(1.2 * np.exp(1.96 * 0.3), rel=0.04)


def test_limits_cover_on_few_slides():
    rng = np.random.default_rng(1)
    hits = np.zeros(3, dtype=int)
    truth = [1.2, 1.2 * np.exp(-1.959964 * 0.3), 1.2 * np.exp(1.959964 * 0.3)]
    for _ in range(400):
        found = density_agreement(*readings(rng, 12))
        ends = (found.bias, found.lower, found.upper)
        hits += [each.low <= value <= each.high for each, value in zip(ends, truth, strict=True)]
    for each in hits:
        assert binomtest(int(each), 400, 0.95).pvalue > 1e-3


def test_concordance_is_correlation_less_bias():
    rng = np.random.default_rng(2)
    first, second = readings(rng, 60, bias=1.0)
    plain = pearsonr(np.log(first), np.log(second)).statistic
    assert concordance(first, second).value == pytest.approx(plain, abs=0.01)  # hardly any shift, equal spreads
    shifted = concordance(5 * first, second)
    assert shifted.value < concordance(first, second).value - 0.1
    assert shifted.low < shifted.value < shifted.high
    assert concordance(second, second).value == 1.0


def test_concordance_covers():
    """Spreads of log density sqrt(3 ln 10 ...): the truth from a million slides."""
    rng = np.random.default_rng(3)
    truth = concordance(*readings(rng, 1_000_000)).value
    found = [concordance(*readings(rng, 30)) for _ in range(400)]
    hits = sum(each.low <= truth <= each.high for each in found)
    # normal theory, and densities that are even in their logarithm
    assert binomtest(hits, 400, 0.94, alternative="less").pvalue > 1e-3


def test_a_quarter_off_is_still_within():
    found = share_within(np.array([75.0, 125.0, 126.0, 100.0]), np.full(4, 100.0))
    assert (found.right, found.of) == (3, 4)


def test_slides_without_parasites_have_no_ratio():
    first, second = np.array([0.0, 100.0, 200.0, 300.0, 80.0]), np.array([50.0, 110.0, 190.0, 310.0, 70.0])
    assert density_agreement(first, second).slides == 4
    with pytest.raises(WrongFormat):
        density_agreement(first[:3], second[:3])
    with pytest.raises(WrongFormat):
        share_within(second, first)
    with pytest.raises(WrongFormat):
        cohen_kappa(first, second[:2], rng=np.random.default_rng(0))
    with pytest.raises(WrongFormat):
        concordance(np.full(5, 3.0), second)
