"""Puts a great many faults on the wire of the native board and counts wrong lights shown without an error.

    python -m lsm_sim.wire_campaign --faults 100000 --json wire_faults.json

Each round the client does one task (a light, darkness, a sequence, a question) while one fault hits one frame on its
way; then, on a sound line, it must show another light. What is counted comes from the board's own log of emitted LED
frames and from the requests that really left the client:

- wrong: an LED frame that is neither dark nor one of the lights asked for in this round, another light than the asked
  one at its end, or an answer that is not true;
- twice: requests that change something and were executed again, by the firmware's own trace of what it executes;
- recovery: from the moment of the fault to the end of the next light that was verified.
"""

import argparse
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cobs import cobs

from lsm.errors import IlluminatorError
from lsm.illum import LedBoard, Pattern
from lsm.led import Edge, LedBoardClient, SequencePlan, When
from lsm.led._constants import CHANGING, Command
from lsm.types import DutyLevels
from lsm_sim._figures import tell
from lsm_sim.board import EXECUTED, HEADER, LED_FRAME, NativeBoard, decode_lane
from lsm_sim.faults import Fault, FaultyLine, Kind, Way

ROUNDS_PER_BOARD = 400
LATE_S = 0.03
RECOVERY_S = 10.0
REQUEST = struct.Struct("<BBH")  # of a trace record
LIMIT_MA = 3000  # of 13 x 13 LEDs; no light of the campaign needs more


class WrongLightError(Exception):
    """The client returned something that is not true."""


@dataclass
class Tally:
    """What came of the faults.

    by_command: what was on the wire to the board when it was hit. recovery_s: of each fault; infinite where the next
    light never came. notes: what was wrong, in words.
    """

    by_kind: Counter[str] = field(default_factory=Counter)
    by_command: Counter[str] = field(default_factory=Counter)
    raised: int = 0
    wrong: int = 0
    twice: int = 0
    lit_frames: int = 0
    recovery_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return len(self.recovery_s)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        times_ms = np.array(self.recovery_s or [0.0]) * 1000
        return {
            "faults": self.faults,
            "by_kind": dict(sorted(self.by_kind.items())),
            "by_command": dict(sorted(self.by_command.items())),
            "tasks_that_raised": self.raised,
            "lit_frames": self.lit_frames,
            "wrong_light_without_error": self.wrong,
            "executed_twice": self.twice,
            "notes": self.notes,
            "recovery_ms": {
                "median": round(float(np.median(times_ms)), 1),
                "p99": round(float(np.quantile(times_ms, 0.99)), 1),
                "max": round(float(times_ms.max()), 1),
            },
        }


class Bench:
    """One board, its client, what was asked of them and what was emitted.

    Raises, from its tasks, IlluminatorError and WrongLightError.
    """

    def __init__(self, native: NativeBoard, board: LedBoard, rng: np.random.Generator, *, reply_s: float) -> None:
        self.rng = rng
        self.asked: list[DutyLevels] = []
        self.pieces: Counter[tuple[str, Way]] = Counter()
        self._board = board
        self._reply_s = reply_s
        self._greetings = 0
        self._executed: Counter[tuple[int, int, int, int]] = Counter()
        self.line = FaultyLine(native.open_transport(), rng)
        self._client: LedBoardClient | None = self._connected()
        self._log = native.frames_path.open("rb")

    def close(self) -> None:
        self.client.close()
        self._log.close()

    def fresh_frames(self) -> list[DutyLevels]:
        """LED frames emitted since the last call; notes what was executed."""
        frames: list[DutyLevels] = []
        while True:
            start = self._log.tell()
            head = self._log.read(HEADER.size)
            magic, _, count = HEADER.unpack(head) if len(head) == HEADER.size else (b"", 0, 1)
            data = self._log.read(count)
            if len(data) < count:  # still being written
                self._log.seek(start)
                return frames
            if magic == LED_FRAME:
                frames.append(decode_lane(data))
            elif magic == EXECUTED:
                self._note(*REQUEST.unpack(data))

    def executed_twice(self) -> int:
        """Changes that the board has made more than once since the last call."""
        twice = sum(count - 1 for count in self._executed.values())
        self._executed.clear()
        return twice

    @property
    def client(self) -> LedBoardClient:
        """A new one after a greeting that failed, and closed the port."""
        if self._client is None:
            self.line.reopen()
            self._client = self._connected()
        return self._client

    def _connected(self) -> LedBoardClient:
        return LedBoardClient(self.line, self._board, reply_s=self._reply_s, retries=5)

    def light(self) -> None:
        pattern = self._pattern()
        self.asked.append(pattern.levels)
        shown = self.client.show(pattern, hold_ms=float(self.rng.integers(0, 4000)))
        self._true(np.array_equal(shown.levels, pattern.levels))

    def darkness(self) -> None:
        self.client.dark()
        self._true(not self.client.latched().any())

    def questions(self) -> None:
        self.client.status()
        self._true(np.allclose(self.client.read_geometry(), self._board.positions_mm, atol=1e-3))

    def sequence(self) -> None:
        patterns = [self._pattern() for _ in range(3)]
        sequences = self.client.sequences
        sequences.trigger_in(0, Edge.RISING, debounce_us=3)
        sequences.trigger_out(0, When.PATTERN, width_us=20)
        sequences.load(patterns)
        self.asked += [pattern.levels for pattern in patterns]
        sequences.arm(SequencePlan(longest_s=5.0))
        for index in range(len(patterns)):
            self._true(sequences.step() == index)
        self._true(sequences.step() is None)

    def _true(self, statement: bool) -> None:
        if not statement:
            raise WrongLightError

    def _pattern(self) -> Pattern:
        """One LED, a few, on and off, grey in one colour, or all colours; below the current limit."""
        levels = np.zeros((self._board.n_leds, 3))
        match self.rng.integers(4):
            case 0:
                levels[self.rng.integers(len(levels)), self.rng.integers(3)] = self.rng.integers(1, 256)
            case 1:
                levels[:, 1] = (self.rng.random(len(levels)) < 0.2) * 200
            case 2:
                levels[:, self.rng.integers(3)] = self.rng.integers(0, 128, len(levels))
            case _:
                levels[:] = self.rng.integers(0, 60, levels.shape)
        return Pattern.of(self._board, levels / 255)

    def greeting(self) -> None:
        """A new program takes over."""
        self._client = None
        self._client = self._connected()

    def settings(self) -> None:
        self.client.limit(int(self.rng.integers(LIMIT_MA, self.client.hello.limit_ma)))
        self.client.dark()
        self.client.forget_settings()

    def text(self) -> None:
        """Nothing protects a text answer, so it is not judged; none of these lines may light anything."""
        for line in ("version", "na", "pvals.0.3"):
            self.client.text(line)

    def _note(self, seq: int, command: int, crc: int) -> None:
        self._greetings += command == Command.HELLO  # behind it, numbers begin again
        if command in CHANGING:
            self._executed[self._greetings, seq, command, crc] += 1


TASKS: dict[str, Callable[[Bench], None]] = {
    "light": Bench.light,
    "darkness": Bench.darkness,
    "questions": Bench.questions,
    "sequence": Bench.sequence,
    "greeting": Bench.greeting,
    "settings": Bench.settings,
    "text": Bench.text,
}
WEIGHTS = (0.45, 0.08, 0.08, 0.25, 0.04, 0.06, 0.04)


def many_random_faults(count: int, *, workers: int, seed: int, reply_s: float, rows: int, folder: Path) -> Tally:
    """As random_faults, shared among processes with the seeds from `seed` on."""
    with ProcessPoolExecutor(workers) as pool:
        share = partial(random_faults, -(-count // workers), reply_s=reply_s, rows=rows, folder=folder)
        jobs = [pool.submit(share, seed=seed + worker) for worker in range(workers)]
        return sum((job.result() for job in jobs), Tally())


def random_faults(count: int, *, seed: int, reply_s: float, rows: int, folder: Path) -> Tally:
    """Random faults until `count` have hit, on boards of rows x rows LEDs. folder: for the boards' logs."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    while tally.faults < count:
        with _bench(rows, rng, reply_s, folder) as bench:
            for _ in range(ROUNDS_PER_BOARD):
                if tally.faults < count:
                    task = str(rng.choice(list(TASKS), p=WEIGHTS))
                    way = list(Way)[rng.integers(2)]
                    pieces = max(bench.pieces[task, way], 1)
                    _round(bench, tally, Fault.drawn(rng, way=way, pieces=pieces, late_s=LATE_S), task)
    return tally


def cuts(*, seed: int, reply_s: float, rows: int, folder: Path, every: int = 1) -> Tally:
    """A cut at every byte (or at every so-many-th) of every request and every answer of one run of each task."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    with _bench(rows, rng, reply_s, folder) as bench:
        for task in TASKS:
            bench.rng = np.random.default_rng(seed)
            bench.line.arm(None)
            TASKS[task](bench)
            seen = list(bench.line.seen)
            bench.fresh_frames()
            bench.executed_twice()
            for way in Way:
                lengths = [length for direction, length in seen if direction is way]
                places = [(piece, at) for piece, length in enumerate(lengths) for at in range(length)]
                for piece, at in places[::every]:
                    bench.rng = np.random.default_rng(seed)  # the same bytes as those that were counted
                    _round(bench, tally, Fault(Kind.CUT, way, piece, at), task)
    return tally


@contextmanager
def _bench(rows: int, rng: np.random.Generator, reply_s: float, folder: Path) -> Iterator[Bench]:
    board = LedBoard.grid(rows=rows, columns=rows, pitch_mm=2.0, distance_mm=50.0)
    with (
        tempfile.TemporaryDirectory(dir=folder) as run_dir,
        NativeBoard(rows=rows, columns=rows, pitch_mm=2.0, run_dir=Path(run_dir), trace=True) as native,
    ):
        bench = Bench(native, board, rng, reply_s=reply_s)
        try:
            yield bench
        finally:
            bench.close()


def _round(bench: Bench, tally: Tally, fault: Fault, task: str) -> None:
    bench.asked = []
    bench.line.arm(fault)
    raised, wrong = _try(TASKS[task], bench)
    hit_at, hit = bench.line.hit_at, bench.line.hit
    if not raised:
        for way in Way:
            bench.pieces[task, way] = sum(direction is way for direction, _ in bench.line.seen)
    bench.line.arm(None)
    deadline = time.monotonic() + RECOVERY_S
    again = True
    while again and time.monotonic() < deadline:
        again, lied = _try(Bench.light, bench)
        wrong |= lied
    recovered_s = float("inf") if again else time.monotonic() - (hit_at or 0.0)
    frames = bench.fresh_frames()
    lit = [levels for levels in frames if levels.any()]
    strange = [levels for levels in lit if not any(np.array_equal(levels, asked) for asked in bench.asked)]
    ended_right = bool(frames) and np.array_equal(frames[-1], bench.asked[-1])
    if wrong or strange or not ended_right:
        tally.wrong += 1
        tally.notes.append(
            f"{task}, {fault}, hit {hit[:24]!r}: an untrue answer: {wrong}, strange frames: {len(strange)} of "
            f"{len(frames)}, ended right: {ended_right}"
        )
    tally.raised += raised
    tally.lit_frames += len(lit)
    tally.twice += bench.executed_twice()
    if hit_at is not None:
        tally.by_kind[fault.kind] += 1
        tally.by_command[_named(hit, fault.way)] += 1
        tally.recovery_s.append(recovered_s)


def _named(piece: bytes, way: Way) -> str:
    if way is Way.FROM_BOARD:
        return "an answer"
    if not piece.startswith(b"\0"):
        return "a text line"
    return Command(cobs.decode(piece[1:-1])[1]).name


def _try(task: Callable[[Bench], None], bench: Bench) -> tuple[bool, bool]:
    """Whether it raised, and whether it said something that is not true."""
    try:
        task(bench)
    except IlluminatorError:
        return True, False
    except WrongLightError:
        return False, True
    return False, False


def main(arguments: list[str]) -> int:
    """0 when nothing wrong was shown, nothing executed twice and every recovery took at most a second."""
    parser = argparse.ArgumentParser(description="Faults on the wire of the native LED board.")
    parser.add_argument("--faults", type=int, default=100_000, help="how many random faults (default 100000)")
    parser.add_argument("--rows", type=int, default=13, help="the board has rows x rows LEDs (default 13)")
    parser.add_argument("--reply-ms", type=float, default=20.0, help="the client's patience (its default is 500)")
    parser.add_argument("--every", type=int, default=1, help="cut at every so-many-th byte (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with a board and a seed of its own")
    parser.add_argument("--json", type=Path, help="also write the result here")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lsm-faults-") as folder:
        shared: dict[str, Any] = {
            "seed": options.seed,
            "reply_s": options.reply_ms / 1000,
            "rows": options.rows,
            "folder": Path(folder),
        }
        tallies = {
            "cuts": cuts(**shared, every=options.every),
            "random": many_random_faults(options.faults, workers=options.workers, **shared),
        }
    good = all(not (each.wrong or each.twice) and max(each.recovery_s) <= 1.0 for each in tallies.values())
    result = {
        "settings": {key: value for key, value in vars(options).items() if key != "json"},
        "minutes": round((time.monotonic() - began) / 60, 1),
        **{name: tally.plain() for name, tally in tallies.items()},
        "promise_kept": good,
    }
    tell(result, options.json)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
