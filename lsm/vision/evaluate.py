"""Readings against the truth: score counts for the calibration, curves and finder figures for the card."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from lsm.illum import Pattern
from lsm.sensing.bundle import Bundle
from lsm.sensing.config import Split
from lsm.sensing.fields import FieldCells
from lsm.sensing.progress import Stage
from lsm.sensing.slides import Slides, true_cells
from lsm.stats import AucEstimate, auc_interval
from lsm.twin import FieldRenderer
from lsm.types import Image
from lsm.vision.finder import N_KINDS, FoundCells
from lsm.vision.reader import RED_CELL, FieldReader, FieldReading

REACH_UM = 2.5
"""A found and a true cell closer than this are the same."""


@dataclass(frozen=True, eq=False)
class TestField:
    """Camera frames of one field under every pattern, by pattern index, and what is truly there."""

    slide: int
    frames: dict[int, Image]
    cells: FieldCells


def shoot_slides(
    slides: Slides, split: Split, patterns: tuple[Pattern, ...], exposures_ms: list[float]
) -> Iterator[TestField]:
    """Frames of random fields of the scan grid on every slide of the split, as the twin's camera takes them."""
    config = slides.config
    board, system = config.rig.led_board.board(), config.rig.system
    pitch_um = system.camera_px * system.camera_pixel_um
    group = getattr(config, split)
    for number in range(group.slides):
        smear, traits, rng = slides.smear(split, number), slides.traits(split, number), slides.rng(split, number, 2)
        renderer = FieldRenderer(smear, board, config.rig)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        columns, rows = (max(1, int(extent // pitch_um)) for extent in smear.extent_um)
        count = min(group.fields_per_slide, columns * rows)
        for place in rng.choice(columns * rows, count, replace=False):
            x_um, y_um = (place % columns + 0.5) * pitch_um, (place // columns + 0.5) * pitch_um
            z_um = float(rng.normal(0.0, group.defocus_um) - traits.focus_at((x_um, y_um), smear.extent_um))
            frames = {
                k: renderer.image(pattern.levels, (x_um, y_um), z_um, exposure_ms, generator)
                for k, (pattern, exposure_ms) in enumerate(zip(patterns, exposures_ms, strict=True))
            }
            cells = true_cells(smear, x_um, y_um, camera_px=system.camera_px, camera_pixel_um=system.camera_pixel_um)
            yield TestField(number, frames, cells)


def match(found: FoundCells, cells: FieldCells, *, reach_px: float) -> Int[np.ndarray, " found"]:
    """For each found cell the index of the true cell it is, or -1; nearest pairs first, one to one."""
    partner = np.full(len(found), -1)
    if len(found) == 0 or len(cells) == 0:
        return partner
    tree = cKDTree(np.column_stack([cells.x_px, cells.y_px]))
    distance, index = tree.query(
        np.column_stack([found.x_px, found.y_px]), k=min(4, len(cells)), distance_upper_bound=reach_px
    )
    distance, index = distance.reshape(len(found), -1), index.reshape(len(found), -1)
    taken: set[int] = set()
    for flat in np.argsort(distance, axis=None, kind="stable"):
        who, near = int(flat) // distance.shape[1], int(index.flat[flat])
        if not np.isfinite(distance.flat[flat]):
            break
        if partner[who] < 0 and near not in taken:
            partner[who] = near
            taken.add(near)
    return partner


class Tally:
    """Collects readings and truth of one kind of reader, mask by mask.

    A red cell that is found but is not an infected one counts as uninfected, whatever it really is:
    on a slide without truth it would be counted all the same.
    """

    def __init__(self, n_patterns: int) -> None:
        self._cells: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
        self._found = np.zeros((2**n_patterns, 3), dtype=np.int64)
        self._true = np.zeros((2**n_patterns, 2), dtype=np.int64)

    def add(self, slide: int, reading: FieldReading, cells: FieldCells, pixel_um: float) -> None:
        """Count one reading."""
        real = cells.where(cells.kind < N_KINDS)
        partner = match(reading.cells, real, reach_px=REACH_UM / pixel_um)
        red = reading.cells.kind == RED_CELL
        hit = red & (partner >= 0)
        hit[hit] = real.kind[partner[hit]] == RED_CELL
        infected = hit.copy()
        infected[hit] = real.infected[partner[hit]]
        score = reading.p_infected[red]
        rows = (score, infected[red], np.full(len(score), slide))
        self._cells.setdefault(reading.mask, []).append(rows)
        self._found[reading.mask] += [red.sum(), hit.sum(), infected.sum()]
        true_red = real.kind == RED_CELL
        self._true[reading.mask] += [true_red.sum(), (true_red & real.infected).sum()]

    def masks(self) -> list[int]:
        """Sets of captures that were seen."""
        return sorted(self._cells)

    def scores(
        self, mask: int
    ) -> tuple[Float[np.ndarray, " cell"], Bool[np.ndarray, " cell"], Int[np.ndarray, " cell"]]:
        """Score, label and slide of every found red cell."""
        score, label, slide = (np.concatenate(column) for column in zip(*self._cells[mask], strict=True))
        return score, label, slide

    def counts(
        self, inner_edges: Float[np.ndarray, " edge"], slides: int
    ) -> tuple[Int[np.ndarray, "slide mask bin"], Int[np.ndarray, "slide mask bin"]]:
        """Infected and uninfected cells of the first so many slides; a score on an edge falls into the bin above it."""
        infected = np.zeros((slides, len(self._found), len(inner_edges) + 1), dtype=np.int64)
        uninfected = np.zeros_like(infected)
        for mask in self.masks():
            score, label, slide = self.scores(mask)
            bins = np.searchsorted(inner_edges, score, side="right")
            for counted, which in ((infected, label), (uninfected, ~label)):
                which = which & (slide < slides)
                np.add.at(counted[:, mask], (slide[which], bins[which]), 1)
        return infected, uninfected

    def auc(self, mask: int, rng: np.random.Generator) -> AucEstimate:
        """Area under the curve of found red cells; the interval resamples slides, 0..1 where a class is missing."""
        score, label, slide = self.scores(mask)
        if label.all() or not label.any():
            return AucEstimate(0.5, 0.0, 1.0, len(np.unique(slide)))
        return auc_interval(score, label, slide, rng=rng, draws=300)

    def finder(self, mask: int) -> dict[str, float]:
        """Precision and recall of red cells at REACH_UM, and recall among infected and among uninfected ones."""
        found, hit, infected = self._found[mask].tolist()
        true, true_infected = self._true[mask].tolist()
        return {
            "precision": hit / max(found, 1),
            "recall": hit / max(true, 1),
            "recall_infected": infected / max(true_infected, 1),
            "recall_uninfected": (hit - infected) / max(true - true_infected, 1),
        }


def tally_slides(slides: Slides, split: Split, bundle: Bundle, stage: Stage) -> tuple[Tally, Tally]:
    """Readings of the whole split: by the learned codebook under every mask, and by the bright-field baseline."""
    learned, bright = FieldReader(bundle), FieldReader(bundle, baseline=True)
    rig = slides.config.rig
    pixel_um = rig.system.camera_pixel_um
    ours, theirs = Tally(bundle.n_patterns), Tally(1)
    patterns = bundle.patterns(rig.led_board.board())
    for field in shoot_slides(slides, split, patterns, bundle.exposures_ms.tolist()):
        for reading in learned.read_subsets(field.frames).values():
            ours.add(field.slide, reading, field.cells, pixel_um)
        theirs.add(field.slide, bright.read({0: field.frames[0]}), field.cells, pixel_um)
        stage.advance()
    return ours, theirs
