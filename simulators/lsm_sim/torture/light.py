"""A look at every LED through the camera: which stay dark, and which shine without being asked to."""

import numpy as np

from lsm.devices import Microscope, Observe
from lsm.illum import dark, single_led

EXPOSURE_MS = 20.0
SHORT_MS = 0.2
SIGMAS = 6.0


def check_leds(microscope: Microscope) -> dict[str, frozenset[int]]:
    """LEDs without effect: "stuck" where something shines in the dark, else "dead".

    A stuck LED adds nothing when it is asked for. Raises as observe() does.
    """
    board = microscope.board
    night = _image(microscope, Observe(dark(board), EXPOSURE_MS))
    glows = _differs(night, _image(microscope, Observe(dark(board), SHORT_MS)))
    idle = frozenset(
        led
        for led in range(board.n_leds)
        if not _differs(_image(microscope, Observe(single_led(board, led), EXPOSURE_MS)), night)
    )
    nothing: frozenset[int] = frozenset()
    return {"dead": nothing if glows else idle, "stuck": idle if glows else nothing}


def _image(microscope: Microscope, request: Observe) -> np.ndarray:
    return microscope.observe(request).image.astype(float)


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the mean differs by more than the noise of a mean; the sample is in both."""
    difference = one - other
    return bool(difference.mean() > SIGMAS * difference.std() / np.sqrt(difference.size))
