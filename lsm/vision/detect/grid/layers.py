"""Blocks of the grid network."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def convolve(before: int, after: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, batch normalisation (which is folded into it for use) and rectification."""
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class Block(nn.Module):
    """Adds what a narrow pair of convolutions finds (He et al., arXiv 1512.03385, 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(2, width // 2)
        self.narrow = convolve(width, narrow, size=1)
        self.wide = nn.Sequential(nn.Conv2d(narrow, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, features: Float[Tensor, "image width y x"]) -> Float[Tensor, "image width y x"]:
        return F.relu(features + self.wide(self.narrow(features)))
