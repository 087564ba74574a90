"""Slide tables from the twin: every field of every slide, under every set of captures, read by the real reader."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
import torch
from annotated_types import Ge, Gt, Le

from lsm.agent.codebook import Codebook
from lsm.agent.rules import ScanGrid
from lsm.agent.search import quality_entries
from lsm.agent.state import N_QUALITY
from lsm.agent.tables import TABLES_VERSION, SlideTables
from lsm.config import Config
from lsm.samples import Smear
from lsm.samples.table import Kind
from lsm.sensing.config import DesignConfig, Split
from lsm.sensing.slides import Slides
from lsm.twin import FieldRenderer, TwinConfig
from lsm.types import Image
from lsm.vision import FieldReading

Parasitaemia = Annotated[float, Gt(0), Le(1)]
SEARCH_STREAM = 7919
"""Added to a design's seed: slides for searches share patients with a split, but no smear."""


class TableConfig(Config):
    """Slides of one set of tables.

    parasitaemia: smallest and largest infected fraction, drawn evenly in the logarithm per slide.
    defocus_um: standard deviation of the focus error of a field.
    """

    slides: Annotated[int, Ge(1)]
    parasitaemia: tuple[Parasitaemia, Parasitaemia] = (5e-3, 0.2)
    defocus_um: Annotated[float, Ge(0)] = 1.0


@runtime_checkable
class ReadsSubsets(Protocol):
    """A reader of fields that also reads every subset of the captures; lsm.vision.FieldReader is one."""

    n_patterns: int

    @property
    def n_bins(self) -> int: ...

    def read_subsets(self, frames: Mapping[int, Image]) -> dict[int, FieldReading]: ...


@dataclass(frozen=True)
class TablePlan:
    """How tables come about: slides by number, the rig, the light, and the readers by name.

    A reader of n patterns reads the first n of the codebook, so the bright-field baseline sees the same frames.
    identity: digest of whatever the slides and readers were made from; part of the cache's name.
    """

    smear: Callable[[int], Smear]
    rig: TwinConfig
    codebook: Codebook
    grid: ScanGrid
    readers: Mapping[str, ReadsSubsets]
    config: TableConfig
    identity: str
    seed: int = 0

    @property
    def digest(self) -> str:
        """Identity of the tables before they are built."""
        light = [
            (pattern.digest, exposure)
            for pattern, exposure in zip(self.codebook.patterns, self.codebook.exposures_ms, strict=True)
        ]
        parts = (
            TABLES_VERSION,
            self.identity,
            self.rig.digest(),
            light,
            self.grid.digest(),
            self.config.digest(),
            self.seed,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def slide_source(
    design: DesignConfig, split: Split, config: TableConfig, *, cells: Path | None = None
) -> Callable[[int], Smear]:
    """Smears by number for searches, with the cells (patients) of one split of a design and none of its smears."""
    group = getattr(design, split).model_copy(update={"parasitaemia": config.parasitaemia, "slides": config.slides})
    slides = Slides(design.model_copy(update={split: group, "seed": design.seed + SEARCH_STREAM}), cells=cells)
    return lambda number: slides.smear(split, number)


def build_tables(
    plan: TablePlan, cache: Path, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, SlideTables]:
    """Tables by reader name; slides that the cache holds are not computed again.

    Building can stop after any slide and go on later. progress: called with slides done and slides in all.
    Each slide's truth goes into `SlideTables.truth` and nowhere else.
    """
    folder = cache / f"search-{plan.digest}"
    parts: dict[str, list[SlideTables]] = {name: [] for name in plan.readers}
    for number in range(plan.config.slides):
        paths = {name: folder / f"{name}-{number}.npz" for name in plan.readers}
        if not all(path.is_file() for path in paths.values()):
            for name, table in read_slide(plan, number).items():
                table.save(paths[name])
        for name, path in paths.items():
            parts[name].append(SlideTables.load(path))
        if progress is not None:
            progress(number + 1, plan.config.slides)
    return {name: SlideTables.join(tables) for name, tables in parts.items()}


def read_slide(plan: TablePlan, number: int) -> dict[str, SlideTables]:
    """Tables of one slide by reader name, from frames with the camera's noise."""
    smear = plan.smear(number)
    renderer = FieldRenderer(smear, plan.rig.led_board.board(), plan.rig)
    rng = np.random.default_rng([plan.seed, number])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    n_fields = plan.grid.n_fields
    hists = {name: np.zeros((n_fields, *_shape(reader)), np.uint16) for name, reader in plan.readers.items()}
    quality = {
        name: np.zeros((n_fields, 1 << reader.n_patterns, N_QUALITY), np.float32)
        for name, reader in plan.readers.items()
    }
    for field in range(n_fields):
        z_um = float(rng.normal(0.0, plan.config.defocus_um))
        frames = _frames(plan, renderer, field, z_um, generator)
        for name, reader in plan.readers.items():
            for mask, reading in reader.read_subsets({k: frames[k] for k in range(reader.n_patterns)}).items():
                hists[name][field, mask] = reading.counts
                quality[name][field, mask] = quality_entries(reading.quality).numpy()
    truth = np.array([true_prevalence(smear)])
    return {name: SlideTables(hists[name][None], quality[name][None], truth) for name in plan.readers}


def true_prevalence(smear: Smear) -> float:
    """Infected fraction of all red cells on the slide; for training and scoring only."""
    table = smear.truth()
    red = table.kind == Kind.RED_CELL
    return float(table.infected[red].mean()) if red.any() else 0.0


def _shape(reader: ReadsSubsets) -> tuple[int, int]:
    return 1 << reader.n_patterns, reader.n_bins


def _frames(
    plan: TablePlan, renderer: FieldRenderer, field: int, z_um: float, generator: torch.Generator
) -> list[Image]:
    centre_um = plan.grid.centre_um(field)
    return [
        renderer.image(pattern.levels, centre_um, z_um, exposure_ms, generator)
        for pattern, exposure_ms in zip(plan.codebook.patterns, plan.codebook.exposures_ms, strict=True)
    ]
