"""Images and their objects as tensors, and random views of both."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tv

from lsm.vision.data import AnnotatedImage
from lsm.vision.detect.fitting import Augmentation
from lsm.vision.detect.scores import whole_masks

Target = dict[str, Tensor]
Draw = Callable[[float, float], float]
Moved = Callable[[Tensor], Tensor]


def example(image: AnnotatedImage, *, masks: bool) -> tuple[Tensor, Target]:
    """Pixels [channel, y, x] and the objects of one image in torchvision's form: labels from 1, none to ignore."""
    objects = image.objects.where(~image.objects.ignore)
    target = {
        "boxes": torch.from_numpy(objects.box_px).float().reshape(-1, 4),
        "labels": torch.from_numpy(objects.category).long() + 1,
    }
    if masks:
        target["masks"] = whole_masks(objects, image.size).to(torch.uint8)
    return torch.from_numpy(image.pixels()), target


def augment(
    pixels: Float[Tensor, "channel y x"], target: Target, options: Augmentation, generator: torch.Generator
) -> tuple[Float[Tensor, "channel v u"], Target]:
    """A random view of an image and its objects, in the form of `example`."""

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    factor = math.exp(drawn(math.log(options.scale[0]), math.log(options.scale[1])))
    if options.scale != (1.0, 1.0):
        size = [max(1, round(side * factor)) for side in pixels.shape[1:]]
        pixels, target = _moved(pixels, target, lambda held: tv.resize(held, size, antialias=True))
    if options.crop_px is not None:
        before = areas(target["boxes"])
        top, left, height, width = _window(pixels, options.crop_px, drawn)
        pixels, target = _moved(pixels, target, lambda held: tv.crop(held, top, left, height, width))
        after = areas(target["boxes"])
        target = kept(target, (after > 0) & (after >= options.least_visible * before))
    if options.mirrored and drawn(0, 1) < 0.5:
        pixels, target = _moved(pixels, target, tv.horizontal_flip)
    if options.turned:
        pixels, target = turned(pixels, target, int(drawn(0, 4)))
    if "masks" in target:
        target = kept(target, (target["masks"] > 0).flatten(1).any(dim=1))
    return _relit(pixels, options, drawn), target


def turned(pixels: Float[Tensor, "channel y x"], target: Target, quarters: int) -> tuple[Tensor, Target]:
    """Image and objects turned by so many quarters of a circle, as torch.rot90 turns."""
    for _ in range(quarters):
        width = pixels.shape[2]
        x0, y0, x1, y1 = target["boxes"].T
        target = target | {"boxes": torch.stack([y0, width - x1, y1, width - x0], dim=1)}
        if "masks" in target:
            target["masks"] = torch.rot90(target["masks"], dims=(1, 2))
        pixels = torch.rot90(pixels, dims=(1, 2))
    return pixels.contiguous(), target


def kept(target: Target, chosen: Bool[Tensor, " object"]) -> Target:
    """The chosen objects."""
    return {name: value[chosen] for name, value in target.items()}


def areas(boxes: Float[Tensor, "object 4"]) -> Float[Tensor, " object"]:
    """In square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _moved(pixels: Tensor, target: Target, move: Moved) -> tuple[Tensor, Target]:
    """Image, boxes and masks moved by a function of torchvision, which asks each what it is."""
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=pixels.shape[1:])
    found = {"boxes": move(boxes), "labels": target["labels"]}
    if "masks" in target:
        found["masks"] = move(tv_tensors.Mask(target["masks"]))
    image = move(tv_tensors.Image(pixels))
    return image.as_subclass(Tensor), {name: value.as_subclass(Tensor) for name, value in found.items()}


def _window(pixels: Tensor, side_px: int, drawn: Draw) -> tuple[int, int, int, int]:
    height, width = pixels.shape[1:]
    top, left = int(drawn(0, max(height - side_px, 0) + 1)), int(drawn(0, max(width - side_px, 0) + 1))
    return top, left, min(side_px, height), min(side_px, width)


def _relit(pixels: Float[Tensor, "channel y x"], options: Augmentation, drawn: Draw) -> Float[Tensor, "channel y x"]:
    contrast = math.exp(drawn(-options.contrast, options.contrast))
    bright = drawn(-options.brightness, options.brightness)
    factors = torch.tensor([math.exp(bright + drawn(-options.tint, options.tint)) for _ in pixels])
    mean = pixels.mean(dim=(1, 2), keepdim=True)
    return (mean + (pixels - mean) * contrast) * factors[:, None, None]
