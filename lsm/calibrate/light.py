"""How much light each LED brings to the sample, from the mean of its images on a diffuser.

A fit of sample and board together tells an LED's brightness badly: brighter LEDs towards the rim of the board look like
a sample that scatters more, and only where pupils overlap do images of two LEDs know of each other. On a diffuser all
LEDs give about the same image, dark field too, and its mean is their light.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lsm.calibrate._frames import as_plane
from lsm.calibrate.camera import BLOCKED_HINT
from lsm.calibration import CameraFacts, LightFacts
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import dark, single_led

# of the diffuser, in whole images along x and y, so that no grain of it is seen twice: places that overlap share
# speckle, and their scatter would tell too small an uncertainty. With five places speckle left 0.6 % of an LED's light,
# by which one LED in a thousand is 2 % off
PLACES = ((0, 0), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
DEAD_SHARE = 0.1
# of a pixel: an image has ten thousands of them, and its mean far less noise than its speckle
AIM_E = 200.0
# brightest LED over the median one: without a diffuser bright field is hundreds of times brighter than dark field
UNEVEN = 10.0


@dataclass(frozen=True, eq=False)
class LightFound:
    """Mean light under each LED at each place [place, led], and what follows."""

    rate_e_per_ms: Float[np.ndarray, "place led"]
    facts: LightFacts


def measure_light(
    microscope: Microscope,
    camera: CameraFacts,
    *,
    limits_ms: tuple[float, float],
    pixel_um: float,
    on_led: Callable[[int, int], None] = lambda done, of: None,
) -> LightFound:
    """Each LED's share of the light, and its uncertainty from the scatter between nine places of the diffuser.

    pixel_um: of the camera at the sample; the places lie a whole image apart. Raises CalibrationFailed where no light
    arrives or the sample is no diffuser, and what the microscope raises. Ends at the place where it began.
    """
    board = microscope.board
    first = microscope.observe(Observe(dark(board), limits_ms[0]))
    here, step_um = first.xy_um, pixel_um * max(first.image.shape)
    exposure_ms = _exposure(microscope, camera, limits_ms)
    rates = np.zeros((len(PLACES), board.n_leds))
    for place, (right, down) in enumerate(PLACES):
        xy_um = (here[0] + right * step_um, here[1] + down * step_um)
        unlit = np.mean([_mean(microscope, Observe(dark(board), exposure_ms, xy_um)) for _ in range(4)])
        for led in range(board.n_leds):
            on_led(place * board.n_leds + led, rates.size)
            lit = _mean(microscope, Observe(single_led(board, led), exposure_ms, xy_um))
            rates[place, led] = (lit - unlit) * camera.gain_e_per_adu.value / exposure_ms
    microscope.observe(Observe(dark(board), limits_ms[0], here))
    return LightFound(rates, _facts(rates))


def _facts(rates: Float[np.ndarray, "place led"]) -> LightFacts:
    mean = rates.mean(axis=0)
    dead = np.flatnonzero(mean < DEAD_SHARE * np.median(mean))
    living = np.setdiff1d(np.arange(len(mean)), dead)
    share = mean / np.median(mean[living])
    if share.max() > UNEVEN:
        raise CalibrationFailed(
            f"The brightest LED gives {share.max():.0f} times the light of the median one.",
            hint="put a diffuser on the stage: opal or ground glass, nothing else",
        )
    share[dead] = 1.0
    # all LEDs together are brighter at one place than at another: that is the place, not the LED
    relative = rates[:, living] / mean[living]
    relative = relative / relative.mean(axis=1, keepdims=True)
    scatter = math.sqrt(float(relative.var(axis=0, ddof=1).mean()))
    sigma = np.full(len(mean), scatter / math.sqrt(len(rates)))
    sigma[dead] = 0.0
    return LightFacts(
        irradiance=tuple(share.tolist()), sigma=tuple(sigma.tolist()), dead=tuple(int(led) for led in dead)
    )


def _exposure(microscope: Microscope, camera: CameraFacts, limits_ms: tuple[float, float]) -> float:
    """The exposure at which the brightest of a few LEDs gives AIM_E. Raises CalibrationFailed without light."""
    board, longest_ms = microscope.board, limits_ms[1]
    offset = camera.offset_adu.value
    few = np.unique(np.linspace(0, board.n_leds - 1, 7).astype(int))
    for exposure_ms in (math.sqrt(limits_ms[0] * longest_ms), longest_ms):
        means = [_mean(microscope, Observe(single_led(board, int(led)), exposure_ms)) for led in few]
        electrons = (max(means) - offset) * camera.gain_e_per_adu.value
        if electrons > AIM_E / 20:
            return float(np.clip(exposure_ms * AIM_E / electrons, *limits_ms))
    if electrons < camera.read_noise_e.value:
        raise CalibrationFailed(
            f"The light path is blocked: under none of {len(few)} LEDs is it brighter than in the dark "
            f"({max(means):.1f} ADU, dark level {offset:.1f} ADU).",
            hint=BLOCKED_HINT,
        )
    return longest_ms


def _mean(microscope: Microscope, request: Observe) -> float:
    return float(as_plane(microscope.observe(request).image).mean())
