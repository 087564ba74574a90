"""Images with marked objects, whatever format the marks came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Num

from lsm.errors import InputError, WrongFormat
from lsm.vision.data.pixels import as_channels, read_pixels

Boxes = Float[np.ndarray, "object 4"]
"""Box edges x0, y0, x1, y1 in pixels; the first pixel lies between 0 and 1, so a box as wide as it has x1 - x0 = 1."""

Pixels = Float32[np.ndarray, "channel y x"]


@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of one object: the piece `inside` of the image, whose first pixel is at row `top`, column `left`."""

    top: int
    left: int
    inside: Bool[np.ndarray, "y x"]

    @classmethod
    def of(cls, whole: Bool[np.ndarray, "y x"]) -> "Mask":
        """The mask of an object in its whole image. Raises WrongFormat where no pixel is set."""
        rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
        if len(rows) == 0:
            raise WrongFormat("A mask has no pixel.", hint="leave the object out")
        top, left = int(rows[0]), int(columns[0])
        return cls(top, left, whole[top : rows[-1] + 1, left : columns[-1] + 1].copy())

    @property
    def area_px(self) -> int:
        """How many pixels the object has."""
        return int(self.inside.sum())

    @property
    def box_px(self) -> Float[np.ndarray, " 4"]:
        """Edges of the piece; see `Boxes`."""
        height, width = self.inside.shape
        return np.array([self.left, self.top, self.left + width, self.top + height], dtype=np.float64)

    def whole(self, height: int, width: int) -> Bool[np.ndarray, "y x"]:
        """The mask in an image of this size; what lies outside it is cut off."""
        image = np.zeros((height, width), dtype=bool)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.inside.shape[0], height), min(self.left + self.inside.shape[1], width)
        if top < bottom and left < right:
            image[top:bottom, left:right] = self.inside[
                top - self.top : bottom - self.top, left - self.left : right - self.left
            ]
        return image


@dataclass(frozen=True, eq=False)
class Objects:
    """What is marked in one image.

    box_px: see `Boxes`. category: index into the categories of the set.
    masks: one for each object, or None where only boxes are known.
    ignore: marked, but neither asked for nor wrong when found, such as a crowd or an object that nobody could name.
    """

    box_px: Boxes
    category: Int[np.ndarray, " object"]
    masks: tuple[Mask, ...] | None = None
    ignore: Bool[np.ndarray, " object"] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        if len(self.ignore) == 0:
            object.__setattr__(self, "ignore", np.zeros(len(self.box_px), dtype=bool))
        lengths = {len(self.box_px), len(self.category), len(self.ignore)}
        if self.masks is not None:
            lengths.add(len(self.masks))
        if len(lengths) > 1:
            raise WrongFormat(
                f"Objects have {len(self.box_px)} boxes, {len(self.category)} categories, {len(self.ignore)} marks to "
                f"ignore and {'no' if self.masks is None else len(self.masks)} masks.",
                hint="give one of each for every object",
            )

    def __len__(self) -> int:
        return len(self.box_px)

    def where(self, chosen: Bool[np.ndarray, " object"] | Int[np.ndarray, " chosen"]) -> "Objects":
        """The chosen objects, by a mark for each or by their numbers."""
        index = np.arange(len(self))[chosen]
        masks = None if self.masks is None else tuple(self.masks[k] for k in index)
        return Objects(self.box_px[index], self.category[index], masks, self.ignore[index])


NO_OBJECTS = Objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))


def with_channels(pixels: Pixels, channels: int, name: str) -> Float32[np.ndarray, "given y x"]:
    """Pixels with as many channels: one is repeated, several are averaged to one. Raises WrongFormat for others."""
    if len(pixels) == channels:
        return pixels
    if len(pixels) == 1:
        return np.repeat(pixels, channels, axis=0)
    if channels == 1:
        grey: Pixels = pixels.mean(axis=0, keepdims=True)
        return grey
    raise WrongFormat(
        f"The image {name} has {len(pixels)} channels, {channels} are asked for.",
        hint="ask for 1, or for as many as there are",
    )


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image and its objects.

    name: unique in its set. source: its file, or its pixels [y, x] or [channel, y, x].
    size: height and width in pixels. group: images of one group (a patient, a slide, a block of neighbours) are never
    on both sides of a split; empty where each image stands alone.
    channels: how many `pixels` gives, one being repeated and several averaged to one; None as many as there are.
    """

    name: str
    source: Path | Num[np.ndarray, "..."]
    size: tuple[int, int]
    objects: Objects
    group: str = ""
    channels: int | None = None

    @classmethod
    def of(
        cls, name: str, pixels: Num[np.ndarray, "..."], objects: Objects = NO_OBJECTS, *, group: str = ""
    ) -> "AnnotatedImage":
        """An image in memory, [y, x] or [channel, y, x]."""
        height, width = pixels.shape[-2:]
        return cls(name, pixels, (height, width), objects, group)

    def pixels(self) -> Pixels:
        """Whole numbers of 8 or 16 bits as parts of their largest, other numbers as they are.

        Raises FileMissing, or WrongFormat for a damaged file or one of another size than the annotation says.
        """
        held: Pixels = (
            read_pixels(self.source) if isinstance(self.source, Path) else as_channels(self.source, self.name)
        )
        if held.shape[1:] != self.size:
            raise WrongFormat(
                f"The image {self.name} has {held.shape[1]} x {held.shape[2]} pixels, its annotation says "
                f"{self.size[0]} x {self.size[1]}.",
                hint="store it as [channel, y, x]: it seems to be [y, x, channel]"
                if held.shape[:2] == self.size
                else "annotate the image that is there, or resize both",
            )
        return held if self.channels is None else with_channels(held, self.channels, self.name)


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """Images whose objects belong to the same categories.

    origin: which data this is, for every table made from it.
    """

    images: tuple[AnnotatedImage, ...]
    categories: tuple[str, ...]
    origin: str = ""

    def __post_init__(self) -> None:
        names = [image.name for image in self.images]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise WrongFormat(f"Two images have the name {twice}.", hint="a set names each image once")
        for image in self.images:
            if len(image.objects) and int(image.objects.category.max()) >= len(self.categories):
                raise WrongFormat(
                    f"{image.name} has an object of category {int(image.objects.category.max())}; the set has "
                    f"{len(self.categories)}.",
                    hint="name all categories",
                )

    def __len__(self) -> int:
        return len(self.images)

    def where(self, numbers: Sequence[int] | Int[np.ndarray, " chosen"]) -> "AnnotatedSet":
        """The images with these numbers."""
        return replace(self, images=tuple(self.images[int(k)] for k in numbers))

    def with_channels(self, channels: int) -> "AnnotatedSet":
        """The set with as many channels in every image, where greys and colours are mixed; see `AnnotatedImage`."""
        return replace(self, images=tuple(replace(image, channels=channels) for image in self.images))

    def renamed(self, names: Mapping[str, str]) -> "AnnotatedSet":
        """The set with other names for some categories; those of one name become one. Raises InputError."""
        if unknown := sorted(set(names) - set(self.categories)):
            raise InputError(f"The set has no category {unknown[0]}.", hint=f"it has {', '.join(self.categories)}")
        new = [names.get(name, name) for name in self.categories]
        categories = tuple(dict.fromkeys(new))
        places = np.array([categories.index(name) for name in new])
        images = tuple(
            replace(image, objects=replace(image.objects, category=places[image.objects.category]))
            for image in self.images
        )
        return replace(self, images=images, categories=categories)

    @property
    def has_masks(self) -> bool:
        """Whether every object of every image has its mask."""
        return all(image.objects.masks is not None or len(image.objects) == 0 for image in self.images)

    def counts(self) -> dict[str, int]:
        """Objects of each category, without those to ignore."""
        kinds = [image.objects.category[~image.objects.ignore] for image in self.images]
        found = np.bincount(np.concatenate([*kinds, np.zeros(0, dtype=np.int64)]), minlength=len(self.categories))
        return {name: int(n) for name, n in zip(self.categories, found, strict=True)}

    def channels(self) -> int:
        """Channels of the first image; readers of the others compare. Raises InputError for an empty set."""
        if not self.images:
            raise InputError("The set has no images.", hint="see whether its folder is the right one")
        return len(self.images[0].pixels())
