"""Levels of competence: the thresholds, how sure a level is, and what it is a level of."""

import numpy as np
import pytest

from lsm.errors import WrongFormat
from lsm.stats.competence import Competence, assess_competence, level_of


def panel(detected: int, counted: int, named: int | None = None, *, slides: int = 55, counting: int = 20) -> Competence:
    """A panel of 55 slides, 20 of which are counted, with so many right."""
    detection = np.arange(slides) < detected
    counts = np.where(np.arange(slides) < counting, np.arange(slides) < counted, np.nan)
    species = None if named is None else (np.arange(slides) < named).astype(float)
    stratum = ["counting"] * counting + ["detection"] * (slides - counting)
    return assess_competence(
        detection.astype(float), counts.astype(float), species, stratum=stratum, rng=np.random.default_rng(0)
    )


@pytest.mark.parametrize(
    ("shares", "level"),
    [
        ((0.90, 0.90, 0.50), 1),
        ((0.899, 1.0, 1.0), 2),
        ((1.0, 0.85, 1.0), 2),
        ((1.0, 1.0, 0.49), 2),
        ((1.0, 1.0, 0.40), 2),
        ((0.79, 1.0, 1.0), 3),
        ((1.0, 1.0, 0.30), 3),
        ((0.69, 1.0, 1.0), 4),
        ((1.0, 1.0, 0.29), 4),
    ],
)
def test_levels_are_those_of_the_manual(shares: tuple[float, ...], level: int):
    assert level_of(np.array(shares)[:, None])[0] == level


def test_all_right_is_level_1_and_not_certain():
    found = panel(55, 20)
    assert (found.level, found.best, found.worst) == (1, 1, 1)
    assert 0.95 < found.probability[0] < 1
    assert sum(found.probability) == pytest.approx(1.0)
    assert found.detection.low > 0.9


def test_a_level_just_reached_is_a_coin_toss():
    found = panel(50, 11)
    assert found.level == 1
    assert 0.2 < found.probability[0] < 0.7
    assert (found.best, found.worst) != (1, 1)


def test_without_species_the_level_says_so():
    assert panel(55, 20).basis == "detection and counts alone, no species"
    named = panel(55, 20, 40)
    assert named.basis == "detection, species and counts"
    assert named.level == 3
    assert named.species is not None
    assert (named.species.right, named.species.of) == (40, 55)


def test_poor_counts_alone_lower_the_level():
    found = panel(55, 3)
    assert found.level == 4
    assert found.counts.value == pytest.approx(0.15)
    assert found.probability[3] > 0.8


def test_probability_of_a_level_is_calibrated():
    """Readers of all kinds: of those given some probability of level 1, about that share is of level 1."""
    rng = np.random.default_rng(1)
    told, true = [], []
    for _ in range(300):
        shares = rng.uniform(0.75, 1.0), rng.uniform(0.3, 0.9)
        detection = (rng.random(50) < shares[0]).astype(float)
        counts = np.where(np.arange(50) < 20, rng.random(50) < shares[1], np.nan).astype(float)
        told.append(assess_competence(detection, counts, rng=rng, draws=300).probability[0])
        true.append(shares[0] >= 0.9 and shares[1] >= 0.5)
    told_, true_ = np.array(told), np.array(true)
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 1.0)):
        held = (told_ >= low) & (told_ <= high)
        # some 60 to 150 readers in each: a standard error of 6 %, three of them
        assert true_[held].mean() == pytest.approx(told_[held].mean(), abs=0.18)


def test_strata_keep_their_part_of_the_panel():
    """All negative slides right, all low ones wrong: draws do not mix them up."""
    detection = np.array([1.0] * 30 + [0.0] * 10)
    counts = np.where(np.arange(40) < 20, 1.0, np.nan)
    mixed = assess_competence(detection, counts, rng=np.random.default_rng(0))
    apart = assess_competence(detection, counts, stratum=["negative"] * 30 + ["low"] * 10, rng=np.random.default_rng(0))
    assert apart.detection.high - apart.detection.low < 0.6 * (mixed.detection.high - mixed.detection.low)


def test_marks_that_do_not_fit_are_refused():
    ones = np.ones(5)
    with pytest.raises(WrongFormat):
        assess_competence(ones, np.full(5, np.nan), rng=np.random.default_rng(0))
    with pytest.raises(WrongFormat):
        assess_competence(ones, np.ones(4), rng=np.random.default_rng(0))
