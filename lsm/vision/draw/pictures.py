"""Objects drawn into their image, alone or a detector's against those marked by hand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import UInt8
from PIL import Image

from lsm.config import Config
from lsm.errors import InputError
from lsm.vision.data import Boxes, Objects, Pixels
from lsm.vision.detect.detections import Detections
from lsm.vision.draw._canvas import Canvas, Key, Mark
from lsm.vision.draw._style import FALSE, HIT, IGNORED, MISNAMED, MISSED, PALETTE, category_colour
from lsm.vision.draw.channels import as_rgb
from lsm.vision.draw.pairing import pair_up

Picture = UInt8[np.ndarray, "row column 3"]

SMALL_PX = 1000
"""Images whose longer side is shorter are enlarged, by a whole factor, so that lines and words fit."""


class Look(Config):
    """What is drawn and how.

    colour_by: one colour for each category, or neighbouring objects in different ones. channels: see `as_rgb`.
    opacity: of masks. longest_px: longer side of the picture; 0 keeps the image's pixels and enlarges small ones.
    """

    colour_by: Literal["category", "object"] = "category"
    boxes: bool = True
    masks: bool = True
    labels: bool = True
    scores: bool = True
    key: bool = True
    opacity: Annotated[float, Ge(0), Le(1)] = 0.4
    channels: tuple[int, ...] = ()
    longest_px: Annotated[int, Ge(0)] = 0


def draw_objects(
    pixels: Pixels, marked: Objects | Detections, categories: Sequence[str], *, look: Look | None = None
) -> Picture:
    """The image with boxes, masks, names and scores, and a key with the number of each category.

    Marks to ignore are grey and dashed. Raises InputError for a category without a name.
    """
    look = look or Look()
    _check(marked, categories)
    colours = _colours(marked, look)
    marks = []
    for k, (colour, dashed) in enumerate(colours):
        name = "ignored" if _ignored(marked, k) else categories[int(marked.category[k])]
        label, short = _words(name, marked, k, look)
        mask = marked.masks[k] if marked.masks is not None and look.masks else None
        marks.append(Mark(marked.box_px[k], colour, label, short, dashed, mask=mask))
    return _painted(pixels, marks, look, _category_keys(marked, categories, look))


@dataclass(frozen=True)
class Told:
    """What the key calls the objects that both sources marked, one of them, or both with another name."""

    both: str = "found"
    only_first: str = "missed"
    only_second: str = "false"
    other_name: str = "wrongly named"


def draw_overlay(
    pixels: Pixels,
    objects: Objects,
    found: Objects | Detections,
    categories: Sequence[str],
    *,
    look: Look | None = None,
    told: Told | None = None,
) -> Picture:
    """What was found against what is marked: hits, missed (dashed), false (thick) and wrongly named objects.

    `pair_up` says which marks are the same object; those to ignore are grey and dashed.
    Raises InputError for a category without a name.
    """
    look, told = look or Look(), told or Told()
    _check(objects, categories)
    _check(found, categories)
    pairs = pair_up(objects, found)
    marks, hits = [], 0
    for first, second in pairs.both.tolist():
        real, named = (categories[int(source.category[k])] for source, k in ((objects, first), (found, second)))
        _, score = _words("", found, second, look)
        if real == named:
            hits += 1
            marks.append(_mark(found, second, look, HIT, (score, score)))
        else:
            marks.append(_mark(found, second, look, MISNAMED, (f"{named}, is {real}", score), heavy=True))
    for k in pairs.only_second.tolist():
        words = _words(categories[int(found.category[k])], found, k, look)
        marks.append(_mark(found, k, look, FALSE, words, heavy=True))
    for k in pairs.only_first.tolist():
        words = _words(categories[int(objects.category[k])], objects, k, look)
        marks.append(_mark(objects, k, look, MISSED, words, dashed=True))
    skipped = np.flatnonzero(objects.ignore).tolist()
    marks += [_mark(objects, k, look, IGNORED, ("", ""), dashed=True) for k in skipped]
    # what went wrong is labelled first and drawn last
    marks.sort(key=lambda mark: mark.colour in (HIT, IGNORED))
    keys = [
        Key(f"{told.both} ({hits})", HIT),
        Key(f"{told.only_first} ({len(pairs.only_first)})", MISSED, dashed=True),
        Key(f"{told.only_second} ({len(pairs.only_second)})", FALSE),
        Key(f"{told.other_name} ({len(pairs.both) - hits})", MISNAMED),
    ]
    if skipped:
        keys.append(Key(f"ignored ({len(skipped)})", IGNORED, dashed=True))
    return _painted(pixels, marks, look, keys)


def save_png(picture: Picture, path: Path) -> Path:
    """Write a picture and return its path; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, "PNG", compress_level=4)
    return path


def _painted(pixels: Pixels, marks: Sequence[Mark], look: Look, keys: Sequence[Key]) -> Picture:
    canvas = Canvas(as_rgb(pixels, channels=look.channels), _scale(pixels.shape[1:], look))
    if look.masks:
        canvas.fill(marks[::-1], look.opacity)
    if look.boxes:
        canvas.outline(marks[::-1])
    if look.labels:
        canvas.label(marks)
    return canvas.with_key(keys if look.key else ())


def _scale(size: tuple[int, ...], look: Look) -> float:
    longest = max(size)
    if look.longest_px:
        return look.longest_px / longest
    return float(max(1, -(-SMALL_PX // longest)))


def _mark(
    source: Objects | Detections,
    k: int,
    look: Look,
    colour: str,
    words: tuple[str, str],
    *,
    dashed: bool = False,
    heavy: bool = False,
) -> Mark:
    mask = source.masks[k] if source.masks is not None and look.masks else None
    return Mark(source.box_px[k], colour, words[0], words[1], dashed, heavy, mask)


def _words(name: str, marked: Objects | Detections, k: int, look: Look) -> tuple[str, str]:
    """The label, and what is left of it where there is no room."""
    score = f"{marked.score[k]:.2f}" if isinstance(marked, Detections) and look.scores else ""
    return f"{name} {score}".strip(), score


def _ignored(marked: Objects | Detections, k: int) -> bool:
    return isinstance(marked, Objects) and bool(marked.ignore[k])


def _colours(marked: Objects | Detections, look: Look) -> list[tuple[str, bool]]:
    """Colour of each object and whether its lines are dashed."""
    if look.colour_by == "category":
        chosen = [category_colour(int(category)) for category in marked.category]
    else:
        chosen = [(PALETTE[k], False) for k in _apart(marked.box_px)]
    return [(IGNORED, True) if _ignored(marked, k) else colour for k, colour in enumerate(chosen)]


def _apart(boxes: Boxes) -> list[int]:
    """A colour number for each box, that of the fewest and furthest of those already coloured near it."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    numbers: list[int] = []
    for k in range(len(boxes)):
        near = 1 / (1 + ((centre[:k] - centre[k]) ** 2).sum(axis=1))
        crowd = np.bincount(np.array(numbers, dtype=np.int64), near, minlength=len(PALETTE))
        numbers.append(int(crowd.argmin()))
    return numbers


def _category_keys(marked: Objects | Detections, categories: Sequence[str], look: Look) -> list[Key]:
    if look.colour_by == "object":
        return []
    keep = ~marked.ignore if isinstance(marked, Objects) else np.ones(len(marked), dtype=bool)
    counted = Counter(marked.category[keep].tolist())
    keys = [Key(f"{categories[k]} ({counted[k]})", *category_colour(k)) for k in sorted(counted)]
    if not keep.all():
        keys.append(Key(f"ignored ({int((~keep).sum())})", IGNORED, dashed=True))
    return keys


def _check(marked: Objects | Detections, categories: Sequence[str]) -> None:
    if len(marked) and int(marked.category.max()) >= len(categories):
        raise InputError(
            f"An object has the category {int(marked.category.max())}; {len(categories)} have names.",
            hint="give the names of the set or of the detector that it comes from",
        )
