"""Cells a second of a scan, from frames that are ready in memory to the verdict, and whether its memory stays flat."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rich.console import Group
from rich.table import Table

from lsm.agent.pipeline import design_of
from lsm.bench.machine import Machine, this_machine
from lsm.bench.memory import held_mib
from lsm.bench.promises import Promise
from lsm.devices import Frame, Observe
from lsm.diagnose import VerdictRules
from lsm.diagnose.scan import CellFile, Progress, QualityConfig, RegionConfig, ScanConfig, ScanKit, ScanPlan, scan_slide
from lsm.diagnose.scan.config import Light
from lsm.diagnose.scan.kit import scan_kit
from lsm.diagnose.scan.verdict import judge_scan
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
class DiagnoseComparison:
    """grown_mib: memory held at the end of the long scan, above what was held after a tenth of it."""

    quick: bool
    machine: Machine
    rates: tuple[ScanRate, ...]
    long: ScanRate
    grown_mib: float

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
        promises = [asdict(one) | {"kept": one.kept} for one in self.promises()]
        return asdict(self) | {"rates": rates, "promises": promises}


class ReadyFrames:
    """A Microscope that answers with a few frames, computed beforehand, in turn: another one at each new place."""

    def __init__(self, kit: ScanKit, *, seed: int) -> None:
        smear = ProceduralSmear(design_of(Bundle.named(MODEL)).smear, seed)
        twin = Twin(smear, TwinConfig(cached_positions=1), seed)
        self.board = twin.board
        self._patterns = {pattern.digest: k for k, pattern in enumerate(kit.codebook.patterns)}
        (width_um, height_um), pitch_um = smear.extent_um, kit.plan.field_um[0]
        places = [(width_um / 2 + (k - DIFFERENT / 2 + 0.5) * pitch_um, height_um / 2) for k in range(DIFFERENT)]
        self._frames: list[list[Frame]] = [
            [
                twin.observe(Observe(pattern, exposure_ms, place, 0.0))
                for pattern, exposure_ms in zip(kit.codebook.patterns, kit.codebook.exposures_ms, strict=True)
            ]
            for place in places
        ]
        self._at: tuple[float, float] | None = None
        self._number = -1

    def observe(self, request: Observe) -> Frame:
        """A frame said to be of the place that was asked for."""
        if request.xy_um is None:
            return replace(self._frames[0][0], request=request)
        if request.xy_um != self._at:
            self._at, self._number = request.xy_um, self._number + 1
        frame = self._frames[self._number % DIFFERENT][self._patterns[request.pattern.digest]]
        return replace(frame, request=request, xy_um=request.xy_um)

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
    rates = []
    for light in LIGHTS:
        for cores in (1, CORES):
            on_step(f"{light}, {cores} thread{'s' if cores > 1 else ''}")
            rates.append(_scan(light, cores, fields, seed)[0])
    on_step("memory over many cells")
    long, grown_mib = _scan(LIGHTS[0], CORES, 5 * QUICK_FIELDS if quick else LONG_FIELDS, seed)
    return DiagnoseComparison(quick, this_machine(), tuple(rates), long, grown_mib)


def show_diagnose(comparison: DiagnoseComparison) -> Group:
    """Tables for a terminal."""
    table = Table(title="From frames in memory to a verdict")
    for column in ("light", "threads", "fields", "captures", "cells", "cells/s"):
        table.add_column(column, justify="left" if column == "light" else "right")
    for rate in (*comparison.rates, comparison.long):
        figures = (rate.threads, rate.fields, rate.captures, rate.cells)
        table.add_row(rate.light, *(f"{figure:,}" for figure in figures), f"{rate.cells_s:,.0f}")
    promises = [
        f"{one.promise}: {'not measured' if one.measured is None else f'{one.measured:,.1f} {one.unit}'}, promised "
        f"{'at least' if one.at_least else 'at most'} {one.limit:,.0f}"
        f"{'' if one.kept is None else ' (kept)' if one.kept else ' (MISSED)'}"
        for one in comparison.promises()
    ]
    return Group(f"{comparison.machine.cpu}, commit {comparison.machine.commit}", table, *promises)


def _scan(light: Light, cores: int, fields: int, seed: int) -> tuple[ScanRate, float]:
    """The rate of one scan, and by how many MiB it grew after its first tenth."""
    rig, rules = RigConfig.from_file(find_rig(RIG)), VerdictRules()
    config = ScanConfig(
        light=light,
        decide=False,
        region=RegionConfig(columns=1, rows=1, overlap=0.0),
        quality=QualityConfig(revisit_every=0),
    )
    kit = scan_kit(Bundle.named(MODEL), rig, config, rules)
    kit = replace(kit, plan=_plan(fields, kit.plan.field_um))
    microscope, held = ReadyFrames(kit, seed=seed), [0.0]

    def on_field(progress: Progress) -> None:
        if progress.fields == max(1, fields // 10):
            held[0] = held_mib()

    with TemporaryDirectory(prefix="lsm-bench-") as name, threads(cores), CellFile(Path(name) / "cells.bin") as cells:
        began = perf_counter()
        result = scan_slide(microscope, kit, on_field=on_field, cells=cells)
        judge_scan(result, rules, kit.rule)
        seconds = perf_counter() - began
    grown_mib = held_mib() - held[0]
    run = result.run
    return ScanRate(light, cores, len(run.visits), run.captures, run.red_cells, seconds), grown_mib


def _plan(fields: int, field_um: tuple[float, float]) -> ScanPlan:
    width, height = field_um
    centres = tuple((width * (k % COLUMNS), height * (k // COLUMNS)) for k in range(fields))
    return ScanPlan(centres, field_um, COLUMNS, 0.0)
