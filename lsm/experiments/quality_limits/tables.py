"""The counts as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def as_markdown(found: Mapping[str, Any]) -> str:
    """One table per model."""
    first, slides = found["config"]["first_slide"], found["config"]["slides"]
    seen = f"slides {first} to {first + slides - 1}, one field each; in brackets 95 % intervals (Clopper-Pearson)"
    parts = [f"### {model}: {seen}\n\n{_table(rows)}" for model, rows in found["counts"].items()]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| fields | radius, um | number | refused as bubble or debris, % | refused by any limit, % | as |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        radius = "" if row["radius_um"] is None else "{:g} to {:g}".format(*row["radius_um"])
        faults = ", ".join(f"{name}: {count}" for name, count in sorted(row["faults"].items()))
        lines.append(
            f"| {row['condition']} | {radius} | {row['fields']} | {_percent(row['named'])} | "
            f"{_percent(row['refused'])} | {faults} |"
        )
    return "\n".join(lines)


def _percent(share: Sequence[float] | None) -> str:
    """Number, then share and interval."""
    if share is None:
        return ""
    count, *shares = share
    middle, low, high = (100 * each for each in shares)
    return f"{count:.0f}: {middle:.1f} ({low:.1f} to {high:.1f})"
