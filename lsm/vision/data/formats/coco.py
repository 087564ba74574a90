"""COCO's JSON for object detection: boxes, polygons and run lengths."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsm.errors import WrongFormat
from lsm.vision.data.findings import error
from lsm.vision.data.formats._draft import Draft, Edges, Mark, ReadOptions, Shape, assemble, damaged
from lsm.vision.data.formats._files import ImageFinder, place_images, written_name
from lsm.vision.data.formats._json import Node, load
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet, Mask
from lsm.vision.data.outlines import Outline, box_of_outlines, mask_of_outlines
from lsm.vision.data.rle import mask_from_runs, runs_from_mask, runs_from_text, text_from_runs
from lsm.wholefile import write_whole

Identity = int | str


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a COCO file ("images", "annotations", "categories").

    bbox is [x, y, width, height] in pixel edges; segmentation holds polygons or run lengths, as numbers or as text.
    iscrowd makes an object one to ignore. Categories are ordered by their ids. Images are looked for beside the file,
    in its folder images, and in the folders that COCO itself uses. "name" and "group" of an image are this project's
    own additions; see `write`. Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    root = load(path)
    names = _names(root.key("categories"))
    finder = ImageFinder(_folders(path, options), options.tell)
    drafts: dict[Identity, Draft] = {}
    for entry in root.key("images").items():
        number = entry.key("id").identity()
        if number in drafts:
            raise WrongFormat(f"{entry.where} has the id {number} of another image.", hint="number images anew")
        drafts[number] = _draft(entry, finder)
    for entry in root.key("annotations").items():
        number = entry.key("image_id").identity()
        if number in drafts:
            mark = _mark(entry, names, drafts[number].name, options)
            drafts[number].marks.extend([] if mark is None else [mark])
        else:
            hint = "mend the annotations, or read them with repair, which leaves the object out"
            options.met(error("no-image", f"{entry.where} belongs to no image: there is no id {number}.", hint))
    return assemble(drafts.values(), list(names.values()), options, origin=_origin(root, path))


def _origin(root: Node, path: Path) -> str:
    """The file's own description, where it has one."""
    info = root.get("info")
    told = None if info is None else info.get("description")
    return str(told.value) if told is not None and told.value else f"COCO annotations {path.name}"


def write(data: AnnotatedSet, path: Path) -> None:
    """Write a set as COCO, masks as text of run lengths; images in memory are written beside it.

    An image of another name than its file has it under "name", its group under "group"; other programs pass over both.
    Raises InputError where there is no folder for the file, or one for images exists already.
    """
    files = place_images(data, path)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (image, file) in enumerate(zip(data.images, files, strict=True), start=1):
        images.append(_image_entry(image, number, written_name(file, path)))
        annotations += _annotations(image, number, len(annotations) + 1)
    root = {
        "info": {"description": data.origin},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(data.categories, start=1)],
    }
    write_whole(path, json.dumps(root))


def _image_entry(image: AnnotatedImage, number: int, file_name: str) -> dict[str, Any]:
    entry = {"id": number, "file_name": file_name, "height": image.size[0], "width": image.size[1]}
    name = {} if image.name == file_name else {"name": image.name}
    return entry | name | ({"group": image.group} if image.group else {})


def _annotations(image: AnnotatedImage, number: int, first: int) -> list[dict[str, Any]]:
    found, objects = [], image.objects
    for k in range(len(objects)):
        x0, y0, x1, y1 = objects.box_px[k].tolist()
        mask = None if objects.masks is None else objects.masks[k]
        entry = {
            "id": first + k,
            "image_id": number,
            "category_id": int(objects.category[k]) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0) if mask is None else mask.area_px,
            "iscrowd": int(objects.ignore[k]),
        }
        if mask is not None:
            counts = text_from_runs(runs_from_mask(mask, *image.size))
            entry["segmentation"] = {"size": list(image.size), "counts": counts}
        found.append(entry)
    return found


def _names(entries: Node) -> dict[Identity, str]:
    """Names of the categories by id, in the order of the ids."""
    found: dict[Identity, str] = {}
    for entry in entries.items():
        number = entry.key("id").identity()
        if number in found:
            raise WrongFormat(f"{entry.where} has the id {number} of another category.", hint="number them anew")
        found[number] = entry.key("name").text()
    return dict(sorted(found.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))


def _folders(path: Path, options: ReadOptions) -> Sequence[Path | None]:
    here, above = path.parent, path.parent.parent
    # COCO keeps annotations/instances_train2017.json beside train2017/
    split = path.stem.removeprefix("instances_")
    return [options.images, here, here / "images", here / split, above, above / "images", above / split]


def _draft(entry: Node, finder: ImageFinder) -> Draft:
    file_name = entry.key("file_name").text()
    name, group = entry.get("name"), entry.get("group")
    height, width = entry.get("height"), entry.get("width")
    size = None if height is None or width is None else (height.whole(), width.whole())
    return Draft(
        name=file_name if name is None else name.text(),
        source=finder.find(file_name),
        size=size,
        group="" if group is None else str(group.identity()),
    )


def _mark(entry: Node, names: dict[Identity, str], image: str, options: ReadOptions) -> Mark | None:
    """One object, or None where nothing says where it is."""
    number = entry.key("category_id").identity()
    box, shape = entry.get("bbox"), entry.get("segmentation")
    edges = None if box is None else _edges(box)
    mask = None
    if shape is not None and shape.value != []:
        mask, around = _shape(shape)
        edges = around if edges is None else edges
    if edges is None and mask is None:
        hint = "give it one of both, or read with repair, which leaves the object out"
        options.met(error("degenerate-box", f"{entry.where} has neither bbox nor segmentation.", hint, image))
        return None
    identity = entry.get("id")
    place = "annotation" if identity is None else f"annotation {identity.identity()}"
    return Mark(place, edges, names.get(number, f"id {number}"), mask, entry.flag("iscrowd") or entry.flag("ignore"))


def _edges(box: Node) -> Edges:
    sides = box.numbers()
    if len(sides) != 4:
        raise box.wrong("[x, y, width, height]")
    x, y, width, height = sides
    return x, y, x + width, y + height


def _shape(node: Node) -> tuple[Shape, Edges | None]:
    """How to draw a segmentation, and the box around polygons."""
    if node.is_table:
        return _runs(node), None
    flat = [(each, each.numbers()) for each in node.items()]
    for each, numbers in flat:
        if len(numbers) < 6 or len(numbers) % 2:
            return damaged(each.wrong("a polygon x, y, x, y, ... of at least three corners")), None
    outlines = [np.array(numbers, dtype=np.float64).reshape(-1, 2) for _, numbers in flat]
    x0, y0, x1, y1 = box_of_outlines(outlines).tolist()
    return _polygons(outlines), (x0, y0, x1, y1)


def _polygons(outlines: list[Outline]) -> Shape:
    return lambda height, width: mask_of_outlines(outlines, height, width)


def _runs(node: Node) -> Shape:
    counts, size = node.key("counts"), [each.whole() for each in node.key("size").items()]
    runs = None if isinstance(counts.value, str) else [each.whole() for each in counts.items()]

    def draw(height: int, width: int) -> Mask | None:
        if size != [height, width]:
            raise WrongFormat(f"It is of an image of {size} pixels, not {[height, width]}.", hint="draw it anew")
        return mask_from_runs(runs_from_text(str(counts.value)) if runs is None else runs, height, width)

    return draw
