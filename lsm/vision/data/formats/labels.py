"""Instance labels: for each image a picture of whole numbers, one for every object and 0 beside them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Integer
from scipy.ndimage import find_objects

from lsm.errors import FileMissing, WrongFormat
from lsm.vision.data.findings import error
from lsm.vision.data.formats._draft import Draft, Mark, ReadOptions, Shape, assemble
from lsm.vision.data.formats._files import ImageFinder, images_in
from lsm.vision.data.objects import AnnotatedSet, Mask
from lsm.vision.data.pixels import read_stored

LABEL_FOLDERS: Final = ("labels", "masks")
MANIFEST: Final = "manifest.csv"


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of a folder with images and labels (or masks), files of one image having the same name.

    All objects are of `ReadOptions.category`. Where manifest.csv has the columns id and patient, or id and group,
    images of one patient are a group. Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    folder = label_folder(path)
    if folder is None:
        raise FileMissing(f"{path} has no folder labels or masks.", hint="give the folder that has it beside images")
    finder = ImageFinder([options.images, path / "images"], options.tell)
    groups = _groups(path / MANIFEST)
    drafts = (_draft(file, finder, groups, options) for file in images_in(folder))
    kept = [draft for draft in drafts if draft is not None]
    return assemble(kept, [options.category], options, origin=f"Instance labels {path.name}")


def label_folder(path: Path) -> Path | None:
    """The folder of label pictures, or None."""
    return next((path / name for name in LABEL_FOLDERS if (path / name).is_dir()), None)


def _draft(file: Path, finder: ImageFinder, groups: dict[str, str], options: ReadOptions) -> Draft | None:
    source = finder.find(file.name)
    try:
        numbers = _numbers(file)
    except WrongFormat as fault:
        hint = "mend the labels, or read them with repair, which leaves the image out"
        options.met(error("labels-unreadable", fault.message, hint, file.name))
        return None
    marks = [Mark(f"object {number}", None, options.category, shape) for number, shape in _shapes(numbers)]
    name = file.name if source is None else source.name
    height, width = numbers.shape
    return Draft(name, source, (int(height), int(width)), marks, groups.get(file.stem, ""))


def _numbers(file: Path) -> Integer[np.ndarray, "y x"]:
    held = np.squeeze(read_stored(file, palette=False))
    if held.ndim != 2:
        raise WrongFormat(f"The labels {file} have the shape {held.shape}.", hint="one number for each pixel")
    if held.dtype == bool:
        held = held.astype(np.uint8)
    if not np.issubdtype(held.dtype, np.integer):
        if not np.issubdtype(held.dtype, np.floating) or not (np.isfinite(held) & (held == np.round(held))).all():
            raise WrongFormat(f"The labels {file} are not whole numbers.", hint="number the objects from 1")
        if np.abs(held).max() > np.iinfo(np.int32).max:
            raise WrongFormat(f"The labels {file} have numbers up to {held.max():g}.", hint="number from 1")
        held = held.astype(np.int64)
    if held.min() < 0:
        raise WrongFormat(
            f"The labels {file} have the number {held.min()}.", hint="0 is beside them, objects are over 0"
        )
    return held


def _shapes(numbers: Integer[np.ndarray, "y x"]) -> Iterator[tuple[int, Shape]]:
    """The objects of a label picture: their numbers, and how they are drawn."""
    known = np.unique(numbers)
    known = known[known > 0]
    # numbers may have gaps of millions, places in their order have none
    places = np.where(numbers > 0, np.searchsorted(known, numbers) + 1, 0)
    for place, (number, part) in enumerate(zip(known.tolist(), find_objects(places), strict=True), start=1):
        down, along = part
        yield int(number), _drawn(Mask(int(down.start), int(along.start), places[part] == place))


def _drawn(mask: Mask) -> Shape:
    return lambda height, width: mask


def _groups(manifest: Path) -> dict[str, str]:
    """Group of each image by the name of its file without ending."""
    if not manifest.is_file():
        return {}
    try:
        with manifest.open(newline="", encoding="utf-8") as lines:
            rows = [
                (row.get("id") or "", row.get("patient") or row.get("group") or "")
                for row in csv.DictReader(lines, strict=True)
            ]
    except (csv.Error, UnicodeDecodeError, OSError) as fault:
        raise WrongFormat(f"{manifest} is no CSV: {fault}.", hint="its first line names the columns") from fault
    return {name: group for name, group in rows if name and group}
