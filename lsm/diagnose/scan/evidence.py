"""Calibrated odds of a cell: what its score bin says, on the calibration slides, for or against infection."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Real

from lsm.stats import ScoreCalibration

MaskBins = Float[np.ndarray, "mask bin"]


@dataclass(frozen=True, eq=False)
class CellOdds:
    """Likelihood ratios of infected to uninfected per set of patterns and score bin, never falling with the score.

    Isotonic calibration by pooling neighbours that are out of order (Ayer et al., Ann. Math. Stat. 26, 641 (1955)),
    weighted by the calibration cells of each bin, on the scale of a slide of which half is infected.
    """

    calibration: ScoreCalibration

    @cached_property
    def ratios(self) -> MaskBins:
        """[mask, bin]."""
        infected, healthy = self.calibration.p_infected, self.calibration.p_uninfected
        balanced = np.stack([_pooled(a / (a + b), a + b) for a, b in zip(infected, healthy, strict=True)])
        ratios: MaskBins = balanced / (1 - balanced)
        return ratios

    def probability(self, prevalence: float) -> MaskBins:
        """Probability of infection of a cell of each set of patterns and bin on a slide of that prevalence."""
        odds = self.ratios * prevalence / max(1 - prevalence, 1e-12)
        chance: MaskBins = odds / (1 + odds)
        return chance


@dataclass(frozen=True)
class Reliability:
    """Per score bin of one set of patterns: what is said of cells in it, how many are infected, out of how many.

    said: calibrated probability. observed: share. cells: infected and uninfected, each class weighing one half.
    error: mean distance of said and observed, over cells (Naeini et al., AAAI 2015).
    """

    said: tuple[float, ...]
    observed: tuple[float, ...]
    cells: tuple[int, ...]
    error: float


def reliability(
    odds: CellOdds, infected: Real[np.ndarray, "mask bin"], uninfected: Real[np.ndarray, "mask bin"], mask: int
) -> Reliability:
    """How calibrated odds fare on counts of other slides [mask, bin], classes balanced."""
    half_infected = infected[mask] / max(infected[mask].sum(), 1)
    half_healthy = uninfected[mask] / max(uninfected[mask].sum(), 1)
    weight = half_infected + half_healthy
    observed = np.where(weight > 0, half_infected / np.where(weight > 0, weight, 1), np.nan)
    said = odds.probability(0.5)[mask]
    held = weight > 0
    error = float((weight[held] * np.abs(said[held] - observed[held])).sum() / weight.sum()) if held.any() else 0.0
    cells = (infected[mask] + uninfected[mask]).astype(int)
    return Reliability(tuple(said.tolist()), tuple(observed.tolist()), tuple(cells.tolist()), error)


def _pooled(values: Float[np.ndarray, " bin"], weights: Float[np.ndarray, " bin"]) -> Float[np.ndarray, " bin"]:
    """The nearest values that never fall, by weighted squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return np.concatenate([np.full(size, value) for value, _, size in blocks])
