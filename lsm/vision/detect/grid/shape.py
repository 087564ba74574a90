"""Size of a grid network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GridShape:
    """What fixes the layers of a grid network.

    channels: of the images. categories: how many. width, depth, shrink, stride: see `GridConfig`.
    stages: halvings of the shrunk image after the first.
    prior_px: by category, side of the box that a network which has learned nothing gives, in pixels of the image.
    """

    channels: int
    categories: int
    width: int
    depth: int
    shrink: int
    stride: int
    stages: int
    prior_px: tuple[float, ...]

    @property
    def step_px(self) -> int:
        """Distance of two grid points, in pixels of the image."""
        return self.shrink * self.stride


def reach_px(stages: int, depth: int) -> int:
    """Side of the square of the shrunk image that one point of the coarsest stage sees."""
    reach, step = 3, 2
    for _ in range(stages):
        reach += 2 * step
        step *= 2
        reach += 2 * step * depth
    return reach
