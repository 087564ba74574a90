"""The results as tables: the arms side by side, by density, and against each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lsm.experiments.panel.answers import PERFECT

Found = Mapping[str, Any]
NOTHING = "-"
MOST_PER_UL = 1e6
"""A fifth of all red cells: no slide of a panel has more."""


def as_markdown(results: Found) -> str:
    """One table of the arms, one by group of slides, one of differences on the same slides, and what limits it."""
    read, of = results["slides_of_panel"]
    scores = results["scores"]
    head = (
        f"**Reduced panel: {read} of {of} slides. These are not the figures of the panel.**"
        if results["reduced"]
        else f"{of} slides."
    )
    percent = 100 * results["config"]["confidence"]
    parts = [
        f"{head} In brackets {percent:g} % intervals; no verdict counts as wrong.",
        _arms(scores),
        "Called positive, of all slides of a group, and red cells counted on its slides:",
        _groups(scores),
    ]
    if scores["paired"]:
        parts += ["On the same slides, first arm against second:", _paired(scores["paired"])]
    return "\n\n".join([*parts, "\n".join(_limits(scores["arms"]))]) + "\n"


def _arms(scores: Found) -> str:
    readers = dict(scores["arms"]) | {PERFECT: scores[PERFECT]}
    rows: list[tuple[str, Callable[[Found], str]]] = [
        ("detection right", lambda one: _share(one["detection"])),
        ("sensitivity", lambda one: _share(one["sensitivity"])),
        ("specificity", lambda one: _share(one["specificity"])),
        ("no verdict", lambda one: _share(one.get("no_verdict"))),
        ("counts within 25 %", lambda one: _share(one["counts"])),
        ("counted / true, geometric mean of those above 0", lambda one: _bias(one["ratios"])),
        ("level", lambda one: _level(one["level"])),
        ("probability of levels 1, 2, 3, 4", lambda one: _chances(one["level"])),
        ("detection right, no verdict taken as negative", lambda one: _share(_forced(one, "detection"))),
        ("level, no verdict taken as negative", lambda one: _level(_forced(one, "level"))),
        ("density found on half of the slides, /µl", lambda one: _density(_of(one, "found_per_ul", "half"))),
        ("density found on 95 %, /µl", lambda one: _density(_of(one, "found_per_ul", "most"))),
        ("red cells per slide", lambda one: _number(one["amounts"].get("cells"))),
        ("fields per slide", lambda one: _number(one["amounts"].get("fields"))),
        ("captures per slide", lambda one: _number(one["amounts"].get("captures"))),
        ("time per slide, s", lambda one: _number(one["amounts"].get("time_s"))),
        ("light per slide, LED s", lambda one: _number(one["amounts"].get("light_dose"), by=1000)),
    ]
    return _table(["", *readers], [[name, *(tell(one) for one in readers.values())] for name, tell in rows])


def _groups(scores: Found) -> str:
    readers = dict(scores["arms"]) | {PERFECT: scores[PERFECT]}
    names = list(scores[PERFECT]["groups"])
    rows = []
    for name in names:
        cells = [one["groups"][name] for one in readers.values()]
        rows.append([name, *(f"{_share(one['positive'])}; {_from_to(one['cells_from_to'])} cells" for one in cells)])
    return _table(["slides", *readers], rows)


def _paired(pairs: Sequence[Found]) -> str:
    heads = [
        "",
        "detection right, difference",
        "counts right, difference",
        "cells, ratio",
        "time, ratio",
        "light, ratio",
    ]
    rows = [
        [
            f"{pair['first']} against {pair['second']}",
            _difference(pair["detection"]),
            _difference(pair["counts"]),
            *(_ratio(pair[name]) for name in ("cells", "time_s", "light_dose")),
        ]
        for pair in pairs
    ]
    return _table(heads, rows)


def _limits(arms: Mapping[str, Found]) -> list[str]:
    lines = []
    for name, arm in arms.items():
        false = arm["false_calls"]
        if false is None:
            lines.append(f"- {name}: too few slides without parasites to tell how its false positives vary.")
            continue
        rate, cv, per_ul = false["per_cell"], false["cv"], false["per_ul"]
        lines.append(
            f"- {name}: in all fields of {false['slides']} slides without parasites {1000 * rate[0]:.2g} of 1,000 red "
            f"cells look infected ({1000 * rate[1]:.2g} to {1000 * rate[2]:.2g}), as many as {per_ul[0]:,.0f}/µl "
            f"would ({per_ul[1]:,.0f} to {per_ul[2]:,.0f}); the model expects {1000 * false['expected_per_cell']:.2g}. "
            f"Between slides this varies by {100 * cv[0]:.0f} % ({100 * cv[1]:.0f} to {100 * cv[2]:.0f} %), which no "
            f"number of cells averages away. {_least(false['least_per_ul'])}"
        )
    return lines


def _least(per_ul: float | None) -> str:
    if per_ul is None:
        return "By its calibration, where this varies as well, it tells no density from none."
    return f"By its calibration, where this varies as well, it tells no density below {per_ul:,.0f}/µl from none."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _of(one: Found, name: str, part: str) -> Any:
    return one[name][part] if name in one else None


def _forced(one: Found, part: str) -> Any:
    return _of(one, "forced", part)


def _share(share: Sequence[Any] | None) -> str:
    if share is None or share[0] is None:
        return NOTHING
    value, low, high, right, of = share
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f}), {right} of {of}"


def _level(level: Found | None) -> str:
    return NOTHING if level is None else f"{level['level']} ({level['best']} to {level['worst']})"


def _chances(level: Found) -> str:
    return ", ".join(f"{each:.2f}" for each in level["probability"])


def _bias(ratios: Found | None) -> str:
    return NOTHING if ratios is None else f"{_ratio(ratios['bias'])}, {ratios['slides']} of {ratios['of']}"


def _ratio(ratio: Sequence[float] | None) -> str:
    return NOTHING if ratio is None else f"{ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g})"


def _difference(ends: Sequence[float]) -> str:
    value, low, high = (100 * end for end in ends)
    return f"{value:+.0f} % ({low:+.0f} to {high:+.0f})"


def _number(ends: Sequence[float] | None, *, by: float = 1) -> str:
    if ends is None:
        return NOTHING
    value, low, high = (f"{end / by:,.0f}" if end / by >= 100 else f"{end / by:.3g}" for end in ends)
    return f"{value} ({low} to {high})"


def _density(ends: Sequence[float] | None) -> str:
    if ends is None:
        return NOTHING
    value, low, high = (f"{end:,.0f}" if end < MOST_PER_UL else "more than any" for end in ends)
    return f"{value} ({low} to {high})"


def _from_to(ends: Sequence[float]) -> str:
    low, high = (f"{end:,.0f}" for end in ends)
    return low if low == high else f"{low} to {high}"
