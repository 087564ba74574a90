"""Slides on which something went wrong: stained too much or too little, with air bubbles or with dust."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from lsm.config import Config
from lsm.samples.smear import Smear
from lsm.samples.table import CellTable
from lsm.types import Transmission

Positive = Annotated[float, Field(gt=0)]
Along = Float[np.ndarray, " px"]


class Bubble(Config):
    """A flat air bubble between slide and cover slip, in which no cells are.

    xy_um, radius_um: where it is and how large. meniscus_um: width of its rounded rim, whose depth is as large.
    index_step: refractive index of air less that of what is around it, -0.33 for water, -0.5 for a mounting medium.
    """

    xy_um: tuple[float, float]
    radius_um: Positive
    meniscus_um: Positive = 5.0
    index_step: float = -0.33


class Dust(Config):
    """A flat, round speck of dust on the film, as sharp as the cells.

    xy_um, radius_um: where it is and how large. transmission: share of the light that passes it.
    """

    xy_um: tuple[float, float]
    radius_um: Positive
    transmission: Annotated[float, Field(ge=0, le=1)] = 0.01


class SpoiledSmear:
    """Another Smear, with bubbles, with dust and with all its absorbances times `stain`; its optical paths stay.

    stain: twice the dye absorbs twice as much (Beer-Lambert), and hardly changes the mass of a dried cell.
    A bubble's rim refracts light out of the objective: it is dark, with bright fringes.
    """

    def __init__(
        self, smear: Smear, *, stain: float = 1.0, bubbles: tuple[Bubble, ...] = (), dust: tuple[Dust, ...] = ()
    ) -> None:
        self._smear, self._stain, self._bubbles, self._dust = smear, stain, bubbles, dust

    @property
    def extent_um(self) -> tuple[float, float]:
        return self._smear.extent_um

    def truth(self) -> CellTable:
        """What the slide held before it was spoiled, without the cells that bubbles took the place of.

        Cells under dust stay: they are there, though nobody sees them.
        """
        table = self._smear.truth()
        kept = np.ones(len(table), dtype=bool)
        for bubble in self._bubbles:
            kept &= np.hypot(table.x_um - bubble.xy_um[0], table.y_um - bubble.xy_um[1]) > bubble.radius_um
        return CellTable(table.rows[kept])

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        """Complex amplitude of the spoiled film; see Smear."""
        field: Transmission = self._smear.transmission(
            x_um=x_um, y_um=y_um, n_px=n_px, pixel_um=pixel_um, wavelength_um=wavelength_um
        )
        if self._stain != 1:
            field = field * np.abs(field) ** np.float32(self._stain - 1)
        along = (np.arange(n_px) - (n_px - 1) / 2) * pixel_um
        place_um = (along + x_um, along + y_um)
        for bubble in self._bubbles:
            inside_um = _inside_um(bubble, *place_um)
            part = np.clip(1 - inside_um / bubble.meniscus_um, 0, 1)
            path_um = bubble.index_step * bubble.meniscus_um * np.sqrt(1 - part**2)
            field = np.where(inside_um > 0, np.exp(2j * np.pi * path_um / wavelength_um), field)
        for speck in self._dust:
            field = np.where(_inside_um(speck, *place_um) > 0, field * np.float32(np.sqrt(speck.transmission)), field)
        return field.astype(np.complex64)


def _inside_um(body: Bubble | Dust, x_um: Along, y_um: Along) -> Float[np.ndarray, "y x"]:
    """How far within the body's edge each pixel lies; negative outside."""
    x, y = body.xy_um
    return np.asarray(body.radius_um - np.hypot(x_um[None, :] - x, y_um[:, None] - y))
