"""Scoring against a truth that the test itself made."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_run import FIELD_UM, drawn_slide, example_run

from lsm.diagnose import score_run
from lsm.diagnose.score import match
from lsm.samples import CellTable, Kind
from lsm.stats import PrevalenceEstimate, auc

SLIDE = drawn_slide()
RUN = example_run(SLIDE, policy="agent", adaptive=False, captures=6)


def test_everything_found_scores_full_marks_and_the_reader_s_own_auc():
    score = score_run(RUN, SLIDE.truth)
    seen = np.isin(SLIDE.field, np.arange(6))
    assert (score.precision, score.recall) == (1.0, 1.0)
    assert score.infected_auc == pytest.approx(auc(SLIDE.scores[seen], SLIDE.truth.infected[seen]))
    assert score.true_prevalence == pytest.approx(float(SLIDE.truth.infected.mean()))


def test_missed_and_invented_cells_are_counted():
    """Every fourth cell missed; one found twice and one where nothing is."""
    kept = tuple(cell for index, cell in enumerate(RUN.cells) if index % 4)
    invented = replace(kept[0], x_um=kept[0].x_um + 1.0), replace(kept[0], x_um=-500.0)
    score = score_run(replace(RUN, cells=(*kept, *invented)), SLIDE.truth)
    assert score.precision == pytest.approx(len(kept) / (len(kept) + 2))
    # Cells at field edges do not count, which takes out about every tenth, not evenly among the missed.
    assert score.recall == pytest.approx(0.75, abs=0.05)


def test_other_objects_are_no_red_cells():
    rows = SLIDE.truth.rows.copy()
    rows["kind"][SLIDE.field == 0] = Kind.PLATELET
    score = score_run(RUN, CellTable(rows))
    assert score.precision == pytest.approx(5 / 6)  # the cells of one field of six
    assert score.recall == 1.0


def test_errors_of_the_prevalence():
    truth = float(SLIDE.truth.infected.mean())
    score = score_run(replace(RUN, estimate=PrevalenceEstimate(2 * truth, 1.5 * truth, 3 * truth, 100)), SLIDE.truth)
    assert score.absolute_error == pytest.approx(truth)
    assert score.log_error == pytest.approx(np.log((2 * truth + 0.005) / (truth + 0.005)))
    assert not score.covered
    assert score_run(replace(RUN, estimate=PrevalenceEstimate(truth, 0.0, 1.0, 100)), SLIDE.truth).covered


def test_a_class_that_is_missing_leaves_no_auc():
    rows = SLIDE.truth.rows.copy()
    rows["infected"] = False
    assert score_run(RUN, CellTable(rows)).infected_auc is None


def test_closest_pairs_are_matched_first_and_each_point_once():
    found = np.array([[0.0, 0.0], [1.5, 0.0], [FIELD_UM, 0.0]])
    true = np.array([[1.0, 0.0], [-2.0, 0.0]])
    pairs = match(found, true, match_um=3.0)
    assert sorted(zip(*(index.tolist() for index in pairs), strict=True)) == [(0, 1), (1, 0)]
    assert len(match(found, np.zeros((0, 2)), match_um=3.0)[0]) == 0
