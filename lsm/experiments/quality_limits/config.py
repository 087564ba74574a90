"""Settings of the experiment."""

import math
from bisect import bisect
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.diagnose.scan import QualityConfig
from lsm.errors import ConfigError

Count = Annotated[int, Ge(1)]
Micrometres = Annotated[float, Gt(0), Le(1000)]
Span = tuple[Micrometres, Micrometres]


class Sizes(Config):
    """radius_um: smallest and largest, drawn evenly in their logarithm. parts_um: where tables divide this range."""

    radius_um: Span
    parts_um: tuple[Micrometres, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> "Sizes":
        edges = (self.radius_um[0], *self.parts_um, self.radius_um[1])
        if sorted(set(edges)) != list(edges):
            raise ConfigError(
                f"Radii of {', '.join(f'{edge:g}' for edge in edges)} um do not rise.",
                hint="give the smallest first, and parts_um between smallest and largest",
            )
        return self

    @property
    def spans_um(self) -> tuple[Span, ...]:
        """The parts of the range, from the smallest on."""
        return tuple(pairwise((self.radius_um[0], *self.parts_um, self.radius_um[1])))

    def part(self, radius_um: float) -> int:
        """In which of `spans_um` a radius lies."""
        return bisect(self.parts_um, radius_um)


class BubblesConfig(Sizes):
    """One bubble per field, anywhere as long as its rim is seen; all kinds have the same place and size.

    rim_um: of the line in the middle of its rim, at least so much lies in the field. meniscus_um: width of the rim.
    index_steps: by name, see lsm.samples.Bubble.
    """

    radius_um: Span = (15.0, 200.0)
    rim_um: Annotated[float, Ge(0), Le(100)] = 20.0
    meniscus_um: Micrometres = 5.0
    index_steps: Annotated[dict[str, float], MinLen(1)]

    @model_validator(mode="after")
    def _rim_is_long_enough(self) -> "BubblesConfig":
        smallest_um = self.radius_um[0]
        if smallest_um <= self.meniscus_um or self.rim_length_um(smallest_um) <= self.rim_um:
            raise ConfigError(
                f"A bubble of {smallest_um:g} um radius has no rim of {self.rim_um:g} um around a clear middle.",
                hint="make it larger, or meniscus_um and rim_um smaller",
            )
        return self

    def rim_length_um(self, radius_um: float) -> float:
        """Of the line in the middle of the rim."""
        return 2 * math.pi * (radius_um - self.meniscus_um / 2)


class DustConfig(Sizes):
    """One speck per field, its centre in it. transmission: see lsm.samples.Dust."""

    radius_um: Span = (6.0, 40.0)
    transmission: Annotated[float, Ge(0), Le(1)] = 0.01


class Short(Config):
    """The short form: slides and models."""

    slides: Count = 12
    models: Annotated[tuple[str, ...], MinLen(1)] = ("procedural",)


class QualityLimitsConfig(Config):
    """The experiment.

    seed: of places, focus, bubbles and dust. models: whose limits, each on slides of its own design, of the split
    "test". first_slide, slides: their numbers. Each gives one field, so that fields are independent.
    quality: the limits; those that a scan has by default.
    """

    seed: Annotated[int, Ge(0)] = 0
    models: Annotated[tuple[str, ...], MinLen(1)] = ("procedural", "nih")
    first_slide: Annotated[int, Ge(0)] = 100
    slides: Count = 300
    bubbles: BubblesConfig
    dust: DustConfig = DustConfig()
    quality: QualityConfig = QualityConfig()
    quick: Short = Field(default_factory=Short)

    def short(self) -> "QualityLimitsConfig":
        """The short form, for the direction alone."""
        return self.model_copy(update={"slides": self.quick.slides, "models": self.quick.models})
