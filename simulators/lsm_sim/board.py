"""The LED board as a process: the real firmware, compiled for this machine, behind a pseudo-terminal or TCP port."""

import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lsm.errors import DeviceError, WrongFormat
from lsm.led import SerialTransport, SocketTransport
from lsm.types import DutyLevels
from lsm_sim._build import build_board

HEADER = struct.Struct("<4sQI")
LED_FRAME = b"LSMF"
TRIGGER_OUT = b"LSMT"
WS2812_LATCH_BYTES = 120
START_S = 20.0  # sanitizers start slowly on a loaded machine
STOP_S = 5.0


class NativeBoard:
    """A powered LED board with a grid of LEDs; it outlives this process until its LEDs have gone dark.

    build_dir: where compiled programs are kept (default: the user's cache). run_dir: where port and frame log lie
    (default: a temporary folder, removed by close()). tcp: listen on 127.0.0.1 instead of a pseudo-terminal.
    lane: LED chips, "apa102" or "ws2812". config_path: the board's flash; without it settings cannot be saved.
    Raises ToolMissing without a C compiler, DeviceError when the board does not start.
    """

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
    ) -> None:
        program = build_board(build_dir=build_dir, sanitize=sanitize)
        self._own_dir = Path(tempfile.mkdtemp(prefix="lsm-board-")) if run_dir is None else None
        folder = run_dir or self._own_dir or Path()
        self._n_leds = rows * columns
        self._tcp = tcp
        self.frames_path = folder / "frames.bin"
        self._log_path = folder / "board.log"
        options = {
            "--rows": rows,
            "--columns": columns,
            "--pitch-um": round(pitch_mm * 1000),
            "--distance-um": round(distance_mm * 1000),
            "--frames": self.frames_path,
            "--owner-pid": os.getpid(),
            "--lane": lane,
        } | ({"--tcp": 0} if tcp else {"--port": folder / "port"})
        if config_path is not None:
            options["--config"] = config_path
        self._process = self._start([str(program), *(str(item) for pair in options.items() for item in pair)])
        try:
            self.port = self._await_ready()
        except DeviceError:
            self.close()
            raise

    @property
    def n_leds(self) -> int:
        return self._n_leds

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def open_transport(self) -> SerialTransport | SocketTransport:
        """A new connection to the board. Raises PortBusy when one is open."""
        return SocketTransport("127.0.0.1", int(self.port)) if self._tcp else SerialTransport(self.port)

    def lit(self) -> DutyLevels:
        """The light that is on now [led, colour], decoded from the last LED frame that the firmware emitted."""
        return last_led_frame(self.frames_path)[1]

    def inject_edges(self, count: int, *, period_us: int, pin: int = 0) -> None:
        """Put rising edges on a trigger input; returns when the last has come. period_us 0: all at once."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return
        stdin.write(f"edges {pin} {count} {period_us}\n")
        stdin.flush()
        if stdout.readline() != f"EDGES {count}\n":
            raise DeviceError("The simulated LED board did not take the trigger edges.", hint="see its board.log")

    def trigger_outs(self) -> list[tuple[int, int, bool]]:
        """All edges of the trigger outputs: monotonic time in nanoseconds, pin, level."""
        return read_trigger_outs(self.frames_path)

    def close(self) -> None:
        """Switch the board off and remove its temporary folder; may be called twice."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        if self._own_dir is not None:
            shutil.rmtree(self._own_dir, ignore_errors=True)

    def __enter__(self) -> "NativeBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        with self._log_path.open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )

    def _await_ready(self) -> str:
        deadline = time.monotonic() + START_S
        stdout = self._process.stdout
        line = ""
        while stdout is not None and time.monotonic() < deadline and self.running and not line:
            if select.select([stdout], [], [], 0.1)[0]:
                line = stdout.readline()
        if not line.startswith("READY "):
            log = self._log_path.read_text(errors="replace").strip()
            raise DeviceError(f"The simulated LED board did not start: {log[-400:]}", hint="see the reason above")
        return line.split(maxsplit=1)[1].strip()


def read_led_frames(path: Path) -> list[tuple[int, DutyLevels]]:
    """All LED frames of a log: time in nanoseconds (the native board's is time.monotonic_ns) and levels [led, colour].

    A record still being written at the end is left out. Raises WrongFormat for a damaged log.
    """
    return [(t_ns, decode_lane(data)) for magic, t_ns, data in _records(path) if magic == LED_FRAME]


def read_trigger_outs(path: Path) -> list[tuple[int, int, bool]]:
    """All edges of trigger outputs of a log: time in nanoseconds, pin, level. Raises WrongFormat."""
    return [(t_ns, data[0], bool(data[1])) for magic, t_ns, data in _records(path) if magic == TRIGGER_OUT]


def last_led_frame(path: Path) -> tuple[int, DutyLevels]:
    """Time in nanoseconds and levels [led, colour] of the last LED frame; reads only the end of the log.

    Raises WrongFormat for a log without a frame.
    """
    with path.open("rb") as log:
        first = log.read(HEADER.size)
        size = HEADER.size + _header(first, path)[2]  # every LED frame of one board has the same length
        end = log.seek(0, os.SEEK_END)
        log.seek(max(end - 4 * size, 0))
        tail = log.read()
    start = tail.rfind(LED_FRAME, 0, len(tail) - size + 4)
    while start >= 0:
        _, t_ns, count = HEADER.unpack(tail[start : start + HEADER.size])
        if HEADER.size + count == size:
            return t_ns, decode_lane(tail[start + HEADER.size : start + size])
        start = tail.rfind(LED_FRAME, 0, start)
    raise WrongFormat(f"{path} ends without an LED frame.", hint="give a log written by the board")


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


def _header(data: bytes, path: Path) -> tuple[bytes, int, int]:
    magic, t_ns, count = HEADER.unpack(data[: HEADER.size]) if len(data) >= HEADER.size else (b"", 0, 0)
    if magic not in (LED_FRAME, TRIGGER_OUT):
        raise WrongFormat(f"{path} holds no LED frame where one must begin.", hint="give a log written by the board")
    return magic, int(t_ns), int(count)
