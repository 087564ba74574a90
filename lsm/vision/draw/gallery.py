"""The worst errors of a detector as small pictures side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from lsm.errors import InputError
from lsm.figures import INK, MUTED
from lsm.vision.data import AnnotatedSet, Mask, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import overlaps
from lsm.vision.draw._canvas import Canvas, Mark
from lsm.vision.draw._style import FALSE, MISNAMED, MISSED, letters, rgb
from lsm.vision.draw.channels import as_rgb
from lsm.vision.draw.pairing import LEAST_IOU, pair_up
from lsm.vision.draw.pictures import Picture

Kind = Literal["false", "missed", "wrongly named"]

COLOURS: dict[str, str] = {"false": FALSE, "missed": MISSED, "wrongly named": MISNAMED}
AROUND = 2.2
"""Side of a picture, in sides of the object."""
MIN_SIDE_PX = 24
NEAR_IOU = 0.1
THUMB_PX, COLUMNS, GAP_PX, TEXT_PX = 190, 6, 12, 14


@dataclass(frozen=True, eq=False)
class Case:
    """One error: where it is, what the labels and the detector say, and the score on which it is sorted.

    score: of the detection; of a missed object, the strongest detection of its category that overlaps it by a tenth or
    more (below the threshold, or too badly placed), 0 where there is none.
    """

    kind: Kind
    image: int
    name: str
    box_px: Float[np.ndarray, " 4"]
    mask: Mask | None
    labelled: str
    found: str
    score: float


def worst(
    data: AnnotatedSet,
    found: Sequence[Detections],
    kind: Kind,
    *,
    thresholds: Float[np.ndarray, " category"],
    most: int = 24,
    least_iou: float = LEAST_IOU,
) -> list[Case]:
    """The errors of one kind, worst first: false and wrongly named objects by falling score, missed ones by rising.

    found: all detections, also weak ones; those below the threshold of their category are not counted as found.
    Raises InputError where images and detections differ in number.
    """
    if len(found) != len(data):
        raise InputError(
            f"{len(found)} images were searched, the set has {len(data)}.", hint="give one Detections for each image"
        )
    cases = []
    for number, (image, everything) in enumerate(zip(data.images, found, strict=True)):
        kept = everything.above(thresholds)
        pairs = pair_up(image.objects, kept, least_iou=least_iou)
        here = _Place(number, image.name, data.categories)
        if kind == "false":
            cases += [here.case(kind, kept, int(k), score=float(kept.score[k])) for k in pairs.only_second]
        elif kind == "missed":
            weak = _strongest_near(image.objects.where(pairs.only_first), everything)
            told = zip(pairs.only_first.tolist(), weak, strict=True)
            cases += [here.case(kind, image.objects, k, score=score) for k, score in told]
        else:
            cases += [
                here.case(
                    kind, kept, second, score=float(kept.score[second]), labelled=int(image.objects.category[first])
                )
                for first, second in pairs.both.tolist()
                if image.objects.category[first] != kept.category[second]
            ]
    cases.sort(key=lambda one: one.score if kind == "missed" else -one.score)
    return cases[:most]


def draw_gallery(data: AnnotatedSet, cases: Sequence[Case], *, channels: Sequence[int] = ()) -> Picture:
    """The cases in their order, each with its surroundings, what is said of it, its score and its image's name.

    channels: see `as_rgb`. Raises InputError where there is no case.
    """
    if not cases:
        raise InputError("There are no errors to show.", hint="draw a gallery where there are some")
    tiles: dict[int, Image.Image] = {}
    for number in sorted({case.image for case in cases}):
        shown = as_rgb(data.images[number].pixels(), channels=channels)
        tiles |= {k: _tile(shown, case) for k, case in enumerate(cases) if case.image == number}
    columns = min(COLUMNS, len(cases))
    rows = -(-len(cases) // columns)
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + GAP_PX), "white")
    for k in range(len(cases)):
        place = (GAP_PX + k % columns * (width + GAP_PX), GAP_PX + k // columns * (height + GAP_PX))
        sheet.paste(tiles[k], place)
    return np.array(sheet)


@dataclass(frozen=True)
class _Place:
    """One image of the set."""

    number: int
    name: str
    categories: Sequence[str]

    def case(
        self, kind: Kind, marked: Objects | Detections, k: int, *, score: float, labelled: int | None = None
    ) -> Case:
        """The object as a case; `labelled` where the labels call it something else."""
        mask = marked.masks[k] if marked.masks is not None else None
        own = self.categories[int(marked.category[k])]
        other = "" if labelled is None else self.categories[labelled]
        label, found = (own, "") if kind == "missed" else (other, own)
        return Case(kind, self.number, self.name, marked.box_px[k], mask, label, found, score)


def _strongest_near(missed: Objects, found: Detections) -> list[float]:
    """Score of the strongest detection of the same category that overlaps each object by a tenth; 0 without one."""
    if len(found) == 0:
        return [0.0] * len(missed)
    near = overlaps(missed.box_px, found.box_px) >= NEAR_IOU
    same = missed.category[:, None] == found.category[None, :]
    return [float(score) for score in np.where(near & same, found.score[None, :], 0.0).max(axis=1)]


def _tile(shown: Picture, case: Case) -> Image.Image:
    """The object in its surroundings, and two lines about it."""
    x0, y0, x1, y1 = case.box_px
    side = max(MIN_SIDE_PX, round(AROUND * max(x1 - x0, y1 - y0)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    canvas = Canvas(_cut(shown, left, top, side), THUMB_PX / side)
    moved = None if case.mask is None else Mask(case.mask.top - top, case.mask.left - left, case.mask.inside)
    mark = Mark(case.box_px - [left, top, left, top], COLOURS[case.kind], dashed=case.kind == "missed", mask=moved)
    canvas.fill([mark], 0.0)
    canvas.outline([mark])
    tile = Image.new("RGB", (THUMB_PX, THUMB_PX + round(3.1 * TEXT_PX)), "white")
    tile.paste(Image.fromarray(canvas.with_key(())), (0, 0))
    draw = ImageDraw.Draw(tile)
    for line, (text, colour, bold) in enumerate(((_said(case), INK, True), (case.name, MUTED, False))):
        font = letters(TEXT_PX - 2 * line, bold=bold)
        place = (0, THUMB_PX + round(TEXT_PX * (0.95 + 1.35 * line)))
        draw.text(place, _shortened(text, font.getlength), font=font, fill=rgb(colour), anchor="lm")
    return tile


def _said(case: Case) -> str:
    if case.kind == "missed":
        return f"{case.labelled} {case.score:.2f}" if case.score > 0 else case.labelled
    return f"{case.found} {case.score:.2f}" + (f", is {case.labelled}" if case.labelled else "")


def _cut(shown: Picture, left: int, top: int, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A square of the image; what lies outside of it is grey."""
    piece = np.full((side, side, 3), 200, dtype=np.uint8)
    height, width = shown.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x0 < x1 and y0 < y1:
        piece[y0 - top : y1 - top, x0 - left : x1 - left] = shown[y0:y1, x0:x1]
    return piece


def _shortened(text: str, length: Callable[[str], float]) -> str:
    """The text, or as much of its end as fits: names of images differ at their end."""
    if length(text) <= THUMB_PX:
        return text
    end = next(text[k:] for k in range(1, len(text) + 1) if length("..." + text[k:]) <= THUMB_PX)
    return "..." + end
