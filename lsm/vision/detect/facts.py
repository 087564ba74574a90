"""What a detector has to know of its data before it is built."""

from typing import Annotated, Final

import numpy as np
from annotated_types import Ge, Gt
from pydantic import model_validator

from lsm.config import Config
from lsm.errors import InputError, WrongFormat
from lsm.vision.data import AnnotatedSet

SIDE_QUANTILES: Final = (0.01, 0.10, 0.25, 0.50, 0.75, 0.90, 0.99)


class DataFacts(Config):
    """Measured on the images a detector learns from, and kept in its file.

    mean, std: per channel, of the pixels as `AnnotatedImage.pixels` gives them.
    least_rms, largest_rms: per channel, of the root mean squares of the images, which tell how unlike in brightness
    images of one set may be; empty where they are not known.
    box_side_px: the `SIDE_QUANTILES` of the boxes' sides, a side being the square root of the area.
    side_by_category_px: median side in each category.
    most_objects: largest number of objects in one image.
    height_px, width_px: median size of the images.
    """

    categories: tuple[str, ...]
    channels: Annotated[int, Gt(0)]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Gt(0)], ...]
    box_side_px: tuple[Annotated[float, Gt(0)], ...]
    side_by_category_px: tuple[Annotated[float, Gt(0)], ...]
    most_objects: Annotated[int, Ge(0)]
    height_px: Annotated[int, Gt(0)]
    width_px: Annotated[int, Gt(0)]
    least_rms: tuple[float, ...] = ()
    largest_rms: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _lengths_agree(self) -> "DataFacts":
        if not self.categories:
            raise ValueError("there must be at least one category")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std must have one value for each of the {self.channels} channels")
        if not len(self.least_rms) == len(self.largest_rms) or len(self.least_rms) not in (0, self.channels):
            raise ValueError(f"least_rms and largest_rms must have one value for each of the {self.channels} channels")
        if len(self.side_by_category_px) != len(self.categories) or len(self.box_side_px) != len(SIDE_QUANTILES):
            raise ValueError("sides must be one for each category, and one for each quantile")
        return self


def measure(data: AnnotatedSet) -> DataFacts:
    """The facts of a set; every image is read once.

    Raises InputError for a set without images or objects, and WrongFormat where images differ in their channels.
    """
    channels = data.channels()
    total, squares, pixels = np.zeros(channels), np.zeros(channels), 0
    sizes = []
    for image in data.images:
        held = image.pixels()
        if len(held) != channels:
            raise WrongFormat(
                f"{image.name} has {len(held)} channels, {data.images[0].name} has {channels}.",
                hint="give all as many: --as-channels 1 or 3 of lsm vision, AnnotatedSet.with_channels in Python",
            )
        flat = held.reshape(channels, -1).astype(np.float64)
        total += flat.sum(axis=1)
        own = (flat**2).sum(axis=1)
        squares += own
        pixels += flat.shape[1]
        sizes.append(np.sqrt(own / flat.shape[1]))
    kept = [image.objects.where(~image.objects.ignore) for image in data.images]
    boxes = np.concatenate([objects.box_px for objects in kept])
    kinds = np.concatenate([objects.category for objects in kept])
    if len(boxes) == 0:
        raise InputError("No object is marked in the set.", hint="a detector learns from marked objects")
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    if not (sides > 0).all():
        raise WrongFormat("A box has no area.", hint="read the annotations with repair, which drops such boxes")
    mean = total / pixels
    # an even image has no spread, and dividing by none would make noise of rounding
    std = np.maximum(np.sqrt(np.maximum(squares / pixels - mean**2, 0)), 1e-3 * max(float(np.abs(mean).max()), 1e-6))
    overall = float(np.median(sides))
    by_category = [sides[kinds == k] for k in range(len(data.categories))]
    return DataFacts(
        categories=data.categories,
        channels=channels,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        box_side_px=tuple(np.quantile(sides, SIDE_QUANTILES).tolist()),
        side_by_category_px=tuple(float(np.median(each)) if len(each) else overall for each in by_category),
        most_objects=max(len(objects) for objects in kept),
        height_px=int(np.median([image.size[0] for image in data.images])),
        width_px=int(np.median([image.size[1] for image in data.images])),
        least_rms=tuple(np.min(sizes, axis=0).tolist()),
        largest_rms=tuple(np.max(sizes, axis=0).tolist()),
    )
