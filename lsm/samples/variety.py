"""How slides of one kind differ: in cells per area, in what resembles a parasite, and in how well they are in focus."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from lsm.config import Config
from lsm.samples.smear import SmearConfig

NotNegative = Annotated[float, Ge(0)]
Spread = Annotated[float, Ge(0), Le(2)]
LOOK_ALIKES = ("precipitate_per_mm2", "howell_jolly_fraction", "platelets_per_red")


class SlideTraits(Config):
    """What one slide has of its own; by default nothing.

    density, look_alikes: factors on the average slide's red cells per area, and on each of LOOK_ALIKES.
    focus_um, tilt_um_per_mm: where it is in focus at the middle of the film, and how that changes along x and y.
    """

    density: NotNegative = 1.0
    look_alikes: tuple[NotNegative, NotNegative, NotNegative] = (1.0, 1.0, 1.0)
    focus_um: float = 0.0
    tilt_um_per_mm: tuple[float, float] = (0.0, 0.0)

    def on(self, average: SmearConfig) -> SmearConfig:
        """The average slide with this one's cells and look-alikes."""
        own = {
            name: min(getattr(average, name) * factor, _most(name))
            for name, factor in zip(LOOK_ALIKES, self.look_alikes, strict=True)
        }
        return average.model_copy(update=own | {"monolayer_per_mm2": average.monolayer_per_mm2 * self.density})

    def focus_at(self, xy_um: tuple[float, float], film_um: tuple[float, float]) -> float:
        """The stage's z in um at which this place of a film of that width and height is in focus."""
        slopes = zip(self.tilt_um_per_mm, xy_um, film_um, strict=True)
        return self.focus_um + sum(slope * (place - size / 2) / 1000 for slope, place, size in slopes)


class SlideVariety(Config):
    """How slides differ; each draws its own values.

    density_spread: sigma of the logarithm of red cells per area. look_alike_cv: coefficient of variation of what
    resembles a parasite: stain precipitate, Howell-Jolly bodies and platelets, each on its own, gamma distributed.
    focus_um: standard deviation of how far a slide is from focus. tilt_um_per_mm: the same of its slope, along x and
    along y. All but the default of focus, after what a focus search at NA 0.10 leaves, are assumptions.
    """

    density_spread: Spread = 0.25
    look_alike_cv: Spread = 0.5
    focus_um: Annotated[float, Ge(0), Le(50)] = 3.0
    tilt_um_per_mm: Annotated[float, Ge(0), Le(20)] = 0.5

    def draw(self, rng: np.random.Generator) -> SlideTraits:
        """The traits of one slide."""
        return SlideTraits(
            density=float(np.exp(rng.normal(0.0, self.density_spread))),
            look_alikes=self._look_alikes(rng),
            focus_um=float(rng.normal(0.0, self.focus_um)),
            tilt_um_per_mm=(
                float(rng.normal(0.0, self.tilt_um_per_mm)),
                float(rng.normal(0.0, self.tilt_um_per_mm)),
            ),
        )

    def _look_alikes(self, rng: np.random.Generator) -> tuple[float, float, float]:
        shape = self.look_alike_cv**-2 if self.look_alike_cv else 0.0
        precipitate, remnants, platelets = rng.gamma(shape, 1 / shape, 3) if shape else np.ones(3)
        return float(precipitate), float(remnants), float(platelets)


def _most(name: str) -> float:
    return 1.0 if name == "howell_jolly_fraction" else np.inf
