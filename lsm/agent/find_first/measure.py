"""What the real reader does to single cells, by how crowded their field is: fields of the twin, read and matched."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from lsm.agent.codebook import Codebook
from lsm.agent.pipeline import COMMON, PolicyModel
from lsm.agent.rules import ScanGrid
from lsm.agent.table_build import TableConfig, slide_source
from lsm.samples import CellTable
from lsm.sensing import Bundle
from lsm.twin import FieldRenderer
from lsm.vision import FieldReading

MEASURE_STREAM = 104_729
"""Added to a design's seed: these slides share no smear with those that the reader or a policy learned on."""

REACH_UM = 2.5
"""A found cell is a true one whose centre is no farther away; a red cell's radius is 3.9 um."""


@dataclass(frozen=True, eq=False)
class ReadCells:
    """Red cells of measured fields, in truth and as read.

    Per cell: field (index into the per-field arrays), infected, p_infected (the reader's score; NaN where no cell
    was found). Per field: slide, and true red cells per mm2.
    """

    field: Int[np.ndarray, " cell"]
    infected: Bool[np.ndarray, " cell"]
    p_infected: Float[np.ndarray, " cell"]
    slide: Int[np.ndarray, " field"]
    per_mm2: Float[np.ndarray, " field"]


def read_cells(
    bundle: Bundle,
    *,
    slides: int,
    parasitaemia: float = 0.2,
    grid: ScanGrid | None = None,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> ReadCells:
    """Cells of every field of so many smears of the bundle's design, under all its patterns.

    parasitaemia: high, so that a few smears hold many infected cells; the reader judges each cell by itself.
    progress: called after every slide.
    """
    model = PolicyModel.of(bundle)
    grid = grid or ScanGrid()
    design = model.design.model_copy(update={"seed": model.design.seed + MEASURE_STREAM})
    source = slide_source(design, "test", TableConfig(slides=slides, parasitaemia=(parasitaemia, parasitaemia)))
    optics = design.rig.system
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    slide_of: list[int] = []
    density: list[float] = []
    for number in range(slides):
        smear = source(number)
        renderer = FieldRenderer(smear, design.rig.led_board.board(), design.rig)
        rng = np.random.default_rng([seed, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        truth, half_um = smear.truth().red_cells, grid.pitch_um / 2
        for field in range(grid.n_fields):
            x_um, y_um = grid.centre_um(field)
            frames = _captures(renderer, model.codebook, (x_um, y_um), float(rng.normal()), generator)
            reading = model.readers[COMMON].read(frames)
            here = truth.within(x_um - half_um, x_um + half_um, y_um - half_um, y_um + half_um)
            scores = _scores(here, reading, (x_um, y_um), side_px=optics.camera_px, pixel_um=optics.camera_pixel_um)
            parts.append((here.infected, scores))
            slide_of.append(number)
            density.append(len(here) / (grid.pitch_um * 1e-3) ** 2)
        progress()
    return ReadCells(
        field=np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        infected=np.concatenate([part[0] for part in parts]),
        p_infected=np.concatenate([part[1] for part in parts]),
        slide=np.array(slide_of),
        per_mm2=np.array(density),
    )


def _captures(
    renderer: FieldRenderer,
    codebook: Codebook,
    centre_um: tuple[float, float],
    z_um: float,
    generator: torch.Generator,
) -> dict[int, np.ndarray]:
    shots = zip(codebook.patterns, codebook.exposures_ms, strict=True)
    return {
        k: renderer.image(pattern.levels, centre_um, z_um, exposure_ms, generator)
        for k, (pattern, exposure_ms) in enumerate(shots)
    }


def _scores(
    cells: CellTable, reading: FieldReading, centre_um: tuple[float, float], *, side_px: int, pixel_um: float
) -> Float[np.ndarray, " cell"]:
    """The reader's score of every true cell, NaN where it found none; each found cell counts once, for its nearest."""
    scores = np.full(len(cells), np.nan)
    red = np.isfinite(reading.p_infected)
    if not red.any() or len(cells) == 0:
        return scores
    middle = (side_px - 1) / 2
    found = np.column_stack([reading.cells.x_px[red], reading.cells.y_px[red]])
    places = (found - middle) * pixel_um + np.array(centre_um)
    distance, nearest = cKDTree(np.column_stack([cells.x_um, cells.y_um])).query(places)
    for index in np.argsort(-distance):
        if distance[index] <= REACH_UM:
            scores[nearest[index]] = reading.p_infected[red][index]
    return scores
