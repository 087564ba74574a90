"""What a calibration knows about a slide to come, and how it is stored."""

import numpy as np
import pytest
from stained_slides import calibrate

from lsm.errors import WrongFormat
from lsm.stats import ScoreCalibration


def multinomial_slides(rng: np.random.Generator, *, concentration: float | None, slides: int = 200) -> np.ndarray:
    mean = np.array([0.6, 0.25, 0.1, 0.05])
    rows = [
        rng.multinomial(500, mean if concentration is None else rng.dirichlet(concentration * mean))
        for _ in range(slides)
    ]
    return np.array(rows)[:, None, :]


def test_concentration_of_dirichlet_slides_is_recovered():
    slides = multinomial_slides(np.random.default_rng(0), concentration=40.0)
    found = ScoreCalibration.from_slides(slides, slides).infected_concentration
    # A variance from 200 slides is known to 10 %; four bins with skewed tails: 35 %.
    assert found == pytest.approx(np.full((1, 4), 40.0), rel=0.35)


def test_slides_that_are_alike_are_trusted_far_more():
    rng = np.random.default_rng(0)
    alike = multinomial_slides(rng, concentration=None)
    apart = multinomial_slides(rng, concentration=40.0)
    calibration = ScoreCalibration.from_slides(alike, apart)
    assert calibration.infected_concentration.min() > 20 * calibration.uninfected_concentration.max()


def test_few_slides_are_trusted_less():
    """Three slides of 200 leave the spread between slides nearly unknown."""
    slides = multinomial_slides(np.random.default_rng(1), concentration=40.0)
    many, few = (ScoreCalibration.from_slides(part, part).infected_concentration for part in (slides, slides[:3]))
    assert np.median(few) < np.median(many) / 2


def test_no_slides_leave_uniform_fractions_and_little_trust():
    nothing = np.zeros((5, 2, 4), dtype=np.int64)
    calibration = ScoreCalibration.from_slides(nothing, nothing)
    assert calibration.p_infected == pytest.approx(np.full((2, 4), 0.25))
    assert calibration.infected_concentration.max() < 20


def test_drawn_slides_have_the_mean_and_spread_of_the_calibration():
    mean = np.array([[0.55, 0.25, 0.12, 0.08]])
    counts = np.round(mean * 100_000)
    trust = np.full((1, 4), 50.0)
    calibration = ScoreCalibration(counts, counts[:, ::-1].copy(), trust, trust)
    _, drawn = calibration.draw(20_000, np.random.default_rng(0))
    fractions = drawn[:, 0, ::-1]
    assert fractions.sum(axis=1) == pytest.approx(np.ones(20_000))
    # Renormalising to 1 bends means and spreads of gamma draws by their squared relative deviation, below 20 %.
    assert fractions.mean(axis=0) == pytest.approx(mean[0], rel=0.1)
    assert fractions.std(axis=0)[2:] == pytest.approx(np.sqrt(mean[0] * (1 - mean[0]) / 51)[2:], rel=0.2)


def test_masks_of_one_draw_deviate_together():
    """More captures of a badly stained slide are no independent evidence."""
    infected, _ = calibrate(np.random.default_rng(0)).draw(500, np.random.default_rng(1))
    assert np.corrcoef(infected[:, 1, -1], infected[:, 3, -1])[0, 1] > 0.95  # same quantile, other skewness


def test_arrays_give_the_same_calibration_back():
    calibration = calibrate(np.random.default_rng(0), slides=4)
    arrays = calibration.to_arrays()
    again = ScoreCalibration.from_arrays(arrays)
    assert all((again.to_arrays()[name] == values).all() for name, values in arrays.items())


def test_bad_arrays_are_refused():
    good = calibrate(np.random.default_rng(0), slides=4).to_arrays()
    with pytest.raises(WrongFormat, match="lacks infected"):
        ScoreCalibration.from_arrays({name: values for name, values in good.items() if name != "infected"})
    with pytest.raises(WrongFormat, match="impossible"):
        ScoreCalibration.from_arrays(good | {"infected": good["infected"] - 10_000})
