"""Run the simulated rig for an hour and watch memory, open handles and threads.

    python -m lsm_sim.soak --minutes 60 --json docs/benchmarks/soak.json

The loop moves, lights, exposes, records durably and, every `record_frames` frames, verifies the recording and begins
another. What grows is fitted by a line (Theil and Sen: the median of all slopes) over the time after the warm-up.
"""

import argparse
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy.stats import theilslopes

from lsm.devices import Microscope, Observe
from lsm.illum import LedBoard, Pattern, bright_field, dark, single_led
from lsm.record import Recorder, open_record
from lsm.scope import RigConfig, connect, find_rig
from lsm_sim._figures import tell

MIB = 2**20
SAMPLES = 720
"""Evenly over the run: every 5 s of an hour."""
MIB_PER_HOUR_ALLOWED = 1.0


@dataclass
class SoakResult:
    """What an hour leaves behind.

    memory_mib_per_hour: slope after the warm-up, with its 95 % interval. Counts at the warm-up's end and at the end.
    """

    minutes: float
    warm_up_minutes: float
    seed: int
    frames: int = 0
    recordings: int = 0
    longest_observe_ms: float = 0.0
    memory_mib: list[float] = field(default_factory=list)
    memory_mib_per_hour: float = 0.0
    memory_interval: tuple[float, float] = (0.0, 0.0)
    handles: tuple[int, int] = (0, 0)
    threads: tuple[int, int] = (0, 0)

    @property
    def promise_kept(self) -> bool:
        """Memory grows by less than 1 MiB an hour, handles and threads not at all."""
        grown = self.handles[1] > self.handles[0] or self.threads[1] > self.threads[0]
        return self.memory_mib_per_hour < MIB_PER_HOUR_ALLOWED and not grown


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment."""

    hours: float
    memory_mib: float
    handles: int
    threads: int


def soak(minutes: float, *, warm_up_minutes: float, seed: int = 1, record_frames: int = 2000) -> SoakResult:
    """Run the loop for this long and return what grew. The last frames are recorded and verified too."""
    result = SoakResult(minutes, warm_up_minutes, seed)
    rig = RigConfig.from_file(find_rig("simulated"))
    started = time.monotonic()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="lsm-soak-") as folder, connect(rig, seed=seed) as microscope:
        requests = _requests(microscope.board, rig, np.random.default_rng(seed))
        while time.monotonic() - started < 60 * minutes:
            path = Path(folder) / f"{result.recordings}.h5"
            _record(microscope, requests, path, result, samples, started, record_frames)
            _verify(path)
            path.unlink()
            result.recordings += 1
    fit(result, [sample for sample in samples if sample.hours >= warm_up_minutes / 60] or samples)
    return result


def _requests(board: LedBoard, rig: RigConfig, rng: np.random.Generator) -> list[Observe]:
    """Two places, so that fields are computed once; every LED alone, bright field, dark and random grey lights."""
    places = [(600.0, 600.0), (900.0, 600.0)]
    lights: list[Pattern] = [bright_field(board, na=rig.objective.na), dark(board)]
    lights += [single_led(board, index) for index in range(0, board.n_leds, 8)]
    for number in range(8):
        duty = np.zeros((board.n_leds, board.n_colours), dtype=np.float32)
        duty[:, 1] = rng.random(board.n_leds) * 0.2
        lights.append(Pattern.of(board, duty, name=f"random {number}"))
    return [Observe(light, 5.0, place, 0.0) for place in places for light in lights]


def _record(
    microscope: Microscope,
    requests: list[Observe],
    path: Path,
    result: SoakResult,
    samples: list[Sample],
    started: float,
    frames: int,
) -> None:
    process = psutil.Process()
    with Recorder(path, {"made_by": "soak", "seed": result.seed}) as recorder:
        for index in range(frames):
            before = time.monotonic()
            frame = microscope.observe(requests[index % len(requests)])
            result.longest_observe_ms = max(result.longest_observe_ms, (time.monotonic() - before) * 1000)
            recorder.add(frame, {"index": index})
            result.frames += 1
            elapsed = time.monotonic() - started
            if not samples or elapsed - samples[-1].hours * 3600 >= 60 * result.minutes / SAMPLES:
                memory = process.memory_info().rss / MIB
                samples.append(Sample(elapsed / 3600, memory, process.num_fds(), threading.active_count()))
            if elapsed >= 60 * result.minutes:
                break
        recorder.finish({"frames": recorder.n_frames})


def _verify(path: Path) -> None:
    with open_record(path) as recording:
        if not recording.complete or any(decision["index"] != i for i, decision in enumerate(recording.decisions())):
            raise SystemExit(f"{path} is not what was recorded")


def fit(result: SoakResult, samples: list[Sample]) -> None:
    """Fill in what grew between the first and the last of these samples."""
    hours = [sample.hours for sample in samples]
    memory = [sample.memory_mib for sample in samples]
    slope = theilslopes(memory, hours)
    result.memory_mib = [round(value, 2) for value in memory[:: max(1, len(memory) // 60)]]
    result.memory_mib_per_hour = round(float(slope.slope), 3)
    result.memory_interval = (round(float(slope.low_slope), 3), round(float(slope.high_slope), 3))
    result.handles = (samples[0].handles, samples[-1].handles)
    result.threads = (samples[0].threads, samples[-1].threads)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up-minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = soak(options.minutes, warm_up_minutes=options.warm_up_minutes, seed=options.seed)
    tell({**asdict(result), "promise_kept": result.promise_kept}, options.json)


if __name__ == "__main__":
    main()
