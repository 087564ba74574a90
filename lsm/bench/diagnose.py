"""Cells a second of a scan, from frames that are ready in memory to the verdict, and whether its memory stays flat."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from lsm.agent.pipeline import design_of
from lsm.bench.machine import Machine, this_machine
from lsm.bench.memory import held_mib
from lsm.bench.promises import Promise
from lsm.devices import Frame, Observe
from lsm.diagnose import Verdict, VerdictRules
from lsm.diagnose.scan import (
    CellFile,
    Progress,
    QualityConfig,
    RegionConfig,
    ScanConfig,
    ScanKit,
    ScanPlan,
    ScanResult,
    scan_slide,
)
from lsm.diagnose.scan.config import Light
from lsm.diagnose.scan.kit import scan_kit
from lsm.diagnose.scan.verdict import judge_scan
from lsm.illum import LedBoard
from lsm.samples import ProceduralSmear
from lsm.scope import RigConfig, find_rig
from lsm.sensing import Bundle
from lsm.threads import threads
from lsm.twin import Twin, TwinConfig

MODEL, RIG = "procedural", "simulated"
CELLS_S, CORES = 2800.0, 2
LONG_FIELDS, SHORT_FIELDS, QUICK_FIELDS = 9500, 200, 24
"""Some 210 cells in each: two million, forty thousand and five thousand."""

SPARE_MIB = 64.0
DIFFERENT = 8
COLUMNS = 100
POINTS, SHOWN = 100, 10
"""Of the curve of memory against cells: all, and those in the table."""
LIGHTS: tuple[Light, ...] = ("bright field", "learned", "agent")


@dataclass(frozen=True)
class ScanRate:
    """One scan. cells: unique red cells. seconds: from the first field to the verdict."""

    light: str
    threads: int
    fields: int
    captures: int
    cells: int
    seconds: float

    @property
    def cells_s(self) -> float:
        return self.cells / self.seconds


@dataclass(frozen=True)
class Held:
    """Memory that the process held when a scan had counted so many cells."""

    cells: int
    mib: float


@dataclass(frozen=True, eq=False)
class Scanned:
    """A scan of ready frames, and all that its report is made from. held: memory, in the order of the fields."""

    kit: ScanKit
    rules: VerdictRules
    result: ScanResult
    verdict: Verdict
    rate: ScanRate
    held: tuple[Held, ...]


@dataclass(frozen=True)
class DiagnoseComparison:
    """held: memory over the cells of the long scan."""

    quick: bool
    machine: Machine
    rates: tuple[ScanRate, ...]
    long: ScanRate
    held: tuple[Held, ...]

    @property
    def grown_mib(self) -> float:
        """The most that was held after a tenth of the long scan, above what was held there."""
        tenth = next(at for at, one in enumerate(self.held) if 10 * one.cells >= self.held[-1].cells)
        return max(one.mib for one in self.held[tenth:]) - self.held[tenth].mib

    @property
    def mib_per_million(self) -> float:
        """Slope of memory over cells, after a tenth of the long scan."""
        later = [one for one in self.held if 10 * one.cells >= self.held[-1].cells]
        if len(later) < 2:
            return 0.0
        slope, _ = np.polyfit([one.cells / 1e6 for one in later], [one.mib for one in later], 1)
        return float(slope)

    def promises(self) -> list[Promise]:
        """Speed in bright field on two cores, and memory that does not grow with the cells."""
        fast = max(rate.cells_s for rate in self.rates if (rate.light, rate.threads) == (LIGHTS[0], CORES))
        measured, grown = (None, None) if self.quick else (fast, self.grown_mib)
        return [
            Promise(f"{LIGHTS[0]}, frames to verdict, {CORES} cores", "cells/s", CELLS_S, True, measured),
            Promise(f"memory from a tenth of {self.long.cells:,} cells on", "MiB", SPARE_MIB, False, grown),
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        rates = [asdict(rate) | {"cells_s": rate.cells_s} for rate in self.rates]
        long = asdict(self.long) | {"cells_s": self.long.cells_s}
        promises = [asdict(one) | {"kept": one.kept} for one in self.promises()]
        grown = {"grown_mib": self.grown_mib, "mib_per_million": self.mib_per_million}
        return asdict(self) | {"rates": rates, "long": long, "promises": promises} | grown


@dataclass(frozen=True, eq=False)
class Ready:
    """A few fields under every pattern of the model. frames: by place and pattern. index: of a pattern, by digest."""

    board: LedBoard
    frames: tuple[tuple[Frame, ...], ...]
    index: Mapping[str, int]

    @classmethod
    def of(cls, *, seed: int) -> "Ready":
        """Computed by the twin, over a slide like those of the design."""
        kit = _kit(LIGHTS[0], VerdictRules())
        smear = ProceduralSmear(design_of(Bundle.named(MODEL)).smear, seed)
        twin = Twin(smear, TwinConfig(cached_positions=1), seed)
        (width_um, height_um), pitch_um = smear.extent_um, kit.plan.field_um[0]
        places = [(width_um / 2 + (k - DIFFERENT / 2 + 0.5) * pitch_um, height_um / 2) for k in range(DIFFERENT)]
        lights = list(zip(kit.codebook.patterns, kit.codebook.exposures_ms, strict=True))
        frames = tuple(tuple(twin.observe(Observe(*light, place, 0.0)) for light in lights) for place in places)
        return cls(twin.board, frames, {pattern.digest: k for k, (pattern, _) in enumerate(lights)})


class ReadyFrames:
    """A Microscope that answers with ready frames, in turn: those of another place at each new one."""

    def __init__(self, ready: Ready) -> None:
        self.board = ready.board
        self._ready = ready
        self._at: tuple[float, float] | None = None
        self._number = -1

    def observe(self, request: Observe) -> Frame:
        """A frame said to be of the place that was asked for."""
        if request.xy_um is None:
            return replace(self._ready.frames[0][0], request=request)
        if request.xy_um != self._at:
            self._at, self._number = request.xy_um, self._number + 1
        place = self._ready.frames[self._number % len(self._ready.frames)]
        return replace(place[self._ready.index[request.pattern.digest]], request=request, xy_um=request.xy_um)

    def close(self) -> None:
        """Nothing to release."""


def compare_diagnose(
    *, quick: bool = False, seed: int = 0, on_step: Callable[[str], None] = lambda name: None
) -> DiagnoseComparison:
    """Scan slides of a few repeated fields with the shipped model, and one of two million cells.

    Fields do not overlap and are not looked at again: repeated frames would not agree with their neighbours.
    quick: a few fields each. on_step: told what is measured next.
    """
    fields = QUICK_FIELDS if quick else SHORT_FIELDS
    on_step("frames")
    ready, rates = Ready.of(seed=seed), []
    for light in LIGHTS:
        for cores in (1, CORES):
            on_step(f"{light}, {cores} thread{'s' if cores > 1 else ''}")
            rates.append(scan_ready(ready, light, cores, fields).rate)
    on_step("memory over many cells")
    long = scan_ready(ready, LIGHTS[0], CORES, 5 * QUICK_FIELDS if quick else LONG_FIELDS)
    return DiagnoseComparison(quick, this_machine(), tuple(rates), long.rate, long.held)


def show_diagnose(comparison: DiagnoseComparison) -> Group:
    """Tables for a terminal."""
    table = Table(title="From frames in memory to a verdict")
    for column in ("light", "threads", "fields", "captures", "cells", "cells/s"):
        table.add_column(column, justify="left" if column == "light" else "right")
    for rate in (*comparison.rates, comparison.long):
        figures = (rate.threads, rate.fields, rate.captures, rate.cells)
        table.add_row(rate.light, *(f"{figure:,}" for figure in figures), f"{rate.cells_s:,.0f}")
    memory = Table(title="Memory held")
    for column in ("cells", "MiB"):
        memory.add_column(column, justify="right")
    for one in comparison.held[:: -(-len(comparison.held) // SHOWN)]:
        memory.add_row(f"{one.cells:,}", f"{one.mib:,.0f}")
    machine = f"{comparison.machine.cpu}, commit {comparison.machine.commit}"
    slope = f"memory from a tenth on: {comparison.mib_per_million:+.1f} MiB per million cells"
    return Group(machine, table, memory, slope, *(one.told() for one in comparison.promises()))


def scan_ready(
    ready: Ready,
    light: Light,
    cores: int,
    fields: int,
    on_capture: Callable[[Frame, dict[str, Any]], object] = lambda frame, told: None,
) -> Scanned:
    """A scan of so many fields, to its end."""
    rules = VerdictRules()
    kit = _kit(light, rules)
    kit = replace(kit, plan=_plan(fields, kit.plan.field_um))
    held: list[Held] = []

    def on_field(progress: Progress) -> None:
        if progress.fields % max(1, fields // POINTS) == 0:
            held.append(Held(progress.cells, held_mib()))

    with TemporaryDirectory(prefix="lsm-bench-") as name, threads(cores), CellFile(Path(name) / "cells.bin") as cells:
        began = perf_counter()
        result = scan_slide(ReadyFrames(ready), kit, on_capture=on_capture, on_field=on_field, cells=cells)
        verdict = judge_scan(result, rules, kit.rule)
        seconds = perf_counter() - began
    run = result.run
    rate = ScanRate(light, cores, len(run.visits), run.captures, run.red_cells, seconds)
    return Scanned(kit, rules, result, verdict, rate, tuple(held))


def _kit(light: Light, rules: VerdictRules) -> ScanKit:
    config = ScanConfig(
        light=light,
        decide=False,
        region=RegionConfig(columns=1, rows=1, overlap=0.0),
        quality=QualityConfig(revisit_every=0),
    )
    return scan_kit(Bundle.named(MODEL), RigConfig.from_file(find_rig(RIG)), config, rules)


def _plan(fields: int, field_um: tuple[float, float]) -> ScanPlan:
    width, height = field_um
    centres = tuple((width * (k % COLUMNS), height * (k // COLUMNS)) for k in range(fields))
    return ScanPlan(centres, field_um, COLUMNS, 0.0)
