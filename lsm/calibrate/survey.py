"""One image under each LED: which are dead, whether light arrives at all, and how the board is turned."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lsm.calibrate._frames import Plane, as_plane, shift_between
from lsm.calibrate.camera import BLOCKED_HINT
from lsm.calibrate.stage import ALIKE
from lsm.calibration import CameraFacts
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import LedBoard, dark, single_led
from lsm.types import PerLed

LedImages = Float[np.ndarray, "led y x"]
LedPlaces = Float[np.ndarray, "bright 2"]

# of the brightest image, above which an LED lights the bright field
BRIGHT_SHARE = 0.5
# of what its eight nearest neighbours give: an LED with less light is dead
DEAD_SHARE, NEIGHBOURS = 0.1, 8
# LEDs in bright field that tell how a board lies
FEWEST_BRIGHT = 3
# one mean of dark frames is taken off all images of an exposure: noise that is left in it looks like a sample
DARK_FRAMES = 32
# of a pixel's mean light over its noise, and the most frames to reach it. A fit of amplitudes takes negative pixels for
# dark ones, so that images of little light look brighter and finer than they are: one simulated rig (169 LEDs) was told
# 0.093 mm too near with one frame each and eight dark ones, 0.054 mm with these, 0.027 mm without noise
CLEAR, MOST_FRAMES = 4.0, 32
# exposures of which each LED has one, from the bright field's to the longest
RUNGS = 4
# share of pixels that the others, single bright ones among them, are not held against
BRIGHTEST = 0.9999


@dataclass(frozen=True, eq=False)
class LedSurvey:
    """One image per LED in electrons, dark frames taken off, and the exposure of each.

    rate_e_per_ms, sigma_e_per_ms: mean light of each image, and its standard uncertainty.
    """

    images_e: LedImages
    exposures_ms: PerLed
    rate_e_per_ms: PerLed
    sigma_e_per_ms: PerLed
    dead: tuple[int, ...]

    @property
    def bright(self) -> Bool[np.ndarray, " led"]:
        """LEDs inside the objective's aperture."""
        lit: Bool[np.ndarray, " led"] = self.rate_e_per_ms > BRIGHT_SHARE * self.rate_e_per_ms.max()
        return lit


@dataclass(frozen=True, eq=False)
class BoardTurn:
    """How the board lies as its bright LEDs tell, without any model of the sample.

    rotation_rad: of the board against its description. mirrored: its columns run the other way round.
    positions_mm: all LEDs, turned and shifted accordingly.
    tangents, expected: of the bright LEDs against the one nearest the axis, as measured and as described.
    """

    rotation_rad: float
    mirrored: bool
    shift_mm: tuple[float, float]
    positions_mm: Float[np.ndarray, "led 3"]
    tangents: LedPlaces
    expected: LedPlaces


def survey_leds(
    microscope: Microscope,
    camera: CameraFacts,
    *,
    bright_ms: float,
    dark_ms: float,
    full_e: float,
    frames: int = 1,
    on_led: Callable[[int, int], None] = lambda done, of: None,
) -> LedSurvey:
    """One image under each LED, at the longest of a few exposures at which its brightest pixels keep below `full_e`.

    bright_ms, dark_ms: the shortest and the longest of them. frames: of which each image is the mean at least; where
    light is little it is that of more.
    Raises CalibrationFailed where no LED gives light, and what the microscope raises.
    """
    board = microscope.board
    ladder = np.geomspace(bright_ms, max(bright_ms, dark_ms), RUNGS).tolist()
    levels = {exposure_ms: _dark_level(microscope, exposure_ms) for exposure_ms in ladder}
    images, exposures, rates, sigmas = [], np.zeros(board.n_leds), np.zeros(board.n_leds), np.zeros(board.n_leds)
    gain, read_e = camera.gain_e_per_adu.value, camera.read_noise_e.value

    def taken(led: int, exposure_ms: float, count: int) -> Plane:
        request = Observe(single_led(board, led), exposure_ms)
        frame = np.mean([as_plane(microscope.observe(request).image) for _ in range(count)], axis=0)
        electrons: Plane = (frame - levels[exposure_ms]) * gain
        return electrons

    for led in range(board.n_leds):
        on_led(led, board.n_leds)
        electrons = taken(led, ladder[0], 1)
        # dark field has spots many times brighter than its mean, which a longer exposure must not cut off
        most_e_per_ms = brightest(electrons) / ladder[0]
        exposure_ms = max((each for each in ladder if each * most_e_per_ms < full_e), default=ladder[0])
        count = max(frames, _frames(float(electrons.mean()) / ladder[0] * exposure_ms, read_e))
        if exposure_ms > ladder[0] or count > 1:
            electrons = taken(led, exposure_ms, count)
        mean = float(electrons.mean())
        images.append(electrons.astype(np.float32))
        exposures[led], rates[led] = exposure_ms, mean / exposure_ms
        noise = math.sqrt((max(mean, 0.0) + read_e**2) * (1 / count + 1 / DARK_FRAMES) / electrons.size)
        # the dark level is as certain as what all pixels' dark frames share
        sigmas[led] = noise / exposure_ms
    return LedSurvey(np.stack(images), exposures, rates, sigmas, _dead(board, rates, sigmas))


def brightest(light: Plane) -> float:
    """The most light of a pixel, but for one in ten thousand."""
    return float(np.quantile(light, BRIGHTEST))


def board_turn(
    microscope: Microscope, survey: LedSurvey, *, exposure_ms: float, pixel_um: float, focus_um: float, away_um: float
) -> BoardTurn:
    """How the board lies: out of focus each bright LED's image moves by defocus times the tangent of its angle.

    A larger z focuses on a plane farther along the light; where a drive counts the other way, the board seems turned
    by 180 degrees. The middle of the bright LEDs stands on the axis. Raises CalibrationFailed for fewer than three of
    them, or images that are not alike.
    """
    board = microscope.board
    bright = np.flatnonzero(survey.bright)
    if len(bright) < FEWEST_BRIGHT:
        raise CalibrationFailed(
            f"{len(bright)} LEDs light the bright field; {FEWEST_BRIGHT} tell how the board lies.",
            hint="centre the board below the objective, or look for what is in the light path",
        )
    planes = []
    for led in bright:
        request = Observe(single_led(board, int(led)), exposure_ms, z_um=focus_um + away_um)
        planes.append(as_plane(microscope.observe(request).image))
    microscope.observe(Observe(dark(board), exposure_ms, z_um=focus_um))
    described = board.directions[bright, :2] / board.directions[bright, 2:]
    first = int(np.hypot(*(described - described.mean(axis=0)).T).argmin())
    shifts = [shift_between(planes[first], plane) for plane in planes]
    weakest = min(shift.likeness for shift in shifts)
    if weakest < ALIKE:
        raise CalibrationFailed(
            f"Images under two bright LEDs agree only to {weakest:.2f}, where {ALIKE:g} is needed.",
            hint="focus first (lsm calibrate focus), and look at a place with cells",
        )
    tangents = np.array([shift.px for shift in shifts]) * pixel_um / away_um
    return _turned(board, bright, tangents, described - described[first])


def _turned(board: LedBoard, bright: np.ndarray, tangents: LedPlaces, expected: LedPlaces) -> BoardTurn:
    linear, *_ = np.linalg.lstsq(expected, tangents, rcond=None)
    left, _, right = np.linalg.svd(linear.T)
    nearest = left @ right
    mirrored = bool(np.linalg.det(nearest) < 0)
    flip = np.diag([-1.0, 1.0]) if mirrored else np.eye(2)
    turn = nearest @ flip
    places = board.positions_mm.copy()
    places[:, :2] = places[:, :2] @ nearest.T
    shift = -places[bright, :2].mean(axis=0)
    places[:, :2] += shift
    angle = math.atan2(turn[1, 0], turn[0, 0])
    return BoardTurn(angle, mirrored, (float(shift[0]), float(shift[1])), places, tangents, expected)


def _frames(mean_e: float, read_e: float) -> int:
    """How many frames make a pixel with this mean as clear as is asked for; one where no number of them would do."""
    # variance of one frame over the mean squared; what is not told from the dark is no light
    relative = (max(mean_e, 0.0) + read_e**2) / max(mean_e, 1e-3) ** 2
    return 1 if relative > MOST_FRAMES else min(MOST_FRAMES, math.ceil(CLEAR**2 * relative))


def _dark_level(microscope: Microscope, exposure_ms: float) -> Float[np.ndarray, "y x"]:
    request = Observe(dark(microscope.board), exposure_ms)
    level: Float[np.ndarray, "y x"] = np.mean(
        [as_plane(microscope.observe(request).image) for _ in range(DARK_FRAMES)], axis=0
    )
    return level


def _dead(board: LedBoard, rates: PerLed, sigmas: PerLed) -> tuple[int, ...]:
    """LEDs that give a tenth of their neighbours' light or less. Raises CalibrationFailed where all are dark."""
    if not (rates > 5 * sigmas).any():
        raise CalibrationFailed(
            f"The light path is blocked: under none of {board.n_leds} LEDs is it brighter than in the dark.",
            hint=BLOCKED_HINT,
        )
    place = board.positions_mm[:, :2]
    apart = np.linalg.norm(place[:, None] - place, axis=2)
    near = np.argsort(apart, axis=1)[:, 1 : NEIGHBOURS + 1]
    # towards the axis neighbours are far brighter: the darker half of them is what an LED is compared with
    usual = np.quantile(rates[near], 0.25, axis=1)
    return tuple(int(led) for led in np.flatnonzero(rates < DEAD_SHARE * usual))
