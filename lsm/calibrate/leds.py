"""Where LEDs are and how bright: sample and board together, fitted through the differentiable model.

The start is `survey.board_turn`, from bright-field LEDs alone; then all images, bright and dark field, are explained
at once by one unknown thin sample and the board that lights it (`lsm.optics.recover`). That tells each LED's direction;
distance and tilt follow from the described pitch (`rigid`). Starting in the bright field
and carrying on to the dark field as one rigid board follows Eckert, Phillips and Waller, "Efficient illumination angle
self-calibration in Fourier ptychography", Appl. Opt. 57, 5434 (2018); the joint fit Yeh et al., Opt. Express 23, 33214
(2015).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from lsm.calibrate.rigid import RigidBoard, rigid_board
from lsm.calibrate.survey import BoardTurn, LedSurvey
from lsm.calibration import LedFacts, LightFacts, Measured
from lsm.config import Config
from lsm.errors import CalibrationFailed
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem
from lsm.optics.recover import RecoverConfig, Recovered, recover
from lsm.types import LedVectors, PerLed

# sample points along one camera pixel
POINTS = 4
GROUP = 24
"""LEDs of about the same angle whose scatter between windows is taken for one."""
WORST_CORRELATION = 0.5
# weight against LEDs leaving the rigid board: with ten times as much those of least light moved by only half of what
# they are off, alike in all windows, so that scatter did not show it
OFFSET_PRIOR = 1e-4
# relative standard uncertainty of the distance that no scatter shows: light from outside the window and the fitted
# aperture let all directions grow together. Root mean square of five simulated rigs (seeds 0 to 4 of
# lsm_sim.calibration_campaign), all of them told too near
TOGETHER = 1e-3
# standard uncertainty of the whole board's place along each axis that no scatter shows: every window begins where the
# first has the board. Root mean square of the same five rigs
ASIDE_MM = 0.008


class LedSearch(Config):
    """How LEDs are found: in square windows of one image, each with a sample of its own.

    window_px, margin_px: side, and what light from outside may come from. windows: how many corners of the image.
    epochs: of each fit; before the first, the board is fitted as one rigid body.
    """

    window_px: Annotated[int, Field(ge=32)] = 80
    margin_px: Annotated[int, Field(ge=0)] = 16
    windows: Annotated[int, Field(ge=2, le=4)] = 3
    epochs: Annotated[int, Field(ge=10)] = 80
    seed: int = 0


@dataclass(frozen=True, eq=False)
class LedsFound:
    """What the windows say. positions_mm, log_gain: of each window; living: LEDs that give light.

    correlation: of each living LED's image with the model's, the mean of all windows.
    """

    facts: LedFacts
    positions_mm: Float[np.ndarray, "window led 3"]
    log_gain: Float[np.ndarray, "window led"]
    living: np.ndarray
    correlation: Float[np.ndarray, " lit"]


def measure_leds(
    survey: LedSurvey,
    turn: BoardTurn,
    board: LedBoard,
    system: ImagingSystem,
    search: LedSearch,
    *,
    light: LightFacts | None = None,
    sigma_pixel: float = 0.0,
    on_window: Callable[[int, int], None] = lambda done, of: None,
) -> LedsFound:
    """Place and brightness of each LED, and their uncertainties from the scatter between windows.

    light: each LED's share of the light, where a diffuser told it; otherwise it is fitted with the places, and a trend
    from the axis outwards then rests on the board's description.
    system: NA, wavelength and camera pixel of the rig; its sizes are not used. sigma_pixel: relative standard
    uncertainty of the pixel, which is that of the board's distance too. Raises CalibrationFailed where images of
    some LEDs are not explained.
    """
    living = np.setdiff1d(np.arange(board.n_leds), survey.dead)
    begin = replace(board, positions_mm=turn.positions_mm)
    lamp = begin.relative_irradiance if light is None else np.array(light.irradiance)
    images = survey.images_e[living] / (survey.exposures_ms * lamp)[living, None, None]
    known = np.isin(np.arange(board.n_leds), living)
    found: list[Recovered] = []
    bodies: list[RigidBoard] = []
    for number, (row, column) in enumerate(_corners(images.shape[1:], search)):
        on_window(number, search.windows)
        window = images[:, row : row + search.window_px, column : column + search.window_px]
        # where the first window has the board, but not what it says of single LEDs: scatter tells what windows do
        # not owe to each other
        start = replace(begin, positions_mm=bodies[0].body_mm) if bodies else begin
        found.append(_fit(window, start, system, search, living, rigid=not found, fit_gains=light is None))
        bodies.append(rigid_board(begin, found[-1].positions_mm, known))
    places = np.stack([body.positions_mm for body in bodies])
    gains = np.stack([_log_gain(each, place, lamp, living) for each, place in zip(found, places, strict=True)])
    likeness = np.mean([each.correlation for each in found], axis=0)
    worst = int(likeness.argmin())
    if likeness[worst] < WORST_CORRELATION:
        raise CalibrationFailed(
            f"The image under LED {int(living[worst])} correlates with the model's by {likeness[worst]:.2f} only.",
            hint="the LED may be wired to another place, or the sample be too thick or too empty: try another place",
        )
    facts = _facts(bodies, places, gains, board, survey, sigma_pixel)
    if light is not None:
        facts = facts.model_copy(update={"sigma_brightness": light.sigma})
    return LedsFound(facts, places, gains, living, likeness)


def _fit(
    window: Float[np.ndarray, "led y x"],
    start: LedBoard,
    system: ImagingSystem,
    search: LedSearch,
    living: np.ndarray,
    *,
    rigid: bool,
    fit_gains: bool,
) -> Recovered:
    fine = system.camera_pixel_um / POINTS
    side = POINTS * (search.window_px + 2 * search.margin_px)
    sizes = {"sample_pixel_um": fine, "sample_px": side, "margin_px": search.margin_px}
    own = ImagingSystem.model_validate(system.model_dump() | sizes)
    config = RecoverConfig(
        seed=search.seed,
        epochs=search.epochs,
        # above its threshold the whole board is fitted first
        board_error_mm=1.0 if rigid else 0.0,
        phase_order=0,
        amplitude_order=0,
        fit_gains=fit_gains,
        offset_prior=OFFSET_PRIOR,
    )
    lit = torch.from_numpy(np.maximum(window, 0.0).astype(np.float32))
    return recover(lit, start, own, leds=torch.from_numpy(living), config=config)


def _log_gain(found: Recovered, places_mm: LedVectors, lamp: PerLed, living: np.ndarray) -> PerLed:
    """Logarithm of each LED's radiant intensity, the fitted board's distances and angles allowed for."""
    board = replace(found.board, positions_mm=places_mm, gain=None)
    intensity = np.log(found.gains * lamp / board.relative_irradiance)
    centred: PerLed = intensity - np.median(intensity[living])
    return centred


def _facts(
    bodies: list[RigidBoard],
    places: Float[np.ndarray, "window led 3"],
    gains: Float[np.ndarray, "window led"],
    board: LedBoard,
    survey: LedSurvey,
    sigma_pixel: float,
) -> LedFacts:
    windows, mean, gain = len(places), places.mean(axis=0), gains.mean(axis=0)
    # of two windows on each of five simulated rigs one told 0.22 mm too near, the others 0.02 to 0.07
    mean[:, 2] = np.median(places[:, :, 2], axis=0)
    na = np.hypot(*(mean[:, :2] / mean[:, 2:]).T)
    sigma_gain = _pooled(gains.var(axis=0, ddof=1), na, windows)
    sigma_distance = _sigma_distance(bodies, places, sigma_pixel)
    # an LED's place is where its ray meets the board: one that is thought too far off has all of them too far out.
    # Directions that grew together bring the board nearer, and leave the described pitch as it is
    of_rays = _pooled(places[:, :, :2].var(axis=0, ddof=1).mean(axis=1), na, windows)
    sigma = np.sqrt(of_rays**2 + (na * sigma_distance) ** 2 / 2 + ASIDE_MM**2)
    dead = list(survey.dead)
    gain[dead] = 0.0
    return LedFacts(
        positions_mm=tuple((float(x), float(y), float(z)) for x, y, z in mean),
        sigma_mm=tuple(sigma.tolist()),
        sigma_distance_mm=math.hypot(sigma_distance, TOGETHER * float(mean[:, 2].mean())),
        brightness=tuple(np.exp(gain).tolist()),
        sigma_brightness=tuple(sigma_gain.tolist()),
        dead=survey.dead,
        rotation_deg=_rotation(places, board),
    )


def _sigma_distance(bodies: list[RigidBoard], places: Float[np.ndarray, "window led 3"], sigma_pixel: float) -> float:
    """Standard uncertainty of the board's distance as scatter tells it: LEDs beside their places, windows, the pixel.

    LEDs that stand beside their places are the same in every window, so that more windows do not help against them.
    """
    distances = places[:, :, 2].mean(axis=1)
    by_leds = float(np.mean([body.sigma_distance_mm for body in bodies]))
    by_windows = float(distances.std(ddof=1)) / math.sqrt(len(places))
    return math.hypot(by_leds, by_windows, sigma_pixel * float(distances.mean()))


def _pooled(variance: PerLed, na: PerLed, windows: int) -> PerLed:
    """Standard uncertainty of the mean of all windows, from the scatter of LEDs of about the same angle."""
    sigma = np.zeros(len(variance))
    order = np.argsort(na)
    for group in np.array_split(order, max(1, len(order) // GROUP)):
        sigma[group] = math.sqrt(float(variance[group].mean()) / windows)
    return sigma


def _rotation(places: Float[np.ndarray, "window led 3"], board: LedBoard) -> Measured:
    """Angle by which the board is turned: the mean of the windows', each by least squares."""
    angles = []
    described = board.positions_mm[:, :2] - board.positions_mm[:, :2].mean(axis=0)
    for each in places:
        seen = each[:, :2] - each[:, :2].mean(axis=0)
        across = float((described[:, 0] * seen[:, 1] - described[:, 1] * seen[:, 0]).sum())
        angles.append(math.degrees(math.atan2(across, float((described * seen).sum()))))
    first = angles[0]
    around = np.array([(angle - first + 180) % 360 - 180 for angle in angles])
    sigma = float(around.std(ddof=1)) / math.sqrt(len(around))
    return Measured(value=first + float(around.mean()), sigma=sigma)


def _corners(shape: tuple[int, ...], search: LedSearch) -> list[tuple[int, int]]:
    """Upper left pixels of the windows: opposite corners first."""
    rows, columns = shape[0] - search.window_px, shape[1] - search.window_px
    if min(rows, columns) < 0:
        raise CalibrationFailed(
            f"Windows of {search.window_px} px do not fit images of {shape[0]} x {shape[1]} px.",
            hint="take smaller windows, or the whole camera",
        )
    return [(0, 0), (rows, columns), (0, columns), (rows, 0)][: search.windows]
