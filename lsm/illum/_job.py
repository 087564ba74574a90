"""What is to be shown, and at which scale all captures of it can be."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from lsm.errors import ConfigError, LimitExceeded, WrongFormat
from lsm.illum._encode import Encoding, Means, Want, choose, top_level
from lsm.illum.board import LedBoard
from lsm.illum.drive import Drive
from lsm.types import Duty

Weights = Float[np.ndarray, "led colour"]
ChannelMask = Bool[np.ndarray, "led colour"]

# fainter light would overflow the scale that makes it visible
FAINTEST = 1e-100


@dataclass(frozen=True, eq=False)
class Job:
    """What all captures of a light share.

    wanted: signed drive [led, colour] of sound LEDs, 1 being full drive for the exposure asked for.
    efficacy: light of each channel at full drive for that exposure.
    """

    board: LedBoard
    drive: Drive
    wanted: Weights
    efficacy: Weights
    sound: ChannelMask
    exposure_ms: float
    limits_ms: tuple[float, float]
    room_ua: int

    def means(self, *, keep_exposure: bool) -> Means:
        """What there is to show each capture with."""
        shortest_ms, longest_ms = self.limits_ms
        return Means(
            channel_ua=self.drive.channel_ua(self.board),
            room_ua=self.room_ua,
            full_level=self.drive.full_level,
            patterns=self.drive.patterns_allowed,
            one_colour=self.drive.one_colour,
            shortest_ms=shortest_ms,
            longest_ms=longest_ms,
            total_ms=max(self.exposure_ms, shortest_ms) if keep_exposure else np.inf,
        )

    @property
    def stuck_ma(self) -> float:
        """What the stuck LEDs draw."""
        return len(self.drive.stuck_leds) * int(self.drive.channel_ua(self.board).sum()) / 1000

    @property
    def largest(self) -> float:
        """Largest light that sound LEDs are asked for."""
        return float(np.abs(self.wanted * self.efficacy).max())


@dataclass(frozen=True, eq=False)
class Part:
    """Positive or negative part of a light, as drive [led, colour]."""

    sign: int
    drive: Duty

    @property
    def largest(self) -> float:
        return float(self.drive.max())


def job_of(
    board: LedBoard,
    drive: Drive,
    asked: Weights,
    exposure_ms: float,
    limits_ms: tuple[float, float],
    *,
    at_sample: bool,
) -> Job:
    """Check that board, drive and exposure fit together, and turn light into drive."""
    drive.check(board)
    if not 0 < limits_ms[0] <= limits_ms[1] < np.inf or not 0 < exposure_ms < np.inf:
        raise ConfigError(
            f"An exposure of {exposure_ms:g} ms within {limits_ms[0]:g} to {limits_ms[1]:g} ms is impossible.",
            hint="all are positive milliseconds, the shorter limit first",
        )
    efficacy = np.tile(drive.balance(board), (board.n_leds, 1))
    if at_sample:
        efficacy *= board.relative_irradiance[:, None]
    sound = efficacy > 0
    sound[[*drive.dead_leds, *drive.stuck_leds]] = False
    wanted = np.divide(asked, efficacy, out=np.zeros_like(asked), where=sound)
    wanted[np.abs(wanted) < FAINTEST] = 0
    room_ua = drive.limit_ua - len(drive.stuck_leds) * int(drive.channel_ua(board).sum())
    if room_ua < 0:
        raise LimitExceeded(
            f"The {len(drive.stuck_leds)} stuck LEDs of board '{board.name}' alone draw more than {drive.max_ma:g} mA.",
            hint="replace them, or raise max_ma if the supply allows it",
        )
    return Job(board, drive, wanted, efficacy, sound, exposure_ms, limits_ms, room_ua)


def as_asked(board: LedBoard, given: ArrayLike, colour: int) -> Weights:
    """The weights [led, colour]. Raises WrongFormat or ConfigError when they do not fit the board."""
    weights = _real_numbers(given)
    if weights.ndim == 1 and not 0 <= colour < board.n_colours:
        raise ConfigError(
            f"Colour channel {colour} does not exist on board '{board.name}'.",
            hint=f"channels are 0 to {board.n_colours - 1}",
        )
    shape = (board.n_leds,) if weights.ndim == 1 else (board.n_leds, board.n_colours)
    if weights.shape != shape or not np.isfinite(weights).all():
        raise WrongFormat(
            f"Weights of shape {weights.shape} do not fit board '{board.name}', or are not finite.",
            hint=f"give one finite weight for each of {board.n_leds} LEDs, or one for each LED and colour",
        )
    asked = np.zeros((board.n_leds, board.n_colours))
    if weights.ndim == 1:
        asked[:, colour] = weights
    else:
        asked[:] = weights
    return asked


def _real_numbers(given: ArrayLike) -> Float[np.ndarray, "*axes"]:
    fault: Exception | None = None
    try:
        array = np.asarray(given)
    # lists of unequal length, and tensors that numpy cannot or must not read
    except (RuntimeError, TypeError, ValueError) as error:
        array, fault = np.array(None), error
    if array.dtype.kind not in "biuf":
        raise WrongFormat(
            f"Weights given as {type(given).__name__} are not an array of real numbers.",
            hint="give a numpy array or a list of numbers; of a torch tensor, weights.detach().cpu().double().numpy()",
        ) from fault
    numbers: Float[np.ndarray, "*axes"] = array.astype(np.float64)
    return numbers


def encode(
    job: Job, parts: list[Part], *, keep_exposure: bool, tolerance: float
) -> tuple[float, list[tuple[Want, Encoding]]]:
    """The scale, and for every part what is wanted at that scale and how it is shown.

    The scale is one at which each part can be shown in a single exposure.
    """
    means = job.means(keep_exposure=keep_exposure)
    # full drive of the exposure asked for, or of less where no LED is driven as high
    full_scales = [max(1.0, part.largest) if keep_exposure else part.largest for part in parts]
    scale = 1.0
    if parts and not keep_exposure:
        # the lowest level in the shortest exposure is the least light there is
        scale = max(scale, means.shortest_ms / (max(full_scales) * means.full_level * job.exposure_ms))
    for part, full_scale in zip(parts, full_scales, strict=True):
        top = top_level(part.drive / full_scale, means)
        possible_ms = min(means.longest_ms, means.total_ms) * top / means.full_level
        scale = min(scale, possible_ms / (full_scale * job.exposure_ms))
    pairs = []
    for part, full_scale in zip(parts, full_scales, strict=True):
        error_weight = job.efficacy * full_scale / job.largest
        want = Want(part.drive / full_scale, error_weight, scale * full_scale * job.exposure_ms)
        pairs.append((want, choose(want, means, tolerance)))
    return scale, pairs
