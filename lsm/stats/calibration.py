"""How the scores of infected and uninfected cells fall into bins, and how that varies between slides."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Real
from scipy.special import gammaincinv

from lsm.errors import WrongFormat
from lsm.stats._alike import concentration
from lsm.stats.thresholds import CalibrationSlides, SlideMaskBins

MaskBins = Real[np.ndarray, "mask bin"]
Fractions = Float[np.ndarray, "mask bin"]
DrawnFractions = Float[np.ndarray, "draw mask bin"]

SUMS = ("infected", "uninfected", "infected_concentration", "uninfected_concentration")
ONE_BY_ONE = ("infected_slides", "uninfected_slides")
SMOOTHING_CELLS = 1.0
DRAW_SEED = 20240
SMALLEST = 1e-9


@dataclass(frozen=True, eq=False)
class ScoreCalibration:
    """Counts of calibration cells per set of captures and score bin, and how far one slide is to be trusted.

    infected, uninfected: counts [mask, bin]; bit k of the mask index is pattern k.
    infected_concentration, uninfected_concentration: effective calibration cells [mask, bin]; the fraction p of
    a new slide's cells in a bin has the relative variance (1 - p) / (p * (concentration + 1)), as under a
    Dirichlet distribution, but each bin with its own value: rare false positives vary more than the bulk does.
    slides: the slides one by one, which thresholds are judged by; None where only their sums are known.
    Raises WrongFormat for shapes that differ, negative counts or concentrations that are not positive.
    """

    infected: MaskBins
    uninfected: MaskBins
    infected_concentration: Fractions
    uninfected_concentration: Fractions
    slides: CalibrationSlides | None = None

    def __post_init__(self) -> None:
        shape = self.infected.shape
        counts = (self.infected, self.uninfected)
        trust = (self.infected_concentration, self.uninfected_concentration)
        same = all(array.shape == shape for array in (*counts, *trust))
        if not same or min(array.min() for array in counts) < 0 or min(array.min() for array in trust) <= 0:
            raise WrongFormat(
                f"A calibration of {shape} infected and {self.uninfected.shape} uninfected counts is impossible.",
                hint="give non-negative counts and positive concentrations, all [mask, bin] of one shape",
            )

    @classmethod
    def from_slides(cls, infected: SlideMaskBins, uninfected: Real[np.ndarray, "other mask bin"]) -> "ScoreCalibration":
        """Fit to counts [slide, mask, bin] of slides that were not used for training.

        The correlation between cells of one slide is fitted per bin by the analysis of variance (Donner, Int.
        Stat. Rev. 54, 67 (1986), eq. 2). The concentration covers a new slide's deviation and the error of the
        calibration's mean, and is widened for the few slides that it rests on.
        The two classes may come from different slides; masks and bins must agree (WrongFormat).
        """
        return cls(
            infected.sum(axis=0),
            uninfected.sum(axis=0),
            _concentrations(infected),
            _concentrations(uninfected),
            CalibrationSlides(infected, uninfected),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ScoreCalibration":
        """The calibration that `to_arrays` stored. Raises WrongFormat where an array is missing."""
        missing = sorted(set(SUMS) - set(arrays))
        if missing:
            raise WrongFormat(f"The calibration lacks {', '.join(missing)}.", hint="store it with to_arrays()")
        known = all(name in arrays for name in ONE_BY_ONE)
        slides = CalibrationSlides(*(np.rint(arrays[name]).astype(np.int64) for name in ONE_BY_ONE)) if known else None
        return cls(**{name: arrays[name] for name in SUMS}, slides=slides)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays by name, as safetensors stores them."""
        arrays = {name: getattr(self, name) for name in SUMS}
        if self.slides is None:
            return arrays
        return arrays | dict(zip(ONE_BY_ONE, (self.slides.infected, self.slides.uninfected), strict=True))

    @cached_property
    def p_infected(self) -> Fractions:
        """Mean fraction of infected cells per bin [mask, bin]; each mask sums to 1 and no bin is empty."""
        return _fractions(self.infected)

    @cached_property
    def p_uninfected(self) -> Fractions:
        """Mean fraction of uninfected cells per bin [mask, bin]; each mask sums to 1 and no bin is empty."""
        return _fractions(self.uninfected)

    def draw(self, draws: int, rng: np.random.Generator) -> tuple[DrawnFractions, DrawnFractions]:
        """Fractions of infected and of uninfected cells [draw, mask, bin] of slides that might come.

        One slide deviates the same way under every set of captures and in every bin that speaks for infection
        more than the class's average: these share their quantile, so neither more bins nor more captures
        average a slide's stain away.
        """
        evidence = np.log(self.p_infected / self.p_uninfected)
        return (
            _draw(self.p_infected, self.infected_concentration, evidence, draws, rng),
            _draw(self.p_uninfected, self.uninfected_concentration, evidence, draws, rng),
        )

    @cached_property
    def drawn(self) -> tuple[DrawnFractions, DrawnFractions]:
        """The fixed set of draws that every estimate with this calibration uses."""
        return self.draw(200, np.random.default_rng(DRAW_SEED))


def _fractions(counts: MaskBins) -> Fractions:
    smooth = counts + SMOOTHING_CELLS / counts.shape[1]
    fractions: Fractions = smooth / smooth.sum(axis=1, keepdims=True)
    return fractions


def _concentrations(counts: SlideMaskBins) -> Fractions:
    cells = counts.sum(axis=2).astype(np.float64)
    found = [
        [concentration(counts[:, m, b], cells[:, m]) for b in range(counts.shape[2])] for m in range(cells.shape[1])
    ]
    return np.array(found)


def _draw(
    mean: Fractions, concentration: Fractions, evidence: Fractions, draws: int, rng: np.random.Generator
) -> DrawnFractions:
    quantile = rng.uniform(size=(draws, 1, 1))
    above = evidence > (mean * evidence).sum(axis=1, keepdims=True)
    shape = mean * (concentration + 1) / (1 - mean)
    drawn = gammaincinv(shape, np.where(above, quantile, 1 - quantile)) * (mean / shape) + SMALLEST
    # The lighter side, a class's rare scores, keeps its spread; the bulk makes up the sum.
    light = above == ((mean * above).sum(axis=1, keepdims=True) < 0.5)
    light_sum = (drawn * light).sum(axis=2, keepdims=True)
    kept = np.minimum(light_sum, 0.99)
    bulk_sum = (drawn * ~light).sum(axis=2, keepdims=True)
    fractions: DrawnFractions = np.where(
        light, drawn * kept / np.maximum(light_sum, SMALLEST), drawn * (1 - kept) / bulk_sum
    )
    return fractions
