"""Counts of categories over time, such as the stages of a parasite."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.stats import wilson
from lsm.vision.data import Objects
from lsm.vision.detect.detections import Detections

TIME_COLUMN = "time_h"
IMAGE_COLUMN = "image"


@dataclass(frozen=True, eq=False)
class StageCounts:
    """Objects of each category at each time, earliest first.

    images: how many images, slides or wells were counted at each time.
    """

    time_h: Float[np.ndarray, " time"]
    categories: tuple[str, ...]
    counts: Int[np.ndarray, "time category"]
    images: Int[np.ndarray, " time"]

    @classmethod
    def of(cls, rows: Iterable[tuple[float, Mapping[str, int]]], categories: Sequence[str] = ()) -> "StageCounts":
        """Rows of one time are added up. categories: which, and in which order; default: all, as they appear.

        Raises InputError without rows, and WrongFormat for counts that are not whole or below zero.
        """
        table = [(float(time), dict(counts)) for time, counts in rows]
        if not table:
            raise InputError("There are no counts.", hint="give at least one time with its counts")
        names = tuple(categories) or tuple(dict.fromkeys(name for _, counts in table for name in counts))
        times = sorted({time for time, _ in table})
        total = np.zeros((len(times), len(names)), dtype=np.int64)
        images = np.zeros(len(times), dtype=np.int64)
        for time, counts in table:
            wrong = next(
                (f"{value} {name}" for name, value in counts.items() if value < 0 or value != int(value)), None
            )
            if wrong or not np.isfinite(time):
                raise WrongFormat(f"At {time:g} h there are {wrong or 'counts'}.", hint="count in whole numbers from 0")
            row = times.index(time)
            total[row] += [int(counts.get(name, 0)) for name in names]
            images[row] += 1
        return cls(np.array(times), names, total, images)

    @classmethod
    def of_found(
        cls, time_h: Sequence[float], found: Sequence[Objects | Detections], categories: Sequence[str]
    ) -> "StageCounts":
        """What was marked or found in images taken at these times; marks to ignore do not count."""
        rows = []
        for time, each in zip(time_h, found, strict=True):
            kept = each.where(~each.ignore) if isinstance(each, Objects) else each
            counted = np.bincount(kept.category, minlength=len(categories))
            rows.append((float(time), dict(zip(categories, counted.tolist(), strict=True))))
        return cls.of(rows, categories)

    @classmethod
    def from_csv(cls, path: Path) -> "StageCounts":
        """A table with a column time_h and one column of counts for each category; rows of one time are added up.

        A column named image, as in the counts.csv of `lsm vision predict`, is passed over.

        Raises FileMissing, or WrongFormat naming the line.
        """
        if not path.is_file():
            raise FileMissing(f"The table {path} does not exist.", hint="check the path")
        try:
            lines = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
        except (UnicodeDecodeError, csv.Error) as error:
            raise WrongFormat(f"{path} is no table: {error}.", hint="write comma-separated text in UTF-8") from error
        if not lines or TIME_COLUMN not in lines[0] or len(lines[0]) < 2:
            raise WrongFormat(
                f"{path} has no column {TIME_COLUMN} and counts below it.",
                hint=f"add a column {TIME_COLUMN}; its first line is then such as {TIME_COLUMN},ring,schizont",
            )
        rows = []
        for number, line in enumerate(lines, 2):
            counts = {
                name: int(_number(line, name, path, number, whole=True))
                for name in line
                if name not in (TIME_COLUMN, IMAGE_COLUMN)
            }
            rows.append((_number(line, TIME_COLUMN, path, number, whole=False), counts))
        return cls.of(rows)

    def without(self, left_out: Sequence[str]) -> "StageCounts":
        """The same without some categories, such as uninfected cells; shares are then of what remains.

        Raises InputError for a name that is not there, or where none remains.
        """
        unknown = [name for name in left_out if name not in self.categories]
        kept = [k for k, name in enumerate(self.categories) if name not in left_out]
        if unknown or not kept:
            raise InputError(
                f"There is no category '{unknown[0]}'." if unknown else "No category remains.",
                hint=f"there are: {', '.join(self.categories)}",
            )
        return StageCounts(self.time_h, tuple(self.categories[k] for k in kept), self.counts[:, kept], self.images)

    def shares(self) -> Float[np.ndarray, "time category"]:
        """Part of each category at each time; NaN where nothing was counted."""
        total = self.counts.sum(axis=1, keepdims=True).astype(np.float64)
        shares: Float[np.ndarray, "time category"] = np.divide(
            self.counts, total, out=np.full(self.counts.shape, np.nan), where=total > 0
        )
        return shares

    def intervals(self) -> Float[np.ndarray, "time category 2"]:
        """Wilson's 95 % interval of each share; it treats cells as independent, images that differ widen it further."""
        totals = self.counts.sum(axis=1)
        return np.array(
            [[wilson(int(k), int(n)) for k in row] for row, n in zip(self.counts, totals, strict=True)],
            dtype=np.float64,
        )


def _number(line: Mapping[str, str | None], column: str, path: Path, row: int, *, whole: bool) -> float:
    """A finite number from a column of a table; a whole one, not below 0, where counts are meant."""
    text = line[column] or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (whole and (value < 0 or value != int(value))):
        wanted = "a whole number, 0 or more" if whole else "a number"
        raise WrongFormat(f"Line {row} of {path} has '{text}' as {column}.", hint=f"write {wanted}")
    return value
