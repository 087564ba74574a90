"""Annotated photographs as slides: what a sharp image shows as absorption, imaged again through a coarse objective.

Assumed, because a photograph does not tell: its grey levels are linear in light, and optical path grows with
absorbance as it does in a dried film, where both follow the mass per area.
"""

import hashlib
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Complex64, Float, Float32

from lsm.config import Config
from lsm.errors import ConfigError, InputError
from lsm.optics import ImagingSystem
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Pixels
from lsm.vision.field.scenes import Scene, scaled_mask, seen_objects

_VERSION = 1

# a stain that lets less through is taken for a grey level that the camera clipped
_DARKEST = 0.05
_LEAST_EMPTY = 0.01
"""Share of a photograph outside all boxes from which its empty slide is measured there."""


class PhotographConfig(Config):
    """How photographs become slides.

    pixel_um: pixel of the photographs at the sample; 0 measures it: the median box of the category `reference` is
    `reference_um` wide, a red cell's diameter unless given.
    channel: colour channel that is taken; images with one channel give that one.
    empty_quantile: quantile of the grey levels outside all boxes that is the empty slide.
    path_um_per_absorbance: optical path per unit of natural absorbance, as for the cell crops of lsm.samples.
    defocus_um: standard deviation of the focus error of each field.
    """

    pixel_um: Annotated[float, Ge(0)] = 0.0
    reference: str = "RBC"
    reference_um: Annotated[float, Gt(0)] = 7.82
    channel: Annotated[int, Ge(0)] = 1
    empty_quantile: Annotated[float, Gt(0), Le(1)] = 0.9
    path_um_per_absorbance: Annotated[float, Ge(0)] = 0.2
    defocus_um: Annotated[float, Ge(0)] = 1.0
    seed: Annotated[int, Ge(0)] = 0


class Photographs:
    """Scenes of the images of a set, as a given imaging system takes them; see `PhotographConfig`.

    Beyond its edge a photograph is continued by its mirror image, so that cells at the edge scatter as if whole.
    Raises ConfigError where the pixel's size cannot be measured, InputError for an empty set.
    """

    def __init__(self, data: AnnotatedSet, config: PhotographConfig, system: ImagingSystem) -> None:
        if not len(data):
            raise InputError("There are no photographs in the set.", hint="see whether its folder is the right one")
        self.config = config
        self.system = system
        self.pixel_um = config.pixel_um or _measured_pixel_um(data, config)
        self._data = data

    @property
    def categories(self) -> tuple[str, ...]:
        return self._data.categories

    @property
    def origin(self) -> str:
        return f"{self._data.origin or 'photographs'} as absorption, computed optics at NA {self.system.na:g}"

    @property
    def digest(self) -> str:
        sha = hashlib.sha256(f"photographs {_VERSION} {self.config.digest()} {self.system.digest()}".encode())
        sha.update(f"|{self.pixel_um!r}|{self.categories}".encode())
        for image in self._data.images:
            sha.update(f"|{image.name}|{image.group}|{image.size}|".encode())
            sha.update(image.pixels().tobytes())
            objects = image.objects
            sha.update(objects.box_px.tobytes() + objects.category.tobytes() + objects.ignore.tobytes())
            for mask in objects.masks or ():
                sha.update(f"|{mask.top}|{mask.left}|{mask.inside.shape}".encode() + mask.inside.tobytes())
        return sha.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._data)

    def scene(self, number: int) -> Scene:
        """Raises InputError for a photograph smaller than a camera pixel, or without the channel."""
        image = self._data.images[number]
        step = self.system.decimation
        size = [int(side * self.pixel_um / self.system.camera_pixel_um + 1e-6) for side in image.size]
        if min(size) < 1:
            raise InputError(
                f"The photograph {image.name} is {image.size[0] * self.pixel_um:.3g} um high, less than a camera "
                f"pixel of {self.system.camera_pixel_um:g} um.",
                hint="check pixel_um",
            )
        absorbance = _absorbance(image, image.pixels(), self.config)
        drawn = _resized(absorbance, size[0] * step, size[1] * step)
        scale = size[0] / image.size[0], size[1] / image.size[1]
        objects = image.objects
        box_px = objects.box_px * np.array([scale[1], scale[0], scale[1], scale[0]])
        masks = None
        if objects.masks is not None:
            masks = tuple(scaled_mask(mask, scale) or mask for mask in objects.masks)
        rng = np.random.default_rng([self.config.seed, number])
        return Scene(
            name=image.name,
            group=image.group or image.name,
            transmission=self._slide(drawn),
            size=(size[0], size[1]),
            objects=seen_objects(box_px, objects.category, masks, objects.ignore, (size[0], size[1])),
            defocus_um=float(rng.normal(0.0, self.config.defocus_um)),
        )

    def _slide(self, absorbance: Float32[np.ndarray, "y x"]) -> Complex64[np.ndarray, "sy sx"]:
        system, config = self.system, self.config
        margin = system.margin_px * system.decimation
        if max(absorbance.shape) <= system.camera_px * system.decimation:
            ends = [(margin, system.sample_px - margin - side) for side in absorbance.shape]
        else:
            # tiles take their margin from the sample itself
            ends = [(0, max(0, system.sample_px - side)) for side in absorbance.shape]
        whole = np.pad(absorbance, ends, mode="symmetric")
        phase = whole * np.float32(2 * np.pi * config.path_um_per_absorbance / system.wavelength_um)
        transmission: Complex64[np.ndarray, "sy sx"] = np.exp(-whole / 2 + 1j * phase).astype(np.complex64)
        return transmission


def _measured_pixel_um(data: AnnotatedSet, config: PhotographConfig) -> float:
    if config.reference not in data.categories:
        raise ConfigError(
            f"The set has no category '{config.reference}' to measure its pixels by.",
            hint=f"set pixel_um, or reference to one of: {', '.join(data.categories)}",
        )
    kind = data.categories.index(config.reference)
    boxes = np.concatenate([image.objects.box_px[image.objects.category == kind] for image in data.images])
    if not len(boxes):
        raise ConfigError(f"No '{config.reference}' is marked in the set.", hint="set pixel_um")
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return config.reference_um / float(np.median(sides))


def _absorbance(image: AnnotatedImage, pixels: Pixels, config: PhotographConfig) -> Float32[np.ndarray, "y x"]:
    if len(pixels) > 1 and config.channel >= len(pixels):
        raise InputError(
            f"The photograph {image.name} has {len(pixels)} channels, channel {config.channel} is not among them.",
            hint="set channel, counted from 0",
        )
    grey = pixels[config.channel if len(pixels) > 1 else 0]
    empty = np.ones(grey.shape, dtype=bool)
    height, width = grey.shape
    for x0, y0, x1, y1 in image.objects.box_px:
        empty[int(max(y0, 0)) : int(min(y1, height)) + 1, int(max(x0, 0)) : int(min(x1, width)) + 1] = False
    where = empty if empty.mean() >= _LEAST_EMPTY else np.ones_like(empty)
    level = float(np.quantile(grey[where], config.empty_quantile))
    if not level > 0:
        raise InputError(f"The photograph {image.name} is black.", hint="leave it out")
    absorbance: Float32[np.ndarray, "y x"] = -np.log(np.clip(grey / np.float32(level), _DARKEST, 1.0))
    return absorbance


def _resized(image: Float32[np.ndarray, "y x"], height: int, width: int) -> Float[np.ndarray, "new_y new_x"]:
    """On another grid over the same area, averaged where the new one is coarser."""
    held = torch.from_numpy(image)[None, None]
    new = torch.nn.functional.interpolate(
        held, size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return np.asarray(new[0, 0].numpy())
