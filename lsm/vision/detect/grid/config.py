"""Options of the grid detector, and what it makes of the data at hand."""

from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from lsm.vision.detect.facts import SIDE_QUANTILES, DataFacts
from lsm.vision.detect.grid.network import GridNetwork
from lsm.vision.detect.grid.shape import GridShape, reach_px
from lsm.vision.detect.model import ModelConfig

FAST_PART: Final = 4
"""The fast form has a quarter of the width."""

SMALLEST_PX: Final = 16
"""Side that the smallest objects keep when the image is shrunk."""

_STRIDES: Final[tuple[tuple[float, int], ...]] = ((24.0, 8), (6.0, 4))
_SMALLEST_QUANTILE: Final = SIDE_QUANTILES.index(0.10)
_LARGEST_QUANTILE: Final = SIDE_QUANTILES.index(0.99)
_MOST_STAGES: Final = 6


class GridConfig(ModelConfig):
    """A small network of one pass that says at every point of a grid which object is there and where its edges are.

    width: channels of the finest stage; a quarter of it is the fast form. depth: blocks in each stage.
    shrink: whole factor by which images are averaged first. stride: grid step in pixels of the shrunk image.
    "auto": as the sizes of the objects allow, see `shape`.
    overlap: of two detections of one category with a greater intersection over union only the stronger stays.
    least_score: weaker detections are dropped. most: detections kept in one image.
    """

    limit: ClassVar[str] = "most"

    kind: Literal["grid"] = "grid"
    width: Annotated[int, Ge(4)] = 64
    depth: Annotated[int, Ge(0), Le(8)] = 1
    shrink: Literal["auto"] | Annotated[int, Ge(1)] = "auto"
    stride: Literal["auto", 2, 4, 8] = "auto"
    overlap: Annotated[float, Gt(0), Lt(1)] = 0.6
    least_score: Annotated[float, Gt(0), Lt(1)] = 0.02
    most: Annotated[int, Ge(1)] = 500

    def fast(self) -> "GridConfig":
        """The fast form of the same network."""
        return self.model_copy(update={"width": max(4, self.width // FAST_PART)})

    def shape(self, facts: DataFacts) -> GridShape:
        """Factors and stages for objects of these sizes.

        The smallest objects, the lower of the 10 % quantile and the smallest category's median, keep 16 pixels of the
        shrunk image and one and a half points of the grid; the coarsest stage sees twice as far as the largest reach.
        """
        smallest = min(facts.box_side_px[_SMALLEST_QUANTILE], *facts.side_by_category_px)
        largest = max(facts.box_side_px[_LARGEST_QUANTILE], *facts.side_by_category_px)
        shrink = max(1, int(smallest / SMALLEST_PX)) if self.shrink == "auto" else self.shrink
        fitting = next((step for least, step in _STRIDES if smallest / shrink >= least), 2)
        stride: int = fitting if self.stride == "auto" else self.stride
        # at least one stage coarser than the grid, so that points know what is around them
        stages = max(2, int(np.log2(stride)))
        while stages < _MOST_STAGES and reach_px(stages, self.depth) < 2 * largest / shrink:
            stages += 1
        return GridShape(
            channels=facts.channels,
            categories=len(facts.categories),
            width=self.width,
            depth=self.depth,
            shrink=shrink,
            stride=stride,
            stages=stages,
            prior_px=facts.side_by_category_px,
        )

    def build(self, facts: DataFacts) -> GridNetwork:
        """See `ModelConfig.build`."""
        return GridNetwork(self.shape(facts), overlap=self.overlap, least_score=self.least_score, most=self.most)
