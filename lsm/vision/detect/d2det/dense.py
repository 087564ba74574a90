"""Dense local regression: every part of a region says where the edges of the object are.

Cao et al., "D2Det: Towards High Quality Object Detection and Instance Segmentation", CVPR 2020, section 3.1.
"""

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

PARTS: Final = 7
"""Parts of a region along each side."""

BELIEVED: Final = 0.5
"""Least probability of a part lying on the object whose vote counts."""


def centres(boxes: Float[Tensor, "region 4"], parts: int = PARTS) -> Float[Tensor, "region 2 part part"]:
    """The middle of each part, x first and then y."""
    steps = (torch.arange(parts, dtype=boxes.dtype, device=boxes.device) + 0.5) / parts
    x = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * steps
    y = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps
    return torch.stack([x[:, None, :].expand(-1, parts, -1), y[:, :, None].expand(-1, -1, parts)], dim=1)


def distances(
    boxes: Float[Tensor, "region 4"], objects: Float[Tensor, "region 4"]
) -> Float[Tensor, "region 4 part part"]:
    """From each part to the left, upper, right and lower edge of the object, in sides of the region; equation 1."""
    signed = torch.cat([centres(boxes) - _at(objects[:, :2]), _at(objects[:, 2:]) - centres(boxes)], dim=1)
    return signed / _sides(boxes)


def voted(
    boxes: Float[Tensor, "region 4"], found: Float[Tensor, "region 4 part part"]
) -> Float[Tensor, "region 4 part part"]:
    """The box that each part votes for: the inverse of `distances`."""
    reach = found * _sides(boxes)
    middle = centres(boxes)
    return torch.cat([middle - reach[:, :2], middle + reach[:, 2:]], dim=1)


def decided(
    boxes: Float[Tensor, "region 4"],
    found: Float[Tensor, "region 4 part part"],
    overlap_odds: Float[Tensor, "region part part"],
) -> Float[Tensor, "region 4"]:
    """Mean vote of the parts that lie on the object; where none seems to, that of the likeliest ones."""
    flat = overlap_odds.flatten(1)
    believed = flat >= torch.minimum(flat.new_tensor(BELIEVED).logit(), flat.amax(dim=1, keepdim=True))
    votes = voted(boxes, found).flatten(2) * believed[:, None]
    return votes.sum(dim=2) / believed.sum(dim=1, keepdim=True)


def on_object(boxes: Float[Tensor, "region 4"], objects: Float[Tensor, "region 4"]) -> Bool[Tensor, "region part part"]:
    """Which parts have their middle inside the object's box: the paper's binary overlap."""
    return (distances(boxes, objects) > 0).all(dim=1)


def vote_loss(
    boxes: Float[Tensor, "region 4"],
    found: Float[Tensor, "region 4 part part"],
    objects: Float[Tensor, "region 4"],
    counted: Bool[Tensor, "region part part"],
) -> Float[Tensor, ""]:
    """Mean of -log(intersection over union) of the votes that count; zero where there are none.

    The loss of the authors' released code. Votes and object share the part, so that their intersection is never empty
    unless a distance is zero.
    """
    wanted = distances(boxes, objects).clamp(min=0)
    least, most = torch.minimum(found, wanted), torch.maximum(found, wanted)
    both = (least[:, 0] + least[:, 2]) * (least[:, 1] + least[:, 3])
    either = _area(found) + _area(wanted) - both
    losses = -torch.log(both.clamp(min=1e-6) / either.clamp(min=1e-6))
    return losses[counted].mean() if bool(counted.any()) else most.sum() * 0


def overlap_loss(
    odds: Float[Tensor, "region part part"], wanted: Bool[Tensor, "region part part"]
) -> Float[Tensor, ""]:
    """Binary cross entropy of lying on the object."""
    return F.binary_cross_entropy_with_logits(odds, wanted.to(odds.dtype)) if len(odds) else odds.sum()


def jittered(boxes: Float[Tensor, "region 4"], amount: float, size: tuple[int, int]) -> Float[Tensor, "region 4"]:
    """Boxes moved and resized at random by at most this part of their sides, inside the image.

    Proposals come to fit their objects too well while a network learns to have anything left to correct.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    shift, growth = ((2 * torch.rand_like(sides) - 1) * amount for _ in range(2))
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * sides
    half = sides * (1 + growth) / 2
    moved = torch.cat([middle - half, middle + half], dim=1)
    most = torch.tensor([size[1], size[0]] * 2, dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(moved.clamp(min=0), most)


def _area(found: Float[Tensor, "region 4 part part"]) -> Float[Tensor, "region part part"]:
    return (found[:, 0] + found[:, 2]) * (found[:, 1] + found[:, 3])


def _sides(boxes: Float[Tensor, "region 4"]) -> Float[Tensor, "region 4 1 1"]:
    return _at((boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3).repeat(1, 2))


def _at(values: Float[Tensor, "region n"]) -> Float[Tensor, "region n 1 1"]:
    return values[:, :, None, None]
