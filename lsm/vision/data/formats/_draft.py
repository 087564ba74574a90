"""From what a file says about images to a checked set: every fault is met here, whatever the format."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.data.findings import Finding, Severity, Tell, error, tell_nobody, warning
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.data.pixels import Stored, read_pixels, read_shape

Shape = Callable[[int, int], Mask | None]
"""The mask in an image of this height and width, nothing of it outside; None where it has no pixel.

Raises WrongFormat where it is damaged.
"""

Edges = tuple[float, float, float, float]

_ROUNDING_PX = 0.01
"""A box may pass its image by this: x and width are often written with two digits."""

_REPAIR = "mend the annotations, or read them with repair, which"


@dataclass(frozen=True)
class ReadOptions:
    """What the caller knows, and how faults are met.

    repair: mend or leave out what is wrong and tell it, rather than refuse the set. pixels: repair also reads all
    pixels once, and leaves out images that are damaged behind a sound header.
    tell: hears of every finding. images: where the images are, if not beside or below the annotations.
    categories: names and order to use, such as those of the training set; others are unknown. For files that give
    numbers, the name of each number. side_px: side of the box around a point.
    category: what the objects of instance labels are called.
    """

    repair: bool = False
    pixels: bool = True
    tell: Tell = tell_nobody
    images: Path | None = None
    categories: tuple[str, ...] | None = None
    side_px: float | None = None
    category: str = "object"

    def met(self, finding: Finding, kind: type[InputError] = WrongFormat) -> None:
        """Tell a finding; without repair, raise an error instead."""
        if finding.severity is Severity.ERROR and not self.repair:
            raise kind(finding.message, hint=finding.hint)
        self.tell(finding)


@dataclass(frozen=True, eq=False)
class Mark:
    """One object as a file has it.

    where: how to find it there, such as "annotation 17". box_px: edges, or None where only the mask is known.
    category: its name; None where its author could not name it, which makes it one to ignore in every category.
    cut: its box was put around a point, and is cut off at the border as a matter of course.
    """

    where: str
    box_px: Edges | None
    category: str | None
    mask: Shape | None = None
    ignore: bool = False
    cut: bool = False


@dataclass(frozen=True, eq=False)
class Draft:
    """One image as a file has it.

    source: its file or its pixels, channels first; None where it was looked for and not found. size: as the file says.
    """

    name: str
    source: Path | Stored | None
    size: tuple[int, int] | None = None
    marks: list[Mark] = field(default_factory=list)
    group: str = ""


@dataclass(frozen=True, eq=False)
class _Kept:
    """A mark that holds: its edges, the categories it counts in, its mask."""

    box_px: Float[np.ndarray, " 4"]
    categories: Sequence[int]
    mask: Mask | None
    ignore: bool


def damaged(fault: WrongFormat) -> Shape:
    """A mask that cannot be drawn, for this reason."""

    def draw(height: int, width: int) -> Mask | None:
        del height, width
        raise fault

    return draw


def assemble(drafts: Iterable[Draft], categories: Sequence[str], options: ReadOptions, *, origin: str) -> AnnotatedSet:
    """The set. Raises FileMissing, WrongFormat or InputError at the first fault, or for a set without images."""
    names = tuple(options.categories or categories)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongFormat(f"{origin} has two categories '{twice}'.", hint="give each its own name")
    kept: dict[str, tuple[Draft, tuple[int, int], list[_Kept]]] = {}
    files: dict[Path, str] = {}
    lacking: list[str] = []
    for draft in drafts:
        lacking += [draft.name] if draft.source is None else []
        size = _size(draft, options)
        # a name that was not found as it stands may have been found elsewhere, where it is another image's
        first = files.get(draft.source) if isinstance(draft.source, Path) else None
        if draft.name in kept or first is not None:
            said = f"{draft.name}." if first in (None, draft.name) else f"for one file: {first} and {draft.name}."
            options.met(error("double-image", f"{origin} has two images {said}", f"{_REPAIR} drops one", draft.name))
        elif size is not None:
            if isinstance(draft.source, Path):
                files[draft.source] = draft.name
            marks = [_kept(mark, draft, size, names, options) for mark in draft.marks]
            kept[draft.name] = (draft, size, [mark for mark in marks if mark is not None])
    if not kept:
        if lacking:
            hint = "give the folder of the images, with --images on the command line"
            raise InputError(f"{origin}: none of its images is there, such as {lacking[0]}.", hint=hint)
        left_out = ": all were left out" if options.repair else ""
        raise InputError(f"{origin} has no image{left_out}.", hint="see whether it is the right file or folder")
    if not any(marks for _, _, marks in kept.values()):
        options.met(warning("no-objects", f"{origin} has no object in any image.", "mark some, or only search in it"))
    masked = _masked(kept, options, origin)
    images = [
        AnnotatedImage(draft.name, _given(draft), size, _objects(marks, masked=draft.name in masked), draft.group)
        for draft, size, marks in kept.values()
    ]
    return AnnotatedSet(tuple(images), names, origin)


def _given(draft: Draft) -> Path | Stored:
    if draft.source is None:
        raise FileMissing(f"The image {draft.name} does not exist.", hint="see where the images are")
    return draft.source


def _size(draft: Draft, options: ReadOptions) -> tuple[int, int] | None:
    """Height and width of the image that is there, or None where it is left out."""
    leave_out = f"{_REPAIR} leaves the image out"
    if draft.source is None:
        where = "give the folder of the images, or read with repair, which leaves the image out"
        options.met(error("image-missing", f"The image {draft.name} does not exist.", where, draft.name), FileMissing)
        return None
    if not isinstance(draft.source, Path):
        height, width = draft.source.shape[-2:]
        return int(height), int(width)
    try:
        channels, height, width = read_shape(draft.source)
        if options.repair and options.pixels:
            read_pixels(draft.source)
    except (FileMissing, WrongFormat) as fault:
        options.met(error("image-unreadable", fault.message, leave_out, draft.name), type(fault))
        return None
    if draft.size is not None and 0 not in draft.size and draft.size != (height, width):
        message = (
            f"The image {draft.name} has {height} x {width} pixels, its annotation says "
            f"{draft.size[0]} x {draft.size[1]}."
        )
        last = f"store it as [channel, y, x]: it seems to be [y, x, channel]; or {leave_out}"
        hint = last if draft.size == (channels, height) else leave_out
        options.met(error("size-differs", message, hint, draft.name))
        return None
    return height, width


def _kept(
    mark: Mark, draft: Draft, size: tuple[int, int], categories: Sequence[str], options: ReadOptions
) -> _Kept | None:
    """The mark where it holds or could be mended, None where it is left out."""
    place = f"{mark.where} of {draft.name}"
    drop = f"{_REPAIR} leaves the object out"
    named, ignore = _named(mark, place, draft.name, categories, options)
    mask = None
    if mark.mask is not None:
        try:
            mask = mark.mask(*size)
        except WrongFormat as fault:
            options.met(error("mask-damaged", f"The mask of {place}: {fault.message}", drop, draft.name))
            return None
        if mask is None:
            options.met(error("mask-empty", f"The mask of {place} has no pixel.", drop, draft.name))
            return None
    box = _box(mark, mask)
    width_px, height_px = box[2] - box[0], box[3] - box[1]
    text = ", ".join(f"{edge:.6g}" for edge in box)
    click = mask is None and width_px <= 1 and height_px <= 1
    if not np.isfinite(box).all() or width_px <= 0 or height_px <= 0 or click:
        message = f"The box ({text}) of {place} is {'a single pixel' if click else 'empty'}."
        options.met(error("degenerate-box", message, drop, draft.name))
        return None
    inside = _inside(box, size, mark, place, draft.name, options)
    return None if inside is None else _Kept(inside, named, mask, ignore)


def _named(
    mark: Mark, place: str, image: str, categories: Sequence[str], options: ReadOptions
) -> tuple[Sequence[int], bool]:
    """Categories in which a mark counts, and whether it is one to ignore."""
    if mark.category is not None and mark.category in categories:
        return [categories.index(mark.category)], mark.ignore
    if mark.category is not None:
        known = ", ".join(categories) or "none"
        message = f"{place[0].upper()}{place[1:]} is of the unknown category '{mark.category}'."
        hint = f"the categories are: {known}; name it, or read with repair, which ignores the object"
        options.met(error("unknown-category", message, hint, image))
    return range(len(categories)), True


def _box(mark: Mark, mask: Mask | None) -> Float[np.ndarray, " 4"]:
    if mark.box_px is not None:
        return np.array(mark.box_px, dtype=np.float64)
    return mask.box_px if mask is not None else np.zeros(4)


def _inside(
    box: Float[np.ndarray, " 4"], size: tuple[int, int], mark: Mark, place: str, image: str, options: ReadOptions
) -> Float[np.ndarray, " 4"] | None:
    """The part of a box inside the image, None where there is none."""
    height, width = size
    inside: Float[np.ndarray, " 4"] = np.clip(box, 0.0, np.array([width, height, width, height], dtype=np.float64))
    x, y = (box[:2] + box[2:]) / 2
    cut = mark.cut and 0 <= x <= width and 0 <= y <= height
    if not cut and (np.abs(inside - box) > _ROUNDING_PX).any():
        text = ", ".join(f"{edge:.6g}" for edge in box)
        message = f"The box ({text}) of {place} is not inside the image of {width} x {height} pixels."
        options.met(error("box-outside", message, f"{_REPAIR} cuts it off at the border", image))
    return inside if inside[2] > inside[0] and inside[3] > inside[1] else None


def _masked(
    kept: dict[str, tuple[Draft, tuple[int, int], list[_Kept]]], options: ReadOptions, origin: str
) -> frozenset[str]:
    """Names of the images whose objects all have masks; images without objects are among them if any other is."""
    asked = {name: [mark for mark in marks if not mark.ignore] for name, (_, _, marks) in kept.items()}
    some = [name for name, marks in asked.items() if any(mark.mask is not None for mark in marks)]
    without = [name for name, marks in asked.items() if any(mark.mask is None for mark in marks)]
    if some and without:
        message = f"{origin} has {len(without)} images with objects that have no mask, the first is {without[0]}."
        hint = "masks cannot be learned from this set; give every object its mask"
        options.met(warning("masks-partial", message, hint, *without))
    return frozenset(kept) - frozenset(without) if some else frozenset()


def _objects(marks: list[_Kept], *, masked: bool) -> Objects:
    each = [(mark, category) for mark in marks for category in mark.categories]
    return Objects(
        np.array([mark.box_px for mark, _ in each], dtype=np.float64).reshape(-1, 4),
        np.array([category for _, category in each], dtype=np.int64),
        tuple(mark.mask or _filled(mark.box_px) for mark, _ in each) if masked else None,
        np.array([mark.ignore for mark, _ in each], dtype=bool),
    )


def _filled(box: Float[np.ndarray, " 4"]) -> Mask:
    """All pixels that a box touches, as the mask of an object to ignore."""
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    return Mask(int(top), int(left), np.ones((bottom - top, right - left), dtype=bool))
