"""How unevenly infected cells lie on real thin films, from the names of cell crops."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from lsm.agent.find_first.trial import RESAMPLES
from lsm.errors import WrongFormat

FEWEST_PHOTOGRAPHS = 5
Counts = Int[np.ndarray, "_"]
"""Infected crops of each photograph of one slide."""


def photograph_counts(manifest: Path) -> list[Counts]:
    """Infected crops per photograph, one array per infected slide, of a table of the NIH cell crops.

    manifest: CSV with the columns filename, class and patient_id; a file is named PHOTOGRAPH_cell_NUMBER.png. Slides of
    fewer than five photographs or two infected crops are left out. Raises WrongFormat for other tables.
    """
    with manifest.open(newline="", encoding="utf-8") as held:
        return counts_of(csv.DictReader(held), source=manifest.name)


def counts_of(rows: Iterable[Mapping[str, str]], *, source: str) -> list[Counts]:
    """As `photograph_counts`, from rows."""
    slides: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found = re.match(r"(.+)_cell_\d+", row.get("filename") or "")
        if found is None or "class" not in row or "patient_id" not in row:
            raise WrongFormat(
                f"{source} is no table of the NIH cell crops.", hint="it needs filename, class and patient_id"
            )
        slides[row["patient_id"]][found[1]] += row["class"] == "Parasitized"
    counts = [np.array(list(photographs.values())) for photographs in slides.values()]
    return [each for each in counts if len(each) >= FEWEST_PHOTOGRAPHS and each.sum() >= 2]


def unevenness(counts: list[Counts], *, seed: int) -> dict[str, Any]:
    """Squared coefficient of variation of the local infected fraction beyond counting, with a 95 % interval.

    Moments over the photographs of each slide, summed over slides; random thinning of the crops does not change it.
    Slides are resampled. spread: that of the log-normal fraction which would give it.
    """
    parts = np.array([_moments(each.astype(np.float64)) for each in counts])
    rng = np.random.default_rng(seed)
    drawn = parts[rng.integers(len(parts), size=(RESAMPLES, len(parts)))].sum(axis=1)
    middle = float(parts[:, 0].sum() / parts[:, 1].sum())
    low, high = (float(each) for each in np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975]))
    return {
        "slides": len(counts),
        "photographs": int(sum(len(each) for each in counts)),
        "infected_crops": int(sum(each.sum() for each in counts)),
        "squared_variation": [round(each, 4) for each in (middle, low, high)],
        "spread": [round(float(np.sqrt(np.log1p(max(each, 0.0)))), 3) for each in (middle, low, high)],
    }


def _moments(counts: np.ndarray) -> tuple[float, float]:
    """Variance beyond the mean, and the squared mean, both without bias, times the number of photographs."""
    mean, variance, n = counts.mean(), counts.var(ddof=1), len(counts)
    return float((variance - mean) * n), float((mean**2 - variance / n) * n)
