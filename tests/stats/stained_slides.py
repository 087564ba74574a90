"""Simulated slides whose stain shifts all scores; deliberately not the model that the estimate assumes."""

import numpy as np

from lsm.stats import ScoreCalibration

BINS = 10
STAIN = 0.3


def slide_counts(
    rng: np.random.Generator, *, cells: int, prevalence: float, masks: int = 4, stain: float = STAIN
) -> tuple[np.ndarray, np.ndarray]:
    """Counts [mask, bin] of the infected and of the uninfected cells of one slide.

    Log odds are normal, around +-2.2 for the middle mask, further apart the more captures a mask stands for,
    with a shift per slide and class.
    """
    infected = rng.binomial(cells, prevalence)
    found = []
    for sign, number in ((1, infected), (-1, cells - infected)):
        mask = rng.integers(1, masks, number)
        gain = 0.7 + 0.6 * mask / masks
        log_odds = gain * (sign * 2.2 + rng.normal(0, 1.3, number)) + rng.normal(0, stain)
        score_bin = np.minimum((BINS / (1 + np.exp(-log_odds))).astype(int), BINS - 1)
        counts = np.zeros((masks, BINS), dtype=np.int64)
        np.add.at(counts, (mask, score_bin), 1)
        found.append(counts)
    return found[0], found[1]


def calibrate(rng: np.random.Generator, *, slides: int = 20, masks: int = 4, stain: float = STAIN) -> ScoreCalibration:
    """A calibration from slides of 0 to 15 % with 3,000 cells each."""
    pairs = [
        slide_counts(rng, cells=3000, prevalence=0.05 * (slide % 4), masks=masks, stain=stain)
        for slide in range(slides)
    ]
    return ScoreCalibration.from_slides(np.array([i for i, _ in pairs]), np.array([u for _, u in pairs]))
