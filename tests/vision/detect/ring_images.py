"""Small images of discs and rings with exact outlines, for networks that have seconds to learn."""

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.pieces import masks as masks_of

CATEGORIES = ("disc", "ring")


def ring_facts(channels: int = 1, side_px: float = 20.0) -> DataFacts:
    return DataFacts(
        categories=CATEGORIES,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        box_side_px=tuple(side_px * k for k in (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)),
        side_by_category_px=(side_px, side_px),
        most_objects=4,
        height_px=96,
        width_px=96,
    )


def ring_image(
    size: int = 96,
    channels: int = 1,
    centres: tuple[tuple[float, float], ...] = ((24, 26), (66, 30), (30, 70), (70, 68)),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Discs and rings in turn, about 20 pixels wide, bright on dark, with their boxes, labels and outlines."""
    y, x = np.mgrid[:size, :size] + 0.5
    image = np.zeros((size, size))
    masks, boxes, labels = [], [], []
    for k, (cx, cy) in enumerate(centres):
        radius = 8.0 + k
        distance = np.hypot(x - cx, y - cy)
        inside = distance <= radius
        image += inside * 1.0 - (k % 2) * (distance <= 0.6 * radius)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        masks.append(inside)
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        labels.append(k % 2 + 1)
    pixels = np.repeat((2 * image - 0.5)[None], channels, axis=0)
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.tensor(labels),
        "masks": torch.from_numpy(np.array(masks, dtype=np.uint8)),
    }
    return torch.from_numpy(pixels.astype(np.float32)), target


def outlines(found: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    """What a network returned of outlines, as bool [object, y, x] in whole images."""
    whole = [torch.from_numpy(each.whole(*size)) for each in masks_of(found)]
    return torch.stack([torch.zeros(size, dtype=torch.bool), *whole])[1:]


def learn(
    network: nn.Module, images: list[Tensor], targets: list[dict[str, Tensor]], *, steps: int, rate: float
) -> list[float]:
    """The sum of the losses at every step; the rate falls to nothing, so that the last steps settle."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    network.train()
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        loss = sum(network(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    network.eval()
    return losses


def learn_by_heart(network: nn.Module, *, steps: int, rate: float = 3e-3, masks: bool = True) -> None:
    """After a few dozen steps on one image the strongest finds are its objects, each once and by its name.

    An object is found where half of both is common, as in the scores of the field.
    """
    image, target = ring_image()
    true = target["masks"].bool()
    if not masks:
        del target["masks"]
    losses = learn(network, [image], [target], steps=steps, rate=rate)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    with torch.no_grad():
        found = network([image])[0]
    assert torch.equal(found["scores"], found["scores"].sort(descending=True).values)
    overlap, owner = box_iou(target["boxes"], found["boxes"][: len(true)]).max(dim=1)
    assert sorted(owner.tolist()) == list(range(len(true)))
    assert float(overlap.min()) >= 0.5
    assert torch.equal(found["labels"][owner], target["labels"])
    assert ("mask_boxes" in found) == ("mask_pixels" in found) == masks
    if masks:
        drawn = outlines(found, (image.shape[1], image.shape[2]))[owner]
        both, either = (drawn & true).sum(dim=(1, 2)), (drawn | true).sum(dim=(1, 2))
        assert float((both / either).min()) >= 0.5
