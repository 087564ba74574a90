"""How well a reading agrees with the truth, and intervals for "A beats B"."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from lsm.stats import auc

CONFIDENCE = 0.95
# a field that is nearly all of one class tells little about a reader, and its area under the curve much by chance
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Score:
    """auc, iou: of the whole. by_unit: the same (auc, iou) for each field or tile, None where one class is missing."""

    auc: float
    iou: float
    by_unit: tuple[tuple[float, float] | None, ...]


Odds = Float[np.ndarray, "y x"]
Truth = Bool[np.ndarray, "y x"]


def overlap(odds: Float[np.ndarray, " px"], truth: Bool[np.ndarray, " px"]) -> float:
    """Intersection over union of what is read as stained (odds above 0) and what is."""
    read = odds > 0
    return float((read & truth).sum() / max(1, int((read | truth).sum())))


def both(odds: Float[np.ndarray, " px"], truth: Bool[np.ndarray, " px"]) -> tuple[float, float] | None:
    """Area under the curve and overlap; None where nearly all pixels are of one class."""
    if not LEAST_SHARE < float(truth.mean()) < 1 - LEAST_SHARE:
        return None
    return auc(odds.astype(np.float64), truth), overlap(odds, truth)


def score_fields(odds: Float[np.ndarray, "field y x"], truth: Bool[np.ndarray, "field y x"]) -> Score:
    """Means over fields, each scored by itself."""
    units = tuple(both(one.ravel(), there.ravel()) for one, there in zip(odds, truth, strict=True))
    found = np.array([unit for unit in units if unit is not None])
    return Score(float(found[:, 0].mean()), float(found[:, 1].mean()), units)


def score_slide(odds: Odds, truth: Truth, *, rim: int, tiles: int) -> Score:
    """The slide as a whole without its rim, and each of tiles x tiles parts."""
    side = (odds.shape[0] - 2 * rim) // tiles
    inside = slice(rim, rim + side * tiles)
    whole = (odds[inside, inside], truth[inside, inside])
    cut = [part.reshape(tiles, side, tiles, side).swapaxes(1, 2).reshape(tiles**2, -1) for part in whole]
    units = tuple(both(one, there) for one, there in zip(cut[0], cut[1], strict=True))
    return Score(
        auc(whole[0].ravel().astype(np.float64), whole[1].ravel()), overlap(whole[0].ravel(), whole[1].ravel()), units
    )


def t_interval(differences: Float[np.ndarray, " pair"]) -> tuple[float, float]:
    """Two-sided interval of the mean of paired differences, after Student; infinite for a single one."""
    n = len(differences)
    if n < 2:
        return (-np.inf, np.inf)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    mean = float(differences.mean())
    return (mean - reach, mean + reach)


def compare(first: list[Score], second: list[Score], measure: int) -> dict[str, object]:
    """First minus second, seed by seed, with intervals over seeds and over units (means over seeds).

    measure: 0 is the area under the curve, 1 the overlap.
    """
    name = ("auc", "iou")[measure]
    by_seed = np.array([getattr(a, name) - getattr(b, name) for a, b in zip(first, second, strict=True)])
    units = [
        np.mean([a.by_unit[k][measure] - b.by_unit[k][measure] for a, b in zip(first, second, strict=True)])  # type: ignore[index]
        for k in range(len(first[0].by_unit))
        if first[0].by_unit[k] is not None
    ]
    return {
        "difference": round(float(by_seed.mean()), 4),
        "over_seeds": _ends(t_interval(by_seed)),
        "over_places": _ends(t_interval(np.array(units))),
    }


def _ends(interval: tuple[float, float]) -> list[float] | None:
    return [round(end, 4) for end in interval] if np.isfinite(interval).all() else None
