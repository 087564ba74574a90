"""The results as tables for a README."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def as_markdown(found: Mapping[str, Any]) -> str:
    """Claims, coverage of each kind of interval, the rules, and limits of detection."""
    blocks = [
        "### Promises",
        _claims(found["claims"]),
        "### Thin film at single densities",
        _fixed(found["fixed_densities"]),
    ]
    for name, rows in found["parts"].items():
        blocks += [f"### {name.capitalize()}", _coverages(rows)]
    blocks += [
        "### Until the interval is narrower than 25 %",
        _coverages(found["narrow"], mean_cells="mean cells"),
        "### Score histograms",
        _coverages(found["score_histograms"], half_width_per_ul="median half-width, /uL"),
        "### Sequential rules",
        *(_rule(name, rule) for name, rule in found["rules"].items()),
        "### Limits of detection",
        _limits(found["limits"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _claims(claims: Sequence[Row]) -> str:
    rows = [[each["claim"], each["found"], "reached" if each["reached"] else "missed"] for each in claims]
    return _table(["promise", "found", "as it came out"], rows)


def _fixed(rows: Sequence[Row]) -> str:
    """Densities downwards; cells and rates across."""
    kinds = list(dict.fromkeys((row["cells"], row["rate"]) for row in rows))
    held = {(row["per_ul"], row["cells"], row["rate"]): row for row in rows}
    lines = [
        [f"{per_ul:,.0f}", *(_marked(held[per_ul, *kind]) for kind in kinds)]
        for per_ul in dict.fromkeys(row["per_ul"] for row in rows)
    ]
    return _table(["per uL", *(f"{cells:,} cells, {rate:g}" for cells, rate in kinds)], lines)


def _marked(row: Row) -> str:
    text = f"{100 * row['coverage']:.1f}"
    return text if row["as_asked"] else f"**{text}**"


def _coverages(rows: Sequence[Row], **further: str) -> str:
    lines = [
        [
            row["interval"],
            row["condition"],
            f"{_marked(row)} ({100 * row['low']:.1f} to {100 * row['high']:.1f})",
            f"{row['runs']:,}",
            *(f"{row[key]:,.4g}" if row[key] < 1e4 else f"{row[key]:,.0f}" for key in further),
        ]
        for row in rows
    ]
    return _table(["interval", "where", "coverage, %", "runs", *further.values()], lines)


def _rule(name: str, rule: Row) -> str:
    fixed = rule["fixed_cells"]
    told = f"{fixed:,} cells" if fixed else "there is none, however many cells"
    head = f"{name}, target {rule['target_per_ul']:g}/uL; fixed design of equal errors: {told}."
    lines = []
    for density, row in rule["densities"].items():
        cells = row["cells"]
        share = "".join(f"{100 * row['of_fixed'][0]:.1f} %") if "of_fixed" in row else ""
        outcomes = [f"{100 * row[key][0]:.2f} ({100 * row[key][1]:.2f} to {100 * row[key][2]:.2f})" for key in KEYS]
        lines.append([f"{float(density):,.0f}", *outcomes, f"{cells[0]:,} ({cells[1]:,} to {cells[2]:,})", share])
    return head + "\n\n" + _table(HEADS, lines)


KEYS = ("positive", "negative", "undecided")
HEADS = ("per uL", "positive, %", "negative, %", "undecided, %", "cells, mean", "of the fixed number")


def _limits(rows: Sequence[Row]) -> str:
    cells = list(rows[0]["per_ul"])
    lines = [
        [f"{row['rate']:g}", f"{100 * row['cv']:.0f} %", *(f"{row['per_ul'][n]:,.0f}" for n in cells)] for row in rows
    ]
    return _table(["false positives per cell", "variation", *(f"{n} cells" for n in cells)], lines)
