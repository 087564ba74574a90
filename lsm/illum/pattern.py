"""Which LEDs shine, how strongly, in which colour: the only thing a policy asks light for."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lsm.errors import ConfigError, WrongFormat
from lsm.illum.board import LedBoard
from lsm.types import Duty, DutyLevels, LedMask, PerLed

GREEN = 1


@dataclass(frozen=True)
class Pattern:
    """Duty 0..1 per LED and colour on the board with digest `board`; immutable and hashable.

    Two patterns are equal when they light the same board the same way; the name is for people.
    Raises WrongFormat for duties outside 0..1 or of the wrong shape.
    """

    board: str
    n_colours: int
    duty_bytes: bytes = field(repr=False)
    name: str = field(compare=False, default="")

    def __post_init__(self) -> None:
        size = len(self.duty_bytes)
        if self.n_colours < 1 or size == 0 or size % (4 * self.n_colours):
            raise WrongFormat(
                f"Pattern '{self.name}' has {size} bytes for {self.n_colours} colours.",
                hint="build patterns with Pattern.of(board, duty)",
            )
        duty = self.duty
        if not np.isfinite(duty).all() or duty.min() < 0.0 or duty.max() > 1.0:
            raise WrongFormat(
                f"Pattern '{self.name}' has duties from {duty.min():g} to {duty.max():g}.",
                hint="duty is the fraction of full drive, 0..1; split a signed pattern into two captures",
            )

    @classmethod
    def of(cls, board: LedBoard, duty: Duty, *, name: str = "") -> "Pattern":
        """A pattern from duties [led, colour]. Raises WrongFormat unless they fit the board."""
        if duty.shape != (board.n_leds, board.n_colours):
            raise WrongFormat(
                f"Pattern '{name}' is {duty.shape}, board '{board.name}' needs {(board.n_leds, board.n_colours)}.",
                hint="give one duty per LED and colour, in board order",
            )
        return cls(board.digest, board.n_colours, np.ascontiguousarray(duty, dtype="<f4").tobytes(), name)

    @classmethod
    def of_colour(cls, board: LedBoard, duty: PerLed, *, colour: int = GREEN, name: str = "") -> "Pattern":
        """A pattern from one duty per LED in a single colour channel."""
        if not 0 <= colour < board.n_colours:
            raise ConfigError(
                f"Colour channel {colour} does not exist on board '{board.name}'.",
                hint=f"channels are 0 to {board.n_colours - 1}",
            )
        full = np.zeros((len(duty), board.n_colours), dtype=np.float32)
        full[:, colour] = duty
        return cls.of(board, full, name=name)

    @cached_property
    def duty(self) -> Duty:
        """Read-only duties [led, colour] as float32."""
        duty: Duty = np.frombuffer(self.duty_bytes, dtype="<f4").reshape(-1, self.n_colours)
        return duty

    @cached_property
    def levels(self) -> DutyLevels:
        """Duties rounded to the 8-bit levels that a board's frame buffer holds."""
        levels: DutyLevels = np.round(self.duty * 255).astype(np.uint8)
        return levels

    @property
    def digest(self) -> str:
        """Short identity of the light, independent of the name."""
        return hashlib.sha256(self.board.encode() + self.duty_bytes).hexdigest()[:12]

    @property
    def total_duty(self) -> float:
        """Sum of all duties: the light emitted, in units of one LED channel at full drive."""
        return float(self.duty.sum(dtype=np.float64))


def dark(board: LedBoard) -> Pattern:
    """All LEDs off."""
    return Pattern.of(board, np.zeros((board.n_leds, board.n_colours), dtype=np.float32), name="dark")


def bright_field(board: LedBoard, *, na: float, colour: int = GREEN) -> Pattern:
    """All LEDs inside the objective's numerical aperture."""
    return _where(board, board.na <= na, colour, "bright field")


def dark_field(board: LedBoard, *, na: float, na_max: float = 1.0, colour: int = GREEN) -> Pattern:
    """All LEDs outside the objective's numerical aperture, up to `na_max`."""
    return _where(board, (board.na > na) & (board.na <= na_max), colour, "dark field")


def annulus(board: LedBoard, *, na_min: float, na_max: float, colour: int = GREEN) -> Pattern:
    """All LEDs between two numerical apertures."""
    return _where(board, (board.na >= na_min) & (board.na <= na_max), colour, "annulus")


def half_disc(board: LedBoard, *, na: float, angle_rad: float, colour: int = GREEN) -> Pattern:
    """The half of the bright-field disc on the side of `angle_rad` (0 is +x), one exposure of DPC.

    Tian and Waller, Opt. Express 23, 11394 (2015). LEDs on the dividing line are left out.
    """
    side = board.positions_mm[:, 0] * np.cos(angle_rad) + board.positions_mm[:, 1] * np.sin(angle_rad)
    return _where(board, (board.na <= na) & (side > 1e-9), colour, f"half disc {np.degrees(angle_rad):.0f} deg")


def single_led(board: LedBoard, index: int, *, colour: int = GREEN) -> Pattern:
    """One LED by its index in board order."""
    if not 0 <= index < board.n_leds:
        raise ConfigError(
            f"LED {index} does not exist on board '{board.name}'.", hint=f"LEDs are 0 to {board.n_leds - 1}"
        )
    return _where(board, np.arange(board.n_leds) == index, colour, f"LED {index}")


def _where(board: LedBoard, lit: LedMask, colour: int, name: str) -> Pattern:
    if not lit.any():
        raise ConfigError(
            f"The pattern '{name}' lights no LED of board '{board.name}'.",
            hint=f"its LEDs reach from NA {board.na.min():.3f} to {board.na.max():.3f}",
        )
    return Pattern.of_colour(board, lit.astype(np.float64), colour=colour, name=name)
