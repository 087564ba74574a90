"""Intervals of accuracies and of their differences, over seeds and patients."""

import numpy as np
import pytest

from lsm.errors import WrongFormat
from lsm.stats.paired import accuracy, majority_accuracy, paired_difference, paired_shares, resampled_interval

PATIENTS = np.repeat(np.arange(60), 20)


def votes(rate: float, rng: np.random.Generator, *, seeds: int = 5, patient_sd: float = 0.1, seed_sd: float = 0.02):
    chance = rate + patient_sd * rng.standard_normal(60)[PATIENTS] + seed_sd * rng.standard_normal((seeds, 1))
    return rng.random((seeds, len(PATIENTS))) < np.clip(chance, 0, 1)


def test_an_interval_holds_the_truth_as_often_as_it_says():
    held = []
    for trial in range(150):
        rng = np.random.default_rng(trial)
        found = accuracy(votes(0.8, rng), PATIENTS, rng=rng, draws=400)
        held.append(found.low <= 0.8 <= found.high)
    # 95 % asked; 150 trials have a standard error of 1.8 points, five seeds make percentile intervals 2-3 points short
    assert 0.88 <= np.mean(held) <= 1.0


def test_pairing_removes_what_patients_have_in_common():
    rng = np.random.default_rng(1)
    base = votes(0.8, rng, patient_sd=0.2)
    better = base | (rng.random(base.shape) < 0.15)
    found = paired_difference(better, base, PATIENTS, rng=rng)
    alone = accuracy(better, PATIENTS, rng=rng)
    assert found.low > 0
    assert found.high - found.low < 0.5 * (alone.high - alone.low)
    assert found.difference == pytest.approx(better.mean() - base.mean())
    assert (found.seeds, found.patients) == (5, 60)


def test_an_interval_of_numbers_is_that_of_votes_and_moves_with_them():
    right = votes(0.8, np.random.default_rng(1))
    of_votes = accuracy(right, PATIENTS, rng=np.random.default_rng(0))
    moved = resampled_interval(3.0 - 2.0 * right, PATIENTS, rng=np.random.default_rng(0))
    # sums of 1,200 numbers of order one in float64
    assert moved == pytest.approx((3 - 2 * of_votes.high, 3 - 2 * of_votes.low), rel=1e-12)


def test_the_majority_is_better_than_its_voters_and_a_tie_counts_half():
    rng = np.random.default_rng(2)
    right = rng.random((15, 1000)) < 0.7
    assert majority_accuracy(right) > 0.9
    assert majority_accuracy(np.array([[True, False], [False, False]])) == 0.25


def test_methods_on_other_cells_are_not_compared():
    with pytest.raises(WrongFormat, match="cannot be paired"):
        paired_difference(
            np.ones((2, 3), dtype=bool), np.ones((2, 4), dtype=bool), np.arange(3), rng=np.random.default_rng(0)
        )


def test_one_seed_gives_no_interval_unless_patients_alone_are_asked_for():
    right = votes(0.8, np.random.default_rng(1), seeds=1).astype(np.float64)
    low, high = resampled_interval(right, PATIENTS, rng=np.random.default_rng(0), one_seed=True)
    assert low < right.mean() < high
    with pytest.raises(WrongFormat, match="1 seeds on 3 cells"):
        accuracy(np.ones((1, 3), dtype=bool), np.arange(3), rng=np.random.default_rng(0))


@pytest.mark.parametrize(("both", "first", "second", "neither"), [(12, 6, 2, 5), (18, 4, 0, 3), (2, 1, 1, 16)])
def test_the_difference_of_two_readers_of_the_same_slides_is_covered(both: int, first: int, second: int, neither: int):
    chances = np.array([both, first, second, neither]) / (both + first + second + neither)
    truth, held = chances[1] - chances[2], []
    for trial in range(300):
        rng = np.random.default_rng(trial)
        ways = rng.choice(4, 25, p=chances)
        found = paired_shares(ways <= 1, ways % 2 == 0, rng=rng, draws=600)
        held.append(found.low <= truth <= found.high)
    # 95 % asked: 300 trials have a standard error of 1.3 points, 25 slides are few for a posterior by 1 to 2 points
    assert 0.9 <= np.mean(held) <= 1.0


def test_readers_who_never_differ_are_not_taken_for_equal():
    right = np.ones(20, dtype=bool)
    found = paired_shares(right, right, rng=np.random.default_rng(0))
    assert found.value == 0
    assert found.low < 0 < found.high
    with pytest.raises(WrongFormat, match="20 and 19 answers"):
        paired_shares(right, right[1:], rng=np.random.default_rng(0))
