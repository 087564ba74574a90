"""Pascal VOC: one XML file for each image."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from lsm.errors import FileMissing, WrongFormat
from lsm.vision.data.findings import error, warning
from lsm.vision.data.formats._draft import Draft, Edges, Mark, ReadOptions, assemble
from lsm.vision.data.formats._files import ImageFinder
from lsm.vision.data.objects import AnnotatedSet

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a folder with Annotations and JPEGImages, of a folder of XML files, or of one XML file.

    VOC counts pixels from 1 and names the last one: pixels 1 to 640 become the edges 0 to 640. Where any box begins at
    0 the files do not, and all numbers are taken as edges; this is told. difficult makes an object one to ignore.
    Categories are in alphabetical order. An image is the one named as its XML file is, else the one that the file
    names. Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    files = voc_files(path)
    beside = files[0].parent if files else path
    finder = ImageFinder(
        [options.images, beside.parent / "JPEGImages", beside, beside.parent, beside.parent / "images"], options.tell
    )
    roots = [(file, _annotation(file)) for file in files]
    first = _first_pixel(roots, options)
    drafts = [_draft(root, file, finder, options, first) for file, root in roots]
    named = {mark.category for draft in drafts for mark in draft.marks if mark.category is not None}
    return assemble(drafts, sorted(named), options, origin=f"Pascal VOC annotations {path.name}")


def voc_files(path: Path) -> list[Path]:
    """The XML files that a path stands for, by name. Raises FileMissing."""
    if path.is_file():
        return [path]
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    if not folder.is_dir():
        raise FileMissing(f"The annotations {path} do not exist.", hint="check the path")
    return sorted(folder.glob("*.xml"))


def parse(path: Path) -> Element:
    """The root of an XML file without definitions of its own. Raises FileMissing or WrongFormat."""
    if not path.is_file():
        raise FileMissing(f"The annotations {path} do not exist.", hint="check the path")
    try:
        return ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Plain()))  # noqa: S314
    except WrongFormat as fault:
        raise WrongFormat(f"{path} cannot be read: {fault.message}", hint=fault.hint) from fault
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as fault:
        raise WrongFormat(f"{path} is not XML: {fault}.", hint="fetch or export it again") from fault


class _Plain(ElementTree.TreeBuilder):
    """XML without definitions: they can make a small file fill the memory, and annotations need none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise WrongFormat(f"It has the XML definitions <!DOCTYPE {name} ...>.", hint="remove them")


def _annotation(file: Path) -> Element:
    root = parse(file)
    if root.tag != "annotation":
        raise WrongFormat(f"{file} begins with <{root.tag}>, not with <annotation>.", hint="it is not Pascal VOC")
    return root


def _first_pixel(roots: Sequence[tuple[Path, Element]], options: ReadOptions) -> int:
    """From which number the files count pixels."""
    for file, root in roots:
        for box in root.iterfind("object/bndbox"):
            if min(_number(box, edge, file) for edge in _EDGES[:2]) == 0:
                message = f"{file} has a box that begins at 0: all numbers of the set are read as edges from 0."
                options.met(warning("counted-from-0", message, "see by a picture that boxes fit", file.name))
                return 0
    return 1


def _draft(root: Element, file: Path, finder: ImageFinder, options: ReadOptions, first: int) -> Draft:
    filename = (root.findtext("filename") or "").strip()
    own = finder.find(file.stem)
    marks = [_mark(each, file, k, options, first) for k, each in enumerate(root.findall("object"), start=1)]
    source = own if own is not None else finder.find(filename)
    name = source.name if source is not None else filename or file.stem
    return Draft(name, source, _size(root, file), [mark for mark in marks if mark is not None])


def _size(root: Element, file: Path) -> tuple[int, int] | None:
    node = root.find("size")
    if node is None:
        return None
    height, width = _number(node, "height", file), _number(node, "width", file)
    return int(height), int(width)


def _mark(node: Element, file: Path, number: int, options: ReadOptions, first: int) -> Mark | None:
    """One object, or None where nothing says where it is."""
    name = (node.findtext("name") or "").strip()
    box = node.find("bndbox")
    if box is None:
        hint = "give it one, or read with repair, which leaves the object out"
        options.met(error("degenerate-box", f"{file} has an object without bndbox, number {number}.", hint, file.name))
        return None
    if not name.isprintable() or not name:
        hint = "give it one, or read with repair, which ignores the object"
        options.met(error("unnamed", f"{file} has an object without name, number {number}.", hint, file.name))
    x0, y0, x1, y1 = (_number(box, edge, file) for edge in _EDGES)
    # the same pixel twice is a click, and a box that ends before it begins is none: both have no area
    edges: Edges = (x0 - first, y0 - first, x1, y1)
    difficult = (node.findtext("difficult") or "0").strip()
    ignore = difficult not in ("0", "false", "False", "Unspecified")
    return Mark(f"object {number}", edges, name if name.isprintable() and name else None, ignore=ignore)


def _number(node: Element, tag: str, file: Path) -> float:
    text = node.findtext(tag)
    try:
        value = float(text or "")
    except ValueError as fault:
        raise WrongFormat(f"{file} has '{text}' as {tag}.", hint="it must be a number") from fault
    if not math.isfinite(value):
        raise WrongFormat(f"{file} has {text} as {tag}.", hint="it must be a finite number")
    return value
