"""Lists of points: text files with "x y class", or CSV with x, y and perhaps category and image."""

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.data.formats._draft import Draft, Edges, Mark, ReadOptions, assemble
from lsm.vision.data.formats._files import ImageFinder
from lsm.vision.data.objects import AnnotatedSet

CHULA_CATEGORIES: Final = (
    "normal",
    "macrocyte",
    "microcyte",
    "spherocyte",
    "target",
    "stomatocyte",
    "ovalocyte",
    "teardrop",
    "burr",
    "schistocyte",
    "uncategorised",
    "hypochromia",
    "elliptocyte",
)
"""Names of the numbers 0 to 12 in Chula RBC-12."""

_ENDINGS = (".txt", ".csv")


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a folder with labels and images, of a folder of lists, or of one list.

    A list belongs to the image of its own name, but rows of a CSV with a column image belong to the image they name.
    Points count pixels, the first being 0, and become boxes of `ReadOptions.side_px` around the pixel's middle, cut
    off at the border. A category that is a number is the name at that place of `ReadOptions.categories`, where given;
    without them categories are in order, numbers by size. Rows without a category are of `ReadOptions.category`.
    Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    if options.side_px is None or not math.isfinite(options.side_px) or options.side_px <= 0:
        given = "no side" if options.side_px is None else f"the side {options.side_px:g}"
        raise InputError(
            f"{path} holds points, and {given} is given for the boxes around them.",
            hint="say how many pixels wide an object is: side_px (--side-px) over 0",
        )
    lists = point_lists(path)
    beside = lists[0].parent if lists else path
    finder = ImageFinder(
        [options.images, beside.parent / "images", beside / "images", beside, beside.parent], options.tell
    )
    drafts = [draft for file in lists for draft in _drafts(file, finder, options, options.side_px)]
    named = {mark.category for draft in drafts for mark in draft.marks if mark.category is not None}
    return assemble(drafts, _in_order(named), options, origin=f"Point lists {path.name}")


def point_lists(path: Path) -> list[Path]:
    """The lists that a path stands for, by name. Raises FileMissing."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileMissing(f"The annotations {path} do not exist.", hint="check the path")
    folder = path / "labels" if (path / "labels").is_dir() else path
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS and file.is_file())


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def _drafts(file: Path, finder: ImageFinder, options: ReadOptions, side_px: float) -> Iterator[Draft]:
    """The images of one list."""
    by_image: dict[str, list[Mark]] = {}
    rows = _rows_of_csv(file) if file.suffix.lower() == ".csv" else _rows_of_text(file)
    for line, (image, x, y, category) in rows:
        name = _named(category, options) if category else options.category
        half = side_px / 2
        edges: Edges = (x + 0.5 - half, y + 0.5 - half, x + 0.5 + half, y + 0.5 + half)
        by_image.setdefault(image, []).append(Mark(f"line {line}", edges, name, cut=True))
    for image, marks in (by_image or {"": []}).items():
        source = finder.find(image or file.stem)
        yield Draft(source.name if source is not None else image or file.stem, source, marks=marks)


def _named(category: str, options: ReadOptions) -> str:
    if options.categories is None or not category.isdecimal() or category in options.categories:
        return category
    number = int(category)
    return options.categories[number] if number < len(options.categories) else category


Row = tuple[str, float, float, str]
"""Image or nothing, x, y, category or nothing."""


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as fault:
        raise WrongFormat(f"{file} is no text: {fault}.", hint="give lines of x y class") from fault


def _rows_of_text(file: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_lines(file), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        if len(words) not in (2, 3):
            raise _wrong(file, number, line)
        yield number, ("", *_place(file, number, line, words[0], words[1]), words[2] if len(words) == 3 else "")


def _rows_of_csv(file: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(_lines(file), skipinitialspace=True, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        if not {"x", "y"} <= set(names):
            raise WrongFormat(
                f"{file} has the columns {', '.join(names) or 'none'}.", hint="its first line must be x,y,category"
            )
        reader.fieldnames = names
        for row in reader:
            text = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            line = ",".join(text.values())
            x, y = _place(file, reader.line_num, line, text["x"], text["y"])
            yield reader.line_num, (text.get("image", ""), x, y, text.get("category", ""))
    except csv.Error as fault:
        raise WrongFormat(f"{file} is no CSV: {fault}.", hint="its first line must be x,y,category") from fault


def _place(file: Path, number: int, line: str, x: str, y: str) -> tuple[float, float]:
    try:
        place = float(x), float(y)
    except ValueError as fault:
        raise _wrong(file, number, line) from fault
    if not all(math.isfinite(each) for each in place):
        raise _wrong(file, number, line)
    return place


def _wrong(file: Path, number: int, line: str) -> WrongFormat:
    shown = "".join(letter if letter.isprintable() else "?" for letter in line[:40])
    return WrongFormat(f"{file} has '{shown}' in line {number}.", hint="a line is: x y class, in pixels")
