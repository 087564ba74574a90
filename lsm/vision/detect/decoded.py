"""Pixels of image files, kept so that a file is not decoded anew for every view of it."""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsm.vision.data import AnnotatedSet, Pixels
from lsm.vision.detect.levels import Normal, Own

MOST_BYTES: Final = 512 * 2**20
"""Of all kept pixels: some 580 colour images of 640 x 480 in 8 bits."""

Packed = Shaped[np.ndarray, "channel y x"]


class Decoded:
    """The images of a set as tensors; files that were read last are kept, in so many bytes.

    They are kept in 8 or 16 bits where these give the same float32, else as float32. What is in memory is not kept
    twice.
    """

    def __init__(self, data: AnnotatedSet, normal: Normal, *, most_bytes: int = MOST_BYTES) -> None:
        self._data, self._normal, self._most_bytes = data, normal, most_bytes
        self._packed: OrderedDict[int, Packed] = OrderedDict()
        self._own: dict[int, Own | None] = {}
        self.bytes = 0

    def pixels(self, number: int) -> Float[Tensor, "channel y x"]:
        """The pixels of the image with this number, as `AnnotatedImage.pixels` gives them."""
        image = self._data.images[number]
        if not isinstance(image.source, Path):
            return torch.from_numpy(image.pixels())
        if number in self._packed:
            self._packed.move_to_end(number)
            return torch.from_numpy(_unpacked(self._packed[number]))
        pixels = image.pixels()
        self._keep(number, _packed(pixels))
        return torch.from_numpy(pixels)

    def normal(self, number: int, view: Float[Tensor, "channel v u"], whole: Float[Tensor, "channel y x"]) -> Tensor:
        """A view of the image with this number, normalised; see `Normal`."""
        if number not in self._own:
            self._own[number] = self._normal.own(whole)
        return self._normal.against(view, self._own[number])

    def _keep(self, number: int, packed: Packed) -> None:
        if packed.nbytes > self._most_bytes:
            return
        self._packed[number] = packed
        self.bytes += packed.nbytes
        while self.bytes > self._most_bytes:
            self.bytes -= self._packed.popitem(last=False)[1].nbytes


def _packed(pixels: Pixels) -> Packed:
    if pixels.min() >= 0 and pixels.max() <= 1:
        for kind in (np.uint8, np.uint16):
            whole = np.round(pixels * np.float32(np.iinfo(kind).max)).astype(kind)
            if np.array_equal(_unpacked(whole), pixels):
                return whole
    return pixels


def _unpacked(packed: Packed) -> Pixels:
    if packed.dtype == np.float32:
        return packed
    unpacked: Pixels = packed.astype(np.float32) / np.float32(np.iinfo(packed.dtype).max)
    return unpacked
