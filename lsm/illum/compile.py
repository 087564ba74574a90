"""From learned weights to what a given board can show: bits, current, dead LEDs."""

from dataclasses import dataclass, field

import numpy as np

from lsm.errors import WrongFormat
from lsm.illum.board import LedBoard
from lsm.illum.pattern import GREEN, Pattern
from lsm.types import PerLed

LEVELS = 255


@dataclass(frozen=True)
class DriveLimits:
    """What the board's supply and LEDs allow.

    channel_ma: current of one LED channel at full drive.
    max_ma: ceiling for the whole board.
    dead_leds: indices in board order that do not light.
    """

    channel_ma: float = 20.0
    max_ma: float = float("inf")
    dead_leds: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class CompiledPattern:
    """A pattern the board shows exactly, and what it costs.

    scale: factor from the requested weights to the pattern's duties (below 1 where current limited it).
    current_ma: predicted supply current.
    max_error: largest deviation of a duty from scale * weight, dead LEDs included.
    """

    pattern: Pattern
    scale: float
    current_ma: float
    max_error: float


def compile_pattern(
    board: LedBoard, weights: PerLed, *, limits: DriveLimits, colour: int = GREEN, name: str = ""
) -> CompiledPattern:
    """Round non-negative weights 0..1 to 8-bit levels that stay inside the current limit.

    Levels are rounded down where a limit binds, so the predicted current never exceeds it.
    Raises WrongFormat for weights outside 0..1 or of the wrong length.
    """
    if weights.shape != (board.n_leds,) or not np.isfinite(weights).all() or weights.min() < 0 or weights.max() > 1:
        raise WrongFormat(
            f"Weights of pattern '{name}' do not fit board '{board.name}' with {board.n_leds} LEDs.",
            hint="give one weight 0..1 per LED; split_signed turns signed weights into two captures",
        )
    usable = np.array(weights, dtype=np.float64)
    usable[sorted(limits.dead_leds)] = 0.0
    wanted_ma = float(usable.sum()) * limits.channel_ma
    scale = min(1.0, limits.max_ma / wanted_ma) if wanted_ma > 0 else 1.0
    levels = np.round(usable * scale * LEVELS)
    if levels.sum() * limits.channel_ma / LEVELS > limits.max_ma:
        levels = np.floor(usable * scale * LEVELS)
    duty = levels / LEVELS
    return CompiledPattern(
        Pattern.of_colour(board, duty, colour=colour, name=name),
        scale,
        float(duty.sum()) * limits.channel_ma,
        float(np.abs(duty - scale * weights).max()),
    )


def split_signed(weights: PerLed) -> tuple[PerLed, PerLed]:
    """Positive and negative part of signed weights, each non-negative: two captures, charged as two."""
    positive: PerLed = np.clip(weights, 0.0, None)
    negative: PerLed = np.clip(-weights, 0.0, None)
    return positive, negative
