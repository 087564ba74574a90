"""Anchors that fit the objects of a data set."""

from typing import Final

from torchvision.models.detection.anchor_utils import AnchorGenerator

from lsm.vision.detect.facts import SIDE_QUANTILES, DataFacts

N_LEVELS: Final = 5
ASPECT_RATIOS: Final = (0.5, 1.0, 2.0)
COCO_SIDES_PX: Final[tuple[tuple[float, ...], ...]] = ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))

_SMALL = SIDE_QUANTILES.index(0.10)
_LARGE = SIDE_QUANTILES.index(0.99)


def sides_px(facts: DataFacts, *, per_level: int, scale: float = 1.0) -> tuple[tuple[float, ...], ...]:
    """Sides of the square anchors of each level; every level's are twice those of the one before.

    The first are as small as the smaller objects: the 10 % quantile, or the median of the category with the smallest
    where that is less, so that a rare small category has its anchors too. They are larger only where the largest
    objects would otherwise be beyond the last level. A cell of any size between has an anchor whose side differs from
    its own by at most the 2 * per_level-th root of 2: an overlap of 0.71 and more with two per level.
    scale: by which images are enlarged before.
    """
    smallest = min(facts.box_side_px[_SMALL], *facts.side_by_category_px)
    steps = [2 ** (k / per_level) for k in range(per_level)]
    largest_reached = 2 ** (N_LEVELS - 1) * steps[-1]
    first = scale * max(smallest, facts.box_side_px[_LARGE] / largest_reached)
    return tuple(tuple(first * 2**level * step for step in steps) for level in range(N_LEVELS))


def anchors(sides: tuple[tuple[float, ...], ...]) -> AnchorGenerator:
    """Anchors of these sides, each round, lying and upright."""
    return AnchorGenerator(sizes=sides, aspect_ratios=(ASPECT_RATIOS,) * len(sides))
