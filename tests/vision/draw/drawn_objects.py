"""Images and objects for the tests of pictures."""

import numpy as np

from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.detect.detections import Detections

CATEGORIES = ("disc", "ring")


def boxes(*corners: tuple[float, float], side: float = 20.0) -> np.ndarray:
    """Squares with these upper left corners (x, y)."""
    low = np.array(corners, dtype=np.float64).reshape(-1, 2)
    return np.concatenate([low, low + side], axis=1)


def objects(corners: list[tuple[float, float]], category: list[int], *, ignore: list[bool] | None = None) -> Objects:
    skipped = np.zeros(len(category), dtype=bool) if ignore is None else np.array(ignore)
    return Objects(boxes(*corners), np.array(category, dtype=np.int64), None, skipped)


def detections(corners: list[tuple[float, float]], category: list[int], score: list[float]) -> Detections:
    return Detections(boxes(*corners), np.array(category, dtype=np.int64), np.array(score, dtype=np.float64))


def grey_set(marked: list[Objects], *, side_px: int = 100, channels: int = 1) -> AnnotatedSet:
    """One even image with a little noise for each."""
    rng = np.random.default_rng(0)
    images = tuple(
        AnnotatedImage.of(f"image {k}", rng.normal(0.5, 0.01, (channels, side_px, side_px)).astype(np.float32), each)
        for k, each in enumerate(marked)
    )
    return AnnotatedSet(images, CATEGORIES, origin="even fields")


def square_mask(left: int, top: int, side: int) -> Mask:
    return Mask(top, left, np.ones((side, side), dtype=bool))
