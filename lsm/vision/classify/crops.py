"""Small images of one size, each with its class, its count of objects, or both."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Num
from torch import Tensor
from torch.nn import functional as F

from lsm.errors import InputError, WrongFormat

Rows = Int[np.ndarray, " chosen"]


@dataclass(frozen=True, eq=False)
class CropSet:
    """Crops of one size.

    images: whole numbers of 8 or 16 bits, or floats; networks see whole numbers as parts of their largest.
    category: index into `categories`, or None where crops have no class. count: objects in each crop, or None.
    group: crops of one group (a patient, a slide, an image) are never on both sides of a split and are resampled
    together; the empty word means that a crop stands alone. origin: which data this is, in words.
    """

    images: Num[np.ndarray, "crop channel y x"]
    categories: tuple[str, ...] = ()
    category: Int[np.ndarray, " crop"] | None = None
    count: Float[np.ndarray, " crop"] | None = None
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=str))
    origin: str = ""

    def __post_init__(self) -> None:
        if len(self.group) == 0:
            object.__setattr__(self, "group", np.full(len(self.images), ""))
        for name in ("category", "count", "group"):
            held = getattr(self, name)
            if held is not None and len(held) != len(self.images):
                raise WrongFormat(
                    f"{len(self.images)} crops have {len(held)} entries in '{name}'.", hint="give one for every crop"
                )
        if self.category is not None and len(self.category):
            low, high = int(self.category.min()), int(self.category.max())
            if low < 0 or high >= len(self.categories):
                raise WrongFormat(
                    f"Crops have the category {high if low >= 0 else low}; there are {len(self.categories)}.",
                    hint="name all categories and number them from 0",
                )
        if self.count is not None and not (np.isfinite(self.count).all() and (self.count >= 0).all()):
            raise WrongFormat("A crop has a count below 0 or none at all.", hint="leave out crops of unknown count")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels of every crop."""
        return int(self.images.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every crop."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def where(self, chosen: Bool[np.ndarray, " crop"] | Rows) -> "CropSet":
        """The chosen crops, by a mark for each or by their numbers."""
        index = np.arange(len(self))[chosen]
        category = None if self.category is None else self.category[index]
        count = None if self.count is None else self.count[index]
        return replace(self, images=self.images[index], category=category, count=count, group=self.group[index])

    def pixels(self, rows: Rows) -> Float32[Tensor, "chosen channel y x"]:
        """Crops as a network sees them."""
        return as_input(self.images[rows])

    def units(self) -> Int[np.ndarray, " crop"]:
        """For each crop the number of its group; one that stands alone has a number of its own."""
        alone = self.group == ""
        _, number = np.unique(self.group, return_inverse=True)
        found: Int[np.ndarray, " crop"] = np.where(alone, len(self) + np.arange(len(self)), number)
        return np.unique(found, return_inverse=True)[1].astype(np.int64)

    def numbers(self) -> dict[str, int]:
        """Crops of each category."""
        if self.category is None:
            return {}
        found = np.bincount(self.category, minlength=len(self.categories))
        return {name: int(n) for name, n in zip(self.categories, found, strict=True)}

    @classmethod
    def joined(cls, parts: Sequence["CropSet"]) -> "CropSet":
        """All crops of sets that have the same categories, channels and size. Raises InputError for none."""
        if not parts:
            raise InputError("There are no crops to join.", hint="see whether the folder is the right one")
        first = parts[0]
        for part in parts[1:]:
            if (part.categories, part.channels, part.size) != (first.categories, first.channels, first.size):
                raise WrongFormat(
                    f"Crops of {part.channels} channels, {part.size} px and {len(part.categories)} categories cannot "
                    f"join those of {first.channels}, {first.size} px and {len(first.categories)}.",
                    hint="cut both alike",
                )
        category = [part.category for part in parts if part.category is not None]
        count = [part.count for part in parts if part.count is not None]
        return replace(
            first,
            images=np.concatenate([part.images for part in parts]),
            category=np.concatenate(category) if len(category) == len(parts) else None,
            count=np.concatenate(count) if len(count) == len(parts) else None,
            group=np.concatenate([part.group for part in parts]),
        )


def as_input(images: Num[np.ndarray, "*any"]) -> Float32[Tensor, "*any"]:
    """Whole numbers as parts of their largest, other numbers as they are.

    Raises WrongFormat for signed whole numbers, and for pixels that are not finite.
    """
    if np.issubdtype(images.dtype, np.unsignedinteger):
        return torch.from_numpy(images.astype(np.float32)) / float(np.iinfo(images.dtype).max)
    if not np.issubdtype(images.dtype, np.floating):
        raise WrongFormat(f"Crops hold {images.dtype}.", hint="give uint8, uint16 or float32")
    seen = torch.from_numpy(images.astype(np.float32))
    if not bool(torch.isfinite(seen).all()):
        raise WrongFormat("Crops have pixels that are not finite.", hint="replace NaN and infinity before")
    return seen


def resized(
    images: Float32[np.ndarray, "*crop channel y x"], size: tuple[int, int]
) -> Float32[np.ndarray, "*crop channel height width"]:
    """Images of another height and width, averaged where they get smaller."""
    if images.shape[-2:] == size:
        return images
    stacked = torch.from_numpy(images.reshape(-1, *images.shape[-3:]))
    found = F.interpolate(stacked, size=size, mode="bilinear", antialias=True, align_corners=False)
    whole: Float32[np.ndarray, "*crop channel height width"] = found.numpy().reshape(*images.shape[:-2], *size)
    return whole
