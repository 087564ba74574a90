"""Crops on disk: a folder for each class, or a table that names files and their counts."""

import csv
import re
from pathlib import Path

import numpy as np

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.classify.crops import CropSet, resized
from lsm.vision.data import Pixels, read_pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"})


def read_folders(folder: Path, *, size_px: int | None = None, group: str = "") -> CropSet:
    """Crops of `folder`/CLASS/*.png; every folder inside is a class, in alphabetical order.

    size_px: side to which all are resized; None where they have one size already. group: regular expression whose
    first group, or whole match, in the file's name is the crop's group; a name without it stands alone.
    Files of other kinds are passed over. Raises FileMissing, InputError for an expression that is none, WrongFormat
    for a class without images, files that cannot be read and sizes or channels that differ.
    """
    pattern = _pattern(group)
    if not folder.is_dir():
        raise FileMissing(f"The folder {folder} does not exist.", hint="it holds one folder for each class")
    classes = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(classes) < 2:
        raise WrongFormat(
            f"{folder} holds {len(classes)} folders; each class has one.", hint="put crops in folder/CLASS/*.png"
        )
    files, category = [], []
    for number, name in enumerate(classes):
        inside = sorted(each for each in (folder / name).iterdir() if each.suffix.lower() in SUFFIXES)
        if not inside:
            raise WrongFormat(f"The class folder {folder / name} holds no images.", hint="fill or remove it")
        files += inside
        category += [number] * len(inside)
    return CropSet(
        _stack(files, size_px),
        tuple(classes),
        category=np.array(category, dtype=np.int64),
        group=np.array([_group(pattern, file.name) for file in files]),
        origin=str(folder),
    )


def read_counts(table: Path, *, size_px: int | None = None) -> CropSet:
    """Crops that a CSV table names: columns `file` (beside or below the table) and `count`; `class` and `group` too.

    size_px: side to which all are resized; None where they have one size already. Raises FileMissing, WrongFormat for
    a table without these columns or rows, a count that is no number, and images as in `read_folders`.
    """
    rows = _rows(table)
    count = np.array([_number(row["count"], table, line) for line, row in enumerate(rows, 2)])
    names = sorted({row["class"] for row in rows}) if "class" in rows[0] else []
    category = np.array([names.index(row["class"]) for row in rows], dtype=np.int64) if names else None
    return CropSet(
        _stack([table.parent / row["file"] for row in rows], size_px),
        tuple(names),
        category=category,
        count=count,
        group=np.array([row.get("group", "") for row in rows]),
        origin=str(table),
    )


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise FileMissing(f"The table {table} does not exist.", hint="it names files and counts")
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except (csv.Error, UnicodeDecodeError) as error:
        raise WrongFormat(f"{table} is not a CSV table: {error}.", hint="columns: file, count") from error
    if not rows:
        raise WrongFormat(f"{table} has no rows.", hint="columns: file, count; one row for each image")
    missing = [name for name in ("file", "count") if name not in rows[0]]
    if missing:
        raise WrongFormat(f"{table} lacks the column '{missing[0]}'.", hint="columns: file, count, class, group")
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise WrongFormat(f"{table}, line {line}: not as many entries as columns.", hint="mend that line")
    return rows


def _number(text: str, table: Path, line: int) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise WrongFormat(f"{table}, line {line}: the count '{text}' is not a number from 0.", hint="mend that line")
    return found


def _stack(files: list[Path], size_px: int | None) -> np.ndarray:
    if size_px is not None and size_px < 1:
        raise InputError(f"A crop of {size_px} px is empty.", hint="give at least 1")
    crops: list[Pixels] = []
    for file in files:
        crop = read_pixels(file)
        if size_px is not None:
            crop = resized(crop, (size_px, size_px))
        if crops and crop.shape != crops[0].shape:
            raise WrongFormat(
                f"{file} has the shape {crop.shape}, {files[0]} has {crops[0].shape}.",
                hint="give size_px, and the same channels for all",
            )
        crops.append(crop)
    return np.stack(crops)


def _pattern(group: str) -> re.Pattern[str] | None:
    try:
        return re.compile(group) if group else None
    except re.error as error:
        raise InputError(f"'{group}' is not a regular expression: {error}.", hint="such as 'P[0-9]+'") from error


def _group(pattern: re.Pattern[str] | None, name: str) -> str:
    found = pattern.search(name) if pattern else None
    if found is None:
        return ""
    return str(found.group(1) if found.re.groups else found.group())
