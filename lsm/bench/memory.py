"""Memory that a computation needs beyond what the process held before it, measured in a process of its own."""

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lsm.bench.cases import Case, grid_board, square_system
from lsm.errors import LsmError
from lsm.optics import led_stack

MIB = 2**20
SPARE_MIB = 64.0
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Peak:
    """added_mib: at the most, above what was held before. output_mib: the stack's own size, part of it."""

    leds: int
    batch: int
    sample_px: int
    output_mib: float
    added_mib: float
    allowed_mib: float
    seconds: float


def measure_peak(side: int, sample_px: int, batch: int) -> Peak:
    """Of `led_stack` with side x side LEDs. Raises LsmError where the process fails."""
    command = [sys.executable, "-m", "lsm.bench.memory", *map(str, (side, sample_px, batch))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.splitlines() or ["no message"])[-1]
        raise LsmError(f"Measuring {side**2} LEDs of {sample_px} px ended with {done.returncode}: {last}")
    return Peak(**json.loads(done.stdout))


def _measure(side: int, sample_px: int, batch: int) -> Peak:
    case = Case("memory", grid_board(side), square_system(sample_px), batch=batch)
    led_stack(case.sample[:1], case.board, case.system, leds=case.leds[:4])
    before_mib = _start()
    started = time.perf_counter()
    stack = led_stack(case.sample, case.board, case.system)
    seconds, added_mib = time.perf_counter() - started, highest_mib() - before_mib
    output_mib = stack.nbytes / MIB
    return Peak(side**2, batch, sample_px, output_mib, added_mib, 2 * output_mib + SPARE_MIB, seconds)


def _start() -> float:
    """Memory held now, MiB; from here on the highest is noted anew where the system allows it."""
    if not STATUS.is_file():
        return highest_mib()
    CLEAR.write_text("5", encoding="ascii")
    return _status_mib("VmRSS")


def held_mib() -> float:
    """Memory that this process holds now; where the system does not tell, the most that it held."""
    return _status_mib("VmRSS") if STATUS.is_file() else highest_mib()


def highest_mib() -> float:
    """The most memory that this process held, without what its parent held before it began."""
    if STATUS.is_file():
        return _status_mib("VmHWM")
    # bytes on macOS, else KiB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def _status_mib(key: str) -> float:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / MIB


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure(*map(int, sys.argv[1:])))))
