"""What `lsm vision` says on the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from lsm.cli._vision_doubts import Doubts, threshold_sentences
from lsm.cli._vision_work import Predicted
from lsm.errors import LsmError
from lsm.vision.detect import DetectionScores, FitRecord

_MOST_FAULTS: Final = 10


def say(line: str) -> None:
    """One line on standard output, as it is."""
    Console().print(line, soft_wrap=True, markup=False, highlight=False)


def warn(line: str) -> None:
    """One line on standard error, as it is."""
    Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)


def tell_doubts(doubts: Iterable[Doubts]) -> None:
    """A line on standard error for each reason to doubt the counts."""
    for each in doubts:
        for line in each.sentences():
            warn(line)


def tell_thresholds(record: FitRecord) -> None:
    """Which thresholds are less sure than the others; nothing where all were set on images set aside."""
    for line in threshold_sentences(record):
        warn(line)


def tell_scores(scores: DetectionScores | None) -> None:
    """The table of scores, or that there are none."""
    if scores is None:
        say("No images were held out, so nothing tells how good the detector is.")
    else:
        typer.echo(scores.as_table())


def tell_counts(told: Mapping[str, Predicted], categories: Sequence[str]) -> None:
    """A table of what was found in each image; a star marks counts that were cut off."""
    used = [name for name in categories if any(name in each.counts for each in told.values())]
    table = Table("image", *used, "all")
    for name, each in told.items():
        star = "*" if each.full else ""
        found = f"{sum(each.counts.values())}{star}"
        table.add_row(name, *(str(each.counts.get(kind, 0)) for kind in used), found)
    Console().print(table, markup=False)


def faults(failed: Mapping[str, LsmError], total: int) -> str:
    """A line for each image that could not be searched, with its hint; those after the tenth are a number."""
    lines = [f"{len(failed)} of {total} images could not be searched:"]
    for name, fault in list(failed.items())[:_MOST_FAULTS]:
        told = fault.message if name in fault.message else f"{name}: {fault.message}"
        lines.append(f"  {told}" + (f" Hint: {fault.hint}." if fault.hint else ""))
    if len(failed) > _MOST_FAULTS:
        lines.append(f"  and {len(failed) - _MOST_FAULTS} more")
    return "\n".join(lines)


def tell_folds(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Tables of the means over folds, after a line on standard error for each reason to doubt one of them."""
    for number, row in enumerate(rows, 1):
        for line in row.get("warnings", ()):
            warn(f"Fold {number}: {line}")
    heads = {"map_50": "mAP@0.5", "map": "mAP", "mar": "mAR", "mar_100": "mAR of 100"}
    table = Table("", *heads.values())
    for part in ("boxes", "masks"):
        if facts[part]:
            table.add_row(part, *(_interval(facts[part][key]) if key in facts[part] else "-" for key in heads))
    Console().print(table)
    by_category = Table(
        "category", "AP@0.5", "labelled", "counted", "by fold", "of the labelled, found", "count MAE an image"
    )
    for name, row in facts["categories"].items():
        share, hit = ("-" if row[key] is None else f"{row[key]:.1f} %" for key in ("counted_percent", "hit_percent"))
        ends = "-" if row["counted_range"] is None else "{:.1f} to {:.1f} %".format(*row["counted_range"])
        precise = "-" if row["ap_50"] is None else _interval(row["ap_50"])
        by_category.add_row(name, precise, str(row["labelled"]), share, ends, hit, f"{row['count_mae']:.2f}")
    Console().print(by_category, markup=False)
    say(
        "Ranges are 95 % intervals over folds, too narrow since folds share what they learnt from; "
        "'by fold' is the least and the largest. mAR is with at most 500 detections an image."
    )


def _interval(values: Sequence[float]) -> str:
    middle, *ends = values
    return f"{middle:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")
