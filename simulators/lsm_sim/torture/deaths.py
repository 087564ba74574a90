"""The host dies while LEDs are lit: how long they stay on."""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from lsm.devices import Observe
from lsm.illum import single_led
from lsm.scope import RigConfig
from lsm_sim.board import read_led_frames
from lsm_sim.rig import simulated
from lsm_sim.torture.bench import small
from lsm_sim.torture.host import FORK
from lsm_sim.torture.tally import DARK_WITHIN_S, Outcome, Trial

KIND = "host killed while LEDs are lit"
EXPOSURE_MS = 1500.0
START_S = 60.0
LED = 12


def host_killed(rig: RigConfig, rng: np.random.Generator) -> Trial:
    """A process that observes is killed during an exposure; took_s: from its death to dark LEDs."""
    after_s = float(rng.uniform(0.0, 1.2))
    with tempfile.TemporaryDirectory(prefix="lsm-torture-") as name:
        folder = Path(name)
        process = FORK.Process(target=_observe, args=(_long_exposures(rig), folder), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of numerical libraries, idle meanwhile
            process.start()
        lit_ns = _first_light(folder / "frames.bin", START_S)
        time.sleep(after_s)
        process.kill()
        killed_ns = time.monotonic_ns()
        process.join()
        took_s = _lit_after(folder / "frames.bin", killed_ns, DARK_WITHIN_S + 2.0) if lit_ns else float("inf")
    outcome = Outcome.STOPPED if took_s <= DARK_WITHIN_S else Outcome.WRONG
    return Trial(KIND, outcome, took_s, DARK_WITHIN_S, took_s, note=f"killed {after_s:.2f} s after the light")


def _long_exposures(rig: RigConfig) -> RigConfig:
    brief = small(rig)
    limits = brief.limits.model_copy(update={"exposure_ms": (0.1, 2 * EXPOSURE_MS)})
    return brief.model_copy(update={"limits": limits})


def _observe(rig: RigConfig, folder: Path) -> None:
    scope = simulated(rig, board_folder=folder)
    scope.observe(Observe(single_led(scope.board, LED), EXPOSURE_MS))


def _first_light(log: Path, within_s: float) -> int:
    """When the first LED frame with light was sent, in nanoseconds; 0 where none came."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        lit = [t_ns for t_ns, levels in read_led_frames(log) if levels.any()] if log.exists() else []
        if lit:
            return lit[0]
        time.sleep(0.01)
    return 0


def _lit_after(log: Path, since_ns: int, within_s: float) -> float:
    """Seconds from `since_ns` until the LEDs are dark; infinite where they stay lit."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        t_ns, levels = read_led_frames(log)[-1]
        if not levels.any():
            return max(t_ns - since_ns, 0) / 1e9
        time.sleep(0.02)
    return float("inf")
