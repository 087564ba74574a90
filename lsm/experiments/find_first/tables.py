"""The results as tables for a README."""

from collections.abc import Mapping, Sequence
from typing import Any

from lsm.experiments.find_first.config import FindFirstConfig


def as_markdown(
    config: FindFirstConfig, found: Mapping[str, Mapping[str, Any]], claims: Sequence[Mapping[str, Any]]
) -> str:
    """One table of ratios for all conditions, one of all figures for the two of the promise, and the claims."""
    parts = [
        _ratios(found),
        *(_figures(name, found[name]) for name in (config.clustered, config.uniform) if name in found),
    ]
    lines = ["| claim | fields, serpentine / policy | asked | as it came out |", "|---|---|---|---|"]
    for claim in claims:
        verdict = "shown" if claim["shown"] else "reached in the mean, not shown" if claim["reached"] else "missed"
        ratio = f"{claim['ratio']:.2f} ({claim['low']:.2f} to {claim['high']:.2f})"
        lines.append(
            f"| {claim['policy']}, {claim['condition']} | {ratio} | at least {claim['asked']:.2f} | {verdict} |"
        )
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def _ratios(found: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(next(iter(found.values()))["policies"])
    lines = [
        f"| films | fields with an infected cell | serpentine, fields | {' | '.join(names[1:])} |",
        "|---|---|---|" + "---|" * (len(names) - 1),
    ]
    for condition, table in found.items():
        rows = table["policies"]
        ratios = [rows[name]["ratio"] for name in names[1:]]
        cells = [f"{each['ratio']:.2f} ({each['low']:.2f} to {each['high']:.2f})" for each in ratios]
        share = 100 * table["clustering"]["fields_with_an_infected_cell"]
        lines.append(f"| {condition} | {share:.1f} % | {rows[names[0]]['fields']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _figures(condition: str, table: Mapping[str, Any]) -> str:
    lines = [
        f"Films '{condition}':",
        "",
        "| policy | fields | 95 % interval | median | 90 % of films within | closer looks | travel, mm | time, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in table["policies"].items():
        lines.append(
            f"| {name} | {row['fields']:.1f} | {row['low']:.1f} to {row['high']:.1f} | {row['median']:.0f} "
            f"| {row['ninth_tenth']:.0f} | {row['looks']:.1f} | {row['travel_mm']:.1f} | {row['time_s']:.1f} |"
        )
    return "\n".join(lines)
