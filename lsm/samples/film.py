"""How cells, and infected cells among them, are spread over a thin film."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from lsm.config import Config

PerPoint = Float[np.ndarray, " point"]
Points = Float[np.ndarray, "point 2"]

_WAVES = 128
"""Sums of so many random waves are normal to a few per cent of a standard deviation, out to three of them."""


_AT_ONCE = 4096
"""Points times waves in memory: 4 MB."""


class InfectionConfig(Config):
    """How uneven infection is over a film: a log-Gaussian Cox process (Moller et al., Scand. J. Stat. 25, 451 (1998)).

    The local infected fraction is proportional to exp(spread * z), z a Gaussian field of variance 1; its mean over the
    cells of a film stays the parasitaemia. The default spread 0 infects every red cell with the same probability.
    spread: standard deviation of the logarithm of the local fraction.
    length_um: z has the correlation exp(-d^2 / (2 length^2)) at distance d.
    edge_share: share of the variance of z that lies in a trend towards the feathered end and the margins of the film,
    where large cells gather; the rest is patches at places that nothing tells.
    """

    spread: Annotated[float, Ge(0), Le(4)] = 0.0
    length_um: Annotated[float, Gt(0)] = 920.0
    edge_share: Annotated[float, Ge(0), Le(1)] = 0.0


UNIFORM = InfectionConfig()


def density_profile(along: PerPoint, thick: float) -> PerPoint:
    """Cells per area relative to the monolayer, `along` from 0 (thick end) to 1: thick, level, then thinning out."""
    density: PerPoint = np.interp(along, [0.0, 0.12, 0.35, 0.75, 0.92, 1.0], [thick, thick, 1.0, 0.9, 0.3, 0.05])
    return density


def slow_noise(points: Points, spread: float, rng: np.random.Generator) -> PerPoint:
    """A smooth random field of standard deviation `spread` with features of 150 to 600 um, at most 2.5 of it."""
    waves = 24
    angle, period_um = rng.uniform(0, 2 * np.pi, waves), rng.uniform(150, 600, waves)
    direction = np.stack([np.cos(angle), np.sin(angle)]) * 2 * np.pi / period_um
    phase = points @ direction + rng.uniform(0, 2 * np.pi, waves)
    noise: PerPoint = spread * np.sqrt(2 / waves) * np.cos(phase).sum(axis=1)
    clipped: PerPoint = np.clip(noise, None, 2.5 * spread)
    return clipped


def infected_fractions(
    points: Points,
    along: PerPoint,
    weights: PerPoint,
    *,
    height_um: float,
    parasitaemia: float,
    config: InfectionConfig,
    rng: np.random.Generator,
) -> PerPoint:
    """Probability of infection at every point, at most 1; its mean, weighted by `weights`, is the parasitaemia.

    points: x and y in um, y from 0 to height_um. along: 0 (thick end) to 1 (feathered end). weights: cells that each
    point stands for. Where probabilities are cut at 1 the mean falls short of the parasitaemia.
    """
    if config.spread == 0 or len(points) == 0:
        return np.full(len(points), parasitaemia)
    field = _gaussian_field(points, config.length_um, rng)
    trend = _standard(0.5 * along + 0.5 * np.abs(2 * points[:, 1] / height_um - 1))
    z = np.sqrt(1 - config.edge_share) * field + np.sqrt(config.edge_share) * trend
    relative = np.exp(config.spread * z)
    fractions: PerPoint = np.minimum(parasitaemia * relative * weights.sum() / (weights * relative).sum(), 1.0)
    return fractions


def _gaussian_field(points: Points, length_um: float, rng: np.random.Generator) -> PerPoint:
    """A sum of waves drawn from the spectrum of the correlation exp(-d^2 / (2 length^2)) (Shinozuka, JASA 49, 1971)."""
    wave = rng.standard_normal((2, _WAVES)) / length_um
    offset = rng.uniform(0, 2 * np.pi, _WAVES)
    field = np.empty(len(points))
    for start in range(0, len(points), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        field[part] = np.cos(points[part] @ wave + offset).sum(axis=1) * np.sqrt(2 / _WAVES)
    return field


def _standard(values: PerPoint) -> PerPoint:
    spread = values.std()
    standard: PerPoint = (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
    return standard
