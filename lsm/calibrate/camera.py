"""Dark signal, read noise and gain of a camera by photon transfer (EMVA Standard 1288, release 4.0)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from lsm.calibrate._frames import Plane, as_plane
from lsm.calibration import CameraFacts, Measured
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import Pattern, dark

Points = Float[np.ndarray, " exposure"]

# of a number rounded to whole digits: EMVA 1288, equation 14
ROUNDING_ADU2 = 1 / 12
# robust standard deviations from its neighbours: a normal pixel in a million frames of a million pixels
HOT_SIGMAS = 8.0
# mean light below so many standard uncertainties of the dark level, and below this many digits, is none
LIT_SIGMAS, LIT_ADU = 5.0, 1.0
# twice the exposure with less than this much more light: the brightest pixels are saturated
STILL_GROWS = 1.7
# of what saturates, so that no pixel is cut
USED_SHARE = 0.6
# a curve bent by more does not hold a slope to 3 %
BENT = 0.03
STEPS, PAIRS = 8, 3
BLOCKED_HINT = "look for a closed shutter, a slider, a filter or a cap in the light path, or a board without power"


@dataclass(frozen=True, eq=False)
class DarkFound:
    """Frames without light. mean_adu, variance_adu2: of each pixel, over time.

    offset_adu: mean of all. read_variance_adu2: temporal, rounding taken off. hot: pixels unlike their neighbours.
    """

    mean_adu: Plane
    variance_adu2: Plane
    offset_adu: Measured
    read_variance_adu2: Measured
    hot: Bool[np.ndarray, "y x"]
    frames: int


@dataclass(frozen=True, eq=False)
class TransferFound:
    """The photon transfer curve: per exposure mean and temporal variance, dark signal taken off, and what follows.

    sigma_adu2: standard uncertainty of each variance.
    """

    exposures_ms: Points
    mean_adu: Points
    variance_adu2: Points
    sigma_adu2: Points
    gain_e_per_adu: Measured
    light_delay_ms: Measured

    @property
    def rate_adu_per_ms(self) -> float:
        """Mean digits per millisecond."""
        return float(np.polyfit(self.exposures_ms, self.mean_adu, 1)[0])


def measure_dark(microscope: Microscope, *, exposure_ms: float, frames: int = 16) -> DarkFound:
    """Dark level, temporal noise and hot pixels, from frames with all LEDs off.

    Raises CalibrationFailed where the black level cuts the noise off, and what the microscope raises.
    """
    request = Observe(dark(microscope.board), exposure_ms)
    stack = np.stack([as_plane(microscope.observe(request).image) for _ in range(frames)])
    mean, variance = stack.mean(axis=0), stack.var(axis=0, ddof=1)
    noise = float(np.median(variance))
    if float(np.median(mean)) < 3 * math.sqrt(noise) or (stack == 0).mean() > 1e-3:
        raise CalibrationFailed(
            f"The dark level of {np.median(mean):.1f} ADU lies within its noise of {math.sqrt(noise):.1f} ADU of zero.",
            hint="raise the camera's black level (offset), or take its images with more bits",
        )
    beside = mean - ndimage.median_filter(mean, 5)
    scale = 1.4826 * float(np.median(np.abs(beside))) or math.sqrt(noise / frames)
    hot = np.abs(beside) > HOT_SIGMAS * scale
    return DarkFound(mean, variance, _mean(mean[~hot]), _mean(variance[~hot] - ROUNDING_ADU2), hot, frames)


def measure_transfer(
    microscope: Microscope, pattern: Pattern, found: DarkFound, *, limits_ms: tuple[float, float]
) -> TransferFound:
    """Gain from mean and variance at exposures up to 60 % of saturation, in pairs; EMVA 1288, section 6.6.

    Variances are those of differences between frames taken one after the other, so that neither the sample nor
    the pixels' own response enters. Raises CalibrationFailed where no light arrives or the curve is not straight.
    """
    longest_ms = _longest(microscope, pattern, found, limits_ms)
    exposures = np.linspace(longest_ms / STEPS, longest_ms, STEPS).clip(min=limits_ms[0])
    rows = [_pairs(microscope, Observe(pattern, float(exposure)), found) for exposure in exposures]
    mean, variance, sigma = (np.array(column) for column in zip(*rows, strict=True))
    slope, slope_sigma, left = _line_through_zero(mean, variance, sigma)
    bent = float(np.sqrt(np.mean((left * sigma / variance.max()) ** 2)))
    if not slope > 0 or bent > BENT:
        raise CalibrationFailed(
            f"The variance of the noise is off a line against the mean by {100 * bent:.1f} % of its largest; "
            f"up to {100 * BENT:g} % is believed.",
            hint="the lamp flickers, the camera processes its images (gamma, denoising), or its gain is automatic",
        )
    gain = 1 / slope
    return TransferFound(
        exposures,
        mean,
        variance,
        sigma,
        Measured(value=gain, sigma=gain * slope_sigma / slope),
        _delay(exposures, mean),
    )


def camera_facts(found: DarkFound, transfer: TransferFound) -> CameraFacts:
    """Both together, in electrons."""
    gain = transfer.gain_e_per_adu
    variance = found.read_variance_adu2
    noise_adu = math.sqrt(max(variance.value, 0.0))
    relative = math.hypot(variance.sigma / (2 * noise_adu**2) if noise_adu else 0.0, gain.sigma / gain.value)
    noise = Measured(value=noise_adu * gain.value, sigma=noise_adu * gain.value * relative)
    rows, columns = np.nonzero(found.hot)
    hot = tuple((int(row), int(column)) for row, column in zip(rows, columns, strict=True))
    return CameraFacts(
        offset_adu=found.offset_adu,
        gain_e_per_adu=gain,
        read_noise_e=noise,
        light_delay_ms=transfer.light_delay_ms,
        hot_pixels=hot,
    )


def refuse_no_light(lit_adu: float, found: DarkFound, what: str) -> None:
    """Raise CalibrationFailed where an image is as dark as without light."""
    if lit_adu - found.offset_adu.value < LIT_SIGMAS * found.offset_adu.sigma + LIT_ADU:
        raise CalibrationFailed(
            f"The light path is blocked: the camera sees {lit_adu:.1f} ADU under {what} and "
            f"{found.offset_adu.value:.1f} ADU in the dark.",
            hint=BLOCKED_HINT,
        )


def _longest(microscope: Microscope, pattern: Pattern, found: DarkFound, limits_ms: tuple[float, float]) -> float:
    """The exposure at which the brightest pixels reach USED_SHARE of what saturates them."""
    exposure_ms, top = limits_ms[0], 0.0
    grown: list[tuple[float, float]] = []
    while exposure_ms <= limits_ms[1]:
        image = as_plane(microscope.observe(Observe(pattern, exposure_ms)).image)
        top = float(np.quantile(image, 0.999)) - found.offset_adu.value
        noise = math.sqrt(found.read_variance_adu2.value + ROUNDING_ADU2)
        if grown and grown[-1][1] > 50 * noise and top < STILL_GROWS * grown[-1][1]:
            return USED_SHARE * exposure_ms * min(1.0, top / (2 * grown[-1][1]))
        grown.append((exposure_ms, top))
        exposure_ms *= 2
    image_adu = float(image.mean())
    refuse_no_light(image_adu, found, f"the pattern '{pattern.name}' for {exposure_ms / 2:g} ms")
    return grown[-1][0]


def _pairs(microscope: Microscope, request: Observe, found: DarkFound) -> tuple[float, float, float]:
    """Mean, temporal variance and its standard uncertainty, dark ones taken off, of the pixels that are not hot."""
    means, halves = [], []
    for _ in range(PAIRS):
        first, second = (as_plane(microscope.observe(request).image)[~found.hot] for _ in range(2))
        apart = first - second
        means.append(float((first + second).mean() / 2))
        halves.append((apart - apart.mean()) ** 2 / 2)
    each = np.stack(halves)
    dark_variance = found.read_variance_adu2.value + ROUNDING_ADU2
    sigma = math.hypot(float(each.std()) / math.sqrt(each.size), found.read_variance_adu2.sigma)
    return float(np.mean(means)) - found.offset_adu.value, float(each.mean()) - dark_variance, sigma


def _line_through_zero(x: Points, y: Points, sigma: Points) -> tuple[float, float, Points]:
    """Slope, its standard uncertainty, and what is left in units of `sigma`."""
    weight = 1 / sigma**2
    normal = float((weight * x**2).sum())
    slope = float((weight * x * y).sum()) / normal
    left: Points = (y - slope * x) / sigma
    scatter = max(1.0, float((left**2).sum()) / (len(x) - 1))
    return slope, math.sqrt(scatter / normal), left


def _delay(exposures_ms: Points, mean_adu: Points) -> Measured:
    """Where the line of light against exposure meets zero."""
    design = np.column_stack([exposures_ms, np.ones_like(exposures_ms)])
    # shot noise: each point counts as the inverse of its mean
    root = 1 / np.sqrt(mean_adu.clip(min=1e-9))
    (slope, offset), *_ = np.linalg.lstsq(design * root[:, None], mean_adu * root, rcond=None)
    left = (mean_adu - design @ [slope, offset]) * root
    covariance = float((left**2).sum()) / (len(left) - 2) * np.linalg.inv((design * root[:, None] ** 2).T @ design)
    jacobian = np.array([offset / slope**2, -1 / slope])
    return Measured(value=float(-offset / slope), sigma=math.sqrt(float(jacobian @ covariance @ jacobian)))


def _mean(values: Sequence[float] | np.ndarray) -> Measured:
    """Mean over pixels and its standard uncertainty from their scatter."""
    each = np.asarray(values)
    return Measured(value=float(each.mean()), sigma=float(each.std(ddof=1)) / math.sqrt(each.size))
