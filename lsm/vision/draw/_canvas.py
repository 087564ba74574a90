"""Lines, filled outlines, labels that keep clear of each other, and a key below the image."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from lsm.figures import INK, MUTED
from lsm.vision.data import Mask
from lsm.vision.draw._style import ink_on, letters, rgb

Rect = tuple[float, float, float, float]

SMALLEST_TEXT_PX, LARGEST_TEXT_PX = 11, 40
MOST_HIDDEN = 0.2
"""Part of an object's box that a label may cover."""

AROUND = "#10151a"
"""The dark rim that keeps a line visible on bright ground."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One object to draw: edges in image pixels, label and the same in short where there is no room for it."""

    box_px: Float[np.ndarray, " 4"]
    colour: str
    label: str = ""
    short: str = ""
    dashed: bool = False
    heavy: bool = False
    mask: Mask | None = None


@dataclass(frozen=True)
class Key:
    """One entry of the key."""

    text: str
    colour: str
    dashed: bool = False


class Canvas:
    """An image, enlarged or shrunk by `scale`, to draw on."""

    def __init__(self, image: UInt8[np.ndarray, "y x 3"], scale: float) -> None:
        height, width = image.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        way = Image.Resampling.BICUBIC if scale >= 1 else Image.Resampling.LANCZOS
        self._image = Image.fromarray(image) if scale == 1 else Image.fromarray(image).resize(size, way)
        self._scale = np.array([size[0] / width, size[1] / height] * 2)
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, marks: Sequence[Mark], opacity: float) -> None:
        """Masks as translucent areas with a solid rim."""
        pixels = np.array(self._image)
        line = self._line_px(marks)
        for mark in marks:
            if mark.mask is not None:
                self._fill_one(pixels, mark.mask, np.array(rgb(mark.colour)), opacity, max(1, line - 1))
        self._image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self._image)

    def outline(self, marks: Sequence[Mark]) -> None:
        """Boxes, drawn around what they hold so that its edge stays visible; dashed ones for marks that say so."""
        line = self._line_px(marks)
        for mark in marks:
            width = line + max(1, line // 2) if mark.heavy else line
            rim = max(1, width // 3) if line > 1 else 0
            if rim:
                _frame(self._draw, self._around(mark, width + rim), AROUND, width + 2 * rim, dashed=False)
            _frame(self._draw, self._around(mark, width), mark.colour, width, dashed=mark.dashed)

    def label(self, marks: Sequence[Mark]) -> None:
        """Labels where they hide neither each other nor much of any object; shorter, or none, where there is no room.

        The key tells what colours mean, so that crowded fields need no labels.
        """
        if not marks:
            return
        size = self._text_px(marks)
        boxes = np.stack([mark.box_px for mark in marks]) * self._scale
        taken = np.zeros((0, 4))
        for mark, box in zip(marks, boxes, strict=True):
            for text in dict.fromkeys(filter(None, (mark.label, mark.short))):
                place = self._free_place(text, size, box, boxes, taken)
                if place is not None:
                    self._plate(place, text, size, mark.colour)
                    taken = np.concatenate([taken, np.array([place])])
                    break

    def with_key(self, entries: Sequence[Key], note: str = "") -> UInt8[np.ndarray, "y x 3"]:
        """The drawn image with a key below it where there are entries."""
        if not entries:
            return np.array(self._image)
        size = self._base_text_px()
        strip = _key_strip(entries, note, self._image.width, size)
        whole = Image.new("RGB", (self._image.width, self._image.height + strip.height), "white")
        whole.paste(self._image, (0, 0))
        whole.paste(strip, (0, self._image.height))
        return np.array(whole)

    def _base_text_px(self) -> int:
        longest = max(self._image.size)
        return int(np.clip(round(longest / 55), SMALLEST_TEXT_PX + 2, LARGEST_TEXT_PX))

    def _typical_side(self, marks: Sequence[Mark]) -> float:
        if not marks:
            return float(max(self._image.size))
        boxes = np.stack([mark.box_px for mark in marks]) * self._scale
        return float(np.median(np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1), axis=1))))

    def _line_px(self, marks: Sequence[Mark]) -> int:
        """Thick enough to be seen when the whole picture fits a screen, thin enough not to hide small objects."""
        wanted = max(2.0, max(self._image.size) / 300)
        return int(np.clip(round(min(wanted, self._typical_side(marks) / 14)), 1, 12))

    def _text_px(self, marks: Sequence[Mark]) -> int:
        return int(np.clip(round(self._typical_side(marks) * 0.3), SMALLEST_TEXT_PX, self._base_text_px()))

    def _fill_one(
        self, pixels: UInt8[np.ndarray, "y x 3"], mask: Mask, colour: np.ndarray, opacity: float, rim: int
    ) -> None:
        inside, top, left = self._placed(mask)
        if inside.size == 0:
            return
        area = pixels[top : top + inside.shape[0], left : left + inside.shape[1]]
        edge = inside & ~binary_erosion(inside, iterations=rim)
        area[inside] = np.round(area[inside] * (1 - opacity) + colour * opacity).astype(np.uint8)
        area[edge] = colour

    def _placed(self, mask: Mask) -> tuple[Bool[np.ndarray, "y x"], int, int]:
        """A mask in the pixels of the canvas, cut at its edges, with its first row and column."""
        x0, y0, x1, y1 = np.round(mask.box_px * self._scale).astype(int)
        piece = Image.fromarray(mask.inside.astype(np.uint8) * 255)
        large = np.array(piece.resize((max(1, x1 - x0), max(1, y1 - y0)), Image.Resampling.BILINEAR)) >= 128
        rows = slice(max(0, -y0), max(0, self._image.height - y0))
        columns = slice(max(0, -x0), max(0, self._image.width - x0))
        return large[rows, columns], max(0, int(y0)), max(0, int(x0))

    def _around(self, mark: Mark, width: int) -> Rect:
        """The box widened on all sides, as far as the image goes."""
        x0, y0, x1, y1 = (float(edge) for edge in mark.box_px * self._scale)
        right, bottom = float(self._image.width), float(self._image.height)
        return max(x0 - width, 0.0), max(y0 - width, 0.0), min(x1 + width, right), min(y1 + width, bottom)

    def _free_place(
        self,
        text: str,
        size: int,
        box: np.ndarray,
        boxes: Float[np.ndarray, "object 4"],
        taken: Float[np.ndarray, "label 4"],
    ) -> Rect | None:
        width, height = _plate_size(text, size)
        x0, y0, x1, y1 = (float(edge) for edge in box)
        for top in (y0 - height, y0, y1):
            for left in (x0, x1 - width):
                place = (left, top, left + width, top + height)
                seen = left >= 0 and top >= 0 and place[2] <= self._image.width and place[3] <= self._image.height
                if seen and not _covered(place, taken).any() and _covered(place, boxes).max() <= MOST_HIDDEN:
                    return place
        return None

    def _plate(self, place: Rect, text: str, size: int, colour: str) -> None:
        self._draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=rgb(colour))
        middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
        self._draw.text(middle, text, font=letters(size, bold=True), fill=ink_on(colour), anchor="mm")


def _covered(place: Rect, boxes: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, " box"]:
    """Which part of each box lies under this place."""
    low = np.maximum(boxes[:, :2], place[:2])
    high = np.minimum(boxes[:, 2:], place[2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    covered: Float[np.ndarray, " box"] = shared / np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1)
    return covered


def _plate_size(text: str, size: int) -> tuple[float, float]:
    return letters(size, bold=True).getlength(text) + 0.6 * size, 1.35 * size


def _frame(draw: ImageDraw.ImageDraw, box: Rect, colour: str, width: int, *, dashed: bool) -> None:
    """A rectangle whose lines lie inside its edges."""
    x0, y0 = round(box[0]), round(box[1])
    x1, y1 = max(x0, round(box[2]) - 1), max(y0, round(box[3]) - 1)
    fill = rgb(colour)
    if not dashed:
        draw.rectangle((x0, y0, x1, y1), outline=fill, width=width)
        return
    for left, right in _dashes(x0, x1, width):
        draw.rectangle((left, y0, right, min(y1, y0 + width - 1)), fill=fill)
        draw.rectangle((left, max(y0, y1 - width + 1), right, y1), fill=fill)
    for top, bottom in _dashes(y0, y1, width):
        draw.rectangle((x0, top, min(x1, x0 + width - 1), bottom), fill=fill)
        draw.rectangle((max(x0, x1 - width + 1), top, x1, bottom), fill=fill)


def _dashes(start: int, end: int, width: int) -> Iterable[tuple[int, int]]:
    """First and last pixels of pieces as long as the gaps between them; a piece at either end."""
    gaps = max(1, round((end - start) / (6 * width)))
    step = (end + 1 - start) / (2 * gaps + 1)
    for k in range(gaps + 1):
        first = start + round(2 * k * step)
        yield first, max(first, start + round((2 * k + 1) * step) - 1)


def _key_strip(entries: Sequence[Key], note: str, width: int, size: int) -> Image.Image:
    """Colours and their meaning, in as many lines as they need, and a note below."""
    font, gap, line = letters(size), size, round(1.7 * size)
    places, x, y = [], gap, round(0.5 * size)
    for entry in entries:
        wide = round(1.6 * size + font.getlength(entry.text))
        if x > gap and x + wide > width - gap:
            x, y = gap, y + line
        places.append((x, y))
        x += wide + gap
    notes = list(_wrapped(note, font.getlength, width - 2 * gap))
    strip = Image.new("RGB", (width, y + line + line * len(notes) + round(0.3 * size)), "white")
    draw = ImageDraw.Draw(strip)
    for entry, (left, top) in zip(entries, places, strict=True):
        box = (left, top + 0.15 * size, left + 1.2 * size, top + 1.35 * size)
        thick = max(2, size // 6)
        _frame(draw, (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), AROUND, thick + 2, dashed=False)
        _frame(draw, box, entry.colour, thick, dashed=entry.dashed)
        draw.text((left + 1.6 * size, top + 0.75 * size), entry.text, font=font, fill=INK, anchor="lm")
    for number, text in enumerate(notes, 1):
        draw.text((gap, y + line * number + 0.6 * size), text, font=font, fill=MUTED, anchor="lm")
    return strip


def _wrapped(text: str, length: Callable[[str], float], width: float) -> Iterable[str]:
    words = text.split()
    while words:
        count = 1
        while count < len(words) and length(" ".join(words[: count + 1])) <= width:
            count += 1
        yield " ".join(words[:count])
        words = words[count:]
