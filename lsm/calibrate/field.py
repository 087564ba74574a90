"""What varies over the image: the empty field, and where each part of it is in focus."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from lsm.calibrate._frames import Plane, Taker, as_plane
from lsm.calibrate.focus import (
    CLEAR,
    FocusFound,
    FocusSearch,
    depth_of_field_um,
    focus_pattern,
    sharpness_focus,
    vertex,
)
from lsm.calibrate.sharpness import MEASURES
from lsm.calibration import CameraFacts, FlatFacts, FocusFacts, Measured
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import Pattern, dark

NINTHS = 3
SMOOTH_PX = 6.0
FRAMES = 16
# an empty field that varies more from pixel to pixel is not empty
EMPTY_PERCENT = 5.0
SWEEP_STEPS = 11
# of the depth of field, by which the phase of cells moves the sharpest image: docs/benchmarks/focus.json
BY_PHASE = 0.05


@dataclass(frozen=True, eq=False)
class FlatFound:
    """The empty field relative to its mean, and what it tells."""

    relative: Plane
    facts: FlatFacts


@dataclass(frozen=True, eq=False)
class FocusField:
    """Focus of each ninth of the image and its standard uncertainty, and what was measured at each place [z, y, x]."""

    z_um: Float[np.ndarray, "3 3"]
    sigma_um: Float[np.ndarray, "3 3"]
    places_um: Float[np.ndarray, " place"]
    curves: Float[np.ndarray, "place 3 3"]
    found: FocusFound
    facts: FocusFacts


def measure_flat(microscope: Microscope, pattern: Pattern, camera: CameraFacts, *, exposure_ms: float) -> FlatFound:
    """Evenness of the empty field, from the mean of 16 frames of clear glass.

    Raises CalibrationFailed where there is something on the glass, and what the microscope raises.
    """
    taken = [_mean_frames(microscope, each, exposure_ms) for each in (dark(microscope.board), pattern)]
    gain = camera.gain_e_per_adu.value
    electrons = (taken[1][0] - taken[0][0]) * gain
    noise_e2 = (taken[1][1] + taken[0][1]) * gain**2
    mean = float(electrons.mean())
    relative: Plane = electrons / mean
    fine = relative / ndimage.gaussian_filter(relative, SMOOTH_PX)
    # the filter takes a little of each pixel's own deviation along
    own = 1 - 1 / (2 * math.pi * SMOOTH_PX**2)
    variance = float(fine.var()) / own**2 - noise_e2 / mean**2
    spread = 100 * math.sqrt(max(variance, 0.0))
    if spread > EMPTY_PERCENT:
        raise CalibrationFailed(
            f"The empty field varies by {spread:.1f} % from pixel to pixel, more than the {EMPTY_PERCENT:g} % of clear "
            "glass.",
            hint="go to a place without cells, or put a clean slide on the stage",
        )
    ninths = _ninths(relative)
    sigma_ninth = 9 * math.sqrt(float(fine.var()) / relative.size)
    fall = 100 * (1 - float(ninths.min() / ninths.max()))
    sigma_spread = (variance + 2 * noise_e2 / mean**2) / max(spread / 100, 1e-9) / math.sqrt(2 * relative.size) * 100
    facts = FlatFacts(
        fall_percent=Measured(value=fall, sigma=100 * math.sqrt(2) * sigma_ninth),
        spread_percent=Measured(value=spread, sigma=sigma_spread),
        rate_e_per_ms=Measured(value=mean / exposure_ms, sigma=mean / exposure_ms * camera.gain_e_per_adu.sigma / gain),
    )
    return FlatFound(relative, facts)


def measure_focus_field(
    microscope: Microscope, search: FocusSearch, *, na: float, pixel_um: float, exposure_ms: float
) -> FocusField:
    """Focus of the whole image and of its ninths, with tilt and curvature; the focus is left there.

    Raises CalibrationFailed as sharpness_focus does.
    """
    pattern = focus_pattern(microscope.board, na=na, clear=CLEAR)
    found = sharpness_focus(microscope, pattern, search, exposure_ms=exposure_ms)
    reach_um = depth_of_field_um(na)
    low_um, high_um = search.z_um
    places = np.linspace(max(low_um, found.z_um - reach_um), min(high_um, found.z_um + reach_um), SWEEP_STEPS)
    taker = Taker(microscope, exposure_ms, z_backlash_um=search.backlash_um)
    taker.approach(z_um=float(places[0]))
    measure = MEASURES[search.measure]
    curves = np.zeros((len(places), NINTHS, NINTHS))
    for number, z_um in enumerate(places):
        plane = as_plane(taker.take(Observe(pattern, exposure_ms, z_um=float(z_um))).image)
        curves[number] = [[measure(part) for part in row] for row in _parts(plane)]
    taker.approach(z_um=found.z_um)
    each = [[vertex(places, curves[:, row, column]) for column in range(NINTHS)] for row in range(NINTHS)]
    z_um, sigma_um = np.array(each)[..., 0], np.array(each)[..., 1]
    facts = _focus_facts(z_um, plane.shape, pixel_um)
    sigma_z_um = math.hypot(facts.z_um.sigma, BY_PHASE * reach_um)
    facts = facts.model_copy(update={"z_um": Measured(value=facts.z_um.value, sigma=sigma_z_um)})
    return FocusField(z_um, sigma_um, places, curves, found, facts)


def _focus_facts(z_um: Float[np.ndarray, "3 3"], shape: tuple[int, ...], pixel_um: float) -> FocusFacts:
    """Middle, tilt and curvature of a paraboloid through the ninths; uncertainties from what it leaves."""
    steps_mm = [(np.arange(NINTHS) - 1) * side / NINTHS * pixel_um / 1000 for side in shape]
    y, x = (axis.ravel() for axis in np.meshgrid(*steps_mm, indexing="ij"))
    design = np.column_stack([np.ones_like(x), x, y, x**2 + y**2])
    solution, *_ = np.linalg.lstsq(design, z_um.ravel(), rcond=None)
    left = z_um.ravel() - design @ solution
    covariance = float((left**2).sum()) / (len(left) - len(solution)) * np.linalg.inv(design.T @ design)
    z, tilt_x, tilt_y, curvature = (
        Measured(value=float(value), sigma=math.sqrt(float(variance)))
        for value, variance in zip(solution, np.diag(covariance), strict=True)
    )
    return FocusFacts(z_um=z, tilt_um_per_mm=(tilt_x, tilt_y), curvature_um_per_mm2=curvature)


def _mean_frames(microscope: Microscope, pattern: Pattern, exposure_ms: float) -> tuple[Plane, float]:
    """Mean of FRAMES frames, and the variance that noise has left in it."""
    request = Observe(pattern, exposure_ms)
    stack = np.stack([as_plane(microscope.observe(request).image) for _ in range(FRAMES)])
    return stack.mean(axis=0), float(stack.var(axis=0, ddof=1).mean()) / FRAMES


def _parts(plane: Plane) -> list[list[Float[np.ndarray, "_ _"]]]:
    return [np.array_split(row, NINTHS, axis=1) for row in np.array_split(plane, NINTHS, axis=0)]


def _ninths(plane: Plane) -> Float[np.ndarray, "3 3"]:
    means: Float[np.ndarray, "3 3"] = np.array([[float(part.mean()) for part in row] for row in _parts(plane)])
    return means
