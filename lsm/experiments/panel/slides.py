"""The slides of the panel: what each of them is, drawn from the panel's seed and its own number."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from annotated_types import Ge

from lsm.experiments.panel.config import Group, PanelConfig
from lsm.samples import ProceduralSmear, SlideTraits, SmearConfig
from lsm.stats import RED_CELLS_PER_UL

NotNegative = Annotated[float, Ge(0)]


class PanelSlide(SlideTraits):
    """One slide. per_ul: parasites per microlitre of the blood it was made from. seed: of its film and of the noise."""

    name: str
    group: str
    part: str
    per_ul: NotNegative
    seed: Annotated[int, Ge(0)]
    stain_spread: NotNegative

    def smear(self, average: SmearConfig, film_um: tuple[float, float]) -> ProceduralSmear:
        """The slide itself; `average` is the design's."""
        own = {
            "parasitaemia": self.per_ul / RED_CELLS_PER_UL,
            "stain_spread": self.stain_spread,
            "width_um": film_um[0],
            "height_um": film_um[1],
        }
        return ProceduralSmear(self.on(average).model_copy(update=own), self.seed)


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
        **varied.draw(rng).model_dump(),
    )


def _density(group: Group, number: int) -> float:
    low, high = group.per_ul
    return 0.0 if high == 0 else float(low * (high / low) ** ((number + 0.5) / group.slides))
