"""What observe() costs beyond the exposure, beside a bare Micro-Manager core and pycromanager's own Acquisition."""

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from lsm.bench.machine import Machine, this_machine
from lsm.bench.promises import Promise
from lsm.devices import Burst, Observe
from lsm.errors import CameraError, FileMissing
from lsm.illum import LedBoard, Pattern, dark
from lsm.record import Recorder
from lsm.scope import RigConfig, connect, find_rig

SIDE_PX = 512
SAMPLE_PX = 4 * (SIDE_PX + 32)  # four sample points a camera pixel, and the margin on both sides
FRAMES, QUICK_FRAMES = 300, 20
BURST = 25
LIT_LEDS = 25
PLACES_UM = ((600.0, 600.0), (620.0, 600.0), (620.0, 620.0), (600.0, 620.0))
EXPOSURE_MS = 5.0
WAIT_S = 10.0

OBSERVE = "observe()"
MOVED = "observe(), stage moved"
DURABLE = "observe(), frame made durable"
PER_FRAME = "burst(), per frame"
RAW = "bare core: set property, snap, get"
ACQUISITION = "pycromanager Acquisition, NDTiff"

Timed = Callable[[], tuple[float, float]]
"""Takes one frame; returns seconds in all, and seconds of its exposure."""


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one frame. rig: "simulated" or "demo_camera". beyond: without the exposure."""

    rig: str
    name: str
    frames: int
    median_ms: float
    beyond_median_ms: float
    beyond_p99_ms: float


@dataclass(frozen=True)
class ScopeComparison:
    """folder: where durable frames went. exposure_ms: of the demonstration camera; see `compare_scope`.

    left_out: why the demonstration camera was not measured; empty where it was.
    """

    machine: Machine
    seed: int
    folder: str
    exposure_ms: float
    costs: tuple[Cost, ...]
    left_out: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"promises": [asdict(one) | {"kept": one.kept} for one in scope_promises(self.costs)]}


def compare_scope(
    *,
    quick: bool = False,
    seed: int = 0,
    folder: Path | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> ScopeComparison:
    """Time captures of 512 x 512 pixels with a new pattern each, in turns, so that all are disturbed alike.

    On the simulated rig the exposure is what computing the image takes; its stage arrives at once. On Micro-Manager's
    demonstration camera, lit by the same firmware, it is 5 ms. quick: few frames. folder: for durable frames and
    NDTiff, default the folder for temporary files. on_step: told what is measured next. Without Micro-Manager's
    adapters the demonstration camera is left out. Raises what connect() raises.
    """
    frames = QUICK_FRAMES if quick else FRAMES
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="lsm-bench-", dir=folder) as place:
        on_step("simulated rig")
        costs = _simulated(rng, seed, frames, Path(place))
        on_step("demonstration camera")
        left_out = ""
        try:
            costs += _demo_camera(rng, frames, Path(place))
        except FileMissing as error:
            left_out = error.message
    return ScopeComparison(this_machine(), seed, str(Path(place).parent), EXPOSURE_MS, tuple(costs), left_out)


def wired_rig() -> RigConfig:
    """The simulated rig with 512 x 512 pixels and the wires for bursts."""
    rig = RigConfig.from_file(
        find_rig("simulated"),
        trigger={"input": 0, "output": 0, "camera_properties": [["Camera", "TriggerMode", "External"]]},
    )
    options = {"sample_px": SAMPLE_PX, "colours": [], "sanitize": False, "repeatability_um": 0.0}
    simulator = rig.simulator and rig.simulator.model_copy(update={"options": {**rig.simulator.options, **options}})
    camera = rig.camera.model_copy(update={"shape_px": (SIDE_PX, SIDE_PX)})
    return rig.model_copy(update={"camera": camera, "simulator": simulator})


def scope_promises(costs: Sequence[Cost]) -> list[Promise]:
    """Of the simulated rig, 512 x 512 pixels."""
    known = {cost.name: cost for cost in costs if cost.rig == "simulated"}
    limits = ((OBSERVE, 4.0, 10.0), (MOVED, 4.0, 10.0), (DURABLE, 15.0, None))
    promises = []
    for name, median_ms, p99_ms in limits:
        cost = known.get(name)
        promises.append(
            Promise(f"{name}, median", "ms", median_ms, False, None if cost is None else cost.beyond_median_ms)
        )
        if p99_ms is not None:
            promises.append(Promise(f"{name}, 99 %", "ms", p99_ms, False, None if cost is None else cost.beyond_p99_ms))
    return promises


def show_scope(comparison: ScopeComparison) -> Group:
    """Tables for a terminal."""
    parts: list[Any] = []
    for rig, title in (
        ("simulated", "Simulated rig"),
        ("demo_camera", f"Micro-Manager's DemoCamera at {comparison.exposure_ms:g} ms"),
    ):
        costs = [cost for cost in comparison.costs if cost.rig == rig]
        if costs:
            parts += [_cost_table(f"{title}, {SIDE_PX} x {SIDE_PX}, {costs[0].frames} frames", costs), ""]
    if comparison.left_out:
        parts += [f"DemoCamera was left out: {comparison.left_out}", ""]
    table = Table(title="Promised for the simulated rig, beyond exposure and stage")
    for column in ("", "at most", "measured", "kept"):
        table.add_column(column, justify="right" if column else "left")
    for one in scope_promises(comparison.costs):
        measured = "" if one.measured is None else f"{one.measured:.2f} ms"
        table.add_row(one.promise, f"{one.limit:g} ms", measured, {True: "yes", False: "NO", None: ""}[one.kept])
    machine = comparison.machine
    where = f"{machine.cpu}, {machine.cores} cores; files in {comparison.folder}; {machine.date}"
    return Group(*parts, table, "", where)


def _cost_table(title: str, costs: Sequence[Cost]) -> Table:
    raw = next((cost.median_ms for cost in costs if cost.name == RAW), None)
    table = Table(title=title)
    heads = ["", "median ms", "ms beyond exposure", "99 % ms", *(["bare core"] if raw else [])]
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    for cost in costs:
        row = [cost.name, f"{cost.median_ms:.2f}", f"{cost.beyond_median_ms:.2f}", f"{cost.beyond_p99_ms:.2f}"]
        table.add_row(*row, *([f"{cost.median_ms / raw:.2f}x"] if raw else []))
    return table


def _patterns(board: LedBoard, rng: np.random.Generator) -> Callable[[], Pattern]:
    """Each call another pattern of the LEDs nearest to the axis."""
    nearest = _nearest(board)

    def make() -> Pattern:
        duty = np.zeros(board.n_leds)
        duty[nearest] = rng.integers(0, 256, LIT_LEDS) / 255
        return Pattern.of_colour(board, duty)

    return make


def _nearest(board: LedBoard) -> np.ndarray:
    nearest: np.ndarray = np.argsort(board.na, kind="stable")[:LIT_LEDS]
    return nearest


def _simulated(rng: np.random.Generator, seed: int, frames: int, folder: Path) -> list[Cost]:
    with ExitStack() as stack:
        scope = stack.enter_context(connect(wired_rig(), seed=seed))
        inner: Any = scope.microscope
        world = inner.world
        make = _patterns(scope.board, rng)
        nearest = _nearest(scope.board)
        every = Pattern.of_colour(scope.board, np.isin(np.arange(scope.board.n_leds), nearest).astype(np.float64))
        for place in PLACES_UM:
            scope.observe(Observe(every, EXPOSURE_MS, place, 0.0))
        recorder = stack.enter_context(Recorder(folder / "simulated.h5", {}))
        turn = iter(range(10**9))

        def exposed_s(before: int) -> float:
            count = world.exposures - before
            return float(sum(one.ended_ns - one.started_ns for one in list(world.exposed)[-count:])) / 1e9

        def timed(work: Callable[[], object], count: int = 1) -> tuple[float, float]:
            before, began = world.exposures, time.perf_counter()
            work()
            return (time.perf_counter() - began) / count, exposed_s(before) / count

        def request(*, moved: bool = False) -> Observe:
            return Observe(make(), EXPOSURE_MS, PLACES_UM[next(turn) % len(PLACES_UM)] if moved else None)

        def burst() -> tuple[float, float]:
            asked = Burst(tuple(make() for _ in range(BURST)), EXPOSURE_MS)
            return timed(lambda: scope.burst(asked), BURST)

        def durable() -> tuple[float, float]:
            asked = request()
            return timed(lambda: recorder.add(scope.observe(asked), {}))

        def single(*, moved: bool) -> tuple[float, float]:
            asked = request(moved=moved)
            return timed(lambda: scope.observe(asked))

        jobs: dict[str, Timed] = {
            OBSERVE: lambda: single(moved=False),
            MOVED: lambda: single(moved=True),
            DURABLE: durable,
        }
        costs = _in_turns("simulated", jobs, frames)
        return costs + _in_turns("simulated", {PER_FRAME: burst}, max(2, frames // BURST))


def _demo_camera(rng: np.random.Generator, frames: int, folder: Path) -> list[Cost]:
    from pycromanager import Acquisition, Core

    with ExitStack() as stack:
        scope = stack.enter_context(connect(RigConfig.from_file(find_rig("demo_camera"))))
        make = _patterns(scope.board, rng)
        scope.observe(Observe(dark(scope.board), EXPOSURE_MS))
        core: Any = Core()
        recorder = stack.enter_context(Recorder(folder / "demo.h5", {}))
        saved = threading.Semaphore(0)
        turn = iter(range(10**9))

        def tell(axes: Any, dataset: Any) -> None:
            saved.release()

        acquisition = Acquisition(str(folder), "ndtiff", image_saved_fn=tell, show_display=False)
        dataset: Any = acquisition.get_dataset()
        writers: list[Any] = []
        stack.callback(dataset.close)
        stack.callback(lambda: [writer.reader.close() for writer in writers])
        stack.enter_context(acquisition)

        def raw() -> object:
            core.set_property("Camera", "Gain", str(next(turn) % 2))
            core.snap_image()
            return core.get_image()

        def acquire() -> None:
            number = next(turn)
            gain = ["Camera", "Gain", str(number % 2)]
            acquisition.acquire({"axes": {"frame": number}, "exposure": EXPOSURE_MS, "properties": [gain]})
            if not saved.acquire(timeout=WAIT_S):
                raise CameraError("pycromanager's Acquisition saved no image.", hint="see what it printed")
            if dataset.current_writer not in writers:
                # it reads the file that it writes, and leaves that handle open
                writers.append(dataset.current_writer)

        def timed(work: Callable[[], object]) -> tuple[float, float]:
            began = time.perf_counter()
            work()
            return time.perf_counter() - began, EXPOSURE_MS / 1000

        def observe(*, record: bool) -> tuple[float, float]:
            asked = Observe(make(), EXPOSURE_MS)
            if record:
                return timed(lambda: recorder.add(scope.observe(asked), {}))
            return timed(lambda: scope.observe(asked))

        jobs: dict[str, Timed] = {
            RAW: lambda: timed(raw),
            OBSERVE: lambda: observe(record=False),
            ACQUISITION: lambda: timed(acquire),
            DURABLE: lambda: observe(record=True),
        }
        return _in_turns("demo_camera", jobs, frames)


def _in_turns(rig: str, jobs: dict[str, Timed], rounds: int) -> list[Cost]:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            taken[name].append(job())
    costs = []
    for name, pairs in taken.items():
        total_ms, exposure_ms = np.array(pairs).T * 1000
        beyond_ms = total_ms - exposure_ms
        figures = (np.median(total_ms), np.median(beyond_ms), np.quantile(beyond_ms, 0.99))
        costs.append(Cost(rig, name, rounds, *(round(float(figure), 3) for figure in figures)))
    return costs
