"""Prevalence from counts of scores, for many searches at once: the torch twin of `lsm.stats`."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.stats import ScoreCalibration

NEWTON_STEPS = 12
START = 0.02
RESOLUTION = 1e-5
NO_EXCESS = 1e-12
NOTHING_KNOWN = 0.5
TINY = 1e-12
Z_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class EvidenceModel:
    """What a count of cells per set of captures and score bin says about the prevalence.

    infected, healthy: probability of a bin for an infected and an uninfected red cell; rows sum to 1.
    infected_concentration, healthy_concentration: how alike slides are (see ScoreCalibration).
    """

    infected: Float[Tensor, "mask bin"]
    healthy: Float[Tensor, "mask bin"]
    infected_concentration: Float[Tensor, "mask bin"]
    healthy_concentration: Float[Tensor, "mask bin"]

    @classmethod
    def of(cls, calibration: ScoreCalibration) -> "EvidenceModel":
        """The calibration's mean densities and concentrations as float64 tensors."""
        arrays = (
            calibration.p_infected,
            calibration.p_uninfected,
            calibration.infected_concentration,
            calibration.uninfected_concentration,
        )
        return cls(*(torch.from_numpy(np.array(array, dtype=np.float64)) for array in arrays))

    def prevalence(self, counts: Float[Tensor, "search mask bin"]) -> Float[Tensor, " search"]:
        """Maximum-likelihood prevalence 0..1, float64; 0.5 without any cell.

        The log-likelihood sum n log(h + p (i - h)) is concave in p, so a bracketed Newton iteration finds
        the limit to which the expectation maximisation of `lsm.stats.prevalence_em` converges.
        """
        weights = counts[:, 1:].flatten(1).double()
        excess = (self.infected - self.healthy)[1:].flatten()
        offset = self.healthy[1:].flatten() / torch.where(excess.abs() < NO_EXCESS, NO_EXCESS, excess)
        low, high = torch.zeros_like(weights[:, 0]), torch.ones_like(weights[:, 0])
        at_low, at_high = (_slopes(weights, offset, end)[0] for end in (low, high))
        prevalence = torch.full_like(low, START)
        for _ in range(NEWTON_STEPS):
            slope, curvature = _slopes(weights, offset, prevalence)
            low = torch.where(slope >= 0, prevalence, low)
            high = torch.where(slope >= 0, high, prevalence)
            newton = prevalence + slope / curvature.clamp_min(TINY)
            between = torch.sqrt((low + RESOLUTION) * (high + RESOLUTION)) - RESOLUTION
            prevalence = torch.where((newton >= low) & (newton <= high), newton, between)
        prevalence = torch.where(at_low <= 0, 0.0, torch.where(at_high >= 0, 1.0, prevalence))
        return torch.where(weights.sum(1) > 0, prevalence, NOTHING_KNOWN)

    def half_width(
        self, counts: Float[Tensor, "search mask bin"], prevalence: Float[Tensor, " search"]
    ) -> Float[Tensor, " search"]:
        """Half-length of the 95 % interval, at most 0.5: `lsm.stats.half_width`, line by line."""
        cells = counts.sum((1, 2)).double()
        inner = ((prevalence * cells + 1) / (cells + 2))[:, None, None]
        per_mask = counts.sum(2).double()
        mixed = self.healthy + inner * (self.infected - self.healthy)
        score = (self.infected - self.healthy) / mixed
        information = (per_mask * (mixed * score**2).sum(2)).sum(1).clamp_min(TINY)
        infected = _deviation(score, self.infected, self.infected_concentration)
        healthy = _deviation(score, self.healthy, self.healthy_concentration)
        share = inner[:, 0, 0]
        drift = torch.hypot(share * (per_mask * infected).sum(1), (1 - share) * (per_mask * healthy).sum(1))
        return (Z_95 * torch.sqrt(1 / information + (drift / information) ** 2)).clamp_max(0.5)


def _slopes(
    weights: Float[Tensor, "search term"], offset: Float[Tensor, " term"], prevalence: Float[Tensor, " search"]
) -> tuple[Float[Tensor, " search"], Float[Tensor, " search"]]:
    """First and negative second derivative of the log-likelihood in the prevalence."""
    ratio = (offset + prevalence[:, None]).reciprocal_()
    weighted = weights * ratio
    return weighted.sum(1), torch.linalg.vecdot(weighted, ratio)


def _deviation(
    score: Float[Tensor, "search mask bin"], mean: Float[Tensor, "mask bin"], concentration: Float[Tensor, "mask bin"]
) -> Float[Tensor, "search mask"]:
    centred = score - (mean * score).sum(2, keepdim=True)
    return (centred.abs() * torch.sqrt(mean * (1 - mean) / (concentration + 1))).sum(2)
