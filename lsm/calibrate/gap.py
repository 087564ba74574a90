"""How far the twin of a calibrated rig is from the rig: patterns that no fit has seen, predicted and then taken."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats

from lsm.calibrate._frames import Plane, as_plane
from lsm.calibrate.leds import POINTS, LedSearch
from lsm.calibrate.survey import LedSurvey, brightest
from lsm.calibration import CameraFacts
from lsm.devices import Microscope, Observe
from lsm.illum import LedBoard, Pattern, bright_field, dark, dark_field, half_disc
from lsm.optics import ImagingSystem
from lsm.optics.recover import RecoverConfig, recover
from lsm.samples.table import ROW, CellTable
from lsm.twin import FieldRenderer, TwinConfig
from lsm.types import Transmission

# of each pattern. A pixel of 1,000 e has 3.3 % of noise in one frame, 0.8 % in the mean of sixteen
FRAMES = 16
SURVEY_FRAMES = 4
FIT_EPOCHS = 80
# the twin's aperture ends within a bin
EDGE_NA = 0.001
# of the window, left out of the comparison: six Airy radii at NA 0.1, within which light comes from what no fit saw
RIM_PX = 16
# around the window, which light may come from: a sharp aperture carries it far. Of a rig that is known exactly the twin
# missed 2.5 % with 24 px, 1.5 % with 76
MARGIN_PX = 80


@dataclass(frozen=True)
class PatternGap:
    """Of one withheld pattern. rms: of prediction minus measurement, over the mean, camera noise taken off.

    with_noise: the same with the noise that is left in the mean of FRAMES lit and as many dark frames.
    """

    name: str
    mean_e: float
    rms: float
    with_noise: float


@dataclass(frozen=True)
class Gap:
    """Mean of the patterns' rms errors and its interval of 95 % (Student's t over patterns), without and with noise."""

    patterns: tuple[PatternGap, ...]
    rms: float
    interval: tuple[float, float]
    with_noise: float
    with_noise_interval: tuple[float, float]


class SeenSample:
    """The sample as it was recovered at one place: a Smear that knows only that."""

    def __init__(self, transmission: Transmission, field_um: float) -> None:
        self._transmission, self._field_um = transmission, field_um

    @property
    def extent_um(self) -> tuple[float, float]:
        """Side of what was seen."""
        return self._field_um, self._field_um

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        """What was recovered, whatever place is asked for: there is no other."""
        return self._transmission

    def truth(self) -> CellTable:
        """Nobody knows it."""
        return CellTable(np.zeros(0, dtype=ROW))


def withheld_patterns(board: LedBoard, *, na: float, colour: int, rng: np.random.Generator, n: int) -> list[Pattern]:
    """Bright and dark field, two halves, and `n` patterns in which each LED has a random level or is off."""
    fixed = [
        bright_field(board, na=na, colour=colour),
        dark_field(board, na=na, na_max=2 * na, colour=colour),
        half_disc(board, na=2 * na, angle_rad=0.0, colour=colour),
        half_disc(board, na=2 * na, angle_rad=math.pi / 2, colour=colour),
    ]
    drawn = [
        Pattern.of_colour(
            board,
            np.round(255 * rng.uniform(0, 1, board.n_leds) * (rng.uniform(0, 1, board.n_leds) < 0.3)) / 255,
            colour=colour,
            name=f"random {number + 1}",
        )
        for number in range(n)
    ]
    return fixed + drawn


def twin_of_survey(
    survey: LedSurvey, board: LedBoard, system: ImagingSystem, search: LedSearch
) -> tuple[FieldRenderer, float]:
    """The twin of the calibrated rig over the sample that the survey shows, in its middle window, and its defocus, um.

    board: as calibrated. Only sample and defocus are fitted; LEDs are where and as bright as the calibration says.
    """
    living = np.setdiff1d(np.arange(board.n_leds), survey.dead)
    lamp = board.relative_irradiance
    side = POINTS * (search.window_px + 2 * MARGIN_PX)
    sizes = {"sample_pixel_um": system.camera_pixel_um / POINTS, "sample_px": side, "margin_px": MARGIN_PX}
    own = ImagingSystem.model_validate(system.model_dump() | sizes)
    light = middle(survey.images_e[living], search) / (survey.exposures_ms * lamp)[living, None, None]
    config = RecoverConfig(
        seed=search.seed,
        epochs=FIT_EPOCHS,
        fit_positions=False,
        fit_gains=False,
        edge_na=EDGE_NA,
        phase_order=0,
        amplitude_order=0,
        rate_edge=0.0,
    )
    lit = torch.from_numpy(np.maximum(light, 0.0).astype(np.float32))
    found = recover(lit, board, own, leds=torch.from_numpy(living), config=config)
    sample = SeenSample(found.transmission.numpy(), own.field_um)
    # the sample's brightness is in its transmission
    return FieldRenderer(sample, board, TwinConfig(system=own, led_flux_e_per_ms=1.0)), found.defocus_um


def measure_gap(
    microscope: Microscope,
    twin: FieldRenderer,
    camera: CameraFacts,
    patterns: list[Pattern],
    *,
    defocus_um: float,
    dead: tuple[int, ...],
    search: LedSearch,
    limits_ms: tuple[float, float],
    full_e: float,
) -> Gap:
    """Each pattern predicted by the twin, then taken on the rig, and compared in electrons.

    full_e: what the brightest predicted pixels are to hold at most, so that none is cut off.
    """
    gaps = []
    for pattern in patterns:
        levels = pattern.levels.copy()
        levels[list(dead)] = 0
        rate = inside(twin.rate(levels, (0.0, 0.0), defocus_um).numpy().astype(np.float64))
        exposure_ms = float(np.clip(full_e / max(brightest(rate), 1e-9), *limits_ms))
        gaps.append(_one(microscope, rate * exposure_ms, camera, Observe(pattern, exposure_ms), search))
    rms, interval = _mean_of([each.rms for each in gaps])
    noisy, noisy_interval = _mean_of([each.with_noise for each in gaps])
    return Gap(tuple(gaps), rms, interval, noisy, noisy_interval)


def middle(images: Float[np.ndarray, "*stack y x"], search: LedSearch) -> Float[np.ndarray, "*stack v u"]:
    """The window in the middle of images."""
    row, column = ((side - search.window_px) // 2 for side in images.shape[-2:])
    return images[..., row : row + search.window_px, column : column + search.window_px]


def inside(window: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "v u"]:
    """A window without its rim."""
    return window[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]


def _mean_of(errors: list[float]) -> tuple[float, tuple[float, float]]:
    """Mean and its interval of 95 %."""
    mean = float(np.mean(errors))
    half = float(stats.t.ppf(0.975, len(errors) - 1)) * float(np.std(errors, ddof=1)) / math.sqrt(len(errors))
    return mean, (mean - half, mean + half)


def _one(
    microscope: Microscope, expected_e: Plane, camera: CameraFacts, request: Observe, search: LedSearch
) -> PatternGap:
    lit, lit_noise = _taken(microscope, request, search)
    unlit, unlit_noise = _taken(microscope, Observe(dark(microscope.board), request.exposure_ms), search)
    gain = camera.gain_e_per_adu.value
    measured = (lit - unlit) * gain
    squared, noise = float(((expected_e - measured) ** 2).mean()), (lit_noise + unlit_noise) * gain**2
    mean = float(measured.mean())
    return PatternGap(
        request.pattern.name, mean, math.sqrt(max(squared - noise, 0.0)) / mean, math.sqrt(squared) / mean
    )


def _taken(microscope: Microscope, request: Observe, search: LedSearch) -> tuple[Plane, float]:
    """Mean of a few frames, and the variance that their noise leaves in it."""
    frames = np.stack([inside(middle(as_plane(microscope.observe(request).image), search)) for _ in range(FRAMES)])
    return frames.mean(axis=0), float(frames.var(axis=0, ddof=1).mean()) / FRAMES
