"""Parts of a set that share no group and have like categories: one part held out, folds, blocks of neighbours."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from lsm.errors import InputError
from lsm.vision.data.looks import look, same_pictures
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet


def split(
    data: AnnotatedSet, share: float, seed: int, *, strata: Sequence[str] | None = None
) -> tuple[AnnotatedSet, AnnotatedSet]:
    """(rest, held out): about `share` of the images are held out; no group is in both.

    As well as the groups allow, each part gets its share of the images and of the objects of every category.
    strata: a word for each image, such as its stain, which is shared out in the same way.
    The same seed gives the same parts. Raises InputError unless both parts get a group.
    """
    if not 0 < share < 1:
        raise InputError(f"A share of {share:g} cannot be held out.", hint="give a number between 0 and 1")
    part = _shared_out(data, [1 - share, share], seed, strata)
    return data.where(np.flatnonzero(part == 0)), data.where(np.flatnonzero(part == 1))


def k_folds(
    data: AnnotatedSet, k: int, seed: int, *, strata: Sequence[str] | None = None
) -> list[tuple[AnnotatedSet, AnnotatedSet]]:
    """K times (rest, held out); every image is held out once. See `split`.

    Raises InputError for fewer than two folds, or more than there are groups.
    """
    if k < 2:
        raise InputError(f"{k} folds cannot be made.", hint="give at least 2")
    part = _shared_out(data, [1 / k] * k, seed, strata)
    return [(data.where(np.flatnonzero(part != fold)), data.where(np.flatnonzero(part == fold))) for fold in range(k)]


def blocks(data: AnnotatedSet, size: int) -> AnnotatedSet:
    """The set with neighbours as groups: images whose last number in the name is in the same block of `size` numbers.

    For sets in which neighbouring numbers are fields of one slide. Raises InputError for a name without a number.
    """
    if size < 1:
        raise InputError(f"A block cannot have {size} numbers.", hint="give at least 1")
    return replace(data, images=tuple(replace(image, group=_block(image, size)) for image in data.images))


def doubles_together(data: AnnotatedSet) -> AnnotatedSet:
    """The set with groups that share a picture made one, so that no split has it on both sides; see `check`.

    An image without a group that shows the same picture as another gets one. Every image is read once.
    Raises FileMissing or WrongFormat for an image that cannot be read.
    """
    group = _groups(data)
    joined = {int(number): int(number) for number in np.unique(group)}
    for members in same_pictures([look(image) for image in data.images]):
        together = {joined[int(group[k])] for k in members}
        joined = {number: min(together) if now in together else now for number, now in joined.items()}
    numbers = [joined[int(number)] for number in group]
    first: dict[int, str] = {}
    for number, image in zip(numbers, data.images, strict=True):
        first.setdefault(number, image.group or image.name)
    images = [
        image if numbers.count(number) == 1 else replace(image, group=first[number])
        for number, image in zip(numbers, data.images, strict=True)
    ]
    return replace(data, images=tuple(images))


def _block(image: AnnotatedImage, size: int) -> str:
    found = re.search(r"^(.*?)(\d+)\D*$", image.name)
    if found is None:
        raise InputError(
            f"The name {image.name} has no number.", hint="blocks are of numbered images; group by patient"
        )
    return f"{found[1]}block {int(found[2]) // size}"


def _shared_out(
    data: AnnotatedSet, shares: Sequence[float], seed: int, strata: Sequence[str] | None
) -> Int[np.ndarray, " image"]:
    """Number of the part of each image."""
    group = _groups(data)
    n_groups = int(group.max()) + 1 if len(group) else 0
    if n_groups < len(shares):
        raise InputError(
            f"{len(data)} images in {n_groups} groups cannot be shared out over {len(shares)} parts.",
            hint="use fewer folds, or more images; images of one group stay together",
        )
    weight = np.zeros((n_groups, 0))
    for column in _columns(data, strata):
        weight = np.column_stack([weight, np.bincount(group, column, minlength=n_groups) / column.sum()])
    part: Int[np.ndarray, " image"] = _balanced(weight, np.array(shares), np.random.default_rng(seed))[group]
    return part


def _groups(data: AnnotatedSet) -> Int[np.ndarray, " image"]:
    """Number of the group of each image; an image without a group is one of its own."""
    # a name could be that of a group
    names = [("group", image.group) if image.group else ("image", image.name) for image in data.images]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _columns(data: AnnotatedSet, strata: Sequence[str] | None) -> list[Float[np.ndarray, " image"]]:
    """What is to be shared out: images, objects of each category that has any, images of each stratum."""
    if strata is not None and len(strata) != len(data):
        raise InputError(f"{len(strata)} strata are given for {len(data)} images.", hint="give one for each")
    columns = [np.ones(len(data))]
    for k in range(len(data.categories)):
        here = [float(((i.objects.category == k) & ~i.objects.ignore).sum()) for i in data.images]
        columns.append(np.array(here))
    words = np.array(strata or ())
    columns += [(words == stratum).astype(np.float64) for stratum in np.unique(words)]
    return [column for column in columns if column.sum() > 0]


def _balanced(
    weight: Float[np.ndarray, "group column"], shares: Float[np.ndarray, " part"], rng: np.random.Generator
) -> Int[np.ndarray, " group"]:
    """Part of each group, so that every part has its share of each column, whose weights add up to 1.

    The heaviest groups choose first, each the part that lacks it most; then single groups move as long as it helps.
    """
    part = np.full(len(weight), -1)
    filled = np.zeros((len(shares), weight.shape[1]))
    order = rng.permutation(len(weight))
    order = order[np.argsort(-weight[order].max(axis=1), kind="stable")]
    # the square of a part's lack is weighted by its share, or a small part would be starved
    lack_of = shares[:, None]
    for place, group in enumerate(order):
        left = len(order) - place
        empty = np.flatnonzero([not (part == p).any() for p in range(len(shares))])
        open_parts = empty if left <= len(empty) else np.arange(len(shares))
        gain = (((lack_of - filled) * weight[group]) / lack_of).sum(axis=1)
        part[group] = open_parts[int(np.argmax(gain[open_parts]))]
        filled[part[group]] += weight[group]
    return _improved(part, filled, weight, shares, order)


def _improved(
    part: Int[np.ndarray, " group"],
    filled: Float[np.ndarray, "part column"],
    weight: Float[np.ndarray, "group column"],
    shares: Float[np.ndarray, " part"],
    order: Int[np.ndarray, " group"],
) -> Int[np.ndarray, " group"]:
    """The parts after moving single groups while it brings all closer to their shares; none is emptied."""

    def cost(held: Float[np.ndarray, "part column"]) -> float:
        return float((((held - shares[:, None]) ** 2) / shares[:, None]).sum())

    best, moved = cost(filled), True
    while moved:
        moved = False
        for group in order:
            here = part[group]
            if (part == here).sum() == 1:
                continue
            for there in range(len(shares)):
                filled[here] -= weight[group]
                filled[there] += weight[group]
                # rounding must not let two arrangements of equal worth follow each other forever
                if there != here and (worth := cost(filled)) < best - 1e-12:
                    best, moved, part[group], here = worth, True, there, there
                else:
                    filled[there] -= weight[group]
                    filled[here] += weight[group]
    return part
