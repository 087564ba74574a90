"""Painted frames of a blood film, on which detectors can be timed and taught in seconds."""

from typing import Final

import numpy as np
from jaxtyping import Float, UInt8

from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects

HEIGHT_PX, WIDTH_PX, CELLS = 772, 1032, 100
CATEGORIES: Final = ("red cell", "infected red cell", "white cell")
_SHARES = (0.78, 0.20, 0.02)
_RADIUS_PX = (22.0, 22.0, 34.0)
_CLOSEST = 0.85
"""Cells may touch and lie on each other a little: centres of neighbours are this part of their radii's sum apart."""


def painted_frames(
    count: int, *, seed: int, size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX), cells: int = CELLS
) -> AnnotatedSet:
    """Grey frames of this height and width with so many cells each, and where they are.

    A red cell is a disc with a pale middle, an infected one has a dark spot, a white cell is larger with a nucleus;
    shading, noise and the cells' sizes differ. Nothing else is pretended: these are no images of blood.
    """
    rng = np.random.default_rng(seed)
    images = tuple(_painted(f"painted {number}", rng, size, cells) for number in range(count))
    return AnnotatedSet(images, CATEGORIES, f"painted frames, seed {seed}")


def _painted(name: str, rng: np.random.Generator, size: tuple[int, int], cells: int) -> AnnotatedImage:
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    tilt = rng.normal(0, 0.03, 2)
    light = 0.8 + tilt[0] * (x / width - 0.5) + tilt[1] * (y / height - 0.5)
    kinds = rng.choice(len(CATEGORIES), cells, p=_SHARES)
    radii = np.array(_RADIUS_PX)[kinds] * rng.uniform(0.88, 1.12, cells)
    centres = _places(rng, size, radii)
    for centre, radius, kind in zip(centres, radii, kinds, strict=True):
        _paint(light, centre, float(radius), int(kind), rng)
    light += rng.normal(0, 0.02, size)
    edges = np.concatenate([centres - radii[:, None], centres + radii[:, None]], axis=1)
    boxes = np.clip(edges, 0, [width, height, width, height])
    image: UInt8[np.ndarray, "y x"] = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)
    return AnnotatedImage.of(name, image, Objects(boxes, kinds.astype(np.int64)))


def _places(
    rng: np.random.Generator, size: tuple[int, int], radii: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, "cell 2"]:
    """Centres x and y; a cell for which there is no room after many tries lies where the last one put it."""
    height, width = size
    placed = np.zeros((len(radii), 2))
    for number, radius in enumerate(radii):
        for _ in range(200):
            placed[number] = rng.uniform(radius, (width - radius, height - radius))
            apart = np.hypot(*(placed[:number] - placed[number]).T)
            if (apart >= _CLOSEST * (radii[:number] + radius)).all():
                break
    return placed


def _paint(
    light: Float[np.ndarray, "y x"],
    centre: Float[np.ndarray, " 2"],
    radius: float,
    kind: int,
    rng: np.random.Generator,
) -> None:
    reach = int(radius) + 4
    left, top = (max(0, int(each) - reach) for each in centre)
    piece = light[top : int(centre[1]) + reach, left : int(centre[0]) + reach]
    y, x = np.mgrid[: piece.shape[0], : piece.shape[1]] + 0.5
    x, y = x + left - centre[0], y + top - centre[1]
    part = np.hypot(x, y) / radius
    inside = 1 / (1 + np.exp(np.clip((part - 1) * radius, -30, 30)))
    nucleus, pale = 0.3 * (part < 0.6), 0.11 * np.exp(-((part / 0.45) ** 2))
    shade = 0.12 + nucleus if CATEGORIES[kind] == "white cell" else 0.25 - pale
    if CATEGORIES[kind] == "infected red cell":
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6) * radius
        spot = np.hypot(x - away * np.cos(angle), y - away * np.sin(angle)) / (0.17 * radius)
        shade = shade + 0.28 * np.exp(-(spot**4))
    piece -= inside * shade
