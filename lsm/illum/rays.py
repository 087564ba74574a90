"""Rays from LEDs to a point of the sample, straight or through a sheet of glass."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lsm.errors import ConfigError
from lsm.types import LedVectors, PerLed

# Newton's method from the straight ray gains two digits or more a step
MAX_STEPS = 50


@dataclass(frozen=True)
class Glass:
    """A plane sheet between LEDs and sample, parallel to the sample: a slide, a cover, the bottom of a dish.

    Where it lies between them makes no difference. thickness_mm: 0 is no glass. refractive_index: 1.52 is
    soda-lime glass. Reflection is left out: below NA 0.5 it varies by less than half a percent between LEDs.
    """

    thickness_mm: float = 0.0
    refractive_index: float = 1.52

    def __post_init__(self) -> None:
        if not (np.isfinite(self.thickness_mm) and self.thickness_mm >= 0 and 1 <= self.refractive_index < np.inf):
            raise ConfigError(
                f"A sheet of {self.thickness_mm} mm and index {self.refractive_index} is impossible.",
                hint="the thickness is zero or more millimetres, the index 1 or more (glass: 1.52)",
            )


NO_GLASS = Glass()


def arriving_sine(offset_mm: PerLed, height_mm: PerLed, glass: Glass) -> PerLed:
    """Sine, in air, of the angle to the axis of the ray that arrives; the sample sees it as numerical aperture.

    offset_mm: lateral distance of LED and point. height_mm: distance along the axis, glass included.
    The ray obeys Snell's law at both faces: offset = (height - t) tan(a) + t tan(b) with sin(a) = n sin(b).
    Raises ConfigError for glass as thick as the distance or thicker.
    """
    air_mm = height_mm - glass.thickness_mm
    if (air_mm <= 0).any():
        raise ConfigError(
            f"Glass of {glass.thickness_mm:g} mm does not fit between sample and LEDs {height_mm.min():g} mm away.",
            hint="glass_mm is smaller than the distance",
        )
    # the tangent of the angle in air grows without limit where the sine only creeps towards 1
    tangent: PerLed = offset_mm / height_mm
    for _ in range(MAX_STEPS):
        sine = tangent / np.sqrt(1 + tangent**2)
        in_glass = np.sqrt(glass.refractive_index**2 - sine**2)
        slope = air_mm + glass.thickness_mm * (glass.refractive_index**2 / in_glass**3) / (1 + tangent**2) ** 1.5
        step = (air_mm * tangent + glass.thickness_mm * sine / in_glass - offset_mm) / slope
        tangent = tangent - step
        if np.abs(step).max(initial=0.0) < 1e-15:
            break
    arrived: PerLed = tangent / np.sqrt(1 + tangent**2)
    return arrived


def arriving_rays(
    positions_mm: LedVectors, point_mm: Float[np.ndarray, " 3"], glass: Glass
) -> tuple[LedVectors, PerLed]:
    """Unit vectors of the rays at the point [led, 3], in air, and the solid angle that a unit of area there fills.

    The solid angle is per square millimetre of the sample plane: cos^3 / height^2 without glass.
    """
    towards = point_mm - positions_mm
    height_mm, offset_mm = towards[:, 2], np.hypot(towards[:, 0], towards[:, 1])
    sine = arriving_sine(offset_mm, height_mm, glass)
    cosine, in_glass = np.sqrt(1 - sine**2), np.sqrt(glass.refractive_index**2 - sine**2)
    air_mm, glass_mm = height_mm - glass.thickness_mm, glass.thickness_mm
    # offset / sine, and the change of the offset with the angle: a ring of rays of radius `offset`
    per_sine_mm = air_mm / cosine + glass_mm / in_glass
    per_angle_mm = air_mm / cosine**2 + glass_mm * cosine * glass.refractive_index**2 / in_glass**3
    directions: LedVectors = np.column_stack([towards[:, :2] / per_sine_mm[:, None], cosine])
    solid_angle: PerLed = 1 / (per_sine_mm * per_angle_mm)
    return directions, solid_angle
