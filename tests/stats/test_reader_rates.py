"""What is thought of a reader's errors on a slide to come: distributions, what controls add, a lattice of slides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma, nbinom, poisson

from lsm.errors import InputError
from lsm.stats import BetaShare, GammaRate, ReaderErrors

VARYING = GammaRate(1e-5, 0.5)


def test_counts_of_a_slide_to_come_are_negative_binomial():
    counts, cells = np.arange(80), np.full(80, 2e6)
    found = VARYING.log_probability(counts, cells)
    assert found == pytest.approx(nbinom.logpmf(counts, 4, 4 / 24), rel=1e-9)
    known = GammaRate(1e-5).log_probability(counts, cells)
    assert known == pytest.approx(poisson.logpmf(counts, 20.0), rel=1e-9)


def test_with_steady_events_the_counts_are_convolved():
    counts, cells = np.arange(120), np.full(120, 2e6)
    found = np.exp(VARYING.log_probability(counts, cells, extra=1.5e-5))
    apart = np.convolve(nbinom.pmf(counts, 4, 4 / 24), poisson.pmf(counts, 30.0))[:120]
    assert found == pytest.approx(apart, rel=1e-9)


def test_many_counts_are_summed_in_parts():
    counts, cells = np.arange(3000), np.full(3000, 2e6)
    found = VARYING.log_probability(counts, cells, extra=1e-4)
    alone = np.array([VARYING.log_probability(counts[[k]], cells[[k]], extra=1e-4)[0] for k in (0, 250, 2999)])
    assert found[[0, 250, 2999]] == pytest.approx(alone, rel=1e-12)


@given(st.integers(0, 400), st.floats(0.05, 2.0))
def test_controls_are_the_conjugate_update(events: int, cv: float):
    before = GammaRate(1e-5, cv)
    after = before.given(events, 1_000_000)
    shape, rate = cv**-2 + events, cv**-2 / 1e-5 + 1e6
    assert after.mean == pytest.approx(shape / rate, rel=1e-12)
    assert after.cv == pytest.approx(shape**-0.5, rel=1e-12)


def test_look_alikes_count_by_their_ratio_and_less_where_it_varies():
    steady = VARYING.given(200, 1_000_000, per_event=0.05)
    assert steady.mean == pytest.approx(1e-5, rel=1e-12)
    assert steady.cv == pytest.approx(204**-0.5, rel=1e-12)
    varying = VARYING.given(200, 1_000_000, per_event=0.05, per_event_cv=0.2)
    # 1 / (1/200 + 0.04) = 22 events' worth, and the four of the prior
    assert varying.cv == pytest.approx((4 + 1 / (1 / 200 + 0.04)) ** -0.5, rel=1e-12)


def test_a_known_rate_learns_nothing():
    assert GammaRate(1e-5).given(50, 1_000_000) == GammaRate(1e-5)


def test_counted_sensitivity_is_jeffreys_posterior():
    found = BetaShare.counted(90, 100)
    assert found.mean == pytest.approx(90.5 / 101)
    assert found.at(np.array([0.5]))[0] == pytest.approx(0.8985, abs=1e-3)


def test_lattice_of_slides_has_the_means_and_spreads():
    errors = ReaderErrors(BetaShare(0.9, 0.03), VARYING)
    sensitivity, false = errors.nodes
    # 377 quantiles leave out the last 0.13 %: of a gamma distribution half a percent of the mean and more of the spread
    assert (sensitivity.mean(), sensitivity.std()) == pytest.approx((0.9, 0.03), rel=0.02)
    assert (false.mean(), false.std()) == pytest.approx((1e-5, 5e-6), rel=0.02)
    assert abs(np.corrcoef(sensitivity, false)[0, 1]) < 0.02
    assert np.quantile(false, 0.9) == pytest.approx(gamma.ppf(0.9, 4, scale=2.5e-6), rel=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GammaRate(-1e-5),
        lambda: GammaRate(1e-5, -1.0),
        lambda: VARYING.given(-1, 100),
        lambda: VARYING.given(1, 100, per_event=0.0),
        lambda: BetaShare(0.9, 0.5),
        lambda: BetaShare.counted(3, 2),
        lambda: ReaderErrors(BetaShare(0.1), GammaRate(0.2)),
    ],
)
def test_impossible_errors_are_refused(make: object):
    with pytest.raises(InputError):
        make()  # type: ignore[operator]
