"""Find LEDs that are dead or never go out, by one image per LED."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lsm.devices import Microscope, Observe
from lsm.illum import LedBoard, dark, single_led
from lsm.illum.pattern import GREEN
from lsm.types import Image, PerLed

NEIGHBOURS = 8
"""LEDs of the same or the next larger aperture with which one is compared."""
DEAD_SHARE = 0.2
"""Of their median signal, below which an LED counts as dead: gains of working LEDs differ by less than a factor 2."""
TELLING_SIGMA = 5.0
"""Standard errors of a mean that make a difference."""
DARK_FRAMES = 3


@dataclass(frozen=True, eq=False)
class LightCheck:
    """What a look at every LED has shown.

    signal_adu: mean image under each LED less the mean dark image [led]. sigma_adu: its standard error.
    dark_adu: what long dark frames have more than short ones: light that nobody asked for, and dark current.
    dead: no light. stuck: they shine all the time; with several, some of them may be dead instead.
    unclear: too little light to tell.
    stray: the dark frames are lit, and no LED is found to be the cause.
    """

    signal_adu: PerLed
    sigma_adu: PerLed
    dark_adu: float
    dead: tuple[int, ...]
    stuck: tuple[int, ...]
    unclear: tuple[int, ...]
    stray: bool

    @property
    def sound(self) -> bool:
        return not (self.dead or self.stuck or self.stray) and len(self.unclear) < len(self.signal_adu)


def check_leds(
    microscope: Microscope,
    *,
    exposure_ms: float,
    shortest_ms: float,
    colour: int = GREEN,
    progress: Callable[[], None] = lambda: None,
) -> LightCheck:
    """Light the LEDs of one colour one by one where the stage is, and compare their images.

    shortest_ms: a much shorter exposure, under which dark frames show the camera's own level.
    progress: called after every image. Raises as microscope.observe() does.
    """
    board = microscope.board

    def image(request: Observe) -> Image:
        taken = microscope.observe(request).image
        progress()
        return taken

    level = [image(Observe(dark(board), shortest_ms)) for _ in range(DARK_FRAMES)]
    darks = [image(Observe(dark(board), exposure_ms)) for _ in range(DARK_FRAMES)]
    night = np.mean(darks, axis=0)
    lit = [
        _mean_and_error(image(Observe(single_led(board, led, colour=colour), exposure_ms)), night)
        for led in range(board.n_leds)
    ]
    return judge(
        board,
        lit=lit,
        darks=[_mean_and_error(each, night) for each in darks],
        level=[_mean_and_error(each, np.mean(level, axis=0)) for each in level],
    )


def _mean_and_error(image: Image, background: Float[np.ndarray, "y x"]) -> tuple[float, float]:
    """The mean and its standard error, from what differs from the background: what is in both is no noise."""
    error = float((image - background).std()) / math.sqrt(image.size)
    return float(image.mean(dtype=np.float64)), error


def judge(
    board: LedBoard,
    *,
    lit: Sequence[tuple[float, float]],
    darks: Sequence[tuple[float, float]],
    level: Sequence[tuple[float, float]],
) -> LightCheck:
    """The verdict on images of which the mean and its standard error are given, in ADU.

    lit: one per LED. darks: without light at the same exposure. level: without light at a very short one.
    """
    dark_mean, dark_sigma = _pooled(darks)
    level_mean, level_sigma = _pooled(level)
    means, errors = np.array(lit, dtype=np.float64).T
    signal = means - dark_mean
    sigma = np.hypot(errors, dark_sigma)
    expected = np.array([_expected(board, signal, led) for led in range(board.n_leds)])
    telling = expected > TELLING_SIGMA * sigma / DEAD_SHARE
    silent = telling & (signal < DEAD_SHARE * expected)
    excess = dark_mean - level_mean
    typical = float(np.median(signal[telling & ~silent])) if (telling & ~silent).any() else math.inf
    # an LED that shines all the time adds to the dark frames what it does not add to its own
    least = min(typical, *(expected[silent] if silent.any() else [math.inf]))
    bright = excess > TELLING_SIGMA * math.hypot(dark_sigma, level_sigma) and (
        excess > DEAD_SHARE * least or math.isinf(least)
    )
    candidates = tuple(int(led) for led in np.flatnonzero(silent))
    return LightCheck(
        signal_adu=signal,
        sigma_adu=sigma,
        dark_adu=excess,
        dead=() if bright else candidates,
        stuck=candidates if bright else (),
        unclear=tuple(int(led) for led in np.flatnonzero(~telling)),
        stray=bright and not candidates,
    )


def _pooled(frames: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of several means, and its standard error from their own and from what they differ by."""
    means = np.array([mean for mean, _ in frames])
    own = math.sqrt(sum(error**2 for _, error in frames)) / len(frames)
    spread = float(means.std(ddof=1)) / math.sqrt(len(frames)) if len(frames) > 1 else 0.0
    return float(means.mean()), max(own, spread)


def _expected(board: LedBoard, signal: PerLed, led: int) -> float:
    """The median signal of others at the same or a larger aperture: what the LED should give at least.

    The image gets darker with the aperture, by far at the edge of the objective's, so LEDs further in would ask
    too much of one just outside; only where there are none further out do they count.
    """
    others = np.flatnonzero(np.arange(board.n_leds) != led)
    inward = board.na[others] < board.na[led] - 1e-6
    order = np.lexsort((np.abs(board.na[others] - board.na[led]), inward))
    return float(np.median(signal[others[order[:NEIGHBOURS]]])) if len(others) else math.inf
