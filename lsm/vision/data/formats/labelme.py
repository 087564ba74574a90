"""LabelMe's JSON: one file for each image, shapes drawn by hand."""

import base64
import binascii
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.data.findings import error
from lsm.vision.data.formats._draft import Draft, Edges, Mark, ReadOptions, Shape, assemble
from lsm.vision.data.formats._files import ImageFinder
from lsm.vision.data.formats._json import Node, load
from lsm.vision.data.objects import AnnotatedSet, Mask
from lsm.vision.data.outlines import Outline, box_of_outlines, mask_of_disc, mask_of_outlines
from lsm.vision.data.pixels import Stored, decode_stored


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a folder of LabelMe files, or of one file.

    Shapes are polygon, rectangle, circle (centre and a point on it), point (a box of `side_px` around it) and mask.
    Polygons of one label and group_id are parts of one object. Points are in pixel edges. Where the image is not
    there, the copy in imageData is used. Categories are in alphabetical order.
    Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    files = labelme_files(path)
    folder = files[0].parent if files else path
    finder = ImageFinder(
        [options.images, folder, folder.parent, folder / "images", folder.parent / "images"], options.tell
    )
    drafts = [_draft(load(file), file, finder, options) for file in files]
    named = {mark.category for draft in drafts for mark in draft.marks if mark.category is not None}
    return assemble(drafts, sorted(named), options, origin=f"LabelMe annotations {path.name}")


def labelme_files(path: Path) -> list[Path]:
    """The JSON files that a path stands for, by name. Raises FileMissing."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileMissing(f"The annotations {path} do not exist.", hint="check the path")
    return sorted(path.glob("*.json"))


def _draft(root: Node, file: Path, finder: ImageFinder, options: ReadOptions) -> Draft:
    named = root.get("imagePath")
    image_path = "" if named is None else named.text()
    source: Path | Stored | None = finder.find(image_path) if image_path else finder.find(file.stem)
    held = root.get("imageData")
    if source is None and held is not None:
        source = _decoded(held)
    height, width = root.get("imageHeight"), root.get("imageWidth")
    size = None if height is None or width is None else (height.whole(), width.whole())
    name = image_path.replace("\\", "/").rsplit("/", 1)[-1] or file.stem
    parts: dict[tuple[object, ...], list[Node]] = {}
    for number, shape in enumerate(root.key("shapes").items(), start=1):
        group = shape.get("group_id")
        key = (number,) if group is None else (shape.key("label").text(), group.identity())
        parts.setdefault(key, []).append(shape)
    marks = [_mark(shapes, name, options) for shapes in parts.values()]
    return Draft(name=name, source=source, size=size, marks=[mark for mark in marks if mark is not None])


def _decoded(node: Node) -> Stored:
    try:
        data = base64.b64decode(node.text(), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise WrongFormat(f"{node.where} is no base64: {fault}.", hint="give the image as a file") from fault
    return decode_stored(data, node.where)


def _mark(shapes: Sequence[Node], image: str, options: ReadOptions) -> Mark | None:
    """One object from the shapes of its parts, or None for a shape that outlines nothing."""
    first = shapes[0]
    kinds = {_kind(shape) for shape in shapes}
    place, label = first.where.rsplit(".", 1)[-1], first.key("label").text()
    short = next((shape for shape in shapes if _kind(shape) in _POINTS and not _whole(shape)), None)
    if short is not None:
        fault = short.key("points").wrong(_POINTS[_kind(short)][1])
        hint = "draw it anew, or read with repair, which leaves the object out"
        options.met(error("degenerate-box", fault.message, hint, image))
        return None
    if kinds == {"polygon"}:
        outlines = [shape.key("points").corners() for shape in shapes]
        x0, y0, x1, y1 = box_of_outlines(outlines).tolist()
        return Mark(place, (x0, y0, x1, y1), label, _polygons(outlines))
    if len(shapes) == 1 and (kind := kinds.pop()) in _DRAW:
        edges, draw = _DRAW[kind](first, options)
        return Mark(place, edges, label, draw, cut=kind == "point")
    kind = ", ".join(sorted({_kind(shape) for shape in shapes}))
    what = f"{place} of {image} is a {kind}" if len(shapes) == 1 else f"{place} of {image} is grouped of {kind}"
    hint = "draw polygons, rectangles, circles or points, or read with repair, which leaves the shape out"
    options.met(error("unknown-shape", f"{what[0].upper()}{what[1:]}, which outlines no object.", hint, image))
    return None


def _kind(shape: Node) -> str:
    held = shape.get("shape_type")
    return "polygon" if held is None else held.text()


def _whole(shape: Node) -> bool:
    """Whether a shape has as many points as its kind."""
    return len(shape.key("points").corners()) in _POINTS[_kind(shape)][0]


def _polygons(outlines: list[Outline]) -> Shape:
    return lambda height, width: mask_of_outlines(outlines, height, width)


def _rectangle(shape: Node, options: ReadOptions) -> tuple[Edges, Shape | None]:
    del options
    corners = shape.key("points").corners()
    x0, y0, x1, y1 = box_of_outlines([corners]).tolist()
    return (x0, y0, x1, y1), None


def _circle(shape: Node, options: ReadOptions) -> tuple[Edges, Shape | None]:
    del options
    (x, y), (on_x, on_y) = shape.key("points").corners().tolist()
    radius = math.hypot(on_x - x, on_y - y)
    return (x - radius, y - radius, x + radius, y + radius), lambda height, width: mask_of_disc(
        x, y, radius, height, width
    )


def _point(shape: Node, options: ReadOptions) -> tuple[Edges, Shape | None]:
    points = shape.key("points").corners()
    if options.side_px is None:
        raise InputError(f"{shape.where} is a point.", hint="say with side_px (--side-px) how wide an object is")
    (x, y), half = points[0].tolist(), options.side_px / 2
    return (x - half, y - half, x + half, y + half), None


def _mask(shape: Node, options: ReadOptions) -> tuple[Edges, Shape | None]:
    """A picture of the object, between two corners whose pixels belong to it."""
    del options
    corners = shape.key("points").corners()
    held = _decoded(shape.key("mask"))
    inside = (held if held.ndim == 2 else held.any(axis=0)) > 0
    left, top, last_x, last_y = (round(edge) for edge in box_of_outlines([corners]).tolist())
    edges = (float(left), float(top), last_x + 1.0, last_y + 1.0)

    def draw(height: int, width: int) -> Mask | None:
        if inside.shape != (last_y + 1 - top, last_x + 1 - left):
            raise WrongFormat(f"It has {inside.shape} pixels, its corners say otherwise.", hint="draw it anew")
        whole = Mask(top, left, inside).whole(height, width)
        return Mask.of(whole) if whole.any() else None

    return edges, draw


_POINTS = {
    "polygon": (range(3, sys.maxsize), "a polygon of at least three points"),
    "rectangle": ((2, 4), "two or four corners"),
    "circle": ((2,), "a centre and a point of the circle"),
    "point": ((1,), "one point"),
    "mask": ((2,), "two corners"),
}
"""How many points a shape of each kind has, and what they are."""

_DRAW = {"rectangle": _rectangle, "circle": _circle, "point": _point, "mask": _mask}
