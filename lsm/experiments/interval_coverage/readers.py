"""Coverage of what is said of readers and of patients: agreement, operating points, detection curves, levels."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import expit
from scipy.stats import norm

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.tally import Tally
from lsm.stats import (
    assess_competence,
    cohen_kappa,
    concordance,
    density_agreement,
    fit_detection_curve,
    operating_point,
    share_within,
)
from lsm.stats.competence import level_of

PANELS = (20, 35, 100)
BIAS, SPREAD = 1.1, 0.25
"""Of the ratio of two readers' densities: geometric mean, and standard deviation of its logarithm."""
DECADES = 2.0, 5.0
MIDPOINT, SLOPE = 2.0, 5.0
"""Of detection: half of the slides at 100 per microlitre, log odds 5 per decade."""
DRAWS = 1000
SINGLE_LEVEL = "(a single level told)"


def agreement(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Two readers of panels of slides: calls, and densities with logarithms that are normally distributed."""
    truth = _true_concordance()
    limits = [BIAS * np.exp(times * norm.ppf(0.975) * SPREAD) for times in (0, -1, 1)]
    within = float(norm.cdf(np.log(1.25 / BIAS) / SPREAD) - norm.cdf(np.log(0.75 / BIAS) / SPREAD))
    for slides in PANELS:
        where = f"{slides} slides"
        yield _kappa(slides, config.slow_runs, rng)
        held: dict[str, list[bool]] = {}
        for _ in range(config.slow_runs):
            first, second = _readings(slides, rng)
            found = density_agreement(first, second)
            for name, each, value in (
                ("bias of two readers", found.bias, limits[0]),
                ("limit of agreement, lower", found.lower, limits[1]),
                ("limit of agreement, upper", found.upper, limits[2]),
                ("concordance", concordance(first, second), truth),
                ("share within 25 %", share_within(first, second), within),
            ):
                held.setdefault(name, []).append(each.low <= value <= each.high)
        for name, hits in held.items():
            yield Tally.of(name, where, np.array(hits))


def patients(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Sensitivity at a threshold that the same slides set, and detection against density."""
    runs = max(config.slow_runs // 4, 20)
    truth = float(norm.sf(norm.ppf(0.9) - 2.0))
    limit = 10 ** (MIDPOINT + np.log(19) / SLOPE)
    for slides in (50, 100):
        held = []
        for _ in range(runs):
            infected = np.arange(2 * slides) < slides
            scores = rng.normal(2.0 * infected, 1.0)
            found = operating_point(infected, scores, specificity=0.9, rng=rng, draws=DRAWS).sensitivity
            held.append(found.low <= truth <= found.high)
        yield Tally.of("sensitivity at 90 % specificity", f"{slides} slides of each kind", np.array(held))
        kept = []
        for _ in range(runs):
            place = rng.uniform(1, 4, slides)
            curve = fit_detection_curve(10**place, rng.random(slides) < expit(SLOPE * (place - MIDPOINT)))
            pairs = (
                (curve.at(100.0), 0.5),
                (curve.at(300.0), float(expit(SLOPE * (np.log10(300) - MIDPOINT)))),
                (curve.density(0.95), limit),
            )
            kept.append([each.low <= value <= each.high for each, value in pairs])
        for name, column in zip(("at 100/uL", "at 300/uL", "of 95 % detection"), np.array(kept).T, strict=True):
            kind = "density" if "95 %" in name else "sensitivity"
            yield Tally.of(f"{kind} {name}", f"{slides} slides", column)


def levels(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Readers of all kinds on panels of the WHO's composition: whether the level lies between those that are told.

    The truth is the level of the reader's long-run shares. 35 slides for detection and species, 20 to be counted.
    """
    kinds = np.repeat(["negative", "low", "high", "counting"], [14, 11, 10, 20])
    held, told = [], []
    for _ in range(config.slow_runs):
        detection = np.array([rng.uniform(0.85, 1.0), rng.uniform(0.5, 1.0), 0.99, 0.99])
        counts = rng.uniform(0.2, 0.8)
        right = detection[np.unique(kinds, return_inverse=True)[1]]
        share = float(right.mean())
        true = int(level_of(np.array([[share], [share], [counts]]))[0])
        marks = (rng.random(len(kinds)) < right).astype(np.float64)
        counted = np.where(kinds == "counting", rng.random(len(kinds)) < counts, np.nan)
        found = assess_competence(marks, counted, stratum=kinds.tolist(), rng=rng, draws=DRAWS)
        held.append(found.best <= true <= found.worst)
        told.append(found.best == found.worst)
    yield Tally.of("levels told", "55 slides, 20 counted", np.array(held))
    yield Tally.of(SINGLE_LEVEL, "55 slides, 20 counted", np.array(told))


def _kappa(slides: int, runs: int, rng: np.random.Generator) -> Tally:
    """Readers who agree on 96 % of slides, 30 % of which are positive."""
    table = np.array([0.68, 0.02, 0.02, 0.28])
    by_chance = 0.7**2 + 0.3**2
    truth = (0.96 - by_chance) / (1 - by_chance)
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    held = []
    for _ in range(runs):
        pair = rng.choice(4, slides, p=table)
        found = cohen_kappa(first[pair], second[pair], rng=rng, draws=DRAWS)
        # panels on which both call all slides the same have none
        held.append(bool(np.isnan(found.value)) or found.low <= truth <= found.high)
    return Tally.of("kappa", f"{slides} slides", np.array(held))


def _readings(slides: int, rng: np.random.Generator) -> tuple[Float[np.ndarray, " slide"], Float[np.ndarray, " slide"]]:
    reference = 10 ** rng.normal(sum(DECADES) / 2, (DECADES[1] - DECADES[0]) / 4, slides)
    return reference * BIAS * np.exp(rng.normal(0, SPREAD, slides)), reference


def _true_concordance() -> float:
    """Of densities with normal logarithms."""
    variance = (np.log(10) * (DECADES[1] - DECADES[0]) / 4) ** 2
    return float(2 * variance / (2 * variance + SPREAD**2 + np.log(BIAS) ** 2))
