"""The table of a search: designs, best first, with an interval over seeds."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from lsm.errors import ConfigError, RecordError
from lsm.experiments.jobs.call import Row
from lsm.experiments.jobs.search import Design, SearchConfig

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ranked:
    """A design and its score: mean over seeds, and Student's interval of that mean, None where there is none.

    seeds: whose runs are all there. failed: runs without a result. seconds: of one run, the mean. The interval is of
    this design by itself; that the best of many designs was chosen for its score is not in it.
    """

    settings: dict[str, Any]
    score: float | None
    low: float | None
    high: float | None
    seeds: int
    failed: int
    seconds: float | None


def rank(designs: Sequence[Design], rows: Mapping[str, Row], config: SearchConfig) -> list[Ranked]:
    """Best first, designs without a score last. Raises ConfigError where results have no such score."""
    ranked = [_judge(design, rows, config.score) for design in designs]
    sign = -1 if config.best == "highest" else 1
    return sorted(ranked, key=lambda each: (each.score is None, sign * (each.score or 0.0)))


def mean_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """(low, high) of the mean of values that scatter normally, after Student; None for fewer than two."""
    if len(values) < 2:
        return None
    half = float(student_t.ppf(0.5 + confidence / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return mean - half, mean + half


def write_results(
    folder: Path, ranked: Sequence[Ranked], rows: Sequence[Row], config: SearchConfig, facts: Mapping[str, Any]
) -> None:
    """Write results.csv (designs) and results.json (designs and runs), each whole or not at all. Raises RecordError."""
    names = list(ranked[0].settings) if ranked else []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["rank", *names, config.score, "low", "high", "seeds", "failed", "seconds"])
    for place, each in enumerate(ranked, 1):
        settings = [value if isinstance(value, str) else json.dumps(value) for value in each.settings.values()]
        table.writerow([place, *settings, each.score, each.low, each.high, each.seeds, each.failed, each.seconds])
    found = {
        **facts,
        "search": config.model_dump(mode="json", exclude={"executor", "workers", "address"}),
        "confidence": CONFIDENCE,
        "designs": [asdict(each) for each in ranked],
        "runs": [row.model_dump(mode="json") for row in rows],
    }
    _replace(folder / "results.csv", text.getvalue())
    _replace(folder / "results.json", json.dumps(found, indent=1) + "\n")


def _judge(design: Design, rows: Mapping[str, Row], score: str) -> Ranked:
    seeds = [[rows[key] for key in repeats if key in rows] for repeats in design.keys]
    scores = [[_score(row, score) for row in runs] for runs in seeds]
    whole = [
        float(np.mean([figure for figure in figures if figure is not None]))
        for figures, repeats in zip(scores, design.keys, strict=True)
        if len(figures) == len(repeats) and None not in figures
    ]
    interval = mean_interval(whole)
    times = [row.seconds for runs in seeds for row in runs if row.result is not None]
    return Ranked(
        settings=design.settings,
        score=float(np.mean(whole)) if whole else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        seeds=len(whole),
        failed=sum(row.result is None for runs in seeds for row in runs),
        seconds=round(float(np.mean(times)), 3) if times else None,
    )


def _score(row: Row, name: str) -> float | None:
    """The figure of one run; None where the run failed or says that there is none."""
    if row.result is None:
        return None
    place: Any = row.result
    for part in name.split("."):
        if not isinstance(place, dict) or part not in place:
            known = sorted(key for key, value in row.result.items() if isinstance(value, int | float))
            raise ConfigError(
                f"The result of the run '{row.key}' has no '{name}' to rank designs by.",
                hint=f"score is one of: {', '.join(known)}; finished runs are kept",
            )
        place = place[part]
    if place is not None and (isinstance(place, bool) or not isinstance(place, int | float)):
        raise ConfigError(f"The '{name}' of the run '{row.key}' is {place!r}, not a number.", hint="name a figure")
    return place


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {error.strerror}.", hint="finished runs are kept") from error
