"""One bubble and one speck of dust per field, drawn so that they are there to be seen."""

import numpy as np

from lsm.errors import ConfigError
from lsm.experiments.quality_limits.config import BubblesConfig, DustConfig, Span
from lsm.samples import Bubble, Dust

ATTEMPTS = 10_000
_AROUND = np.linspace(0, 2 * np.pi, 720, endpoint=False)


def draw_bubble(
    config: BubblesConfig, centre_um: tuple[float, float], field_um: float, rng: np.random.Generator
) -> Bubble:
    """A bubble whose rim enters the field of that centre and side; its index step is the default.

    Raises ConfigError where no such place is found.
    """
    radius_um = _radius_um(config.radius_um, rng)
    for _ in range(ATTEMPTS):
        off_um = rng.uniform(-1, 1, 2) * (field_um / 2 + radius_um)
        if rim_seen_um(config, tuple(off_um.tolist()), radius_um, field_um) >= config.rim_um:
            place = (centre_um[0] + float(off_um[0]), centre_um[1] + float(off_um[1]))
            return Bubble(xy_um=place, radius_um=radius_um, meniscus_um=config.meniscus_um)
    raise ConfigError(
        f"No bubble of {radius_um:.0f} um radius shows {config.rim_um:g} um of its rim in a field of {field_um:g} um.",
        hint="ask for less of it: rim_um",
    )


def draw_dust(config: DustConfig, centre_um: tuple[float, float], field_um: float, rng: np.random.Generator) -> Dust:
    """A speck whose centre lies in the field of that centre and side."""
    off_um = rng.uniform(-0.5, 0.5, 2) * field_um
    place = (centre_um[0] + float(off_um[0]), centre_um[1] + float(off_um[1]))
    return Dust(xy_um=place, radius_um=_radius_um(config.radius_um, rng), transmission=config.transmission)


def rim_seen_um(config: BubblesConfig, off_um: tuple[float, float], radius_um: float, field_um: float) -> float:
    """How much of the line in the middle of a bubble's rim lies in the field.

    off_um: of the bubble from the field's centre.
    """
    along_um = radius_um - config.meniscus_um / 2
    x, y = off_um[0] + along_um * np.cos(_AROUND), off_um[1] + along_um * np.sin(_AROUND)
    seen = (np.abs(x) < field_um / 2) & (np.abs(y) < field_um / 2)
    return float(seen.mean()) * config.rim_length_um(radius_um)


def _radius_um(span_um: Span, rng: np.random.Generator) -> float:
    low, high = np.log(span_um)
    return float(np.exp(rng.uniform(low, high)))
