"""From frames to belief: the Protocol of readers, which all policies share, and the belief's own scale.

A belief is held as log-odds of infection in whole steps of 1/256 nat, clipped at 16 nats. Probabilities and
logarithmic scores are looked up, so that the same frames give the same bytes alone, in a batch and on any device.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32, Int, Int32
from torch import Tensor

STEPS_PER_NAT: Final = 256
ODDS_LIMIT: Final = 16
"""Nats."""

_HALF: Final = STEPS_PER_NAT * ODDS_LIMIT


@dataclass(frozen=True, eq=False)
class Capture:
    """What one capture gave at each of some cells.

    frame: ADU. pattern: number in the codebook, -1 for free weights. duty: drive of every lamp, 0..1.
    exposure_ms: of each. number: captures of this cell before this one.
    """

    frame: Int32[Tensor, "episode y x"]
    pattern: Int[Tensor, " episode"]
    duty: Float32[Tensor, "episode lamp"]
    exposure_ms: Float[Tensor, " episode"]
    number: Int[Tensor, " episode"]


class Reading(NamedTuple):
    """What a reader makes of everything captured so far at each of some cells.

    evidence: ln p(frames | infected) - ln p(frames | healthy), nats. features: of the last frame, for a policy,
    about -1..1. memory: to hand back with the next capture.
    """

    evidence: Float[Tensor, " episode"]
    features: Float32[Tensor, "episode feature"]
    memory: Float32[Tensor, "episode unit"]


@runtime_checkable
class Reader(Protocol):
    """Anything that turns captures of a cell, one after the other, into evidence."""

    @property
    def n_features(self) -> int: ...

    @property
    def n_units(self) -> int:
        """Numbers of memory per cell; a cell without captures has zeros."""
        ...

    @property
    def digest(self) -> str:
        """Identity of everything that decides what it reads."""
        ...

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        """Read one more capture of each cell; cells of one call never mix."""
        ...


def odds_step(log_odds: Float[Tensor, " episode"]) -> Int[Tensor, " episode"]:
    """The nearest step of the belief's scale to log-odds in nats."""
    return (log_odds.double() * STEPS_PER_NAT).round().clamp(-_HALF, _HALF).long()


def in_nats(odds: Int[Tensor, " episode"]) -> Float[Tensor, " episode"]:
    """Log-odds of steps."""
    return odds.double() / STEPS_PER_NAT


def probability(odds: Int[Tensor, " episode"]) -> Float[Tensor, " episode"]:
    """Probability of infection, float64."""
    return _PROBABILITY.to(odds.device)[odds + _HALF]


def log_belief(odds: Int[Tensor, " episode"]) -> Float[Tensor, " episode"]:
    """Logarithm of the probability of infection, nats; of health with the sign of the odds turned."""
    return _LOG_BELIEF.to(odds.device)[odds + _HALF]


_NATS = torch.arange(-_HALF, _HALF + 1, dtype=torch.float64) / STEPS_PER_NAT
_PROBABILITY = torch.sigmoid(_NATS)
_LOG_BELIEF = torch.nn.functional.logsigmoid(_NATS)
