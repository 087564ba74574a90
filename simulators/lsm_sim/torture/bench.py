"""A simulated rig under torture: small images, short timeouts, a line that can be disturbed, and a judge."""

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lsm.devices import Frame, Microscope, Observe
from lsm.errors import LsmError
from lsm.illum import Pattern
from lsm.led import LedBoardClient
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.scope import RigConfig
from lsm_sim.board import Board, NativeBoard
from lsm_sim.device_faults import DeviceFaults
from lsm_sim.faults import FaultyLine
from lsm_sim.rig import SimulatedMicroscope, simulated
from lsm_sim.torture.judge import Judge
from lsm_sim.torture.tally import GRACE_S, Outcome, Trial

T = TypeVar("T")

REPLY_S, RETRIES = 0.05, 3
"""Patience of the client with the board's line."""
LIGHT_S = 4.0
"""The longest that a light may take with that patience: two greetings of a silent board, each request repeated."""
STEP_S = 0.5
"""Timeouts of stage and camera."""
GIVE_UP_S = 10.0
"""Beyond what a call may take: then it hangs."""
SOUND_TRIES, BETWEEN_S = 3, 0.2
"""A call that was given up may still be on its way when the next one is asked for."""
EXPOSURES_MS = (2.0, 12.0)
ROWS = 5
SMALL: dict[str, Any] = {
    "led": {"board": {"rows": ROWS, "columns": ROWS, "pitch_mm": 4.0}},
    "camera": {"pixel_um": 4.8, "shape_px": [48, 48]},
    "limits": {"x_um": [0, 300], "y_um": [0, 200], "z_um": [-10, 10], "exposure_ms": [0.1, 100]},
    "timeouts_s": {"stage": STEP_S, "camera": STEP_S},
}
OPTIONS: dict[str, Any] = {"sample_px": 256, "margin_px": 8, "exposure_takes_time": True, "shutter": True}

Wrap = Callable[[Microscope], Microscope]


def small(rig: RigConfig) -> RigConfig:
    """The rig with small images, few LEDs and short timeouts."""
    simulator = {"entry": "simulated", "options": OPTIONS | (rig.simulator.options if rig.simulator else {}) | OPTIONS}
    kept = {key: value for key, value in rig.model_dump(mode="json").items() if key not in SMALL}
    return RigConfig.from_table(kept | SMALL | {"simulator": simulator}, source=f"rig '{rig.name}' made small")


class Hung(Exception):
    """A call that did not come back."""


class NotNoticedError(Exception):
    """A check that passed although something is wrong."""


class Bench:
    """One rig, its faults and its truth. Use as a context manager.

    wrap: what stands between the microscope and whoever uses it, for tests of this harness.
    """

    def __init__(self, rig: RigConfig, rng: np.random.Generator, *, wrap: Wrap = lambda scope: scope) -> None:
        self.rig = small(rig)
        self.rng = rng
        self._wrap = wrap
        self._smear = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), int(rng.integers(2**31)))
        self._stack = ExitStack()
        self.connect()

    def connect(self) -> None:
        """Anew, with another board."""
        self._stack.close()
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lsm-torture-")))
        seed = int(self.rng.integers(2**31))
        self.scope: SimulatedMicroscope = simulated(
            self.rig, sample=self._smear, seed=seed, board_folder=self.folder, light=self._light
        )
        self._stack.callback(self.scope.close)
        self._stack.callback(self._replace_board)
        self.microscope = self._wrap(self.scope)
        if self.scope.world is None:
            raise LsmError(f"Rig '{self.rig.name}' has devices of Micro-Manager.", hint="give one without 'cfg'")
        self.world = self.scope.world
        self.native: Board = self.scope.native_board
        self.judge = Judge(self.rig, self.world, self.native.frames_path)

    @property
    def faults(self) -> DeviceFaults:
        return self.world.faults

    def request(self, *, moved: bool = True) -> Observe:
        """A capture with a light of one LED, a few or many, somewhere."""
        board = self.scope.board
        levels = np.zeros((board.n_leds, 3))
        # full drive of all would be scaled down to the board's current limit, which is not what is tested
        share = self.rng.choice([1 / board.n_leds, 0.3, 1.0])
        lit = self.rng.permutation(board.n_leds)[: max(1, round(share * board.n_leds))]
        levels[lit, 1] = self.rng.integers(40, 200, len(lit))
        exposure_ms = float(self.rng.uniform(*EXPOSURES_MS))
        pattern = Pattern.of(board, levels / 255)
        if not moved:
            return Observe(pattern, exposure_ms)
        xy_um = (float(self.rng.uniform(20, 280)), float(self.rng.uniform(20, 180)))
        return Observe(pattern, exposure_ms, xy_um, float(self.rng.uniform(-8, 8)))

    def trial(self, kind: str, work: Callable[[], Sequence[Frame]], *, allowed_s: float, note: str = "") -> Trial:
        """Do work while something is wrong, then put it right and see that a sound capture succeeds.

        work: returns the frames that were taken, to be judged; it raises what the microscope raises.
        """
        outcome, why, took_s = self._attempt(work, allowed_s)
        self.faults.end()
        self.line.arm(None)
        dark_s = self._dark_after()
        again, reconnected = self._sound_again()
        if again and outcome in (Outcome.RECOVERED, Outcome.STOPPED):
            outcome, why = Outcome.WRONG, f"afterwards: {again}"
        told = ", ".join(filter(None, (note, why)))
        return Trial(kind, outcome, took_s, allowed_s, dark_s, reconnected, told)

    def observe(self, *requests: Observe) -> list[Frame]:
        """Frames that answer these; a wrong one is kept, and judged by trial()."""
        return [self.microscope.observe(request) for request in requests]

    def replug(self) -> None:
        """Power off and on again; the port keeps its name."""
        self.unplug()
        self.plug_in()

    def reboot(self) -> None:
        """As a button on the board does: the port, a chip of its own, stays and says nothing."""
        self.replug()
        self._port.reopen()

    def unplug(self) -> None:
        self.native.close()

    def plug_in(self) -> None:
        geometry = self.rig.led.board
        self.native = NativeBoard(
            rows=geometry.rows,
            columns=geometry.columns,
            pitch_mm=geometry.pitch_mm,
            distance_mm=geometry.distance_mm,
            run_dir=self.folder,
        )

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _light(self, board: Board) -> LedBoardClient:
        self._port = board.open_transport()
        self.line = FaultyLine(self._port, self.rng)
        self.client = LedBoardClient(self.line, self.rig.led.board.build(), reply_s=REPLY_S, retries=RETRIES)
        return self.client

    def _replace_board(self) -> None:
        """The board that was plugged in last; the first one belongs to the microscope."""
        if self.native is not self.scope.native_board:
            self.native.close()

    def _attempt(self, work: Callable[[], Sequence[Frame]], allowed_s: float) -> tuple[Outcome, str, float]:
        began_s, began_ns = time.monotonic(), time.monotonic_ns()
        try:
            frames = within(work, allowed_s + GRACE_S + GIVE_UP_S)
        except LsmError as error:
            return Outcome.STOPPED, f"{type(error).__name__}: {error.message}", time.monotonic() - began_s
        except Hung:
            self.faults.end()
            return Outcome.STOPPED, "it did not come back", time.monotonic() - began_s
        except NotNoticedError as error:
            return Outcome.WRONG, str(error), time.monotonic() - began_s
        except Exception as error:  # noqa: BLE001 (whatever a program may die of is what is looked for)
            return Outcome.CRASHED, f"{type(error).__name__}: {error}", time.monotonic() - began_s
        took_s = time.monotonic() - began_s
        wrong = self.judge.fault_of(frames, began_ns)
        return (Outcome.WRONG if wrong else Outcome.RECOVERED), wrong, took_s

    def _dark_after(self) -> float:
        """Seconds until the board's LEDs are dark."""
        began_s = time.monotonic()
        while self.native.running and self.native.lit().any() and time.monotonic() < began_s + GIVE_UP_S:
            time.sleep(0.01)
        return time.monotonic() - began_s

    def _sound_again(self) -> tuple[str, bool]:
        """What is not true of a capture now that nothing is wrong any more, and whether it took a new connection."""
        if not self.native.running:
            self.plug_in()
        for connections in range(2):
            if connections:
                self.connect()
            error: Exception = Hung()
            for _ in range(SOUND_TRIES):
                try:
                    began_ns = time.monotonic_ns()
                    frames = within(lambda: self.observe(self.request()), LIGHT_S + GIVE_UP_S)
                    return self.judge.fault_of(frames, began_ns), bool(connections)
                except (LsmError, Hung) as failure:
                    error = failure
                    time.sleep(BETWEEN_S)
        return f"a new connection fails too: {error}", True


def within(work: Callable[[], T], limit_s: float) -> T:
    """The result of `work()`, or what it raises; Hung where it takes longer, and then it is left alone."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again by the caller)
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="lsm torture")
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        raise Hung
    return results[0]
