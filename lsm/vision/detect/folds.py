"""Scores of several trainings taken together, each on images that it did not learn from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats


def interval(values: Sequence[float]) -> list[float]:
    """Mean of shares, and its 95 % interval by Student's distribution within 0..1; the mean alone of one value."""
    held = np.asarray(values, dtype=np.float64)
    mean = float(held.mean())
    if len(held) < 2:
        return [round(mean, 4)]
    half = float(stats.t.ppf(0.975, len(held) - 1) * held.std(ddof=1) / np.sqrt(len(held)))
    return [round(mean, 4), round(max(mean - half, 0.0), 4), round(min(mean + half, 1.0), 4)]


def category_over_folds(rows: Sequence[Mapping[str, Any]], images: Sequence[int]) -> dict[str, Any]:
    """One category in all folds: its counts are those of all images together.

    rows: the plain values of a `CategoryScores` for each fold. images: searched in each.
    counted_range: least and largest of the folds' `counted_percent`, which may miss by much in both directions and
    still add up; folds without any of the category have none.
    """
    labelled, found, hits = (sum(row[key] for row in rows) for key in ("labelled", "found", "hits"))
    precise = [row["ap_50"] for row in rows if row["ap_50"] is not None]
    shares = [100 * row["found"] / row["labelled"] for row in rows if row["labelled"]]
    return {
        "ap_50": interval(precise) if precise else None,
        "labelled": labelled,
        "found": found,
        "counted_percent": round(100 * found / labelled, 1) if labelled else None,
        "counted_range": [round(min(shares), 1), round(max(shares), 1)] if shares else None,
        "hit_percent": round(100 * hits / labelled, 1) if labelled else None,
        "count_mae": round(float(np.average([row["count_mae"] for row in rows], weights=images)), 3),
    }
