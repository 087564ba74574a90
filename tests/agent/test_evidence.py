"""The torch estimates equal those of lsm.stats."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.agent.evidence import EvidenceModel
from lsm.agent.tables import SlideTables
from lsm.stats import ScoreCalibration, half_width, prevalence_em


def _counts(rng: np.random.Generator, calibration: ScoreCalibration, prevalence: float, cells: int) -> np.ndarray:
    share = prevalence * calibration.p_infected + (1 - prevalence) * calibration.p_uninfected
    counts = np.stack([rng.multinomial(cells, row) for row in share / share.sum(axis=1, keepdims=True)])
    counts[0] = 0
    return counts


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 0.95), st.integers(1, 2000))
def test_prevalence_is_the_limit_of_expectation_maximisation(
    world: tuple[SlideTables, ScoreCalibration], seed: int, prevalence: float, cells: int
):
    calibration = world[1]
    counts = _counts(np.random.default_rng(seed), calibration, prevalence, cells)
    found = EvidenceModel.of(calibration).prevalence(torch.from_numpy(counts)[None].float())
    expected = prevalence_em(counts, calibration.p_infected, calibration.p_uninfected, iterations=1500)
    # near the edges expectation maximisation creeps: about 1 / iterations from the limit
    assert float(found[0]) == pytest.approx(float(expected), abs=1e-3)


def test_prevalence_makes_the_slope_of_the_likelihood_vanish(world: tuple[SlideTables, ScoreCalibration]):
    calibration = world[1]
    rng = np.random.default_rng(0)
    counts = np.stack([_counts(rng, calibration, p, 500) for p in (0.05, 0.2, 0.5, 0.8)])
    found = EvidenceModel.of(calibration).prevalence(torch.from_numpy(counts).float()).numpy()
    excess = calibration.p_infected - calibration.p_uninfected
    density = calibration.p_uninfected + found[:, None, None] * excess
    slope = (counts * excess / density).sum(axis=(1, 2))
    # Newton's method in float64 ends within rounding of a sum of some hundred terms of size 1000
    assert np.abs(slope).max() < 1e-6


def test_half_width_equals_the_one_in_stats(world: tuple[SlideTables, ScoreCalibration]):
    calibration = world[1]
    rng = np.random.default_rng(1)
    counts = np.stack([_counts(rng, calibration, p, n) for p, n in ((0.0, 40), (0.03, 400), (0.4, 4000))])
    prevalence = np.array([0.0, 0.02, 0.5])
    found = EvidenceModel.of(calibration).half_width(torch.from_numpy(counts).float(), torch.from_numpy(prevalence))
    # the same formula in float64
    assert found.numpy() == pytest.approx(half_width(counts, prevalence, calibration), rel=1e-9)


def test_nothing_counted_means_nothing_known(world: tuple[SlideTables, ScoreCalibration]):
    model = EvidenceModel.of(world[1])
    counts = torch.zeros(1, *model.infected.shape)
    assert float(model.prevalence(counts)[0]) == 0.5
    assert float(model.half_width(counts, torch.tensor([0.5]).double())[0]) == 0.5
