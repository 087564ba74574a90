"""Pictures of scores: what is drawn is what the scores say."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lsm.vision.classify import ClassScores, score_classes
from lsm.vision.classify.picture import STYLE, confusion_panel, count_panel, draw_scores, roc_panel


def made(classes: int, *, n: int = 200) -> ClassScores:
    rng = np.random.default_rng(0)
    category = rng.integers(0, classes, n)
    odds = rng.random((n, classes)) + 0.3 * np.eye(classes)[category]
    return score_classes(odds, category, tuple(f"class {k}" for k in range(classes)), np.arange(n) // 4, draws=20)


def test_confusion_shows_shares_of_each_label():
    scores = made(3)
    axes = Figure().add_subplot()
    confusion_panel(axes, scores)
    shown = np.asarray(axes.images[0].get_array())
    assert shown.sum(axis=1) == pytest.approx(1)
    assert shown[1, 2] == pytest.approx(scores.confusion[1][2] / sum(scores.confusion[1]))
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[2, 1] == f"{shown[1, 2]:.2f}"
    assert next(label.get_text() for label in axes.get_yticklabels()) == f"class 0 ({scores.classes[0].crops})"


def test_every_class_has_its_curve_and_two_classes_have_one():
    for classes, curves in ((2, 1), (3, 3), (13, 13)):
        scores = made(classes)
        axes = Figure().add_subplot()
        roc_panel(axes, scores)
        # the first line is that of chance
        assert len(axes.lines) == curves + 1
        last = scores.classes[-1]
        assert last.roc is not None
        assert np.array_equal(axes.lines[-1].get_ydata(), last.roc.true_positive_rate)
        legend = axes.get_legend()
        assert legend is not None
        assert f"{last.auc:.3f}" in legend.get_texts()[-1].get_text()
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}
    assert len(styles) == 13


def test_many_classes_are_told_in_one_line():
    axes = Figure().add_subplot()
    roc_panel(axes, made(20, n=400))
    assert axes.get_legend() is None
    assert axes.texts[0].get_text().startswith("20 classes: 0.")


def test_a_set_of_one_class_has_no_curve():
    odds = np.array([[0.9, 0.1], [0.6, 0.4]])
    axes = Figure().add_subplot()
    roc_panel(axes, score_classes(odds, np.array([0, 0]), ("a", "b"), np.arange(2)))
    assert len(axes.lines) == 1


def test_counts_are_drawn_to_one_scale():
    axes = Figure().add_subplot()
    count_panel(axes, np.array([1.0, 9.0]), np.array([0.0, 20.0]))
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[1] > 20
    assert np.array_equal(axes.lines[1].get_xdata(), [0, 20])


def test_draws_files_of_the_same_bytes_and_leaves_the_style_alone(tmp_path: Path):
    before = mpl.rcParams["font.size"]
    counts = (np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    for name in ("one.png", "two.png"):
        draw_scores(tmp_path / name, made(3), counts, title="cells")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert image.width > 2 * image.height
    draw_scores(tmp_path / "counts.png", counts=counts)
    with Image.open(tmp_path / "counts.png") as image:
        assert image.width < 2 * image.height
    assert mpl.rcParams["font.size"] == before != STYLE["font.size"]
