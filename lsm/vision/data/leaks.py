"""What tells a label without the picture: words and numbers in names, folders, and what is noted in image files."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from lsm.stats.roc import auc
from lsm.vision.data.findings import Finding, warning
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet

_LEAST_IMAGES = 3
"""Images with and without a category, below which a word would fit by chance."""

_TELLS = 0.9
"""Correlation of having a word and having a category (phi), from which the word tells it."""

_SORTS = 0.98
"""Part of pairs, one image with and one without the category, that their numbers put in one order."""

_LEAST_SORTED = 8
"""Images with and without a category, below which numbers could be in order by chance."""


def leaks(data: AnnotatedSet) -> Iterator[Finding]:
    """Warnings for what would let a detector, or whoever chooses images, know a category without looking.

    Compared with whether an image has any object of a category: words of its name and folders, the ending of its
    file, its size; whether the numbers in names sort it; whether a category is named in the notes of its file.
    """
    features = _features(data.images)
    numbers = _numbers(data.images)
    for k, category in enumerate(data.categories):
        has = np.array([bool(((i.objects.category == k) & ~i.objects.ignore).any()) for i in data.images], dtype=bool)
        if min(has.sum(), (~has).sum()) < _LEAST_IMAGES:
            continue
        for what, holds in features.items():
            if abs(_phi(holds, has)) >= _TELLS:
                yield _told(f"{what[0].upper()}{what[1:]}", category, data)
        if numbers is not None and min(has.sum(), (~has).sum()) >= _LEAST_SORTED:
            order = auc(numbers, has)
            if max(order, 1 - order) >= _SORTS:
                yield _told("The number in an image's name", category, data)
    yield from _noted(data)


def _told(what: str, category: str, data: AnnotatedSet) -> Finding:
    message = f"{what} tells in {data.origin} whether an image has '{category}'."
    return warning("label-leak", message, "see that nothing but the pixels is learned from, and mix what is compared")


def _features(images: Sequence[AnnotatedImage]) -> Mapping[str, Bool[np.ndarray, " image"]]:
    """For each thing that some images have and others have not, which have it."""
    ways: list[Callable[[AnnotatedImage], set[str]]] = [_words, _file, _size]
    found = [set().union(*(way(image) for way in ways)) for image in images]
    every = sorted(set().union(*found)) if found else []
    holds = {what: np.array([what in here for here in found], dtype=bool) for what in every}
    return {what: those for what, those in holds.items() if min(those.sum(), (~those).sum()) >= _LEAST_IMAGES}


def _words(image: AnnotatedImage) -> set[str]:
    parts = Path(image.name).with_suffix("").parts
    if isinstance(image.source, Path):
        # two folders up there is still a class or a split, above it the place where the set lies
        parts += image.source.parts[-3:-1]
    return {f"the word '{word}' in names" for part in parts for word in re.findall(r"[a-z]{2,}", part.lower())}


def _file(image: AnnotatedImage) -> set[str]:
    return {f"the ending {image.source.suffix.lower()}"} if isinstance(image.source, Path) else set()


def _size(image: AnnotatedImage) -> set[str]:
    return {f"the size {image.size[1]} x {image.size[0]}"}


def _numbers(images: Sequence[AnnotatedImage]) -> Float[np.ndarray, " image"] | None:
    """The last number in each name, or None where a name has none."""
    found = [re.findall(r"\d+", Path(image.name).stem) for image in images]
    return np.array([float(each[-1][-15:]) for each in found]) if images and all(found) else None


def _phi(one: Bool[np.ndarray, " image"], other: Bool[np.ndarray, " image"]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _noted(data: AnnotatedSet) -> Iterator[Finding]:
    """Images whose file has the name of a category among its notes."""
    names = [name for name in data.categories if len(name) > 2]
    for image in data.images:
        notes = " ".join(_notes(image.source)).lower() if isinstance(image.source, Path) else ""
        for name in names:
            if re.search(rf"\b{re.escape(name.lower())}\b", notes):
                message = f"The notes in the file of {image.name} name the category '{name}'."
                yield warning("label-leak", message, "see that nothing but the pixels is learned from", image.name)


def _notes(path: Path) -> Iterator[str]:
    try:
        with Image.open(path) as image:
            held = [*image.info.values(), *image.getexif().values()]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return
    for value in held:
        if isinstance(value, str | bytes):
            yield value if isinstance(value, str) else value[:1000].decode("latin-1")
