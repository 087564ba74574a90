"""How far two sources agree on the same images: two annotators, or a detector and the labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from lsm.errors import InputError
from lsm.vision.data import AnnotatedSet, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.draw.pairing import LEAST_IOU, pair_up

NOT_MARKED = "not marked"
DRAWS = 2000


@dataclass(frozen=True)
class Agreed:
    """A share with its 95 % interval over images; None where nothing was there to agree on, or only one image."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CategoryAgreement:
    """One category: objects the first and the second source gave this name, both did, and the specific agreement.

    share: twice the objects that both named so, over the sum of what each named so; equal to the F1 score (Cicchetti
    and Feinstein, J. Clin. Epidemiol. 43, 551 (1990)). An object that only one marked lowers it.
    """

    category: str
    first: int
    second: int
    both: int
    share: Agreed


@dataclass(frozen=True, eq=False)
class Confusion:
    """What the first source called each object against what the second did.

    first, second: who they are. counts: for each image, objects by the first's name (row) and the second's (column);
    the last row and column are objects that this source did not mark.
    """

    first: str
    second: str
    categories: tuple[str, ...]
    counts: Int[np.ndarray, "image row column"]

    @property
    def matrix(self) -> Int[np.ndarray, "row column"]:
        """Counts over all images."""
        total: Int[np.ndarray, "row column"] = self.counts.sum(axis=0)
        return total

    @property
    def marked_by_both(self) -> int:
        """Objects that both sources marked, whatever they called them."""
        return int(self.matrix[:-1, :-1].sum())

    def kappa(self, rng: np.random.Generator) -> Agreed:
        """Cohen's kappa of the names of objects that both marked (Educ. Psychol. Meas. 20, 37 (1960)).

        How many objects only one source marked is not in it: nobody knows how many objects both left out. None where
        both sources use one and the same name throughout: chance alone would agree as well.
        """
        return self._with_interval(lambda sums: _kappa(sums[..., :-1, :-1]), rng)

    def by_category(self, rng: np.random.Generator) -> list[CategoryAgreement]:
        """Agreement on each category, in the order of the categories."""
        total = self.matrix
        rows = []
        for k, name in enumerate(self.categories):
            first, second = int(total[k].sum()), int(total[:, k].sum())
            share = self._with_interval(partial(_specific, k=k), rng)
            rows.append(CategoryAgreement(name, first, second, int(total[k, k]), share))
        return rows

    def _with_interval(self, of: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> Agreed:
        """The value of all images, with the percentiles of sets of images drawn with replacement."""
        value = float(of(self.matrix.astype(np.float64)))
        if not np.isfinite(value):
            return Agreed(None)
        images = len(self.counts)
        if images < 2:
            return Agreed(value)
        drawn = rng.multinomial(images, np.full(images, 1 / images), size=DRAWS)
        values = of(np.tensordot(drawn, self.counts, axes=1).astype(np.float64))
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return Agreed(value, float(low), float(high))


def confusion(
    first: AnnotatedSet,
    second: AnnotatedSet,
    *,
    names: tuple[str, str] = ("first", "second"),
    least_iou: float = LEAST_IOU,
) -> Confusion:
    """Two annotations of the same images, matched by the images' names and the categories' names.

    A category that only one set knows has a row and a column as well. Raises InputError where an image is in one set
    only, or both are empty.
    """
    ours, theirs = ({image.name: image.objects for image in each.images} for each in (first, second))
    alone = sorted(set(ours) ^ set(theirs))
    if alone or not ours:
        raise InputError(
            f"{len(alone)} images are in one set only, the first is {alone[0]}." if alone else "The sets are empty.",
            hint="compare two annotations of the same images",
        )
    categories = (*first.categories, *(name for name in second.categories if name not in first.categories))
    place = np.array([categories.index(name) for name in second.categories], dtype=np.int64)
    pairs = []
    for name, mine in ours.items():
        other = theirs[name]
        pairs.append((mine, Objects(other.box_px, place[other.category], other.masks, other.ignore)))
    return _counted(pairs, categories, names, least_iou)


def detector_confusion(
    data: AnnotatedSet,
    found: Sequence[Detections],
    *,
    names: tuple[str, str] = ("the labels", "the detector"),
    least_iou: float = LEAST_IOU,
) -> Confusion:
    """Labels (rows) against detections (columns), one Detections for each image, of the set's categories.

    Raises InputError where they differ in number, or a detection has a category that the set does not know.
    """
    if len(found) != len(data) or not found:
        raise InputError(
            f"{len(found)} images were searched, the set has {len(data)}.", hint="give one Detections for each image"
        )
    pairs = [(image.objects, each) for image, each in zip(data.images, found, strict=True)]
    return _counted(pairs, data.categories, names, least_iou)


def _counted(
    pairs: Sequence[tuple[Objects, Objects | Detections]],
    categories: tuple[str, ...],
    names: tuple[str, str],
    least_iou: float,
) -> Confusion:
    size = len(categories) + 1
    counts = np.zeros((len(pairs), size, size), dtype=np.int64)
    for table, (first, second) in zip(counts, pairs, strict=True):
        if len(second) and int(second.category.max()) >= len(categories):
            raise InputError(
                f"An object has the category {int(second.category.max())}; {len(categories)} have names.",
                hint="compare sources that use the same categories",
            )
        found = pair_up(first, second, least_iou=least_iou)
        np.add.at(table, (first.category[found.both[:, 0]], second.category[found.both[:, 1]]), 1)
        np.add.at(table[:, -1], first.category[found.only_first], 1)
        np.add.at(table[-1], second.category[found.only_second], 1)
    return Confusion(names[0], names[1], categories, counts)


def _kappa(sums: Float[np.ndarray, "*draws row column"]) -> Float[np.ndarray, "*draws"]:
    total = sums.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.trace(sums, axis1=-2, axis2=-1) / total
        chance = (sums.sum(axis=-1) * sums.sum(axis=-2)).sum(axis=-1) / total**2
        return np.asarray(np.where(chance < 1, (observed - chance) / (1 - chance), np.nan))


def _specific(sums: Float[np.ndarray, "*draws row column"], k: int) -> Float[np.ndarray, "*draws"]:
    named = sums[..., k, :].sum(axis=-1) + sums[..., :, k].sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * sums[..., k, k] / named)
