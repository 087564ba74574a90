"""What a detector found in one image."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.vision.data import Boxes, Mask


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one image, strongest first.

    box_px: see `lsm.vision.data.Boxes`. category: index into the detector's categories. score: 0..1.
    masks: one for each object, or None from a detector of boxes.
    cut_at: score under which objects may be missing, since a detector keeps only so many of one image; None where
    nothing is.
    """

    box_px: Boxes
    category: Int[np.ndarray, " object"]
    score: Float[np.ndarray, " object"]
    masks: tuple[Mask, ...] | None = None
    cut_at: float | None = None

    def __len__(self) -> int:
        return len(self.box_px)

    def where(self, chosen: Bool[np.ndarray, " object"] | Int[np.ndarray, " chosen"]) -> "Detections":
        """The chosen objects, by a mark for each or by their numbers."""
        index = np.arange(len(self))[chosen]
        masks = None if self.masks is None else tuple(self.masks[k] for k in index)
        return Detections(self.box_px[index], self.category[index], self.score[index], masks, self.cut_at)

    def above(self, threshold: float | Float[np.ndarray, " category"]) -> "Detections":
        """Objects with at least this score, or with at least the score asked for in their category."""
        least = threshold[self.category] if isinstance(threshold, np.ndarray) else threshold
        return self.where(self.score >= least)

    def full(self, threshold: float | Float[np.ndarray, " category"]) -> bool:
        """Whether objects with these scores may be missing, since there were more than the detector keeps."""
        return self.cut_at is not None and self.cut_at >= float(np.min(threshold))
