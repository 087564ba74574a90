"""What drives the LEDs of a board: levels, currents, colours, faulty LEDs, and the time that a pattern takes."""

import math
from typing import Annotated, Final

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Float, Int
from pydantic import AfterValidator, model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum.board import LedBoard

LEVELS = 255
"""Full drive of a frame buffer of 8 bits."""

EXACT_BITS: Final = (1, 2, 4, 8)
"""Resolutions whose levels are all levels of 8 bits: 255 is a multiple of 1, 3, 15 and 255, of no other 2^n - 1."""

# the firmware as it starts: firmware/core/config.h
FIRMWARE_CHANNEL_MA = 20.0
FIRMWARE_SHARE = 0.3
FIRMWARE_CHANNELS = (1, 3)

UNLIMITED_UA = 2**40
"""Stands for no limit: more than any board draws."""


def _sorted(leds: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(leds)))


def _exact(bits: int) -> int:
    if bits not in EXACT_BITS:
        raise ValueError("a pattern carries levels of 1, 2, 4 or 8 bits exactly, no others")
    return bits


Leds = Annotated[tuple[Annotated[int, Ge(0)], ...], AfterValidator(_sorted)]
"""LED indices in board order, each once."""

PerChannel = Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)]
"""One number for each colour channel of a board, or a single one for all."""


class Drive(Config):
    """How a given board drives its LEDs.

    level_bits: resolution of one channel's drive: 1 (on or off), 2, 4 or 8 (our own firmware). A Pattern is sent
    to every board as levels of 8 bits, so only these are shown as they were compiled; a board that resolves
    more than 8 bits is driven with 8, one of 3 with 2, one of 5 to 7 with 4.
    channel_ma: supply current of one LED channel at full drive.
    max_ma: what the whole board may draw; None is no limit.
    colour_balance: radiant power of each colour channel at full drive; the unit is that of the weights.
    dead_leds: they do not light, whatever is asked.
    stuck_leds: they shine at full drive in all colours, whatever is asked; their current is set aside.
    one_colour: a pattern lights a single colour channel, as on a board with one channel per frame.
    max_patterns: most patterns for one capture; by default 8 for a board of 1 bit and 1 for any other.
    latch_ms: from asking for a pattern until it has latched.
    """

    level_bits: Annotated[int, AfterValidator(_exact)] = 8
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
    def of_firmware(cls, board: LedBoard, *, limit_ma: float | None = None, frame_channels: int = 3) -> "Drive":
        """The project's own firmware: 8 bits, and by default as it starts, 30 % of the current of full white.

        limit_ma: current limit of the connected board, `client.status().limit_ma`.
        frame_channels: `client.hello.frame_channels`; 1 is a small board that shows one colour at a time.
        Raises ConfigError for a limit that is not positive and for other numbers of channels.
        """
        if frame_channels not in FIRMWARE_CHANNELS:
            raise ConfigError(
                f"Frames of {frame_channels} channels are none of the firmware of board '{board.name}'.",
                hint="frame_channels is 3, or 1 on a small board: take it from the client's hello",
            )
        if limit_ma is None:
            full_white_ma = FIRMWARE_CHANNEL_MA * board.n_leds * board.n_colours
            limit_ma = max(1, math.floor(round(full_white_ma * FIRMWARE_SHARE, 6)))
        table = {"channel_ma": (FIRMWARE_CHANNEL_MA,), "max_ma": limit_ma, "one_colour": frame_channels == 1}
        return cls.from_table(table, source="the firmware's drive")

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
