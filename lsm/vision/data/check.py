"""A set looked through for what would make its results wrong: bad boxes, doubles, leaks between parts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.errors import FileMissing, WrongFormat
from lsm.sensing.progress import Reporter, Silent
from lsm.vision.data.findings import Finding, error, warning
from lsm.vision.data.leaks import leaks
from lsm.vision.data.looks import Look, look, same_pictures
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet, Boxes, Objects

_SAME_BOX = 0.95
"""Overlap (IoU) from which two boxes mark one object: neighbouring cells, even in a clump, stay far below."""

_OUTSIDE_PX = 0.01
"""What rounding to two digits makes of a box at the border."""

_MASK_IN_BOX = 0.5
"""Overlap of the box of a mask with the box of its object, below which they are of different objects."""


def check(
    data: AnnotatedSet, *, others: Sequence[AnnotatedSet] = (), progress: Reporter | None = None
) -> list[Finding]:
    """What is wrong (errors) or doubtful (warnings) in a set, and between it and other parts such as its test set.

    Errors: empty boxes, boxes outside the image, objects without a category, one box in two categories, images that
    cannot be read or have other channels, a picture in two parts, or with two labels, a group in two parts, parts of
    other categories, an empty set. Warnings: an object marked twice, a picture twice in one part, a mask off its box,
    names that tell a label.
    A picture is known again in other bytes, when it was encoded anew or resized, not when it was turned or cut.
    Every image is read once.
    """
    parts = _named([data, *others])
    found = [finding for part in parts for finding in _own(part)]
    found += [*_categories(parts), *_groups(parts)]
    images = [(which, image) for which, part in enumerate(parts) for image in part.images]
    looks: list[Look] = []
    seen: list[tuple[int, AnnotatedImage]] = []
    with (progress or Silent()).stage("images", len(images)) as stage:
        for which, image in images:
            try:
                looks.append(look(image))
                seen.append((which, image))
            except (FileMissing, WrongFormat) as fault:
                found.append(error("image-unreadable", fault.message, fault.hint, image.name))
            stage.advance()
    found += _channels(seen, looks)
    for members in same_pictures(looks):
        found.append(_twice([seen[k] for k in members], parts))
        found += _labels([seen[k][1] for k in members], parts)
    return found


def _named(parts: Sequence[AnnotatedSet]) -> list[AnnotatedSet]:
    """The parts with names that differ: train/cells.json and test/cells.json are both called cells.json."""
    names = Counter(part.origin for part in parts)
    return [
        replace(part, origin=f"{_origin(part)} (set {number})") if names[part.origin] > 1 else part
        for number, part in enumerate(parts, 1)
    ]


def _own(data: AnnotatedSet) -> Iterator[Finding]:
    """What a part shows without its pixels."""
    if not data.images:
        yield error(
            "no-images", f"{data.origin or 'The set'} has no images.", "see whether its folder is the right one"
        )
        return
    if not any(len(image.objects) for image in data.images):
        yield warning("no-objects", f"{_origin(data)} has no object in any image.", "mark some")
    for image in data.images:
        yield from _boxes(image, len(data.categories))
        yield from _doubles(image, data.categories)
    yield from leaks(data)


def _boxes(image: AnnotatedImage, n_categories: int) -> Iterator[Finding]:
    objects, (height, width) = image.objects, image.size
    x0, y0, x1, y1 = objects.box_px.T
    finite = np.isfinite(objects.box_px).all(axis=1)
    unmasked = objects.masks is None
    empty = ~finite | (x1 <= x0) | (y1 <= y0) | (unmasked & (x1 - x0 <= 1) & (y1 - y0 <= 1))
    outside = (np.minimum(x0, y0) < -_OUTSIDE_PX) | (x1 > width + _OUTSIDE_PX) | (y1 > height + _OUTSIDE_PX)
    nameless = (objects.category < 0) | (objects.category >= n_categories)
    repair = "read the set with repair, which leaves them out"
    if empty.any():
        yield error("degenerate-box", f"{_which(empty, 'box')} of {image.name} without area.", repair, image.name)
    if (outside & ~empty).any():
        message = f"{_which(outside & ~empty, 'box')} of {image.name} not inside its {width} x {height} pixels."
        yield error("box-outside", message, "read the set with repair, which cuts them off at the border", image.name)
    if nameless.any():
        message = f"{_which(nameless, 'object')} of {image.name} without a category."
        yield error("no-category", message, "name them, or mark them as ones to ignore", image.name)
    off = _off_their_box(objects)
    if off.any():
        message = f"{_which(off, 'mask')} of {image.name} elsewhere than the box of the object."
        yield warning("mask-off-box", message, "see which of both is right", image.name)


def _which(chosen: Bool[np.ndarray, " object"], what: str) -> str:
    """Such as: 2 boxes (objects 4, 7) are."""
    numbers = np.flatnonzero(chosen)
    shown = ", ".join(str(number + 1) for number in numbers[:5]) + (", ..." if len(numbers) > 5 else "")
    plural = what + ("es" if what.endswith("x") else "s")
    if len(numbers) == 1:
        return f"1 {what} (object {shown}) is"
    return f"{len(numbers)} {plural} (objects {shown}) are"


def _off_their_box(objects: Objects) -> Bool[np.ndarray, " object"]:
    if objects.masks is None or len(objects) == 0:
        return np.zeros(len(objects), dtype=bool)
    masks = np.stack([mask.box_px for mask in objects.masks])
    overlap = np.array([_overlaps(masks[k : k + 1], objects.box_px[k : k + 1])[0, 0] for k in range(len(objects))])
    off: Bool[np.ndarray, " object"] = (overlap < _MASK_IN_BOX) & ~objects.ignore
    return off


def _doubles(image: AnnotatedImage, categories: Sequence[str]) -> Iterator[Finding]:
    """Objects that are marked twice, and boxes in two categories."""
    objects = image.objects.where(~image.objects.ignore)
    one, other = np.nonzero(np.triu(_overlaps(objects.box_px, objects.box_px) >= _SAME_BOX, k=1))
    same = objects.category[one] == objects.category[other]
    if same.any():
        message = f"{image.name} has {same.sum()} objects marked twice in the same category."
        yield warning("duplicate-box", message, "remove one of both, or counts are too large", image.name)
    for first, second in zip(one[~same], other[~same], strict=True):
        names = [categories[k] if 0 <= k < len(categories) else "?" for k in objects.category[[first, second]]]
        message = f"{image.name} has one object marked as '{names[0]}' and as '{names[1]}'."
        yield error("two-categories", message, "decide for one, or mark it as one to ignore", image.name)


def _overlaps(one: Boxes, other: Boxes) -> Float[np.ndarray, "one other"]:
    """Intersection over union; 0 for boxes without area."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1)
    other_area = np.clip(other[:, 2:] - other[:, :2], 0, None).prod(axis=1)
    union = area[:, None] + other_area[None, :] - shared
    overlap: Float[np.ndarray, "one other"] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def _categories(parts: Sequence[AnnotatedSet]) -> Iterator[Finding]:
    first = parts[0]
    for part in parts[1:]:
        if part.categories != first.categories:
            names = " and ".join(f"{', '.join(each.categories)} in {_origin(each)}" for each in (first, part))
            hint = "read all parts with the categories of the first: categories=..., --categories"
            yield error("categories-differ", f"The categories are {names}.", hint)


def _groups(parts: Sequence[AnnotatedSet]) -> Iterator[Finding]:
    for number, part in enumerate(parts):
        for other in parts[number + 1 :]:
            here = {image.group for image in part.images} - {""}
            for group in sorted(here & {image.group for image in other.images}):
                names = [image.name for each in (part, other) for image in each.images if image.group == group]
                message = f"The group '{group}' is in {_origin(part)} and in {_origin(other)}."
                yield error("group-across", message, "split by group: lsm.vision.data.split", *names)


def _channels(seen: Sequence[tuple[int, AnnotatedImage]], looks: Sequence[Look]) -> Iterator[Finding]:
    counts: Int[np.ndarray, " image"] = np.array([each.channels for each in looks], dtype=np.int64)
    if len(counts) == 0 or (counts == counts[0]).all():
        return
    usual = int(np.bincount(counts).argmax())
    odd = [image.name for (_, image), channels in zip(seen, counts, strict=True) if channels != usual]
    kinds = ", ".join(str(channels) for channels in sorted(set(counts.tolist()) - {usual}))
    message = f"{len(odd)} images have {kinds} channels, the others {usual}; the first is {odd[0]}."
    yield error(
        "channels-differ", message, "a detector takes images with equal channels; convert or leave them out", *odd
    )


def _twice(members: Sequence[tuple[int, AnnotatedImage]], parts: Sequence[AnnotatedSet]) -> Finding:
    names = [image.name for _, image in members]
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    across = sorted({which for which, _ in members})
    if len(across) > 1:
        places = " and ".join(_origin(parts[which]) for which in across)
        message = f"One picture is in {places}: {shown}."
        return error("duplicate-across", message, "keep it in one part, or results are too good", *names)
    message = f"One picture is {len(names)} times in {_origin(parts[across[0]])}: {shown}."
    return warning("duplicate-image", message, "keep one, or give them one group so that no split parts them", *names)


def _labels(images: Sequence[AnnotatedImage], parts: Sequence[AnnotatedSet]) -> Iterator[Finding]:
    """Whether one picture has objects of other categories in one of its copies."""
    categories = parts[0].categories
    kinds = {frozenset(image.objects.category[~image.objects.ignore].tolist()) for image in images}
    if len(kinds) < 2 or any(part.categories != categories for part in parts):
        return
    doubted = sorted(frozenset.union(*kinds) - frozenset.intersection(*kinds))
    names = [image.name for image in images]
    said = ", ".join(f"'{categories[k]}'" for k in doubted)
    message = f"One picture, {' and '.join(names[:4])}, has {said} in one copy and not in another."
    yield error("two-labels", message, "see which is right", *names)


def _origin(part: AnnotatedSet) -> str:
    return part.origin or "A set without a name"
