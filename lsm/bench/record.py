"""How many frames a second a recording takes, durably, beside what the disk takes of plain bytes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from lsm.bench.machine import Machine, this_machine
from lsm.devices import Frame, Observe, Shown
from lsm.illum import LedBoard, Pattern
from lsm.record import AheadRecorder, Recorder, open_record
from lsm.record._disk import sync
from lsm.types import Image

LARGE_PX, SMALL_PX = 2048, 512
LARGE_BYTES = 2 * LARGE_PX**2
DISK = "plain bytes, the disk alone"
FRAMES_S_PROMISE = 100.0
ADDED_MS_PROMISE = 11.0
BURST = 8
AHEAD = 8
DIFFERENT = 6
ELECTRONS = 300.0


@dataclass(frozen=True)
class Way:
    """One way to record. frames_s: frames per second, all of them durable at the end; the median of several rounds."""

    name: str
    frames: int
    frames_s: float


@dataclass(frozen=True)
class RecordComparison:
    """disk_mb_s: plain sequential writes of a frame's size, each synced, measured in turns with the ways to record.

    packed: stored bytes of a frame for each of its own. added_ms: what `add` of a 512 x 512 frame takes, durable.
    """

    machine: Machine
    seed: int
    disk_mb_s: float
    packed: float
    ways: tuple[Way, ...]
    added_median_ms: float
    added_p99_ms: float

    @property
    def disk_frames_s(self) -> float:
        """Frames of 2048 x 2048 that the disk would take uncompressed."""
        return self.disk_mb_s * 1e6 / LARGE_BYTES

    @property
    def promised_frames_s(self) -> float:
        return min(FRAMES_S_PROMISE, self.disk_frames_s)

    @property
    def kept(self) -> bool:
        """True where the recording keeps up and adds no more to a frame than promised."""
        fastest = max(way.frames_s for way in self.ways)
        return fastest >= self.promised_frames_s and self.added_median_ms <= ADDED_MS_PROMISE

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        figures = {"disk_frames_s": self.disk_frames_s, "promised_frames_s": self.promised_frames_s}
        return asdict(self) | figures | {"promise_kept": self.kept}


def compare_record(
    folder: Path, *, quick: bool = False, seed: int = 0, on_step: Callable[[str], None] = lambda name: None
) -> RecordComparison:
    """Record noisy frames into a temporary folder inside `folder`, on the disk that is to be measured.

    quick: few frames. on_step: told what is measured next. Raises RecordError where the disk is full.
    """
    rounds, count = (2, 16) if quick else (6, 50)
    rates: dict[str, list[float]] = {name: [] for name in (DISK, *_WAYS)}
    with TemporaryDirectory(prefix="lsm-bench-", dir=folder) as name:
        place = Path(name)
        on_step("small frames")
        packed, added_ms = _added_ms(place / "small.h5", noisy_frames(SMALL_PX, seed), 100 if quick else 1000)
        on_step("making frames")
        large = noisy_frames(LARGE_PX, seed)
        for number in range(rounds):
            names = list(rates)
            # another one first each time: many disks are faster after a rest
            for way in names[number % len(names) :] + names[: number % len(names)]:
                on_step(f"{way}, {number + 1} of {rounds}")
                if way == DISK:
                    rates[way].append(_disk_frames_s(place / "plain", large, count))
                else:
                    rates[way].append(_frames_s(place / "record.h5", large, count, _WAYS[way]))
    return RecordComparison(
        this_machine(),
        seed,
        float(np.median(rates.pop(DISK))) * LARGE_BYTES / 1e6,
        packed,
        tuple(Way(way, rounds * count, float(np.median(rate))) for way, rate in rates.items()),
        float(np.median(added_ms)),
        float(np.quantile(added_ms, 0.99)),
    )


def noisy_frames(side_px: int, seed: int) -> list[Frame]:
    """Frames with shot noise on a smooth scene, each with noise of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side_px, :side_px]
    mean = ELECTRONS * (1.2 + np.sin(x / 37) * np.cos(y / 53))
    board = LedBoard.grid(rows=32, columns=32, pitch_mm=4.0, distance_mm=60.0)
    pattern = Pattern.of_colour(board, rng.random(board.n_leds), name="random")
    return [_frame(rng.poisson(mean).astype(np.uint16), pattern) for _ in range(DIFFERENT)]


def show_record(comparison: RecordComparison) -> Group:
    """Tables for a terminal."""
    table = Table(title=f"Durable frames of {LARGE_PX} x {LARGE_PX}, 16 bit, with shot noise")
    for column in ("way", "frames/s", "MB/s of pixels", "of the disk's rate"):
        table.add_column(column, justify="left" if column == "way" else "right")
    table.add_row(
        "plain bytes, the disk alone", f"{comparison.disk_frames_s:.0f}", f"{comparison.disk_mb_s:.0f}", "1.00x"
    )
    for way in comparison.ways:
        rate = way.frames_s * LARGE_BYTES / 1e6
        table.add_row(way.name, f"{way.frames_s:.0f}", f"{rate:.0f}", f"{rate / comparison.disk_mb_s:.2f}x")
    fast = "kept" if max(way.frames_s for way in comparison.ways) >= comparison.promised_frames_s else "MISSED"
    quick = "kept" if comparison.added_median_ms <= ADDED_MS_PROMISE else "MISSED"
    return Group(
        table,
        "",
        f"Durable before it is acknowledged, {SMALL_PX} x {SMALL_PX}: {comparison.added_median_ms:.1f} ms median, "
        f"{comparison.added_p99_ms:.1f} ms at 99 % (packed to {comparison.packed:.0%}).",
        f"Promised: {comparison.promised_frames_s:.0f} frames/s, the lower of {FRAMES_S_PROMISE:g} and the disk's rate "
        f"({fast}); {ADDED_MS_PROMISE:g} ms median for a small frame ({quick}).",
    )


def _frame(image: Image, pattern: Pattern) -> Frame:
    now_ns = time.monotonic_ns()
    request = Observe(pattern, 5.0, (0.0, 0.0), 0.0)
    return Frame(image, request, Shown(pattern.levels), (0.0, 0.0), 0.0, now_ns, now_ns)


def _disk_frames_s(path: Path, frames: Sequence[Frame], count: int) -> float:
    plain = [frame.image.tobytes() for frame in frames]
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for index in range(count):
            file.write(plain[index % len(plain)])
            sync(file.fileno())
        seconds = time.perf_counter() - began
    path.unlink()
    return count / seconds


def _frames_s(
    path: Path, frames: Sequence[Frame], count: int, record: Callable[[Recorder, Sequence[Frame]], None]
) -> float:
    many = [frames[index % len(frames)] for index in range(count)]
    with Recorder(path, {}) as recorder:
        # the first one also creates the file's datasets
        recorder.add(many[0])
        began = time.perf_counter()
        record(recorder, many)
        seconds = time.perf_counter() - began
    path.unlink()
    return count / seconds


def _singly(recorder: Recorder, frames: Sequence[Frame]) -> None:
    for frame in frames:
        recorder.add(frame)


def _bursts(recorder: Recorder, frames: Sequence[Frame]) -> None:
    for start in range(0, len(frames), BURST):
        recorder.add_all(frames[start : start + BURST])


def _ahead(recorder: Recorder, frames: Sequence[Frame]) -> None:
    with AheadRecorder(recorder, frames=AHEAD) as ahead:
        for frame in frames:
            ahead.add(frame)


_WAYS = {"add, one by one": _singly, f"add_all, bursts of {BURST}": _bursts, "in the background": _ahead}


def _added_ms(path: Path, frames: Sequence[Frame], count: int) -> tuple[float, list[float]]:
    added_ms = []
    with Recorder(path, {}) as recorder:
        recorder.add(frames[0])
        for index in range(count):
            began = time.perf_counter()
            recorder.add(frames[index % len(frames)], {"action": index})
            added_ms.append((time.perf_counter() - began) * 1000)
    with open_record(path) as recording:
        stored = (recording.place(0) or (0, 0))[1]
    return stored / frames[0].image.nbytes, added_ms
