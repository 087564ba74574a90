"""Small networks that turn the captures of one cell into the odds that it is infected."""

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config


class ClassifierConfig(Config):
    """Size of the classifier.

    crop_px: side of the square around the cell that it sees.
    widths: channels of its three stages; each halves the resolution.
    """

    crop_px: Annotated[int, Ge(8)] = 16
    widths: tuple[int, int, int] = (24, 40, 48)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.2
    hidden: Annotated[int, Gt(0)] = 32


class CellClassifier(nn.Module):
    """Log-odds of infection at 50 % prevalence from crops [cell, capture, y, x] and which captures exist.

    Captures that are missing are zeroed and a mask vector scales and shifts the features of every
    stage (FiLM; Perez et al., AAAI 2018), so that one network serves every non-empty set of captures.
    """

    def __init__(self, n_captures: int, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        widths = (n_captures, *config.widths)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for width in config.widths)
        self.films = nn.ModuleList(nn.Linear(n_captures, 2 * width) for width in config.widths)
        side = config.crop_px // 8
        self.hidden = nn.Linear(config.widths[-1] * side * side + n_captures, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.hidden, 1)

    def forward(
        self, crops: Float[Tensor, "cell capture y x"], present: Bool[Tensor, "cell capture"]
    ) -> Float[Tensor, " cell"]:
        mask = present.to(crops.dtype)
        features = crops * mask[:, :, None, None]
        for convolution, norm, film in zip(self.convolutions, self.norms, self.films, strict=True):
            scale, shift = film(mask)[:, :, None, None].chunk(2, dim=1)
            features = F.relu(norm(convolution(features)) * (1 + scale) + shift)
            features = F.max_pool2d(features, 2)
        joined = torch.cat([self.dropout(features.flatten(1)), mask], dim=1)
        logits: Tensor = self.out(F.relu(self.hidden(joined)))
        return logits[:, 0]


def crop_cells(
    images: Float[Tensor, "field capture y x"],
    field: Int[Tensor, " cell"],
    x_px: Float[Tensor, " cell"],
    y_px: Float[Tensor, " cell"],
    *,
    size_px: int,
) -> Float[Tensor, "cell capture {size_px} {size_px}"]:
    """Squares of `size_px` pixels around the cells, of all captures; differentiable in the images.

    x_px, y_px: centres, where the centre of the first pixel is 0; they are rounded so that the centre
    lies within half a pixel of the middle of the crop. Beyond the border the edge pixels repeat.
    """
    half = size_px // 2
    padded = F.pad(images, (half, half, half, half), mode="replicate")
    ramp = torch.arange(size_px)
    rows = (y_px + 0.5).round().long().clamp(0, images.shape[2])[:, None] + ramp
    columns = (x_px + 0.5).round().long().clamp(0, images.shape[3])[:, None] + ramp
    flat = padded.movedim(1, -1).reshape(-1, images.shape[1])
    index = (field.long()[:, None, None] * padded.shape[2] + rows[:, :, None]) * padded.shape[3] + columns[:, None, :]
    crops = flat.index_select(0, index.reshape(-1))
    return crops.reshape(len(field), size_px, size_px, images.shape[1]).movedim(-1, 1)


def random_subsets(n_cells: int, n_captures: int, generator: torch.Generator) -> Bool[Tensor, "cell capture"]:
    """One random non-empty set of captures per cell: first its size, uniformly, then its members."""
    sizes = torch.randint(1, n_captures + 1, (n_cells, 1), generator=generator)
    ranks = torch.rand(n_cells, n_captures, generator=generator).argsort(dim=1).argsort(dim=1)
    return ranks < sizes


def n_parameters(network: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters())
