"""The microscope that a slide of the panel lies under: the twin, out of focus as the slide is."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from lsm.experiments.panel.slides import PanelSlide
from lsm.samples import Smear
from lsm.scope import RigConfig, find_rig
from lsm.twin import FieldRenderer, Rate, Twin, TwinConfig
from lsm.types import DutyLevels

Key = tuple[bytes, float, float, float]


@dataclass(frozen=True, eq=False)
class SlideOptics:
    """A slide and the optics above it, shared by all who read it: what a place sends out under a light is the same for
    everyone, the noise of an exposure is not.
    """

    smear: Smear
    config: TwinConfig
    renderer: FieldRenderer

    @classmethod
    def of(cls, slide: PanelSlide, smear: Smear, twin: TwinConfig, *, kept: int) -> "SlideOptics":
        """kept: images of a place under a light that are remembered."""
        config = twin.model_copy(update={"cached_positions": 1})
        return cls(smear, config, _SlideRenderer(slide, smear, config, kept))

    def microscope(self, seed: int) -> Twin:
        """A microscope with its own noise."""
        return Twin(self.smear, self.config, seed, renderer=self.renderer)


def rig_over_film(name: str, film_um: tuple[float, float]) -> RigConfig:
    """The rig of that name or file, with a stage that reaches the whole film. Raises FileMissing, ConfigError."""
    rig = RigConfig.from_file(find_rig(name))
    limits = rig.limits.model_copy(update={"x_um": (0.0, film_um[0]), "y_um": (0.0, film_um[1])})
    return rig.model_copy(update={"limits": limits})


class _SlideRenderer(FieldRenderer):
    """Renders at the slide's own distance from focus and remembers what it rendered; that changes no image."""

    def __init__(self, slide: PanelSlide, smear: Smear, config: TwinConfig, kept: int) -> None:
        super().__init__(smear, config.led_board.board(), config)
        self._slide, self._film_um, self._kept = slide, smear.extent_um, kept
        self._rates: OrderedDict[Key, Rate] = OrderedDict()
        self._guard = threading.Lock()

    def rate(self, levels: DutyLevels, xy_um: tuple[float, float], z_um: float) -> Rate:
        key = (levels.tobytes(), xy_um[0], xy_um[1], z_um)
        with self._guard:
            if key not in self._rates:
                off_um = z_um - self._slide.focus_at(xy_um, self._film_um)
                self._rates[key] = super().rate(levels, xy_um, off_um)
                if len(self._rates) > self._kept:
                    self._rates.popitem(last=False)
            return self._rates[key]
