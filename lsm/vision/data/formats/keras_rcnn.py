"""The JSON of Keras R-CNN: a list of images, each with its objects."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from PIL import Image

from lsm.errors import WrongFormat
from lsm.sensing.wholefolder import whole_folder
from lsm.vision.data.formats._draft import Draft, Edges, Mark, ReadOptions, Shape, assemble
from lsm.vision.data.formats._files import ImageFinder, folder_beside, place_images, written_name
from lsm.vision.data.formats._json import Node, load
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet, Mask
from lsm.vision.data.pixels import read_shape, read_stored
from lsm.wholefile import write_whole


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a Keras R-CNN file; the objects of an image stand beside it or inside it.

    A bounding box runs from its minimum (r, c) to its maximum, which is the first pixel after it: published files have
    maxima equal to the side of the image, and their readers take differences for sizes. A mask is a picture of the
    whole image, not 0 in the object. The kind of an object is its category, in older files its class. Categories are
    in alphabetical order. checksum is not compared. "name", "group" and "ignore" are this project's own additions.
    Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    drafts = read_drafts(path, options)
    named = {mark.category for draft in drafts for mark in draft.marks if mark.category is not None}
    return assemble(drafts, sorted(named), options, origin=f"Keras R-CNN annotations {path.name}")


def read_drafts(path: Path, options: ReadOptions, *, unsure: frozenset[str] = frozenset()) -> list[Draft]:
    """The images of a file. unsure: categories that say that an object could not be named."""
    here = path.parent
    finder = ImageFinder([options.images, here, here / "images", here.parent, here.parent / "images"], options.tell)
    return [_draft(entry, finder, unsure) for entry in load(path).items()]


def write(data: AnnotatedSet, path: Path) -> None:
    """Write a set as Keras R-CNN has it, objects beside their image; each mask becomes a PNG in a folder beside it.

    Whole edges are written as whole numbers. checksum is the MD5 sum of the image file.
    Raises InputError where there is no folder for the file, or the new one exists.
    """
    masked = any(image.objects.masks for image in data.images)
    masks = folder_beside(path, "masks") if masked else path
    with whole_folder(masks) if masked else nullcontext(masks) as part:
        objects = [_objects(image, k, data.categories, masks, part) for k, image in enumerate(data.images)]
        files = place_images(data, path)
    entries = [
        {"image": _image_entry(image, file, path), "objects": held}
        for image, file, held in zip(data.images, files, objects, strict=True)
    ]
    write_whole(path, json.dumps(entries))


def _image_entry(image: AnnotatedImage, file: Path, path: Path) -> dict[str, Any]:
    pathname = written_name(file, path)
    channels, height, width = read_shape(file)
    entry = {
        "checksum": _checksum(file),
        "pathname": pathname,
        "shape": {"r": height, "c": width, "channels": channels},
    }
    name = {} if image.name == pathname else {"name": image.name}
    return entry | name | ({"group": image.group} if image.group else {})


def _objects(
    image: AnnotatedImage, number: int, categories: Sequence[str], masks: Path, part: Path
) -> list[dict[str, Any]]:
    """The objects of an image, whose masks are in the folder `masks` once it is no longer called `part`."""
    found, objects = [], image.objects
    for k in range(len(objects)):
        x0, y0, x1, y1 = (int(edge) if edge == int(edge) else float(edge) for edge in objects.box_px[k])
        entry: dict[str, Any] = {
            "bounding_box": {"minimum": {"r": y0, "c": x0}, "maximum": {"r": y1, "c": x1}},
            "category": categories[objects.category[k]],
            "mask": None,
        }
        if objects.masks is not None:
            name = f"{number:05d}_{k:04d}.png"
            Image.fromarray(objects.masks[k].whole(*image.size)).save(part / name)
            entry["mask"] = {"checksum": _checksum(part / name), "pathname": f"{masks.name}/{name}"}
        found.append(entry | ({"ignore": True} if objects.ignore[k] else {}))
    return found


def _checksum(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _draft(entry: Node, finder: ImageFinder, unsure: frozenset[str]) -> Draft:
    image = entry.key("image")
    pathname = image.key("pathname").text()
    name, group, shape = image.get("name"), image.get("group"), image.get("shape")
    objects = entry.get("objects") or image.get("objects")
    if objects is None:
        raise WrongFormat(f"{entry.where} has no 'objects', nor has its image.", hint="write an empty list for none")
    return Draft(
        name=pathname.lstrip("/") if name is None else name.text(),
        source=finder.find(pathname),
        size=None if shape is None else (shape.key("r").whole(), shape.key("c").whole()),
        marks=[_mark(each, number, finder, unsure) for number, each in enumerate(objects.items(), start=1)],
        group="" if group is None else str(group.identity()),
    )


def _mark(entry: Node, number: int, finder: ImageFinder, unsure: frozenset[str]) -> Mark:
    category = (entry.get("category") or entry.key("class")).text()
    box, mask = entry.key("bounding_box"), entry.get("mask")
    (y0, x0), (y1, x1) = (_corner(box.key(end)) for end in ("minimum", "maximum"))
    edges: Edges = (x0, y0, x1, y1)
    draw = None if mask is None else _picture(mask, finder)
    return Mark(f"object {number}", edges, None if category in unsure else category, draw, entry.flag("ignore"))


def _corner(node: Node) -> tuple[float, float]:
    return node.key("r").number(), node.key("c").number()


def _picture(node: Node, finder: ImageFinder) -> Shape:
    pathname = node.key("pathname").text()

    def draw(height: int, width: int) -> Mask | None:
        file = finder.find(pathname)
        if file is None:
            raise WrongFormat(f"The picture {pathname} does not exist.", hint="see where the masks are")
        held = read_stored(file, palette=False)
        inside = (held if held.ndim == 2 else held.any(axis=0 if held.shape[1:] == (height, width) else -1)) != 0
        if inside.shape != (height, width):
            raise WrongFormat(f"{pathname} has {inside.shape} pixels.", hint=f"it must have {(height, width)}")
        return Mask.of(inside) if inside.any() else None

    return draw
