"""Images whose counts are to be doubted, as a search meets them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Float

from lsm.vision.data import Pixels
from lsm.vision.data.objects import with_channels
from lsm.vision.detect import Detections, Detector
from lsm.vision.detect.fitting import FitRecord

_MOST_NAMES: Final = 10
_CONVERTED: Final = {1, 3}
"""Channels of grey and of colour, of which one stands for the other."""


@dataclass(frozen=True, eq=False)
class Doubts:
    """Names of images by what was met in them.

    full: more objects than the detector keeps, so that counts are cut off. strange: pixels in other numbers than those
    learnt from. converted: grey for a detector of colours, or the other way round. learnt: that it has learnt from.
    """

    detector: Detector
    full: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    converted: list[str] = field(default_factory=list)
    learnt: list[str] = field(default_factory=list)

    def search(self, name: str, pixels: Pixels, least: float | Float[np.ndarray, " category"]) -> Detections:
        """All detections in the image of this name. least: scores that count. Raises as `Detector.predict`."""
        if self.detector.has_learnt(pixels):
            self.learnt.append(name)
        channels = self.detector.facts.channels
        if len(pixels) != channels and {len(pixels), channels} == _CONVERTED:
            self.converted.append(name)
            pixels = with_channels(pixels, channels, name)
        found = self.detector.predict([pixels])[0]
        if found.full(least):
            self.full.append(name)
        if self.detector.strange(pixels):
            self.strange.append(name)
        return found

    def sentences(self) -> list[str]:
        """One for each doubt, with what to do."""
        told = []
        if self.full:
            model = self.detector.model
            told.append(
                f"Warning: {_images(self.full, 'has', 'have')} more objects than the {model.kept} that the detector "
                f"keeps, so the counts are too low: {names(self.full)}. Train with --set model.{model.limit}="
                f"{4 * model.kept}, or cut such images into pieces."
            )
        if self.strange:
            told.append(
                f"Warning: {_images(self.strange, 'has', 'have')} pixels in other numbers than the images learnt from, "
                f"first {self.strange[0]}; what was found there means little. Whole numbers are parts of the largest "
                "of their type: 12 bits in 16 are 16 times too small, multiply them by 16. Other numbers stay as they "
                "are: divide floats of 0 to 255 by 255."
            )
        if self.converted:
            kind = "grey" if self.detector.facts.channels == 1 else "of three equal channels"
            told.append(
                f"{_images(self.converted, 'was', 'were')} made {kind}, as the detector takes them, first "
                f"{self.converted[0]}."
            )
        if self.learnt:
            told.append(
                f"Warning: the detector has learnt from {_images(self.learnt, 'of these', 'of these')}: what it finds "
                f"there is better than what it will find in new ones: {names(self.learnt)}."
            )
        return told

    def table(self) -> dict[str, list[str]]:
        """As plain values."""
        return {"full": self.full, "strange": self.strange, "converted": self.converted, "learnt": self.learnt}

    def facts(self) -> dict[str, dict[str, str]]:
        """What a report says of them."""
        titles = {
            "full": "Counts cut off",
            "strange": "Pixels in other numbers",
            "converted": "Channels converted",
            "learnt": "Learnt from these images",
        }
        told = {titles[key]: {"images": names(each)} for key, each in self.table().items() if each}
        if self.full:
            told[titles["full"]]["kept of an image"] = str(self.detector.model.kept)
        return told


def threshold_sentences(record: FitRecord) -> list[str]:
    """One for each reason to doubt thresholds."""
    told = []
    if record.set_on_learnt:
        told.append(
            f"Thresholds of {', '.join(record.set_on_learnt)} were set on images learnt from too: those set aside show "
            "less than 30 such objects."
        )
    if record.not_set:
        kept = ", ".join(f"{name} {record.thresholds[name]:.2f}" for name in record.not_set)
        told.append(
            f"Thresholds that could not be set, and stay: {kept}. No such object was marked, or none was found."
        )
    return told


def names(held: Sequence[str]) -> str:
    """The first ten, and how many more."""
    more = len(held) - _MOST_NAMES
    return ", ".join(held[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _images(held: Sequence[str], one: str, many: str) -> str:
    return f"1 image {one}" if len(held) == 1 else f"{len(held)} images {many}"
