"""Outcomes count what happened, and comparisons pair what belongs together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from riddle import NEVER_REFER, balance, riddle

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget
from lsm.agent.adaptive.compare import (
    TradeOff,
    compare,
    compare_at_equal_spending,
    saving_at_equal_quality,
    upper_hull,
)
from lsm.agent.adaptive.evaluate import Outcome, Trial, try_policy
from lsm.agent.adaptive.policies import FixedSequence
from lsm.errors import InputError, WrongFormat

CELLS = 240


def _outcome(right: float, captures: float, seed: int = 0) -> Outcome:
    """Invented: a share of cells right, the same cells for smaller shares, and captures with a spread."""
    order = np.random.default_rng(0).permutation(CELLS)
    correct = (order < right * CELLS)[None]
    spent = captures + np.random.default_rng(seed).normal(0, 0.1, (1, CELLS))
    zero = np.zeros((1, CELLS))
    patient = np.array([f"P{number % 12}" for number in range(CELLS)])
    return Outcome(
        policy=f"{right} at {captures}",
        declared=np.zeros((1, CELLS), dtype=np.int64),
        correct=correct,
        log_score=zero,
        captures=spent,
        light_led_s=zero,
        time_s=zero,
        cost=zero,
        infected=order < CELLS // 2,
        patient=patient,
    )


def _curve(points: Sequence[tuple[float, float]]) -> TradeOff:
    return TradeOff.of([[_outcome(right, captures)] for right, captures in points])


def _ours(right: float, captures: float) -> list[Outcome]:
    return [_outcome(right, captures, seed) for seed in range(5)]


def test_an_outcome_counts_captures_light_time_and_cost():
    config = AdaptiveConfig(budget=CellBudget(captures=3), repeats=3, reward=NEVER_REFER)
    env = BatchAdaptiveEnv(balance(config, contrast=0.01))
    trial = Trial(env, torch.arange(64), repeats=3, seed=1)
    outcome = try_policy(FixedSequence(env.rules, (0, 0)), trial)
    assert outcome.correct.shape == (3, 64)
    assert np.array_equal(outcome.infected, env.world.source.stack.infected)
    assert (outcome.captures == 2).all()
    # one lamp at full drive for two exposures of 10 ms, each with its overhead of 20 ms
    assert outcome.light_led_s == pytest.approx(0.02)
    assert outcome.time_s == pytest.approx(0.06)
    declared_right = np.where(outcome.infected, outcome.declared == 0, outcome.declared == 1)
    assert np.array_equal(outcome.correct, declared_right)
    # rewards are float32
    assert outcome.cost == pytest.approx(0.02 + 1.0 * ~outcome.correct, abs=1e-6)
    assert outcome.plain()["accuracy"] == outcome.correct.mean()
    # the same noise for the same seed, other noise in each repeat
    again = try_policy(FixedSequence(env.rules, (0, 0)), trial)
    assert np.array_equal(again.log_score, outcome.log_score)
    assert not np.array_equal(outcome.log_score[0], outcome.log_score[1])


def test_a_trial_of_patients_has_their_cells_and_no_others():
    env = BatchAdaptiveEnv(riddle(cells=64).train)
    trial = Trial.of_patients(env, np.array(["P3", "P7"]))
    assert set(trial.patient) == {"P3", "P7"}
    assert len(trial.rows) == 8
    with pytest.raises(InputError):
        Trial.of_patients(env, np.array(["nobody"]))


def test_pairs_are_compared_cell_by_cell():
    found = compare(_ours(0.8, 2.0), [_outcome(0.7, 2.0)], rng=np.random.default_rng(1))
    assert found.difference == pytest.approx(0.1)
    assert 0 < found.low < 0.1 < found.high
    assert (found.seeds, found.patients) == (5, 12)
    # the same cells are right in both, so that the pairs differ far less than the methods themselves
    assert found.high - found.low < 0.12
    other = replace(_outcome(0.7, 2.0), patient=np.array(["Q"] * CELLS))
    with pytest.raises(WrongFormat):
        compare(_ours(0.8, 2.0), [other], rng=np.random.default_rng(1))
    with pytest.raises(WrongFormat):
        compare(_ours(0.8, 2.0), [_outcome(0.7, 2.0)] * 2, rng=np.random.default_rng(1))


def test_the_hull_leaves_out_what_a_mixture_beats():
    spent, quality = np.array([1.0, 2.0, 3.0, 4.0, 2.5]), np.array([0.6, 0.65, 0.8, 0.75, 0.79])
    # 2 lies below the line from 1 to 2.5, 4 is worse than 3 at more spending
    assert upper_hull(spent, quality) == [0, 4, 2]


def test_equal_spending_is_met_between_two_settings():
    curve = _curve([(0.6, 1.0), (0.8, 3.0)])
    assert float(curve.at(2.0, 5).mean()) == pytest.approx(0.7, abs=0.01)
    assert float(curve.at(0.5, 5).mean()) == pytest.approx(0.6)
    assert float(curve.at(9.0, 5).mean()) == pytest.approx(0.8)
    better = compare_at_equal_spending(_ours(0.8, 2.0), curve, rng=np.random.default_rng(0))
    assert better.difference == pytest.approx(0.1, abs=0.01)
    assert better.low > 0
    on_it = compare_at_equal_spending(_ours(0.7, 2.0), curve, rng=np.random.default_rng(0))
    assert on_it.difference == pytest.approx(0.0, abs=0.01)
    assert on_it.low <= 0.01
    assert on_it.high >= -0.01


def test_savings_are_shares_of_what_the_other_needs():
    curve = _curve([(0.6, 1.0), (0.7, 2.0), (0.8, 4.0)])
    saving = saving_at_equal_quality(_ours(0.75, 1.5), curve, rng=np.random.default_rng(0))
    assert saving.needed == pytest.approx(3.0, abs=0.05)
    assert saving.saved == pytest.approx(0.5, abs=0.02)
    assert saving.low < saving.saved < saving.high
    assert saving.reached > 0.9
    beyond = saving_at_equal_quality(_ours(0.9, 2.0), curve, rng=np.random.default_rng(0))
    assert beyond.reached < 0.05
    assert beyond.saved == pytest.approx(0.5, abs=0.02)


def test_no_saving_is_claimed_over_captures_that_only_harm():
    curve = _curve([(0.7, 1.0), (0.6, 5.0)])
    saving = saving_at_equal_quality(_ours(0.75, 1.05), curve, rng=np.random.default_rng(0))
    # mean captures have a spread of 0.1 over 240 cells
    assert saving.saved == pytest.approx(-0.05, abs=0.03)
    assert saving.needed == pytest.approx(1.0, abs=0.03)
    assert saving.reached < 0.05


@pytest.mark.parametrize(
    ("right", "captures"),
    [(0.75, 1.2), (0.9, 1.2), (0.65, 3.0)],
    ids=["fewer captures", "fewer, and better than any", "worse than the cheapest"],
)
def test_no_saving_is_told_where_a_curve_does_not_reach_down(right: float, captures: float):
    curve = _curve([(0.7, 2.0), (0.8, 4.0)])
    saving = saving_at_equal_quality(_ours(right, captures), curve, rng=np.random.default_rng(0))
    assert (saving.saved, saving.low, saving.high, saving.needed) == (None, None, None, None)
    assert saving.spent == pytest.approx(captures, abs=0.03)
    assert not saving.at_least(-10)


def test_a_curve_that_hardly_reaches_down_shows_no_saving():
    # in some resamples of twelve patients 0.72 lies below the cheapest setting's 0.7; other cells are right there
    rng = np.random.default_rng(5)
    cheap = replace(_outcome(0.7, 1.0), correct=rng.permuted(_outcome(0.7, 1.0).correct, axis=1))
    curve = TradeOff.of([[cheap], [_outcome(0.9, 40.0)]])
    saving = saving_at_equal_quality(_ours(0.72, 1.5), curve, rng=np.random.default_rng(0))
    assert saving.saved is not None
    assert saving.saved > 0.5
    assert saving.low is not None
    assert saving.low <= 0


def test_one_seed_has_an_interval_over_patients_alone_where_that_is_asked_for():
    curve = _curve([(0.6, 1.0), (0.8, 4.0)])
    with pytest.raises(WrongFormat):
        compare_at_equal_spending(_ours(0.75, 2.0)[:1], curve, rng=np.random.default_rng(0))
    with pytest.raises(WrongFormat):
        saving_at_equal_quality(_ours(0.75, 2.0)[:1], curve, rng=np.random.default_rng(0))
    ours = _ours(0.75, 2.0)[:1]
    better = compare_at_equal_spending(ours, curve, rng=np.random.default_rng(0), one_seed=True)
    # the same training twice has the same interval: only the patients differ between resamples
    twice = compare_at_equal_spending(ours * 2, curve, rng=np.random.default_rng(0))
    # sums of 240 numbers of order one in float64
    assert (better.low, better.high) == pytest.approx((twice.low, twice.high), rel=1e-12)
    assert better.low < better.difference < better.high
    saving = saving_at_equal_quality(ours, curve, rng=np.random.default_rng(0), one_seed=True)
    assert saving.low is not None
    assert saving.high is not None
    assert saving.low < saving.high


def test_one_setting_is_a_curve_too():
    curve = _curve([(0.6, 1.0)])
    assert float(curve.at(5.0, 2).mean()) == pytest.approx(0.6)
