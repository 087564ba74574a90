"""Where the cells are, in one image taken under any pattern of the codebook.

A fully convolutional network marks cell centres on a grid of half the resolution, as in Zhou et al.,
"Objects as Points", arXiv 1904.07850 (2019), with sub-pixel offsets, a radius and a kind per centre.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Gt, Lt
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config

STRIDE = 2
N_KINDS = 3
"""Red cell, white cell, platelet."""

_HEADS = 1 + 2 + 1 + N_KINDS


class FinderConfig(Config):
    """Size of the finder and when it believes itself.

    threshold: smallest centre score that counts as a cell.
    suppress_px: of centres closer than this only the strongest stays.
    radius_px: typical radius of a red cell; radii are learned relative to it.
    """

    width: Annotated[int, Gt(0)] = 24
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.3
    suppress_px: Annotated[float, Gt(0)] = 2.5
    radius_px: Annotated[float, Gt(0)] = 3.1


@dataclass(frozen=True, eq=False)
class FoundCells:
    """Cells found in one field; positions in pixels, the centre of the first pixel is 0.

    kind: 0 red cell, 1 white cell, 2 platelet. score: 0..1.
    """

    x_px: Float[np.ndarray, " cell"]
    y_px: Float[np.ndarray, " cell"]
    radius_px: Float[np.ndarray, " cell"]
    kind: Int[np.ndarray, " cell"]
    score: Float[np.ndarray, " cell"]

    def __len__(self) -> int:
        return len(self.x_px)


NO_CELLS = FoundCells(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0))


class CellFinder(nn.Module):
    """Maps [image, 1, y, x] to grids of centre odds, offset x and y, log radius and kind odds."""

    def __init__(self, config: FinderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(12, width, 4, stride=STRIDE, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.heads = nn.Conv2d(width, _HEADS, 1)
        # Few grid points are centres; starting from 2 % spares the first hundreds of steps.
        self.heads.bias = nn.Parameter(torch.tensor([-4.0] + [0.0] * (_HEADS - 1)))

    def forward(self, images: Float[Tensor, "image 1 y x"]) -> Float[Tensor, "image 7 gy gx"]:
        heads: Tensor = self.heads(self.body(images))
        return heads

    @torch.no_grad()
    def grids(self, images: Float[Tensor, "image y x"]) -> Float[Tensor, "image 7 gy gx"]:
        """Grids of several images, one at a time so that the cache holds the features."""
        return torch.cat([self(image[None, None]) for image in images])

    def detect(self, grids: Float[Tensor, "capture 7 gy gx"]) -> FoundCells:
        """Cells in one field, from the grids of its captures averaged, strongest first."""
        mean = grids.mean(dim=0)
        score = torch.sigmoid(mean[0])
        highest = F.max_pool2d(score[None, None], 3, stride=1, padding=1)[0, 0]
        rows, columns = torch.nonzero((score >= highest) & (score > self.config.threshold), as_tuple=True)
        chosen = mean[:, rows, columns].numpy().astype(np.float64)
        centre = (STRIDE - 1) / 2
        x_px = columns.numpy() * STRIDE + centre + chosen[1]
        y_px = rows.numpy() * STRIDE + centre + chosen[2]
        scores = score[rows, columns].numpy().astype(np.float64)
        keep = _suppress(x_px, y_px, scores, self.config.suppress_px)
        return FoundCells(
            x_px[keep],
            y_px[keep],
            self.config.radius_px * np.exp(np.clip(chosen[3, keep], -3, 3)),
            chosen[4:, keep].argmax(axis=0),
            scores[keep],
        )


def finder_loss(
    grids: Float[Tensor, "image 7 gy gx"],
    image: Int[Tensor, " cell"],
    x_px: Float[Tensor, " cell"],
    y_px: Float[Tensor, " cell"],
    radius_px: Float[Tensor, " cell"],
    kind: Int[Tensor, " cell"],
    *,
    typical_radius_px: float,
) -> Float[Tensor, ""]:
    """Penalty-reduced focal loss of the centres plus offset, radius and kind at the true centres.

    Zhou et al., arXiv 1904.07850, equations 1 to 4; the bumps have a fixed width of 0.8 grid points.
    """
    n_images, _, height, width = grids.shape
    centre = (STRIDE - 1) / 2
    gx = (x_px - centre) / STRIDE
    gy = (y_px - centre) / STRIDE
    column = gx.round().long().clamp(0, width - 1)
    row = gy.round().long().clamp(0, height - 1)
    target = _bumps(image, gx, gy, (n_images, height, width), sigma=0.8)
    target[image, row, column] = 1.0
    odds = grids[:, 0]
    probability = torch.sigmoid(odds)
    positive = (target == 1.0).float()
    at_centre = positive * (1 - probability) ** 2 * F.logsigmoid(odds)
    elsewhere = (1 - positive) * (1 - target) ** 4 * probability**2 * F.logsigmoid(-odds)
    centres = -(at_centre + elsewhere).sum() / positive.sum().clamp(min=1)
    found = grids[image, :, row, column]
    offsets = torch.stack([x_px - (column * STRIDE + centre), y_px - (row * STRIDE + centre)], dim=1)
    place = F.l1_loss(found[:, 1:3], offsets)
    size = F.l1_loss(found[:, 3], torch.log(radius_px / typical_radius_px))
    kinds = F.cross_entropy(found[:, 4:], kind.long())
    return centres + 0.5 * place + 0.2 * size + 0.5 * kinds


def _bumps(
    image: Int[Tensor, " cell"],
    gx: Float[Tensor, " cell"],
    gy: Float[Tensor, " cell"],
    shape: tuple[int, int, int],
    *,
    sigma: float,
) -> Float[Tensor, "image gy gx"]:
    reach = torch.arange(-2, 3)
    rows = gy.round().long()[:, None, None] + reach[:, None]
    columns = gx.round().long()[:, None, None] + reach[None, :]
    squared = (rows - gy[:, None, None]) ** 2 + (columns - gx[:, None, None]) ** 2
    # Strictly below 1, so that only true centres are positives.
    value = 0.95 * torch.exp(-squared / (2 * sigma**2))
    inside = (rows >= 0) & (rows < shape[1]) & (columns >= 0) & (columns < shape[2])
    index = (image.long()[:, None, None] * shape[1] + rows.clamp(0, shape[1] - 1)) * shape[2]
    index = index + columns.clamp(0, shape[2] - 1)
    flat = torch.zeros(shape[0] * shape[1] * shape[2])
    flat.scatter_reduce_(0, index.reshape(-1), (value * inside).reshape(-1), "amax")
    return flat.reshape(shape)


def _suppress(
    x_px: Float[np.ndarray, " n"], y_px: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"], reach_px: float
) -> Int[np.ndarray, " kept"]:
    """Indices of the detections that no stronger one lies close to, strongest first."""
    order = np.argsort(-score, kind="stable")
    if len(order) == 0:
        return order
    places = np.stack((x_px[order], y_px[order]), axis=1)
    # a tree, because an image that is not of cells can give a detection at every grid point
    tree = cKDTree(places)
    alive = np.ones(len(order), dtype=bool)
    for i, place in enumerate(places):
        if alive[i]:
            near = np.asarray(tree.query_ball_point(place, reach_px), dtype=np.int64)
            weaker = near[near > i]
            alive[weaker[np.hypot(*(places[weaker] - place).T) < reach_px]] = False
    return order[alive]
