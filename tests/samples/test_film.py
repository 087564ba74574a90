"""Infection that is uneven over a film: its mean stays, its spread and reach are those that were asked for."""

import numpy as np
import pytest

from lsm.samples import InfectionConfig, ProceduralSmear, SmearConfig
from lsm.samples.film import infected_fractions

SIDE, PITCH_UM = 40, 200.0
Y, X = np.divmod(np.arange(SIDE * SIDE), SIDE)
POINTS = np.stack([X + 0.5, Y + 0.5], axis=1) * PITCH_UM


def fractions(config: InfectionConfig, seed: int) -> np.ndarray:
    return infected_fractions(
        POINTS,
        POINTS[:, 0] / (SIDE * PITCH_UM),
        np.ones(len(POINTS)),
        height_um=SIDE * PITCH_UM,
        parasitaemia=1e-4,
        config=config,
        rng=np.random.default_rng(seed),
    )


def test_without_spread_every_cell_is_alike():
    assert np.all(fractions(InfectionConfig(), 0) == 1e-4)


def test_the_mean_stays_and_the_logarithm_has_the_asked_spread_and_reach():
    logs = np.stack([np.log(fractions(InfectionConfig(spread=1.5, length_um=600.0), seed)) for seed in range(60)])
    assert np.exp(logs).mean(axis=1) == pytest.approx(1e-4)
    # a film is 13 lengths wide: its own mean takes some of the variance
    assert logs.std() == pytest.approx(1.5, rel=0.15)
    grid = logs.reshape(-1, SIDE, SIDE) - logs.mean()
    for lag, correlation in ((3, np.exp(-0.5)), (6, np.exp(-2.0))):
        found = (grid[:, :, lag:] * grid[:, :, :-lag]).mean() / (grid**2).mean()
        # some 60 films of 40 independent patches each
        assert found == pytest.approx(correlation, abs=0.1)


def test_a_trend_to_the_edges_is_the_same_on_every_film():
    config = InfectionConfig(spread=1.0, length_um=600.0, edge_share=1.0)
    first, second = fractions(config, 1), fractions(config, 2)
    assert np.array_equal(first, second)
    assert first.reshape(SIDE, SIDE)[0, -1] > 10 * first.reshape(SIDE, SIDE)[SIDE // 2, 0]


def test_uneven_infection_moves_no_cell_and_keeps_the_parasitaemia():
    config = SmearConfig(width_um=1200.0, height_um=900.0, parasitaemia=0.05)
    even = ProceduralSmear(config, 3).truth()
    uneven = ProceduralSmear(config, 3, InfectionConfig(spread=1.5, length_um=300.0)).truth()
    assert np.array_equal(even.x_um, uneven.x_um)
    assert np.array_equal(even.kind, uneven.kind)
    assert uneven.parasitaemia == pytest.approx(0.05, rel=0.15)

    def variance_over_mean(infected: np.ndarray) -> float:
        counts, _, _ = np.histogram2d(even.x_um[infected], even.y_um[infected], bins=(8, 6))
        return float(counts.var() / counts.mean())

    assert variance_over_mean(uneven.infected) > 2 * variance_over_mean(even.infected)
