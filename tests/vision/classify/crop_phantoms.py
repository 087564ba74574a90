"""Small images with known classes and counts."""

import numpy as np

from lsm.vision.classify import CropSet


def shapes(n: int, *, side_px: int = 24, channels: int = 1, seed: int = 0, counted: bool = False) -> CropSet:
    """Rings and discs of the same area, anywhere in the crop; `counted` ones hold up to five of a kind."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side_px, :side_px]
    images = rng.normal(0.5, 0.02, (n, channels, side_px, side_px)).astype(np.float32)
    category = np.arange(n) % 2
    count = rng.integers(0, 6, n) if counted else np.ones(n, dtype=np.int64)
    for k in range(n):
        for _ in range(count[k]):
            middle = rng.uniform(4, side_px - 4, 2)
            away = np.hypot(x - middle[0], y - middle[1])
            inside = away < 2.65 if category[k] == 0 else (away < 4) & (away > 3)
            images[k, :, inside] += 0.3
    return CropSet(
        images,
        ("disc", "ring"),
        category=category,
        count=count.astype(np.float64) if counted else None,
        group=np.array([f"slide {k // 4}" for k in range(n)]),
        origin="painted shapes",
    )
