"""Images and their objects as tensors, and random views of both."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from lsm.vision.data import AnnotatedImage, Mask, Objects
from lsm.vision.detect.fitting import Augmentation

Target = dict[str, Tensor]
Draw = Callable[[float, float], float]


class View(NamedTuple):
    """Part of an image, and its objects in torchvision's form: labels from 1, none to ignore."""

    pixels: Float[Tensor, "channel v u"]
    target: Target


class _Window(NamedTuple):
    top: int
    left: int
    height: int
    width: int


def example(image: AnnotatedImage, *, masks: bool) -> View:
    """A whole image."""
    window = _Window(0, 0, *image.size)
    target = _target(_learnt(image), window, image.size, least_visible=0.0, masks=masks)
    return View(torch.from_numpy(image.pixels()), target)


def random_view(
    image: AnnotatedImage,
    pixels: Float[Tensor, "channel y x"],
    options: Augmentation,
    generator: torch.Generator,
    *,
    masks: bool,
) -> View:
    """A random view of an image. pixels: the image's, which takes time to read.

    What the view does not show is left out first, and outlines are drawn once, at their last size: 200 outlines of a
    megapixel would take seconds.
    """

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    factor = math.exp(drawn(math.log(options.scale[0]), math.log(options.scale[1])))
    objects, window, least_visible = _learnt(image), _Window(0, 0, *image.size), 0.0
    if options.crop_px is not None:
        about = _centre(objects, drawn) if drawn(0, 1) < options.around else None
        window = _window(image.size, max(1, round(options.crop_px / factor)), about, drawn)
        least_visible = options.least_visible
    size = _size(window, factor, options.crop_px)
    target = _target(objects, window, size, least_visible=least_visible, masks=masks)
    top, left, height, width = window
    view = pixels[:, top : top + height, left : left + width]
    if size != (height, width):
        view = F.interpolate(view[None], size=size, mode="bilinear", antialias=True)[0]
    if options.mirrored and drawn(0, 1) < 0.5:
        view, target = _mirrored(view, target)
    if options.turned:
        view, target = turned(view, target, int(drawn(0, 4)))
    if masks:
        target = kept(target, (target["masks"] > 0).flatten(1).any(dim=1))
    return View(_relit(view, options, drawn), target)


def turned(pixels: Float[Tensor, "channel y x"], target: Target, quarters: int) -> View:
    """Image and objects turned by so many quarters of a circle, as torch.rot90 turns."""
    for _ in range(quarters):
        width = pixels.shape[2]
        x0, y0, x1, y1 = target["boxes"].T
        target = target | {"boxes": torch.stack([y0, width - x1, y1, width - x0], dim=1)}
        if "masks" in target:
            target["masks"] = torch.rot90(target["masks"], dims=(1, 2))
        pixels = torch.rot90(pixels, dims=(1, 2))
    return View(pixels.contiguous(), target)


def kept(target: Target, chosen: Bool[Tensor, " object"]) -> Target:
    """The chosen objects."""
    return {name: value[chosen] for name, value in target.items()}


def areas(boxes: Float[Tensor, "object 4"]) -> Float[Tensor, " object"]:
    """In square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _learnt(image: AnnotatedImage) -> Objects:
    return image.objects.where(~image.objects.ignore)


def _centre(objects: Objects, drawn: Draw) -> tuple[float, float] | None:
    """Row and column of the centre of an object of a category drawn at random; None where there is none."""
    if len(objects) == 0:
        return None
    there = np.unique(objects.category)
    rows = np.flatnonzero(objects.category == there[int(drawn(0, len(there)))])
    x0, y0, x1, y1 = objects.box_px[rows[int(drawn(0, len(rows)))]]
    return (y0 + y1) / 2, (x0 + x1) / 2


def _window(size: tuple[int, int], side_px: int, about: tuple[float, float] | None, drawn: Draw) -> _Window:
    """A square in the image: anywhere, or anywhere around a point."""
    rest = [max(side - side_px, 0) for side in size]
    if about is None:
        top, left = (int(drawn(0, most + 1)) for most in rest)
    else:
        top, left = (min(max(int(drawn(at - side_px, at)), 0), most) for at, most in zip(about, rest, strict=True))
    return _Window(top, left, min(side_px, size[0]), min(side_px, size[1]))


def _target(objects: Objects, window: _Window, size: tuple[int, int], *, least_visible: float, masks: bool) -> Target:
    """The objects in the window as it is resized, but for those of which less than least_visible is in it."""
    top, left, height, width = window
    whole = torch.from_numpy(objects.box_px).float().reshape(-1, 4)
    last = torch.tensor([width, height, width, height], dtype=torch.float32)
    boxes = torch.minimum((whole - torch.tensor([left, top, left, top])).clamp(min=0), last)
    inside = (areas(boxes) > 0) & (areas(boxes) >= least_visible * areas(whole))
    ratio = torch.tensor([size[1] / width, size[0] / height]).repeat(2)
    target = {
        "boxes": boxes[inside] * ratio,
        "labels": torch.from_numpy(objects.category).long()[inside] + 1,
    }
    if masks:
        target["masks"] = _drawn(objects.where(inside.numpy()).masks or (), window, size)
    return target


def _drawn(pieces: tuple[Mask, ...], window: _Window, size: tuple[int, int]) -> UInt8[Tensor, "object v u"]:
    """The outlines in the window as it is resized: every pixel is that of the nearest one."""
    rows = window.top + ((np.arange(size[0]) + 0.5) * window.height / size[0]).astype(np.int64)
    columns = window.left + ((np.arange(size[1]) + 0.5) * window.width / size[1]).astype(np.int64)
    drawn = np.zeros((len(pieces), *size), dtype=np.uint8)
    for mask, whole in zip(pieces, drawn, strict=True):
        height, width = mask.inside.shape
        v = slice(*np.searchsorted(rows, [mask.top, mask.top + height]))
        u = slice(*np.searchsorted(columns, [mask.left, mask.left + width]))
        whole[v, u] = mask.inside[np.ix_(rows[v] - mask.top, columns[u] - mask.left)]
    return torch.from_numpy(drawn)


def _size(window: _Window, factor: float, crop_px: int | None) -> tuple[int, int]:
    """Of the window after it is enlarged; a whole square has the side that was asked for."""
    if crop_px is not None:
        factor = crop_px / max(1, round(crop_px / factor))
    return max(1, round(window.height * factor)), max(1, round(window.width * factor))


def _mirrored(view: Float[Tensor, "channel y x"], target: Target) -> View:
    x0, y0, x1, y1 = target["boxes"].T
    width = view.shape[2]
    target = target | {"boxes": torch.stack([width - x1, y0, width - x0, y1], dim=1)}
    if "masks" in target:
        target["masks"] = target["masks"].flip(2)
    return View(view.flip(2), target)


def _relit(pixels: Float[Tensor, "channel y x"], options: Augmentation, drawn: Draw) -> Float[Tensor, "channel y x"]:
    contrast = math.exp(drawn(-options.contrast, options.contrast))
    bright = drawn(-options.brightness, options.brightness)
    factors = torch.tensor([math.exp(bright + drawn(-options.tint, options.tint)) for _ in pixels])
    mean = pixels.mean(dim=(1, 2), keepdim=True)
    return (mean + (pixels - mean) * contrast) * factors[:, None, None]
