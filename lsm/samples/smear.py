"""What a slide answers, and what describes one."""

from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field, model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.samples.table import CellTable
from lsm.types import Transmission

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


@runtime_checkable
class Smear(Protocol):
    """A thin slide that can be rendered anywhere and, to training and scoring only, tells its truth."""

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width (x) and height (y) of the smear, whose corner is at the stage's origin."""
        ...

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        """Complex amplitude transmission, complex64 [n_px, n_px], centred at x_um, y_um; row 0 at smallest y.

        Pixel k lies at (k - (n_px - 1) / 2) * pixel_um from the centre. Outside the smear it is 1.
        """
        ...

    def truth(self) -> CellTable:
        """Everything on the slide; not for anything that decides or detects."""
        ...


class SmearConfig(Config):
    """A Giemsa-stained thin blood film with P. falciparum.

    width_um, height_um: the smear. parasitaemia: expected infected fraction of the red cells.
    stage_weights: relative frequency of ring, trophozoite, schizont, gametocyte.
    monolayer_per_mm2: red cells per area where the film is good: 200-250 per 100x field of 0.2 mm.
    thick_factor: density at the thick end relative to the monolayer; the other end is feathered.
    holes_per_mm2: spots without cells. density_spread: random low-frequency modulation (sigma of its logarithm).
    radius_um, radius_spread: red-cell radius (Evans and Fung 1972) and its relative spread.
    odd_fractions: elliptic, crenated and target cells.
    base_absorbance, absorbance_per_um: natural absorbance of a stained red cell in green: a dried film's
    flat part, and per um of Evans-Fung thickness. The defaults give a transmission of 0.80 in the middle and
    0.70 at the rim: the NIH crops are as flat (grey 0.84-0.92 of their own brightest level across a cell).
    stain_spread: slide-to-slide sigma of the logarithm of the one exponent on all transmissions.
    cell_stain_spread: the same from cell to cell, for the cell's own stain; real crops bring their own.
    refractive_contrast: index of the cell above its surroundings (0.06: 1.9 rad at the rim at 0.525 um).
    white_per_red, platelets_per_red: 7,300 and 250,000 per 5 million red cells per microlitre.
    precipitate_per_mm2, howell_jolly_fraction: stain precipitate, and red cells with a Howell-Jolly body.
    """

    width_um: Positive = 2304.0
    height_um: Positive = 1382.4
    parasitaemia: Fraction = 0.02
    stage_weights: tuple[NonNegative, NonNegative, NonNegative, NonNegative] = (0.7, 0.17, 0.08, 0.05)
    monolayer_per_mm2: Positive = 6800.0
    thick_factor: Annotated[float, Field(ge=1, le=4)] = 2.2
    holes_per_mm2: NonNegative = 4.0
    density_spread: NonNegative = 0.2
    radius_um: Annotated[float, Field(ge=2, le=5)] = 3.91
    radius_spread: Annotated[float, Field(ge=0, le=0.15)] = 0.05
    odd_fractions: tuple[Fraction, Fraction, Fraction] = (0.03, 0.02, 0.02)
    base_absorbance: NonNegative = 0.16
    absorbance_per_um: NonNegative = 0.075
    stain_spread: NonNegative = 0.15
    cell_stain_spread: NonNegative = 0.08
    refractive_contrast: NonNegative = 0.06
    white_per_red: NonNegative = 7300 / 5e6
    platelets_per_red: NonNegative = 0.05
    precipitate_per_mm2: NonNegative = 60.0
    howell_jolly_fraction: Fraction = 0.002

    @model_validator(mode="after")
    def _consistent(self) -> "SmearConfig":
        if sum(self.stage_weights) <= 0:
            raise ConfigError("All stage_weights are zero.", hint="give at least one stage a positive weight")
        if sum(self.odd_fractions) > 1:
            raise ConfigError(
                f"The odd_fractions {self.odd_fractions} add up to more than 1.",
                hint="elliptic, crenated and target cells are fractions of all red cells",
            )
        return self
