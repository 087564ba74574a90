"""How fast a stack of single cells is built, read and learned from.

Run as a program with a number of cells and a folder it builds the stack alone and says what that took.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from rich.console import Group
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from lsm.bench.machine import Limit, Machine, measure_limit, this_machine
from lsm.bench.memory import highest_mib
from lsm.bench.promises import Promise
from lsm.bench.timing import Effort, Job, in_turns
from lsm.errors import LsmError
from lsm.samples import CellCrops
from lsm.sensing.cells import CellStack, CellStackConfig, build_cell_stack
from lsm.sensing.cells.exposure import per_image
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.training import CellModel, Turns
from lsm.threads import threads
from lsm.twin import GridBoardConfig

CELLS, CELLS_QUICK = 6000, 300
ROWS = 64
CONFIG = CellStackConfig(board=GridBoardConfig(rows=9, columns=9, pitch_mm=4.0), na=0.25, camera_pixel_um=0.6)
KERNEL, MATMUL, WIDEN = "weighted sums", "widened, then torch.matmul", "widened to float32"
READY, STACK, TURNED = "ready-made images", "from the stack", "from the stack, light turned with each cell"
BUILD_S, BUILD_GIB, SHARE_PERCENT = 60.0, 3.0, 60.0


@dataclass(frozen=True)
class Read:
    """gb_s: of the half-precision images that one call for 64 rows reads."""

    name: str
    milliseconds: float
    gb_s: float


@dataclass(frozen=True)
class Training:
    """Cells a second, on one core; the median of several rounds."""

    name: str
    cells_s: float


@dataclass(frozen=True)
class CellComparison:
    """build_s, build_gib: time and highest memory of a process that builds the stack with `build_threads` threads.

    again_s: time until it is open again, checksum included.
    """

    machine: Machine
    limit: Limit
    cells: int
    lamps: int
    side_px: int
    build_threads: int
    build_s: float
    build_gib: float
    again_s: float
    reads: tuple[Read, ...]
    trainings: tuple[Training, ...]

    def promises(self) -> list[Promise]:
        """Of the full size only: a small stack says nothing about time and memory of a large one."""
        whole = self.cells == CELLS
        rates = {one.name: one.cells_s for one in self.trainings}
        share = 100 * rates[TURNED] / rates[READY]
        text = f"{CELLS} cells x {self.lamps} lamps x {self.side_px}^2"
        return [
            Promise(f"{text}: building", "s", BUILD_S, False, self.build_s if whole else None),
            Promise(f"{text}: memory", "GiB", BUILD_GIB, False, self.build_gib if whole else None),
            Promise("training, turned, of ready-made images", "%", SHARE_PERCENT, True, share),
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"promises": [asdict(one) | {"kept": one.kept} for one in self.promises()]}


def compare_cells(*, quick: bool = False, on_step: Callable[[str], None] = lambda name: None) -> CellComparison:
    """Build a stack of made-up cells in a temporary folder, read from it and learn from it."""
    cells = CELLS_QUICK if quick else CELLS
    effort = Effort(3, 0.02) if quick else Effort(9, 0.5)
    with TemporaryDirectory(prefix="lsm-bench-") as name:
        on_step("building the stack")
        built = _built_alone(cells, Path(name))
        started = time.perf_counter()
        stack = build_cell_stack(made_up_cells(cells), CONFIG, Path(name))
        again_s = time.perf_counter() - started
        with threads(1):
            on_step("reading")
            reads = _reads(stack, effort)
            on_step("learning")
            trainings = _trainings(stack, effort)
        return CellComparison(
            machine=this_machine(),
            limit=measure_limit(1, effort),
            cells=cells,
            lamps=stack.n_lamps,
            side_px=stack.shape[2],
            build_threads=int(built["threads"]),
            build_s=built["seconds"],
            build_gib=built["gib"],
            again_s=again_s,
            reads=reads,
            trainings=trainings,
        )


def made_up_cells(count: int) -> CellCrops:
    """Discs with noise; every second has a dark spot."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:50, :50] - 24.5
    images = np.zeros((count, 50, 50), dtype=np.uint8)
    inside = np.hypot(x, y) < 24
    images[:, inside] = rng.integers(140, 180, (count, int(inside.sum())), dtype=np.uint8)
    images[::2, np.hypot(x - 8, y) < 5] -= 60
    return CellCrops(images, np.arange(count) % 2 == 0, np.array([f"P{k % 20}" for k in range(count)]))


def show_cells(comparison: CellComparison) -> Group:
    """Tables for a terminal."""
    reads = Table(title=f"{ROWS} cells x {comparison.lamps} lamps x {comparison.side_px}^2, one core")
    for column in ("way", "ms", "GB/s"):
        reads.add_column(column, justify="left" if column == "way" else "right")
    for read in comparison.reads:
        reads.add_row(read.name, f"{read.milliseconds:.2f}", f"{read.gb_s:.1f}")
    learning = Table(title="Learning, one core")
    for column in ("from", "cells/s", "of ready-made"):
        learning.add_column(column, justify="left" if column == "from" else "right")
    ready = next(one.cells_s for one in comparison.trainings if one.name == READY)
    for one in comparison.trainings:
        learning.add_row(one.name, f"{one.cells_s:.0f}", f"{one.cells_s / ready:.0%}")
    promises = [
        f"{one.promise}: {'not measured' if one.measured is None else f'{one.measured:.1f} {one.unit}'}, promised "
        f"{'at least' if one.at_least else 'at most'} {one.limit:g} {one.unit}"
        f"{'' if one.kept is None else ' (kept)' if one.kept else ' (MISSED)'}"
        for one in comparison.promises()
    ]
    return Group(
        f"{comparison.machine.cpu}, kernel: {comparison.machine.instruction_set}, commit {comparison.machine.commit}; "
        f"memory copies {comparison.limit.copy_gb_s:.1f} GB/s, read and written.",
        f"{comparison.cells} cells built in {comparison.build_s:.1f} s with {comparison.build_threads} threads, "
        f"{comparison.build_gib:.2f} GiB at the most; open again in {comparison.again_s:.2f} s.",
        reads,
        learning,
        *promises,
    )


def _built_alone(cells: int, folder: Path) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "lsm.bench.cells", str(cells), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.splitlines() or ["no message"])[-1]
        raise LsmError(f"Building a stack of {cells} cells ended with {done.returncode}: {last}")
    built: Mapping[str, float] = json.loads(done.stdout)
    return built


def _build(cells: int, folder: Path) -> Mapping[str, float]:
    crops = made_up_cells(cells)
    started = time.perf_counter()
    build_cell_stack(crops, CONFIG, folder)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "gib": highest_mib() / 1024, "threads": torch.get_num_threads()}


def _reads(stack: CellStack, effort: Effort) -> tuple[Read, ...]:
    rng, weights = np.random.default_rng(1), torch.linspace(0, 1, stack.n_lamps)[None]

    def rows() -> Int64[np.ndarray, " row"]:
        return rng.integers(0, len(stack), ROWS)

    ways: dict[str, Callable[[], Tensor]] = {
        KERNEL: lambda: stack.mix(rows(), weights),
        f"{KERNEL} and gradient": lambda: _with_gradient(stack, rows(), weights),
        WIDEN: lambda: stack.batch(rows()),
        MATMUL: lambda: torch.matmul(weights, torch.from_numpy(stack.images[rows()]).flatten(2).to(torch.float32)),
    }
    seconds = in_turns([Job(name, run, 1) for name, run in ways.items()], effort)
    read_gb = ROWS * stack.n_lamps * stack.shape[2] * stack.shape[3] * 2 / 1e9
    return tuple(Read(name, 1e3 * float(np.median(of)), read_gb / float(np.median(of))) for name, of in seconds.items())


def _with_gradient(stack: CellStack, rows: Int64[np.ndarray, " row"], weights: Tensor) -> Tensor:
    free = weights.clone().requires_grad_()
    torch.autograd.backward(stack.mix(rows, free).sum())
    gradient = free.grad
    if gradient is None:
        raise LsmError("Weighted sums gave no gradient.")
    return gradient


def _trainings(stack: CellStack, effort: Effort) -> tuple[Training, ...]:
    board, system = stack.board, stack.system
    if board is None or system is None:
        raise LsmError("A stack without board or optics cannot be learned from here.")
    generator = torch.Generator().manual_seed(0)
    lamps = Lamps(board, stack.led, stack.colour, system.na)
    model = CellModel(lamps, stack.shape[2], CellLightConfig(), generator)
    optimizer = torch.optim.AdamW(model.parameters())
    infected = torch.from_numpy(stack.infected).float()
    everything = np.arange(min(len(stack), 10 * ROWS))
    with torch.no_grad():
        ready = per_image(model.electrons(stack, everything, generator))
    turns = Turns(lamps, model.side_px)
    rng = np.random.default_rng(2)

    def step(odds: Callable[[Int64[np.ndarray, " row"]], Tensor], among: int) -> None:
        rows = rng.integers(0, among, ROWS)
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(odds(rows), infected[torch.from_numpy(rows)])
        torch.autograd.backward(loss)
        optimizer.step()

    model.train()
    jobs = [
        Job(READY, partial(step, lambda rows: model.network(ready[torch.from_numpy(rows)]), len(ready)), ROWS),
        Job(STACK, partial(step, lambda rows: model(stack, rows, generator), len(stack)), ROWS),
        Job(TURNED, partial(step, lambda rows: model(stack, rows, generator, turns), len(stack)), ROWS),
    ]
    seconds = in_turns(jobs, effort)
    return tuple(Training(name, 1 / float(np.median(of))) for name, of in seconds.items())


if __name__ == "__main__":
    print(json.dumps(_build(int(sys.argv[1]), Path(sys.argv[2]))))
