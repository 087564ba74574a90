"""The slides of the panel: what each of them is, drawn from the panel's seed and its own number."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from annotated_types import Ge

from lsm.config import Config
from lsm.experiments.panel.config import Group, PanelConfig, Variation
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.stats import RED_CELLS_PER_UL

NotNegative = Annotated[float, Ge(0)]
LOOK_ALIKES = ("precipitate_per_mm2", "howell_jolly_fraction", "platelets_per_red")


class PanelSlide(Config):
    """One slide. per_ul: parasites per microlitre of the blood it was made from. seed: of its film and of the noise.

    density, look_alikes: factors on the average slide's red cells per area, and on each of LOOK_ALIKES.
    focus_um, tilt_um_per_mm: where it is in focus at the middle of the film, and how that changes along x and y.
    """

    name: str
    group: str
    part: str
    per_ul: NotNegative
    seed: Annotated[int, Ge(0)]
    stain_spread: NotNegative
    density: NotNegative
    look_alikes: tuple[NotNegative, NotNegative, NotNegative]
    focus_um: float
    tilt_um_per_mm: tuple[float, float]

    def smear(self, average: SmearConfig, film_um: tuple[float, float]) -> ProceduralSmear:
        """The slide itself; `average` is the design's."""
        factors = zip(LOOK_ALIKES, self.look_alikes, strict=True)
        own = {name: min(getattr(average, name) * factor, _most(name)) for name, factor in factors}
        own |= {
            "parasitaemia": self.per_ul / RED_CELLS_PER_UL,
            "monolayer_per_mm2": average.monolayer_per_mm2 * self.density,
            "stain_spread": self.stain_spread,
            "width_um": film_um[0],
            "height_um": film_um[1],
        }
        return ProceduralSmear(average.model_copy(update=own), self.seed)

    def focus_at(self, xy_um: tuple[float, float], film_um: tuple[float, float]) -> float:
        """The stage's z at which this place is in focus."""
        slopes = zip(self.tilt_um_per_mm, xy_um, film_um, strict=True)
        return self.focus_um + sum(slope * (place - size / 2) / 1000 for slope, place, size in slopes)


def draw_slides(config: PanelConfig) -> tuple[PanelSlide, ...]:
    """The slides to be read, in the order of the groups; a reduced panel has slides of the whole one."""
    whole = [
        _draw(f"{name} {number + 1}", name, group, number, np.random.default_rng([config.seed, place, number]), config)
        for place, (name, group) in enumerate(config.groups.items())
        for number in range(group.slides)
    ]
    if config.slides is None or not config.reduced:
        return tuple(whole)
    return tuple(whole[index] for index in np.linspace(0, len(whole) - 1, config.slides).round().astype(int))


def reference_densities(slides: tuple[PanelSlide, ...]) -> Mapping[str, float]:
    """Parasites per microlitre by slide; for scoring alone."""
    return {slide.name: slide.per_ul for slide in slides}


def _draw(
    name: str, group_name: str, group: Group, number: int, rng: np.random.Generator, config: PanelConfig
) -> PanelSlide:
    varied = config.variation
    return PanelSlide(
        name=name,
        group=group_name,
        part=group.part,
        per_ul=_density(group, number),
        seed=int(rng.integers(2**31)),
        stain_spread=varied.stain_spread,
        density=float(np.exp(rng.normal(0.0, varied.density_spread))),
        look_alikes=_look_alikes(varied, rng),
        focus_um=float(rng.normal(0.0, varied.focus_um)),
        tilt_um_per_mm=(
            float(rng.normal(0.0, varied.tilt_um_per_mm)),
            float(rng.normal(0.0, varied.tilt_um_per_mm)),
        ),
    )


def _density(group: Group, number: int) -> float:
    low, high = group.per_ul
    return 0.0 if high == 0 else float(low * (high / low) ** ((number + 0.5) / group.slides))


def _look_alikes(varied: Variation, rng: np.random.Generator) -> tuple[float, float, float]:
    shape = varied.look_alike_cv**-2 if varied.look_alike_cv else 0.0
    precipitate, remnants, platelets = rng.gamma(shape, 1 / shape, 3) if shape else np.ones(3)
    return float(precipitate), float(remnants), float(platelets)


def _most(name: str) -> float:
    return 1.0 if name == "howell_jolly_fraction" else np.inf
