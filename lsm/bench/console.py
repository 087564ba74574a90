"""What a console shows of 20 frames a second of 2048 x 2048 pixels, and what that costs the control loop and memory."""

import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from rich.console import Group
from rich.table import Table
from scipy.stats import theilslopes

from lsm.bench.console_watchers import watchers
from lsm.bench.machine import Machine, this_machine
from lsm.bench.promises import Promise
from lsm.devices import Observe
from lsm.illum import bright_field
from lsm.scope import RigConfig, connect, find_rig
from lsm.types import DutyLevels, Image

if TYPE_CHECKING:
    import torch

    from lsm.console.owner import Owner

SIDE_PX = 2048
FRAMES_S = 20.0
EXPOSURE_MS = 5.0
DIFFERENT = 8
"""Images in turn: more than the microscope remembers to tell a new one from an old one."""
ELECTRONS = 300.0
MIB = 2**20
ALONE_SHARE = 0.25
"""Of each turn, in which nobody watches."""
TURN_S, QUICK_TURN_S = 30.0, 8.0
LEFT_OUT_S = 0.5
"""At the start of each part of a turn."""
FEWEST = 3
"""Frames of a part, however slow the machine is."""
WARM_UP = 0.2
"""Share of the time in which memory may still grow."""
PROMISED_SHOWN_S, PROMISED_ADDED_MS, PROMISED_MINUTES = 15.0, 1.0, 10.0
PROMISED_MIB = 2 * SIDE_PX**2 / MIB
"""One frame: whatever keeps one now and then grows by far more in ten minutes."""


@dataclass(frozen=True)
class ConsoleComparison:
    """What was measured; see `compare_console`.

    watchers: who watched. shown_per_s: frames a second that each of them showed. taken_per_s: that the loop took
    meanwhile. alone_ms, watched_ms: median latency of a frame in the control loop without and with them, in turns.
    memory_mib: of this process over time. grown_mib: a line through it after the warm-up, over the whole time, with
    its 95 % interval.
    """

    machine: Machine
    seed: int
    minutes: float
    side_px: int
    watchers: str
    taken_per_s: float
    shown_per_s: tuple[float, ...]
    alone_ms: float
    watched_ms: float
    alone_p99_ms: float
    watched_p99_ms: float
    memory_mib: tuple[float, ...]
    grown_mib: float
    grown_interval_mib: tuple[float, float]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"promises": [asdict(one) | {"kept": one.kept} for one in console_promises(self)]}


def console_promises(measured: ConsoleComparison) -> list[Promise]:
    """Memory is promised over ten minutes; a shorter run says nothing of it."""
    grown = measured.grown_mib if measured.minutes >= PROMISED_MINUTES else None
    return [
        Promise("frames shown by the slower watcher", "per s", PROMISED_SHOWN_S, True, min(measured.shown_per_s)),
        Promise("added to the median latency", "ms", PROMISED_ADDED_MS, False, measured.watched_ms - measured.alone_ms),
        Promise("memory grown over ten minutes", "MiB", PROMISED_MIB, False, grown),
    ]


@dataclass
class Loop:
    """The control loop, which takes a frame FRAMES_S times a second. taken: when each began, and what it took, ms."""

    taken: list[tuple[float, float]] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, owner: "Owner", request: Observe) -> None:
        """On the owner's thread, as a run is. Raises as observe() does."""
        try:
            self._run(owner, request)
        finally:
            self.ended.set()

    def wait_for(self, frames: int, since_s: float) -> None:
        """Return when so many frames have begun since then, or none will any more."""
        while len(self.between(since_s, math.inf)) < frames and not self.ended.wait(0.01):
            pass

    def _run(self, owner: "Owner", request: Observe) -> None:
        from lsm.console.runs import RunMicroscope

        scope, due_s = RunMicroscope(owner, lambda frame: None), time.perf_counter()
        while not self.ending.is_set():
            began_s = time.perf_counter()
            scope.observe(request)
            ended_s = time.perf_counter()
            self.taken.append((began_s, 1000 * (ended_s - began_s)))
            due_s = max(due_s + 1 / FRAMES_S, ended_s)
            self.ending.wait(due_s - ended_s)

    def between(self, began_s: float, ended_s: float) -> list[float]:
        """Latencies, in ms, of frames that began then."""
        return [took_ms for at_s, took_ms in self.taken if began_s <= at_s < ended_s]


class Turning:
    """Shows images with shot noise in turn, whatever the light and the place: computing none takes no time."""

    def __init__(self, side_px: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:side_px, :side_px]
        mean = ELECTRONS * (1.2 + np.sin(x / 37) * np.cos(y / 53))
        self._images: list[Image] = [rng.poisson(mean).astype(np.uint16) for _ in range(DIFFERENT)]
        self._number = 0

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        """Nothing to do."""

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: "torch.Generator",
    ) -> Image:
        self._number += 1
        return self._images[self._number % DIFFERENT]


def compare_console(
    *,
    minutes: float = 0.5,
    quick: bool = False,
    seed: int = 0,
    browsers: bool = True,
    on_step: Callable[[str], None] = lambda name: None,
) -> ConsoleComparison:
    """Serve a console and measure it, in turns alone and with two who watch.

    The LED board is the compiled firmware; camera and stage are simulated devices, and images are made before.
    minutes: of all turns; quick: two turns of seconds. browsers: pages where Chromium is installed, else clients that
    only count. on_step: told what is measured next. Raises what connect() raises.
    """
    turn_s = QUICK_TURN_S if quick else min(TURN_S, 30.0 * minutes)
    minutes = 2 * QUICK_TURN_S / 60 if quick else minutes
    on_step("images and rig")
    rig = bench_rig()
    loop, memory = Loop(), Memory()
    with tempfile.TemporaryDirectory(prefix="lsm-bench-") as folder, _serving(rig, seed, Path(folder)) as (owner, url):
        pattern = bright_field(owner.scope.board, na=rig.objective.na)
        done = owner.submit("Measuring", lambda: loop.run(owner, Observe(pattern, EXPOSURE_MS)), run=True)
        crowd = watchers(browsers=browsers)
        try:
            turns = []
            for number in range(max(2, round(60 * minutes / turn_s))):
                on_step(f"turn {number + 1}")
                turns.append(_turn(loop, memory, lambda seconds: crowd.watch(url, seconds), turn_s))
                if done.done():
                    break
        finally:
            crowd.close()
            loop.ending.set()
        done.result()
    return _compared(turns, memory, crowd.told, minutes, seed)


@dataclass(frozen=True)
class Turn:
    """Latencies, in ms, without and with those who watch; frames a second taken, and shown by each."""

    alone_ms: list[float]
    watched_ms: list[float]
    taken_per_s: float
    shown_per_s: tuple[float, ...]


@dataclass
class Memory:
    """Of this process: when, in seconds, and how much, in MiB."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    process: psutil.Process = field(default_factory=psutil.Process)

    def note(self) -> None:
        self.samples.append((time.monotonic(), self.process.memory_info().rss / MIB))

    def growth(self) -> tuple[float, float, float]:
        """Median slope (Theil and Sen) after the warm-up times the whole time, and its 95 % interval."""
        seconds, mib = np.array(self.samples).T
        late = seconds >= seconds[0] + WARM_UP * (seconds[-1] - seconds[0])
        fit = theilslopes(mib[late], seconds[late])
        span_s = float(seconds[-1] - seconds[0])
        return float(fit.slope) * span_s, float(fit.low_slope) * span_s, float(fit.high_slope) * span_s


def bench_rig() -> RigConfig:
    """The simulated rig with a camera of SIDE_PX x SIDE_PX pixels."""
    rig = RigConfig.from_file(find_rig("simulated"))
    options = {"sanitize": False, "repeatability_um": 0.0}
    simulator = rig.simulator and rig.simulator.model_copy(update={"options": {**rig.simulator.options, **options}})
    camera = rig.camera.model_copy(update={"shape_px": (SIDE_PX, SIDE_PX)})
    return rig.model_copy(update={"camera": camera, "simulator": simulator})


@contextmanager
def _serving(rig: RigConfig, seed: int, folder: Path) -> "Iterator[tuple[Owner, str]]":
    from lsm.console.serve import ConsoleOptions, address, console_for, listen, server_of

    options = ConsoleOptions(folder=folder, port=0, seed=seed)
    listening = listen(options.host, options.port)
    try:
        scope = connect(rig, seed=seed, renderer=Turning(SIDE_PX, seed))
        console = console_for(scope, rig, options)
        server = server_of(console)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="lsm bench console")
        thread.start()
        try:
            yield console.owner, address(options, listening)
        finally:
            server.should_exit = True
            thread.join()
    finally:
        listening.close()


def _turn(loop: Loop, memory: Memory, watch: Callable[[float], tuple[float, ...]], turn_s: float) -> Turn:
    from lsm.bench.console_watchers import SETTLE_S

    began_s = time.perf_counter()
    memory.note()
    time.sleep(ALONE_SHARE * turn_s)
    loop.wait_for(FEWEST, began_s + LEFT_OUT_S)
    memory.note()
    came_s = time.perf_counter()
    with memory_noted(memory):
        shown = watch((1 - ALONE_SHARE) * turn_s)
    left_s = time.perf_counter()
    watched = loop.between(came_s + SETTLE_S, left_s - LEFT_OUT_S)
    return Turn(
        loop.between(began_s + LEFT_OUT_S, came_s),
        watched,
        len(watched) / (left_s - came_s - SETTLE_S - LEFT_OUT_S),
        shown,
    )


@contextmanager
def memory_noted(memory: Memory) -> Iterator[None]:
    """Note it every second while inside."""
    ending = threading.Event()

    def note() -> None:
        while not ending.wait(1.0):
            memory.note()

    thread = threading.Thread(target=note, name="lsm bench memory")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _compared(turns: Sequence[Turn], memory: Memory, told: str, minutes: float, seed: int) -> ConsoleComparison:
    alone = np.concatenate([turn.alone_ms for turn in turns])
    watched = np.concatenate([turn.watched_ms for turn in turns])
    grown_mib, low_mib, high_mib = memory.growth()
    mib = [round(each, 1) for _, each in memory.samples]
    return ConsoleComparison(
        machine=this_machine(),
        seed=seed,
        minutes=round(minutes, 2),
        side_px=SIDE_PX,
        watchers=told,
        taken_per_s=round(float(np.mean([turn.taken_per_s for turn in turns])), 2),
        shown_per_s=tuple(round(float(each), 2) for each in np.mean([turn.shown_per_s for turn in turns], axis=0)),
        alone_ms=round(float(np.median(alone)), 3),
        watched_ms=round(float(np.median(watched)), 3),
        alone_p99_ms=round(float(np.quantile(alone, 0.99)), 3),
        watched_p99_ms=round(float(np.quantile(watched, 0.99)), 3),
        memory_mib=tuple(mib[:: max(1, len(mib) // 60)]),
        grown_mib=round(grown_mib, 2),
        grown_interval_mib=(round(low_mib, 2), round(high_mib, 2)),
    )


def show_console(comparison: ConsoleComparison) -> Group:
    """Tables for a terminal."""
    table = Table(title=f"Frames of {comparison.side_px} x {comparison.side_px} at {FRAMES_S:g}/s")
    for column in ("", "alone", "watched"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("control loop, median ms", f"{comparison.alone_ms:.2f}", f"{comparison.watched_ms:.2f}")
    table.add_row("control loop, 99 % ms", f"{comparison.alone_p99_ms:.2f}", f"{comparison.watched_p99_ms:.2f}")
    table.add_row("frames taken per s", "", f"{comparison.taken_per_s:.1f}")
    table.add_row("frames shown per s", "", ", ".join(f"{each:.1f}" for each in comparison.shown_per_s))
    low, high = comparison.grown_interval_mib
    machine = comparison.machine
    return Group(
        table,
        "",
        *(one.told() for one in console_promises(comparison)),
        "",
        f"Memory: {comparison.grown_mib:+.1f} MiB in {comparison.minutes:g} minutes (95 %: {low:+.1f} to {high:+.1f}).",
        f"Watching: {comparison.watchers}.",
        f"{machine.cpu}, {machine.cores} cores, {machine.date}",
    )
