"""How a detector's scores fall when images are worse than those it learnt from.

Pfeil et al., BMC Bioinformatics 23 (2022), search blood images of a mobile microscope, sharp and degraded ones. Their
images are not at hand, so sharp ones are disturbed here in four ways that such a microscope has: blur, a colour cast,
too little light, too few pixels. The strengths are our own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Float32
from pydantic import model_validator
from scipy.ndimage import gaussian_filter, zoom

from lsm.config import Config
from lsm.errors import ConfigError, InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Pixels

Kind = Literal["blur", "colour", "light", "resolution"]

_READ_NOISE_E: Final = 3.0
_LEAST_CHANNELS: Final = 2

UNITS: Final[Mapping[str, str]] = {
    "blur": "px, standard deviation of a Gaussian",
    "colour": "first channel brighter and last one darker by this part",
    "light": "electrons of a white pixel",
    "resolution": "times coarser pixels, enlarged again",
}


class Disturbance(Config):
    """One way in which images are made worse, and how strongly.

    strength: for "blur" the standard deviation in pixels; for "colour" by which part the first channel is brighter and
    the last one darker, those between in proportion; for "light" the electrons of a pixel of value 1 (with shot noise
    and 3 e of read noise), so that less is worse; for "resolution" how many pixels along a side become one, which is
    then enlarged again, so that boxes and masks stay.
    """

    kind: Kind
    strength: Annotated[float, Ge(0)]

    @model_validator(mode="after")
    def _possible(self) -> "Disturbance":
        least = {"light": 1.0, "resolution": 1.0}.get(self.kind, 0.0)
        most = 1.0 if self.kind == "colour" else np.inf
        if not least <= self.strength <= most:
            raise ConfigError(
                f"A disturbance '{self.kind}' of strength {self.strength:g} is impossible.",
                hint=f"strength: {UNITS[self.kind]}, from {least:g} to {most:g}",
            )
        return self

    def __str__(self) -> str:
        return f"{self.kind} {self.strength:g}"


_USUAL: Final[tuple[tuple[Kind, tuple[float, ...]], ...]] = (
    ("blur", (1.0, 2.0, 4.0)),
    ("colour", (0.1, 0.2, 0.4)),
    ("light", (1000.0, 200.0, 50.0)),
    ("resolution", (2.0, 3.0, 4.0)),
)
USUAL: Final = tuple(Disturbance(kind=kind, strength=each) for kind, strengths in _USUAL for each in strengths)
"""From what is hardly seen to what nobody would use."""


def disturbed(data: AnnotatedSet, how: Disturbance, *, seed: int = 0) -> AnnotatedSet:
    """The set with worse images and the same objects; the same seed gives the same noise.

    Raises InputError for a colour cast of grey images, and for too little light on images that do not lie between
    0 and 1, whose light is not known.
    """
    images = []
    for number, image in enumerate(data.images):
        rng = np.random.default_rng([seed, number])
        worse = _APPLY[how.kind](image.pixels(), how.strength, rng, image.name)
        images.append(AnnotatedImage.of(image.name, worse, image.objects, group=image.group))
    return replace(data, images=tuple(images), origin=f"{data.origin}; {how}".removeprefix("; "))


class RobustnessRow(Config):
    """Scores under one disturbance; None is the set as it is."""

    disturbance: Disturbance | None
    scores: dict[str, float]


def robustness(
    score: Callable[[AnnotatedSet], Mapping[str, float]],
    data: AnnotatedSet,
    disturbances: Sequence[Disturbance] = USUAL,
    *,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> tuple[RobustnessRow, ...]:
    """A row for the set as it is, then one for each disturbance. score: of a detector on a set, by name."""
    rows = []
    for how in (None, *disturbances):
        shown = data if how is None else disturbed(data, how, seed=seed)
        rows.append(RobustnessRow(disturbance=how, scores={name: float(each) for name, each in score(shown).items()}))
        advance()
    return tuple(rows)


def as_markdown(rows: Sequence[RobustnessRow]) -> str:
    """The rows as a table; scores in the order of the first row."""
    names = list(rows[0].scores) if rows else []
    lines = ["| disturbance | strength | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for row in rows:
        how = row.disturbance
        what = "none | - " if how is None else f"{how.kind} | {how.strength:g} "
        lines.append(f"| {what}| " + " | ".join(f"{row.scores[name]:.3f}" for name in names) + " |")
    return "\n".join(lines)


def _blur(pixels: Pixels, strength: float, rng: np.random.Generator, name: str) -> Pixels:
    del rng, name
    blurred: Pixels = gaussian_filter(pixels, strength, axes=(1, 2))
    return blurred


def _colour(pixels: Pixels, strength: float, rng: np.random.Generator, name: str) -> Pixels:
    del rng
    if len(pixels) < _LEAST_CHANNELS:
        raise InputError(f"The image {name} is grey and has no colour cast.", hint="leave 'colour' out")
    gains = np.linspace(1 + strength, 1 - strength, len(pixels), dtype=np.float32)
    cast: Pixels = np.clip(pixels * gains[:, None, None], None, max(1.0, float(pixels.max())))
    return cast


def _light(pixels: Pixels, strength: float, rng: np.random.Generator, name: str) -> Pixels:
    # read noise takes dark pixels of a real capture a little below 0
    if float(pixels.min()) < -0.05 or float(pixels.max()) > 1.05:
        raise InputError(
            f"The image {name} has values from {pixels.min():.3g} to {pixels.max():.3g}, so its light is not known.",
            hint="give images between 0 and 1",
        )
    electrons = rng.poisson(np.clip(pixels, 0, 1) * strength) + _READ_NOISE_E * rng.standard_normal(pixels.shape)
    dim: Pixels = (electrons / strength).astype(np.float32)
    return dim


def _resolution(pixels: Pixels, strength: float, rng: np.random.Generator, name: str) -> Pixels:
    del rng, name
    coarse = _averaged(pixels, strength)
    height, width = pixels.shape[1:]
    factors = (1, height / coarse.shape[1], width / coarse.shape[2])
    enlarged = zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    return np.ascontiguousarray(enlarged, dtype=np.float32)


def _averaged(pixels: Pixels, factor: float) -> Float32[np.ndarray, "channel new_y new_x"]:
    """Pixels `factor` times as wide, each the mean of what it covers; parts at the far edges are their own pixel."""
    shares = []
    for side in pixels.shape[1:]:
        new = max(1, round(side / factor))
        edges = np.linspace(0, side, new + 1)
        old = np.arange(side)
        low, high = np.maximum(edges[:-1, None], old), np.minimum(edges[1:, None], old + 1)
        share = np.clip(high - low, 0, None)
        shares.append(share / share.sum(axis=1, keepdims=True))
    averaged: Float32[np.ndarray, "channel new_y new_x"] = (shares[0] @ pixels @ shares[1].T).astype(np.float32)
    return averaged


_APPLY: Final[Mapping[Kind, Callable[[Pixels, float, np.random.Generator, str], Pixels]]] = {
    "blur": _blur,
    "colour": _colour,
    "light": _light,
    "resolution": _resolution,
}
