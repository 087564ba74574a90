"""How well crops were named and counted."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Bool, Float, Int

from lsm.config import Config
from lsm.errors import WrongFormat
from lsm.stats import auc_interval, roc_curve, wilson

Share = Annotated[float, Ge(0), Le(1)]
Odds = Float[np.ndarray, "crop category"]
Members = Int[np.ndarray, " crop"]


class RocPoints(Config):
    """Corners of a ROC curve from (0, 0) to (1, 1), straight lines between them."""

    false_positive_rate: tuple[Share, ...]
    true_positive_rate: tuple[Share, ...]


class ClassScore(Config):
    """One class against all others.

    crops: labelled so. precision: of those named so, 0 where none is. recall: None where no crop has the class.
    f1: harmonic mean of both, 0 where neither is above it; None as the recall. auc: area under the ROC curve of the
    class's score, with its interval; None where the class or all others are missing.
    """

    name: str
    crops: int
    precision: Share
    recall: Share | None
    f1: Share | None
    auc: Share | None
    auc_low: Share | None
    auc_high: Share | None
    roc: RocPoints | None


class ClassScores(Config):
    """Classes of a set of crops.

    accuracy: with the interval of whole groups drawn anew, or Wilson's where every crop stands alone. precision,
    recall, f1: unweighted means over the classes that have crops. confusion: crops by label (rows) and name (columns).
    groups: how many were resampled.
    """

    crops: int
    groups: int
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    precision: Share
    recall: Share
    f1: Share
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


class CountScores(Config):
    """Counts of a set of crops.

    labelled, found: objects in all crops together; percent: found of labelled, None where there are none.
    mae, mse: of the counts per crop, absolute and squared. r2: share of their variance that is told, None where all
    labels are equal; below 0 where the mean label would have done better. r: Pearson's correlation, None where either
    side is constant.
    """

    crops: int
    labelled: float
    found: float
    percent: float | None
    mae: float
    mse: float
    r2: float | None
    r: float | None


class CropScores(Config):
    """What a model came to on labelled crops; None for what the model or the labels do not have."""

    named: ClassScores | None
    counted: CountScores | None

    def as_table(self) -> str:
        """Lines of text for a terminal."""
        lines = []
        if self.named is not None:
            n = self.named
            lines.append(
                f"accuracy {n.accuracy:.3f} ({n.accuracy_low:.3f} to {n.accuracy_high:.3f}), {n.crops} crops in "
                f"{n.groups} groups"
            )
            width = max(len(name) for name in ("class", *(each.name for each in n.classes)))
            lines.append(f"{'class':{width}} {'crops':>7} {'precision':>9} {'recall':>7} {'F1':>7}  AUC")
            lines += [_row(each, width) for each in n.classes]
            lines.append(f"{'mean':{width}} {n.crops:7d} {n.precision:9.3f} {n.recall:7.3f} {n.f1:7.3f}")
        if self.counted is not None:
            c = self.counted
            percent, r2 = (_shown(value) for value in (c.percent, c.r2))
            lines.append(
                f"counted {c.found:.0f} of {c.labelled:.0f} objects ({percent} %) in {c.crops} crops: MAE {c.mae:.2f}, "
                f"MSE {c.mse:.2f}, R2 {r2}"
            )
        return "\n".join(lines)


def score_classes(
    odds: Odds,
    category: Members,
    names: tuple[str, ...],
    units: Members,
    *,
    rng: np.random.Generator | None = None,
    draws: int = 1000,
) -> ClassScores:
    """Classes named by the largest score.

    odds: score of each class, such as its probability. units: number of each crop's group. rng: for the groups drawn
    anew; seed 0 if None. draws: how often; without any the intervals of whole groups are 0 to 1.
    Raises WrongFormat for shapes that do not fit or no crops.
    """
    if odds.shape != (len(category), len(names)) or len(units) != len(category) or len(category) == 0:
        raise WrongFormat(
            f"Scores {odds.shape} do not fit {len(category)} crops of {len(names)} classes.",
            hint="give at least one crop, and a score for every crop and class",
        )
    rng = rng or np.random.default_rng(0)
    named = odds.argmax(axis=1)
    n = len(names)
    confusion = np.bincount(category * n + named, minlength=n * n).reshape(n, n)
    low, high = _accuracy_interval(named == category, units, rng, draws)
    classes = tuple(_one_class(k, names[k], confusion, odds[:, k], category == k, units, rng, draws) for k in range(n))
    there = [each for each in classes if each.crops]
    return ClassScores(
        crops=len(category),
        groups=len(np.unique(units)),
        accuracy=float((named == category).mean()),
        accuracy_low=low,
        accuracy_high=high,
        precision=float(np.mean([each.precision for each in there])),
        recall=float(np.mean([each.recall or 0.0 for each in there])),
        f1=float(np.mean([each.f1 or 0.0 for each in there])),
        classes=classes,
        confusion=tuple(tuple(int(value) for value in row) for row in confusion),
    )


def score_counts(found: Float[np.ndarray, " crop"], labelled: Float[np.ndarray, " crop"]) -> CountScores:
    """Counts found against counts labelled. Raises WrongFormat for none or different numbers of them."""
    if len(found) != len(labelled) or len(found) == 0:
        raise WrongFormat(f"{len(found)} counts do not fit {len(labelled)} labels.", hint="give one for every crop")
    error = found - labelled
    spread = float(((labelled - labelled.mean()) ** 2).sum())
    steady = spread == 0 or float(np.ptp(found)) == 0
    total = float(labelled.sum())
    return CountScores(
        crops=len(found),
        labelled=total,
        found=float(found.sum()),
        percent=100 * float(found.sum()) / total if total else None,
        mae=float(np.abs(error).mean()),
        mse=float((error**2).mean()),
        r2=None if spread == 0 else 1 - float((error**2).sum()) / spread,
        r=None if steady else float(np.corrcoef(found, labelled)[0, 1]),
    )


def _one_class(
    k: int,
    name: str,
    confusion: Int[np.ndarray, "category category"],
    score: Float[np.ndarray, " crop"],
    member: Bool[np.ndarray, " crop"],
    units: Members,
    rng: np.random.Generator,
    draws: int,
) -> ClassScore:
    right, labelled, named = int(confusion[k, k]), int(confusion[k].sum()), int(confusion[:, k].sum())
    curve, area = None, None
    if 0 < labelled < len(member):
        score = score.astype(np.float64)
        area = auc_interval(score, member, units, rng=rng, draws=draws)
        curve = _corners(score, member)
    return ClassScore(
        name=name,
        crops=labelled,
        precision=right / named if named else 0.0,
        recall=right / labelled if labelled else None,
        f1=2 * right / (labelled + named) if labelled else None,
        auc=None if area is None else area.auc,
        auc_low=None if area is None else area.low,
        auc_high=None if area is None else area.high,
        roc=curve,
    )


def _corners(score: Float[np.ndarray, " crop"], member: Bool[np.ndarray, " crop"]) -> RocPoints:
    curve = roc_curve(score, member)
    false = np.rint(curve.false_positive_rate * (~member).sum()).astype(np.int64)
    true = np.rint(curve.true_positive_rate * member.sum()).astype(np.int64)
    # whole numbers, so that points on a straight line are told exactly
    bend = np.diff(false)[:-1] * np.diff(true)[1:] != np.diff(true)[:-1] * np.diff(false)[1:]
    kept = np.concatenate([[True], bend, [True]])
    return RocPoints(
        false_positive_rate=tuple(map(float, curve.false_positive_rate[kept])),
        true_positive_rate=tuple(map(float, curve.true_positive_rate[kept])),
    )


def _accuracy_interval(
    right: Bool[np.ndarray, " crop"], units: Members, rng: np.random.Generator, draws: int
) -> tuple[float, float]:
    names, member = np.unique(units, return_inverse=True)
    if len(names) == len(right):
        return wilson(int(right.sum()), len(right))
    if len(names) == 1 or draws == 0:
        return 0.0, 1.0
    crops, hits = np.bincount(member), np.bincount(member, weights=right)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    low, high = np.quantile((times @ hits) / (times @ crops), [0.025, 0.975])
    return float(low), float(high)


def _row(each: ClassScore, width: int) -> str:
    area = "-"
    if each.auc is not None:
        area = f"{each.auc:.3f} ({each.auc_low:.3f} to {each.auc_high:.3f})"
    recall, f1 = _shown(each.recall), _shown(each.f1)
    return f"{each.name:{width}} {each.crops:7d} {each.precision:9.3f} {recall:>7} {f1:>7}  {area}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
