"""LED boards as processes: what all of them share, and the real firmware compiled for this machine."""

import contextlib
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, TypeVar

import numpy as np

from lsm.errors import DeviceError, WrongFormat
from lsm.led import SerialTransport, SocketTransport
from lsm.types import DutyLevels
from lsm_sim._build import build_board

HEADER = struct.Struct("<4sQI")
LED_FRAME = b"LSMF"
TRIGGER_OUT = b"LSMT"
EXECUTED = b"LSMX"
REQUEST = struct.Struct("<BBH")
WS2812_LATCH_BYTES = 120
START_S = 20.0  # sanitizers start slowly on a loaded machine
STOP_S = 5.0
ANSWER_S = 60.0  # emulated chips may fall behind the wall clock

AnyBoard = TypeVar("AnyBoard", bound="Board")


class Board(ABC):
    """A powered LED board: a program in a process of its own, with a serial port and a log of what its LEDs were sent.

    virtual_time: whether the board's clock counts from its power-on at the pace of its emulator; otherwise it is
    time.monotonic_ns. port: what a host connects to. frames_path: the log, see read_led_frames, read_trigger_outs.
    """

    virtual_time: ClassVar[bool]

    def __init__(self, run_dir: Path | None, n_leds: int) -> None:
        self._own_dir = Path(tempfile.mkdtemp(prefix="lsm-board-")) if run_dir is None else None
        self._folder = run_dir or self._own_dir or Path()
        self._n_leds = n_leds
        self._process: subprocess.Popen[str] | None = None
        self._log_path = self._folder / "board.log"
        self.frames_path = self._folder / "frames.bin"
        self.port = ""

    @property
    def n_leds(self) -> int:
        return self._n_leds

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def open_transport(self) -> SerialTransport | SocketTransport:
        """A new connection to the board. Raises PortBusy when one is open."""

    @abstractmethod
    def now_ns(self) -> int:
        """The clock that the log's times are of."""

    @abstractmethod
    def inject_edges(self, count: int, *, period_us: int, pin: int = 0) -> None:
        """Put rising edges on a trigger input, `period_us` apart in the board's time; returns when the last has come.

        Raises DeviceError when the board is gone.
        """

    def lit(self) -> DutyLevels:
        """The light that is on now [led, colour], decoded from the last LED frame that the firmware emitted."""
        return last_led_frame(self.frames_path)[1]

    def trigger_outs(self) -> list[tuple[int, int, bool]]:
        """All edges of the trigger outputs: the board's time in nanoseconds, pin, level."""
        return read_trigger_outs(self.frames_path)

    def close(self) -> None:
        """Switch the board off and remove its temporary folder; may be called twice."""
        process = self._process
        if process is not None:
            self._switch_off(process)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):  # what a dead process has not read
                        stream.close()
        if self._own_dir is not None:
            shutil.rmtree(self._own_dir, ignore_errors=True)

    def __enter__(self: AnyBoard) -> AnyBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _switch_off(self, process: subprocess.Popen[str]) -> None:
        """Ask the process to end; emulators end with their standard input."""
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()

    def _start(self, command: list[str], *, pass_fds: tuple[int, ...] = ()) -> None:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise DeviceError("The simulated LED board has not been started.", hint="make a new one")
        return self._process

    def _command(self, line: str) -> None:
        """Give the program a bench command."""
        stdin = self._started().stdin
        if stdin is None or not self.running:
            raise self._failure("is gone")
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except OSError as error:
            raise self._failure("is gone") from error

    def _answer(self, word: str, timeout_s: float) -> str:
        """What follows `word` on the next line of the program's standard output."""
        stdout = self._started().stdout
        deadline = time.monotonic() + timeout_s
        while stdout is not None and time.monotonic() < deadline and self.running:
            if select.select([stdout], [], [], 0.1)[0]:
                line = stdout.readline()
                if not line:
                    raise self._failure("ended")
                said, _, rest = line.strip().partition(" ")
                if said != word:
                    raise self._failure(f"answered '{said} {rest}' instead of {word}")
                return rest
        raise self._failure(f"did not answer {word}")

    def _failure(self, what: str) -> DeviceError:
        log = self._log_path.read_text(errors="replace").strip() if self._log_path.is_file() else ""
        return DeviceError(
            f"The simulated LED board {what}: {log[-400:]}", hint="see the reason above, or its board.log"
        )


class NativeBoard(Board):
    """The firmware compiled for this machine, with a grid of LEDs, behind a pseudo-terminal or TCP port.

    It outlives this process until its LEDs have gone dark.
    build_dir: where compiled programs are kept (default: the user's cache). run_dir: where port and frame log lie
    (default: a temporary folder, removed by close()). tcp: listen on 127.0.0.1 instead of a pseudo-terminal.
    lane: LED chips, "apa102" or "ws2812". config_path: the board's flash; without it settings cannot be saved.
    trace: also log each request that was executed, see read_executed.
    Raises ToolMissing without a C compiler, DeviceError when the board does not start.
    """

    virtual_time = False

    def __init__(
        self,
        *,
        rows: int = 13,
        columns: int = 13,
        pitch_mm: float = 3.0,
        distance_mm: float = 50.0,
        build_dir: Path | None = None,
        run_dir: Path | None = None,
        sanitize: bool = True,
        tcp: bool = False,
        lane: str = "apa102",
        config_path: Path | None = None,
        trace: bool = False,
    ) -> None:
        program = build_board(build_dir=build_dir, sanitize=sanitize, trace=trace)
        super().__init__(run_dir, rows * columns)
        self._tcp = tcp
        options = {
            "--rows": rows,
            "--columns": columns,
            "--pitch-um": round(pitch_mm * 1000),
            "--distance-um": round(distance_mm * 1000),
            "--frames": self.frames_path,
            "--owner-pid": os.getpid(),
            "--lane": lane,
        } | ({"--tcp": 0} if tcp else {"--port": self._folder / "port"})
        if config_path is not None:
            options["--config"] = config_path
        try:
            self._start([str(program), *(str(item) for pair in options.items() for item in pair)])
            self.port = self._answer("READY", START_S)
        except DeviceError:
            self.close()
            raise

    def open_transport(self) -> SerialTransport | SocketTransport:
        """A new connection to the board. Raises PortBusy when one is open."""
        return SocketTransport("127.0.0.1", int(self.port)) if self._tcp else SerialTransport(self.port)

    def now_ns(self) -> int:
        """The clock that the log's times are of."""
        return time.monotonic_ns()

    def inject_edges(self, count: int, *, period_us: int, pin: int = 0) -> None:
        """Put rising edges on a trigger input; returns when the board has acted on them. period_us 0: all at once."""
        self._command(f"edges {pin} {count} {period_us}")
        self._answer("EDGES", ANSWER_S + count * period_us / 1e6)

    def _switch_off(self, process: subprocess.Popen[str]) -> None:
        # its standard streams stay open meanwhile: a broken pipe could end it before its LEDs are dark
        process.terminate()


def read_led_frames(path: Path) -> list[tuple[int, DutyLevels]]:
    """All LED frames of a log: time in nanoseconds (the native board's is time.monotonic_ns) and levels [led, colour].

    A record still being written at the end is left out. Raises WrongFormat for a damaged log.
    """
    return [(t_ns, decode_lane(data)) for magic, t_ns, data in _records(path) if magic == LED_FRAME]


def read_trigger_outs(path: Path) -> list[tuple[int, int, bool]]:
    """All edges of trigger outputs of a log: time in nanoseconds, pin, level. Raises WrongFormat."""
    return [(t_ns, data[0], bool(data[1])) for magic, t_ns, data in _records(path) if magic == TRIGGER_OUT]


def read_executed(path: Path) -> list[tuple[int, int, int, int]]:
    """All requests that a board with `trace` has executed: time in nanoseconds, seq, command, CRC-16 of the request.

    Raises WrongFormat for a damaged log.
    """
    requests = [(t_ns, REQUEST.unpack(data)) for magic, t_ns, data in _records(path) if magic == EXECUTED]
    return [(t_ns, seq, command, crc) for t_ns, (seq, command, crc) in requests]


def last_led_frame(path: Path) -> tuple[int, DutyLevels]:
    """Time in nanoseconds and levels [led, colour] of the last LED frame; reads only the end of the log.

    Raises WrongFormat for a log without a frame.
    """
    with path.open("rb") as log:
        size = _led_frame_size(log, path)
        end = log.seek(0, os.SEEK_END)
        span = 4 * size
        while True:
            log.seek(max(end - span, 0))
            tail = log.read()
            start = tail.rfind(LED_FRAME, 0, max(len(tail) - size + len(LED_FRAME), 0))
            if start >= 0:
                _, t_ns, _ = HEADER.unpack(tail[start : start + HEADER.size])
                return t_ns, decode_lane(tail[start + HEADER.size : start + size])
            if span >= end:
                raise WrongFormat(f"{path} holds no whole LED frame.", hint="give a log written by the board")
            span *= 4  # many short records may follow the frame


def dark_delay_s(path: Path, since_ns: int) -> float:
    """Seconds from `since_ns` to the first dark LED frame after it; infinite when there is none."""
    for t_ns, levels in read_led_frames(path):
        if t_ns >= since_ns and not levels.any():
            return (t_ns - since_ns) / 1e9
    return float("inf")


def decode_apa102(data: bytes) -> DutyLevels:
    """Levels [led, colour] from the bytes on an APA102 LED lane. Raises WrongFormat for anything else.

    APA102 datasheet: 32 zero bits, then 111 and 5 bits of brightness, blue, green, red per LED.
    """
    words = np.frombuffer(data[: len(data) // 4 * 4], dtype=np.uint8).reshape(-1, 4)
    n_leds = int(np.argmin(words[1:, 0] >= 0xE0)) if len(words) > 1 else 0
    leds = words[1 : 1 + n_leds]
    if n_leds == 0 or words[0].any() or (leds[:, 0] != 0xFF).any():
        raise WrongFormat(
            f"{len(data)} bytes are no APA102 frame at full global brightness.", hint="check the firmware"
        )
    levels: DutyLevels = np.ascontiguousarray(leds[:, :0:-1])
    return levels


def decode_ws2812(data: bytes) -> DutyLevels:
    """Levels [led, colour] from the bytes on a WS2812 lane: four line bits per bit, green, red, blue.

    Raises WrongFormat for anything else.
    """
    lane = np.frombuffer(data[1:-WS2812_LATCH_BYTES], dtype=np.uint8)
    nibbles = np.stack([lane >> 4, lane & 15], axis=1).reshape(-1, 24)
    if len(lane) % 12 or not np.isin(nibbles, (8, 14)).all() or any(data[-WS2812_LATCH_BYTES:]):
        raise WrongFormat(f"{len(data)} bytes are no WS2812 frame.", hint="check the firmware")
    levels: DutyLevels = np.packbits(nibbles == 14, axis=1)[:, [1, 0, 2]]
    return levels


def decode_lane(data: bytes) -> DutyLevels:
    """Levels [led, colour] from the bytes of either lane. Raises WrongFormat for anything else."""
    return decode_apa102(data) if data[:4] == bytes(4) else decode_ws2812(data)


def _records(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    data = path.read_bytes()
    start = 0
    while start + HEADER.size <= len(data):
        magic, t_ns, count = _header(data[start : start + HEADER.size], path)
        start += HEADER.size
        if start + count > len(data):
            return
        yield magic, t_ns, data[start : start + count]
        start += count


def _led_frame_size(log: BinaryIO, path: Path) -> int:
    """Bytes of a record with an LED frame: all those of one board have the same length."""
    while True:
        magic, _, count = _header(log.read(HEADER.size), path)
        if magic == LED_FRAME:
            return HEADER.size + count
        log.seek(count, os.SEEK_CUR)


def _header(data: bytes, path: Path) -> tuple[bytes, int, int]:
    magic, t_ns, count = HEADER.unpack(data[: HEADER.size]) if len(data) >= HEADER.size else (b"", 0, 0)
    if magic not in (LED_FRAME, TRIGGER_OUT, EXECUTED):
        raise WrongFormat(f"{path} holds no LED frame where one must begin.", hint="give a log written by the board")
    return magic, int(t_ns), int(count)
