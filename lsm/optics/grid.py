"""Where samples, camera pixels and frequency bins lie."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Axis = Float[np.ndarray, " position"]


class ImagingSystem(Config):
    """Objective, camera and computing grid for one wavelength.

    na, refractive_index: of the objective and its immersion.
    sample_pixel_um, sample_px: pitch and side of the square grid on which the sample is given.
    camera_pixel_um: camera pixel at the sample, a whole number (`decimation`) of sample pixels.
    margin_px: camera pixels cut on each side, to hide that the computation wraps around.
    Camera pixel i covers sample pixels i * decimation to (i + 1) * decimation - 1 of the computed
    field, so both grids share their centre. Raises ConfigError for values that do not fit together.
    """

    na: Positive = 0.10
    wavelength_um: Positive = 0.53
    sample_pixel_um: Positive = 0.3
    camera_pixel_um: Positive = 1.2
    sample_px: Annotated[int, Field(gt=0)] = 896
    margin_px: Annotated[int, Field(ge=0)] = 0
    refractive_index: Positive = 1.0

    @model_validator(mode="after")
    def _fits(self) -> "ImagingSystem":
        ratio = self.camera_pixel_um / self.sample_pixel_um
        if abs(ratio - round(ratio)) > 1e-6 or round(ratio) < 1 or self.sample_px % round(ratio):
            raise ConfigError(
                f"{self.sample_px} sample pixels of {self.sample_pixel_um} um do not fill whole camera pixels "
                f"of {self.camera_pixel_um} um.",
                hint="make camera_pixel_um a multiple of sample_pixel_um and sample_px a multiple of that number",
            )
        if self.camera_px < 1:
            raise ConfigError(
                f"A margin of {self.margin_px} px leaves nothing of {self.computed_px} px.",
                hint="margin_px is cut on both sides",
            )
        if self.na >= self.refractive_index:
            raise ConfigError(f"NA {self.na} is impossible.", hint=f"it is below the index {self.refractive_index}")
        if 4 * self.pupil_radius_bins + 1 > self.sample_px:
            raise ConfigError(
                f"The image at NA {self.na} is not resolved by sample pixels of {self.sample_pixel_um} um.",
                hint=f"use sample_pixel_um below {(1 - 1 / self.sample_px) * self.wavelength_um / (4 * self.na):.3f}",
            )
        return self

    @property
    def decimation(self) -> int:
        """Sample pixels per camera pixel, along one side."""
        return round(self.camera_pixel_um / self.sample_pixel_um)

    @property
    def computed_px(self) -> int:
        """Side of the computed camera image before the margin is cut."""
        return self.sample_px // self.decimation

    @property
    def camera_px(self) -> int:
        """Side of the camera image that comes out."""
        return self.computed_px - 2 * self.margin_px

    @property
    def field_um(self) -> float:
        """Side of the computed field, the period of the wrap-around."""
        return self.sample_px * self.sample_pixel_um

    @property
    def pupil_radius_bins(self) -> float:
        """Radius of the pupil in frequency bins of 1 / field_um."""
        return self.na / self.wavelength_um * self.field_um

    @property
    def intensity_px(self) -> int:
        """Side of the grid on which the intensity is free of aliasing: at least 4 r + 1 points for a pupil of r bins.

        Where it is larger than computed_px the camera undersamples the image, and its aliasing is physical.
        """
        return self.grid_px(4 * self.pupil_radius_bins + 1)

    def grid_px(self, needed: float) -> int:
        """Side of the smallest grid with at least `needed` points that holds every camera pixel's centre.

        A multiple of computed_px that divides sample_px.
        """
        factors = (k for k in range(1, self.decimation + 1) if self.decimation % k == 0)
        return next(self.computed_px * k for k in factors if self.computed_px * k >= needed)

    @property
    def undersampled(self) -> bool:
        """Whether the camera's pixels are too large for the image: fewer than 4 r + 1 across the field."""
        return self.computed_px < 4 * self.pupil_radius_bins + 1

    @property
    def camera_axis_um(self) -> Axis:
        """Centres of the camera pixels relative to the field's centre, x or y alike [camera_px]."""
        axis: Axis = (np.arange(self.camera_px) - (self.camera_px - 1) / 2) * self.camera_pixel_um
        return axis

    def at_wavelength(self, wavelength_um: float) -> "ImagingSystem":
        """The same system in another colour. Raises ConfigError where the grid is too coarse for it."""
        return ImagingSystem.model_validate(self.model_dump() | {"wavelength_um": wavelength_um})

    def without_margin(self) -> "ImagingSystem":
        """The same system with nothing cut."""
        return ImagingSystem.model_validate(self.model_dump() | {"margin_px": 0})
