"""What drives the LEDs of a board: levels, currents, colours, faulty LEDs, and the time that a pattern takes."""

import math
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Float, Int
from pydantic import AfterValidator, model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum.board import LedBoard

LEVELS = 255
"""Full drive of a frame buffer of 8 bits."""

UNLIMITED_UA = 2**40
"""Stands for no limit: more than any board draws."""


def _sorted(leds: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(leds)))


Leds = Annotated[tuple[Annotated[int, Ge(0)], ...], AfterValidator(_sorted)]
"""LED indices in board order, each once."""

PerChannel = Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)]
"""One number for each colour channel of a board, or a single one for all."""


class Drive(Config):
    """How a given board drives its LEDs, as it may stand in a rig file.

    level_bits: resolution of one channel's drive; 1 is on or off, 8 our own firmware, up to 16.
    channel_ma: supply current of one LED channel at full drive.
    max_ma: what the whole board may draw; None is no limit.
    colour_balance: radiant power of each colour channel at full drive; the unit is that of the weights.
    dead_leds: they do not light, whatever is asked.
    stuck_leds: they shine at full drive in all colours, whatever is asked; their current is set aside.
    one_colour: a pattern lights a single colour channel, as on a board with one channel per frame.
    max_patterns: most patterns for one capture; by default 8 for a board of 1 bit and 1 for any other.
    latch_ms: from asking for a pattern until it has latched.
    """

    level_bits: Annotated[int, Ge(1), Le(16)] = 8
    channel_ma: PerChannel = (20.0,)
    max_ma: Annotated[float, Gt(0)] | None = None
    colour_balance: PerChannel = (1.0,)
    dead_leds: Leds = ()
    stuck_leds: Leds = ()
    one_colour: bool = False
    max_patterns: Annotated[int, Ge(1), Le(1024)] | None = None
    latch_ms: Annotated[float, Ge(0)] = 0.0

    @model_validator(mode="after")
    def _dead_or_stuck(self) -> "Drive":
        both = set(self.dead_leds) & set(self.stuck_leds)
        if both:
            raise ValueError(f"LED {min(both)} is in dead_leds and in stuck_leds: name it once")
        return self

    @classmethod
    def of_firmware(cls, board: LedBoard) -> "Drive":
        """The project's own firmware as it starts: 8 bits, 20 mA per channel, 30 % of the current of full white."""
        full_white_ma = 20 * board.n_leds * board.n_colours
        return cls(channel_ma=(20.0,), max_ma=float(max(1, full_white_ma * 3 // 10)))

    @property
    def full_level(self) -> int:
        """The level of full drive."""
        return int(2**self.level_bits - 1)

    @property
    def patterns_allowed(self) -> int:
        """Most patterns for one capture."""
        if self.max_patterns is not None:
            return self.max_patterns
        return 8 if self.level_bits == 1 else 1

    @property
    def limit_ua(self) -> int:
        """Supply current allowed, in whole microamperes."""
        return UNLIMITED_UA if self.max_ma is None else math.floor(round(self.max_ma * 1000, 6))

    def channel_ua(self, board: LedBoard) -> Int[np.ndarray, " colour"]:
        """Supply current of one channel of each colour at full drive, in whole microamperes, rounded up.

        Whole numbers keep sums over a board exact, as they are in the board's firmware.
        """
        return np.ceil(np.round(self._per_channel(board, "channel_ma") * 1000, 6)).astype(np.int64)

    def balance(self, board: LedBoard) -> Float[np.ndarray, " colour"]:
        """Radiant power of each colour channel at full drive."""
        return self._per_channel(board, "colour_balance")

    def check(self, board: LedBoard) -> None:
        """Raise ConfigError where this drive names LEDs or colours that the board does not have."""
        for key in ("channel_ma", "colour_balance"):
            self._per_channel(board, key)
        for key in ("dead_leds", "stuck_leds"):
            leds: tuple[int, ...] = getattr(self, key)
            if leds and leds[-1] >= board.n_leds:
                raise ConfigError(
                    f"{key} names LED {leds[-1]}, which board '{board.name}' does not have.",
                    hint=f"LEDs are 0 to {board.n_leds - 1}",
                )

    def _per_channel(self, board: LedBoard, key: str) -> Float[np.ndarray, " colour"]:
        values: tuple[float, ...] = getattr(self, key)
        if len(values) not in (1, board.n_colours):
            raise ConfigError(
                f"{key} has {len(values)} values, board '{board.name}' has {board.n_colours} colour channels.",
                hint=f"give one value, or {board.n_colours}",
            )
        return np.broadcast_to(np.array(values, dtype=np.float64), (board.n_colours,)).copy()
