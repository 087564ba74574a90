"""Painted fields of round cells for the grid detector's tests."""

import numpy as np
import torch
from torch import Tensor

from lsm.vision.detect.facts import DataFacts

CATEGORIES = ("red", "white")
SIDE_PX = (24.0, 44.0)


def facts(
    *, channels: int = 1, side_px: tuple[float, ...] = SIDE_PX, largest_px: float = 48.0, smallest_px: float = 20.0
) -> DataFacts:
    middle = float(np.median(side_px))
    return DataFacts(
        categories=tuple(f"kind {k}" for k in range(len(side_px))),
        channels=channels,
        mean=(0.7,) * channels,
        std=(0.15,) * channels,
        box_side_px=(smallest_px, smallest_px, middle, middle, middle, largest_px, largest_px),
        side_by_category_px=side_px,
        most_objects=20,
        height_px=128,
        width_px=128,
    )


def painted(
    rng: np.random.Generator, cells: int, size: tuple[int, int] = (128, 128)
) -> tuple[Tensor, dict[str, Tensor]]:
    """A normalised image and its targets; white cells are larger and darker."""
    height, width = size
    image = np.full(size, 0.8, dtype=np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    boxes, labels = [], []
    for _ in range(cells):
        kind = int(rng.random() < 0.25)
        radius = SIDE_PX[kind] / 2 * rng.uniform(0.85, 1.15)
        cx, cy = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
        image[np.hypot(x - cx, y - cy) < radius] -= 0.2 + 0.2 * kind
        boxes.append([cx - radius, cy - radius, cx + radius, cy + radius])
        labels.append(kind + 1)
    image += rng.normal(0, 0.03, size).astype(np.float32)
    targets = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }
    return torch.from_numpy((image - np.float32(0.7)) / np.float32(0.15))[None], targets
