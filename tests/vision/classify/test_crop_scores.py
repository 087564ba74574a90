"""Scores of classes and counts: by hand, against torchmetrics, and where something is missing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    multiclass_auroc,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, pearson_corrcoef, r2_score

from lsm.errors import WrongFormat
from lsm.vision.classify import CropScores, score_classes, score_counts

NAMES = ("a", "b", "c", "d")


def made(n: int = 400, *, seed: int = 0, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of four classes of different frequency, and labels."""
    rng = np.random.default_rng(seed)
    category = rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])
    odds = rng.normal(size=(n, 4)) + skill * np.eye(4)[category]
    share = np.exp(odds)
    return share / share.sum(axis=1, keepdims=True), category


def test_agrees_with_torchmetrics():
    odds, category = made()
    found = score_classes(odds, category, NAMES, np.arange(400), draws=0)
    given, target = torch.from_numpy(odds), torch.from_numpy(category)
    assert np.array_equal(found.confusion, multiclass_confusion_matrix(given, target, 4))
    assert found.accuracy == pytest.approx(float((given.argmax(1) == target).double().mean()))
    for name, their in (
        ("precision", multiclass_precision),
        ("recall", multiclass_recall),
        ("f1", multiclass_f1_score),
    ):
        # torchmetrics divides in float32
        each = their(given, target, 4, average="none").tolist()
        assert [getattr(one, name) for one in found.classes] == pytest.approx(each, abs=1e-6)
        assert getattr(found, name) == pytest.approx(float(np.mean(each)), abs=1e-6)
    areas = multiclass_auroc(given, target, 4, average="none").tolist()
    assert [one.auc for one in found.classes] == pytest.approx(areas, abs=1e-6)


def test_by_hand():
    odds = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.7, 0.3]])
    found = score_classes(odds, np.array([0, 0, 1, 1, 1]), ("up", "down"), np.arange(5))
    assert found.confusion == ((2, 0), (1, 2))
    up, down = found.classes
    assert (up.crops, up.precision, up.recall) == (2, pytest.approx(2 / 3), 1.0)
    assert (down.precision, down.recall, down.f1) == (1.0, pytest.approx(2 / 3), pytest.approx(0.8))
    # of the six pairs of one up and one down, one is in the wrong order
    assert up.auc == pytest.approx(5 / 6)
    assert up.roc is not None
    assert up.roc.false_positive_rate == pytest.approx((0, 0, 1 / 3, 1 / 3, 1))
    assert up.roc.true_positive_rate == pytest.approx((0, 0.5, 0.5, 1, 1))


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_the_corners_hold_the_whole_curve(seed: int, levels: int):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels + 1, 60) / levels
    odds = np.stack([score, 1 - score], axis=1)
    category = np.concatenate([[0, 1], rng.integers(0, 2, 58)])
    each = score_classes(odds, category, ("a", "b"), np.arange(60), draws=0).classes[0]
    assert each.roc is not None
    area = np.trapezoid(each.roc.true_positive_rate, each.roc.false_positive_rate)
    # sums of sixty float64 numbers
    assert area == pytest.approx(each.auc, abs=1e-12)
    assert (each.roc.false_positive_rate[0], each.roc.true_positive_rate[-1]) == (0, 1)
    assert len(each.roc.true_positive_rate) <= levels + 2


def test_missing_classes_have_no_recall_and_no_area():
    odds = np.array([[0.8, 0.2, 0.0], [0.3, 0.1, 0.6], [0.7, 0.3, 0.0]])
    found = score_classes(odds, np.array([0, 0, 1]), ("a", "b", "c"), np.arange(3))
    a, b, c = found.classes
    assert (c.crops, c.precision, c.recall, c.f1, c.auc, c.roc) == (0, 0.0, None, None, None, None)
    assert (b.precision, b.recall, b.f1) == (0.0, 0.0, 0.0)
    # means are over a and b
    assert found.precision == pytest.approx(a.precision / 2)
    assert found.recall == pytest.approx(0.25)
    only = score_classes(odds, np.array([0, 0, 0]), ("a", "b", "c"), np.arange(3))
    assert only.classes[0].auc is None


def test_intervals_widen_where_crops_share_a_group():
    odds, category = made(300)
    # ten crops of a group are right or wrong together
    odds, category = np.repeat(odds, 10, axis=0), np.repeat(category, 10)
    alone = score_classes(odds, category, NAMES, np.arange(3000), draws=200)
    together = score_classes(odds, category, NAMES, np.repeat(np.arange(300), 10), draws=200)
    assert (alone.groups, together.groups) == (3000, 300)
    wide, narrow = (each.accuracy_high - each.accuracy_low for each in (together, alone))
    # the square root of ten, within what 200 draws tell
    assert wide / narrow == pytest.approx(10**0.5, rel=0.25)
    wide, narrow = (each.classes[0].auc_high - each.classes[0].auc_low for each in (together, alone))
    assert wide / narrow == pytest.approx(10**0.5, rel=0.25)


def test_one_group_tells_nothing_of_others():
    odds, category = made(50)
    found = score_classes(odds, category, NAMES, np.zeros(50, dtype=np.int64))
    assert (found.accuracy_low, found.accuracy_high) == (0, 1)


def test_counts_agree_with_torchmetrics():
    rng = np.random.default_rng(3)
    labelled = rng.integers(0, 40, 100).astype(np.float64)
    found = labelled * 0.9 + rng.normal(1, 3, 100)
    ours = score_counts(found, labelled)
    theirs = [torch.from_numpy(each) for each in (found, labelled)]
    # torchmetrics sums in float64 here
    assert ours.mae == pytest.approx(float(mean_absolute_error(*theirs)), rel=1e-9)
    assert ours.mse == pytest.approx(float(mean_squared_error(*theirs)), rel=1e-9)
    assert ours.r2 == pytest.approx(float(r2_score(*theirs)), rel=1e-9)
    assert ours.r == pytest.approx(float(pearson_corrcoef(*theirs)), rel=1e-9)
    assert ours.percent == pytest.approx(100 * found.sum() / labelled.sum())


def test_counts_without_spread_have_no_r2():
    same = score_counts(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert (same.r2, same.r, same.mae) == (None, None, 1.5)
    none = score_counts(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    assert (none.percent, none.mse) == (None, 1.0)
    steady = score_counts(np.array([2.0, 2.0]), np.array([1.0, 3.0]))
    assert (steady.r2, steady.r) == (0.0, None)


def test_refuses_what_does_not_fit():
    odds, category = made(5)
    with pytest.raises(WrongFormat, match="do not fit"):
        score_classes(odds, category, ("a", "b"), np.arange(5))
    with pytest.raises(WrongFormat, match="do not fit"):
        score_classes(odds[:0], category[:0], NAMES, np.arange(0))
    with pytest.raises(WrongFormat, match="0 counts"):
        score_counts(np.zeros(0), np.zeros(0))


def test_the_table_tells_every_class():
    odds, category = made(60)
    named = score_classes(odds, category, (*NAMES[:3], "a long name"), np.arange(60))
    text = CropScores(named=named, counted=score_counts(np.array([2.0, 3]), np.array([2.0, 2]))).as_table()
    lines = text.splitlines()
    assert lines[0].startswith(f"accuracy {named.accuracy:.3f}")
    assert [line.split()[0] for line in lines[2:5]] == list(NAMES[:3])
    assert lines[5].startswith("a long name")
    assert "counted 5 of 4 objects (125.000 %)" in lines[-1]
    assert CropScores.model_validate_json(CropScores(named=named, counted=None).model_dump_json()).named == named
