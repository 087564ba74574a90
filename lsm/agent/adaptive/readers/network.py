"""The network of the set reader as it learns, in floating point."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Float, Int
from torch import Tensor, nn

from lsm.agent.adaptive.readers.whole import FIRST_SIDE, LEVELS, LEVELS_PER_SPREAD, NEXT_SIDE, STRIDE, patches
from lsm.config import Config

Fraction = Annotated[float, Ge(0), Lt(1)]
Count = Annotated[int, Ge(1)]


class SetReaderConfig(Config):
    """Size of the reader and how it learns.

    channels: maps of the two convolutions. units: what a frame adds to the memory. head: units between memory and
    evidence, which are also what a policy is told. captures: at most so many of a cell. dropout: of what the maps
    give. aside: share of the patients that calibrates and is not learned from.
    """

    channels: tuple[Annotated[int, Ge(1), Le(64)], Annotated[int, Ge(1), Le(32)]] = (16, 32)
    units: Annotated[int, Ge(2), Le(256)] = 64
    head: Annotated[int, Ge(2), Le(128)] = 32
    captures: Annotated[int, Ge(1), Le(64)] = 6
    epochs: Count = 40
    cells: Annotated[int, Ge(2)] = 64
    learning_rate: Annotated[float, Gt(0)] = 3e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-3
    dropout: Fraction = 0.3
    aside: Annotated[float, Gt(0), Lt(1)] = 0.25
    turned: bool = True


class SetNetwork(nn.Module):
    """Frames of a cell to log-odds after each of them.

    The first convolution has weights of its own for every pattern, later layers an offset of their own. What a frame
    adds to the memory does not depend on other frames.
    """

    def __init__(
        self, n_patterns: int, side_px: tuple[int, int], config: SetReaderConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config, self.side_px = config, side_px
        first, second = config.channels
        height, width = (_halved(_halved(side, FIRST_SIDE), NEXT_SIDE) for side in side_px)
        shared = _scaled((FIRST_SIDE**2, first), generator)
        # patterns begin alike and part as they learn
        self.first = nn.Parameter(shared.expand(n_patterns, -1, -1).clone())
        self.second = nn.Parameter(_scaled((first * NEXT_SIDE**2, second), generator))
        self.third = nn.Parameter(_scaled((second * height * width + 2, config.units), generator))
        self.fourth = nn.Parameter(_scaled((config.units, config.head), generator))
        self.last = nn.Parameter(_scaled((config.units + config.head, 1), generator) * 0.1)
        sizes = (first, second, config.units)
        self.offsets = nn.ParameterList([nn.Parameter(torch.zeros(n_patterns, size)) for size in sizes])
        self.head_offset = nn.Parameter(torch.zeros(config.head))
        self.last_offset = nn.Parameter(torch.zeros(1))

    def added(
        self,
        frame: Float[Tensor, "frame y x"],
        bright: Float[Tensor, "frame 2"],
        pattern: Int[Tensor, " frame"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "frame unit"]:
        """What each frame adds to the memory of its cell. generator: draws the dropout; without it there is none."""
        _, second, last = self.maps(frame, bright, pattern)
        known = torch.cat([_dropped(second, self.config.dropout, generator), last], 1)
        added: Tensor = known @ self.third + self.offsets[2][pattern]
        return added

    def maps(
        self, frame: Float[Tensor, "frame y x"], bright: Float[Tensor, "frame 2"], pattern: Int[Tensor, " frame"]
    ) -> tuple[Float[Tensor, "frame entry"], Float[Tensor, "frame other"], Float[Tensor, "frame 2"]]:
        """Activations of both convolutions, and the brightness, as the next layer takes them.

        frame, bright: whole numbers as `whole_frames` gives them.
        """
        squares, along = patches(frame[..., None] / LEVELS_PER_SPREAD, FIRST_SIDE)
        hidden = torch.relu(torch.bmm(squares, self.first[pattern]) + self.offsets[0][pattern][:, None])
        squares, _ = patches(hidden.reshape(len(frame), *along, -1), NEXT_SIDE)
        seen = torch.relu(squares @ self.second + self.offsets[1][pattern][:, None])
        return hidden.flatten(1), seen.flatten(1), bright / LEVELS

    def judged(self, memory: Float[Tensor, "*cell unit"]) -> tuple[Float[Tensor, "*cell"], Float[Tensor, "*cell some"]]:
        """Log-odds by what is in memory, and the units of the head."""
        head = torch.relu(memory @ self.fourth + self.head_offset)
        odds = torch.cat([memory, head], -1) @ self.last + self.last_offset
        return odds[..., 0], head


def _halved(side: int, window: int) -> int:
    return (side + 2 - window) // STRIDE + 1


def _scaled(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Normal numbers with the spread that keeps rectified activations as they are (He et al., ICCV 2015)."""
    return torch.randn(shape, generator=generator) * math.sqrt(2 / shape[0])


def _dropped(values: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    if generator is None or share == 0:
        return values
    kept = torch.rand(values.shape, generator=generator) >= share
    left: Tensor = values * kept / (1 - share)
    return left
