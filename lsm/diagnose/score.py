"""How right a run was: the only place of the package that holds what was found against the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from lsm.agent.results import SlideRun
from lsm.diagnose.scan.cellfile import CELL, read_cells
from lsm.samples import CellTable
from lsm.stats import auc

Points = Float[np.ndarray, "cell 2"]
Scores = Float[np.ndarray, " cell"]


@dataclass(frozen=True)
class RunScore:
    """A run against the truth of its slide.

    true_prevalence: infected share of all red cells of the slide. precision: found cells that are red cells;
    recall: red cells of the visited fields that were found, those at a field's edge left out.
    infected_auc: area under the ROC curve of the scores of correctly found cells; None where a class is missing.
    absolute_error: of the prevalence. log_error: |ln((estimate + floor) / (truth + floor))|.
    covered: the interval holds the true prevalence.
    """

    true_prevalence: float
    precision: float
    recall: float
    infected_auc: float | None
    absolute_error: float
    log_error: float
    covered: bool


def score_run(
    run: SlideRun,
    truth: CellTable,
    *,
    cells: Path | None = None,
    match_um: float = 3.0,
    edge_um: float = 5.0,
    floor: float = 5e-3,
) -> RunScore:
    """The run's score. A found cell matches the nearest free red cell within `match_um`, closest pairs first.

    cells: of a scan, the file of all its cells; the run of one lists the most suspicious alone.
    edge_um: red cells closer than this to the edge of their field do not count for the recall.
    floor: the prevalence below which relative errors stop mattering.
    """
    red = truth.red_cells
    true_xy = np.column_stack([red.x_um, red.y_um]).astype(np.float64)
    found_xy, found_scores = _listed(run) if cells is None else _filed(cells)
    found, true = match(found_xy, true_xy, match_um=match_um)
    inside = _inside(true_xy, run, edge_um)
    scores = found_scores[found]
    infected = red.infected[true]
    true_prevalence = float(truth.parasitaemia)
    estimate = run.estimate
    return RunScore(
        true_prevalence,
        precision=len(found) / len(found_xy) if len(found_xy) else float("nan"),
        recall=float(np.isin(np.flatnonzero(inside), true).mean()) if inside.any() else float("nan"),
        infected_auc=auc(scores, infected) if infected.any() and not infected.all() else None,
        absolute_error=abs(estimate.prevalence - true_prevalence),
        log_error=abs(float(np.log((estimate.prevalence + floor) / (true_prevalence + floor)))),
        covered=estimate.low <= true_prevalence <= estimate.high,
    )


def _listed(run: SlideRun) -> tuple[Points, Scores]:
    places = np.array([(cell.x_um, cell.y_um) for cell in run.cells], dtype=np.float64).reshape(-1, 2)
    return places, np.array([cell.p_infected for cell in run.cells], dtype=np.float64)


def _filed(path: Path) -> tuple[Points, Scores]:
    rows = np.concatenate([np.zeros(0, dtype=CELL), *read_cells(path)])
    return np.column_stack([rows["x_um"], rows["y_um"]]), rows["score"].astype(np.float64)


def match(
    found_xy: Points, true_xy: Float[np.ndarray, "true 2"], *, match_um: float
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Indices of found and of true points that belong together, each at most once, closest pairs first."""
    none = np.zeros(0, dtype=np.int64)
    if not len(found_xy) or not len(true_xy):
        return none, none
    near = cKDTree(found_xy).sparse_distance_matrix(cKDTree(true_xy), match_um, output_type="coo_matrix")
    free_found, free_true = np.ones(len(found_xy), dtype=bool), np.ones(len(true_xy), dtype=bool)
    pairs = []
    for index in np.argsort(near.data, kind="stable"):
        found, true = near.row[index], near.col[index]
        if free_found[found] and free_true[true]:
            free_found[found] = free_true[true] = False
            pairs.append((found, true))
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _inside(xy: Points, run: SlideRun, edge_um: float) -> Bool[np.ndarray, " cell"]:
    half = np.array(run.field_um) / 2 - edge_um
    inside = np.zeros(len(xy), dtype=bool)
    for visit in run.visits:
        inside |= (np.abs(xy - np.array(visit.xy_um)) < half).all(axis=1)
    return inside
