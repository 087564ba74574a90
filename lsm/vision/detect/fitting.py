"""How a detector learns, and what a run tells afterwards."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic import model_validator

from lsm.config import Config

Ratio = Annotated[float, Gt(0)]
LogSpread = Annotated[float, Ge(0), Le(1)]


class Augmentation(Config):
    """Random views of an image; its objects move with it.

    scale: least and largest enlargement. crop_px: side of a random square that is cut out after that; None takes the
    whole image. around: chance that the square is laid around one of the objects, its category drawn first, so that
    rare ones are seen as often as common ones; it is laid anywhere otherwise.
    least_visible: objects of which less is in the square are left out of it.
    mirrored, turned: by every second chance; turns are quarters of a circle.
    brightness, contrast, tint: natural logarithm of the largest factor, of all channels or (tint) of each alone.
    """

    scale: tuple[Ratio, Ratio] = (0.8, 1.25)
    crop_px: Annotated[int, Gt(0)] | None = None
    around: Annotated[float, Ge(0), Le(1)] = 0.0
    least_visible: Annotated[float, Gt(0), Le(1)] = 0.4
    mirrored: bool = True
    turned: bool = True
    brightness: LogSpread = 0.2
    contrast: LogSpread = 0.2
    tint: LogSpread = 0.05

    @model_validator(mode="after")
    def _in_order(self) -> "Augmentation":
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale is the least and the largest enlargement, in this order")
        return self


NO_AUGMENTATION = Augmentation(scale=(1.0, 1.0), mirrored=False, turned=False, brightness=0.0, contrast=0.0, tint=0.0)


class FitConfig(Config):
    """How a detector learns: AdamW, the rate up and down once along a cosine.

    average: the weights that are kept are a running mean over about 1 / (1 - average) steps; 0 keeps the last ones.
    by_area: power of an image's area to which its chance of being drawn is proportional; 0 draws all alike, 1 shows
    every square of all images alike, where squares are cut out of images of unlike size.
    clip: largest norm of a step's gradient.
    count_share: part of the images that is not learnt from; on these the thresholds are set, so that there are as many
    detections as objects. With 0, fewer than ten groups of images, or too few objects in that part, they are set on
    the images learnt from as well, which a network knows too well.
    checkpoint_every: steps between two states on disk, where a place for them is given.
    """

    steps: Annotated[int, Gt(0)] = 1500
    images_per_step: Annotated[int, Gt(0)] = 4
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    average: Annotated[float, Ge(0), Lt(1)] = 0.99
    by_area: Annotated[float, Ge(0), Le(1)] = 0.0
    clip: Annotated[float, Gt(0)] = 10.0
    count_share: Annotated[float, Ge(0), Lt(1)] = 0.1
    checkpoint_every: Annotated[int, Gt(0)] = 100
    seed: int = 0
    augmentation: Augmentation = Augmentation()


class FitRecord(Config):
    """What a run told: the mean of every loss over each tenth of it, and the thresholds it ended with.

    seconds, cpu_s: that passed, and of the processor, with those before a checkpoint from which the run went on.
    counted_on: images on which the thresholds were set, and whether they were learnt from as well.
    set_on_learnt: categories with few objects in those images, less than 30 of more; their thresholds were set on all
    images, those learnt from among them. not_set: categories whose thresholds stayed, since there was no object of
    theirs or nothing found.
    map_50: of the images to validate on, when some were given.
    """

    steps: int
    seconds: float
    cpu_s: float
    losses: tuple[dict[str, float], ...]
    thresholds: dict[str, float]
    counted_on: int
    counted_on_learnt: bool
    set_on_learnt: tuple[str, ...] = ()
    not_set: tuple[str, ...] = ()
    map_50: float | None = None
