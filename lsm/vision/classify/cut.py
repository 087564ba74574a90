"""Crops cut from annotated images: one around each object, or tiles with the number of objects in them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32

from lsm.errors import InputError
from lsm.vision.classify.crops import CropSet, resized
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Pixels

Centres = Float[np.ndarray, "object 2"]


def cut_objects(data: AnnotatedSet, side_px: int, *, size_px: int | None = None) -> CropSet:
    """One crop for every object that is not to be ignored, its box in the middle, its category as the class.

    side_px: of the square that is cut from the image; size_px: of the crop made of it, the same if None. Beyond the
    image's edge its mirror image is seen. A crop's group is its image's, or the image's name where it has none.
    Raises InputError where there is no object, WrongFormat for an image that cannot be read.
    """
    _check_sides(side_px, size_px)
    images, category, group = [], [], []
    for image in data.images:
        objects = image.objects.where(~image.objects.ignore)
        if len(objects) == 0:
            continue
        found = _windows(image.pixels(), _centres(objects.box_px), side_px)
        images.append(resized(found, (size_px or side_px, size_px or side_px)))
        category.append(objects.category)
        group += [image.group or image.name] * len(objects)
    if not images:
        raise InputError(f"{data.origin or 'The set'} has no objects to cut out.", hint="annotate some, or cut tiles")
    _check_channels(images, data)
    return CropSet(
        np.concatenate(images),
        data.categories,
        category=np.concatenate(category).astype(np.int64),
        group=np.array(group),
        origin=data.origin,
    )


def cut_tiles(data: AnnotatedSet, side_px: int, *, size_px: int | None = None, step_px: int | None = None) -> CropSet:
    """Square tiles, side by side from each image's first pixel, and how many objects have their middle in each.

    side_px: of the square that is cut from the image; size_px: of the tile made of it, the same if None. step_px: from
    one tile to the next, side_px if None. What is left at the right and lower edge is not used, nor is a tile that
    holds the middle of an object to be ignored: its count is not known. Groups are as in `cut_objects`.
    Raises InputError where no tile fits or all are left out, WrongFormat for an image that cannot be read.
    """
    _check_sides(side_px, size_px)
    step = side_px if step_px is None else step_px
    if step < 1:
        raise InputError(f"A step of {step} px does not lead from tile to tile.", hint="give at least 1")
    size = (size_px or side_px, size_px or side_px)
    images, count, group = [], [], []
    for image in data.images:
        pixels = image.pixels()
        for top, left, objects in _tiles(image, side_px, step):
            images.append(resized(pixels[:, top : top + side_px, left : left + side_px], size))
            count.append(objects)
            group.append(image.group or image.name)
    if not images:
        raise InputError(
            f"{data.origin or 'The set'} has no whole tile of {side_px} px.", hint="ask for a smaller side"
        )
    _check_channels(images, data)
    held = np.stack(images)
    return CropSet(held, count=np.array(count, dtype=np.float64), group=np.array(group), origin=data.origin)


def _tiles(image: AnnotatedImage, side_px: int, step_px: int) -> Iterator[tuple[int, int, int]]:
    """(top, left, objects) of the tiles whose count is known."""
    middle = _centres(image.objects.box_px)
    height, width = image.size
    for top in range(0, height - side_px + 1, step_px):
        for left in range(0, width - side_px + 1, step_px):
            corner = np.array([left, top])
            inside = ((middle >= corner) & (middle < corner + side_px)).all(axis=1)
            if not image.objects.ignore[inside].any():
                yield top, left, int(inside.sum())


def _windows(pixels: Pixels, middle: Centres, side_px: int) -> Float32[np.ndarray, "object channel side side"]:
    """Squares around these places, from the mirrored image beyond its edge."""
    half = side_px // 2
    margin = side_px + 1
    wide = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    # a box around the middle of the image's own edge still lies within the margin
    corner = np.floor(middle).astype(np.int64) - half + margin
    last = np.array([wide.shape[2], wide.shape[1]]) - side_px
    return np.stack([wide[:, y : y + side_px, x : x + side_px] for x, y in corner.clip(0, last)])


def _centres(box_px: Float[np.ndarray, "object 4"]) -> Centres:
    centres: Centres = (box_px[:, :2] + box_px[:, 2:]) / 2
    return centres


def _check_sides(side_px: int, size_px: int | None) -> None:
    for side in (side_px, side_px if size_px is None else size_px):
        if side < 1:
            raise InputError(f"A crop of {side} px is empty.", hint="give at least 1")


def _check_channels(images: list[Float32[np.ndarray, "..."]], data: AnnotatedSet) -> None:
    found = {image.shape[-3] for image in images}
    if len(found) > 1:
        raise InputError(
            f"Images of {data.origin or 'the set'} have {' and '.join(map(str, sorted(found)))} channels.",
            hint="make them alike before",
        )
