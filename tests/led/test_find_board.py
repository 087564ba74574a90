"""From the name of a port to a board that tells its own geometry."""

import os
import pty
import select
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from serial.tools.list_ports_common import ListPortInfo
from typer.testing import CliRunner

from lsm.cli.app import app
from lsm.errors import ConfigError, FileMissing, IlluminatorError, IlluminatorTimeout
from lsm.illum import LedBoard, bright_field, single_led
from lsm.led import IlluminateClient, LedBoardClient, find, find_board, open_port
from lsm_sim.board import NativeBoard, read_led_frames
from lsm_sim.illuminate_board import EmulatedBoard
from lsm_sim.illuminate_firmware import Lamps
from lsm_sim.illuminate_v1 import FirmwareV1
from lsm_sim.illuminate_v2 import FirmwareV2

RGB = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0, name="bought")
WHITE = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0, name="bought", wavelengths_um=(0.55,))
SPEEDS = {115_200: termios.B115200, 1_000_000: termios.B1000000}
BOOT_LOADER_S = 1.0
HELD_S = 60.0  # a boot loader that got a byte waits for more


class UartPlug:
    """A UART between a real board and a new serial port: what travels at another rate than `baud` is lost.

    silent_s: how long the board does not listen after power-on. loader: whether a byte within BOOT_LOADER_S of
    power-on keeps it from listening for HELD_S. early: bytes that came while it did not listen.
    """

    def __init__(self, board: NativeBoard, baud: int, *, silent_s: float = 0.0, loader: bool = False) -> None:
        self._speed = SPEEDS[baud]
        self._far = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._far)
        self._near, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.early = b""
        self._loader = loader
        self._on = time.monotonic()
        self._ready = self._on + silent_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for end in (self._far, self._near, self._slave):
            os.close(end)

    def _run(self) -> None:
        while not self._stop.is_set():
            for end in select.select([self._near, self._far], [], [], 0.02)[0]:
                data = os.read(end, 4096)
                if termios.tcgetattr(self._slave)[4] != self._speed:
                    continue
                if end == self._far:
                    os.write(self._near, data)
                elif time.monotonic() >= self._ready:
                    os.write(self._far, data)
                else:
                    self._missed(data)

    def _missed(self, data: bytes) -> None:
        self.early += data
        if self._loader and time.monotonic() < self._on + BOOT_LOADER_S:
            self._ready = time.monotonic() + HELD_S


@contextmanager
def plugged(native: NativeBoard, baud: int, *, silent_s: float = 0.0, loader: bool = False) -> Iterator[UartPlug]:
    plug = UartPlug(native, baud, silent_s=silent_s, loader=loader)
    try:
        yield plug
    finally:
        plug.close()


@pytest.fixture
def deaf_port() -> Iterator[str]:
    """A serial port on which nothing answers."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.firmware
def test_a_board_with_our_firmware_is_driven_by_checked_frames(native: NativeBoard):
    with find_board(native.port) as board:
        assert isinstance(board, LedBoardClient)
        assert board.board.n_leds == 169
        shown = board.show(bright_field(board.board, na=0.1), hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), shown.levels)
    assert not native.lit().any()


@pytest.mark.firmware
def test_a_board_on_the_network(tmp_path: Path):
    with NativeBoard(tcp=True, run_dir=tmp_path) as native, find_board(f"tcp:127.0.0.1:{native.port}") as board:
        assert board.board.n_leds == 169


@pytest.mark.parametrize("geometry", [RGB, WHITE], ids=["rgb", "one-colour"])
@pytest.mark.parametrize(("firmware", "dialect"), [(FirmwareV1, "v1"), (FirmwareV2, "v2")])
def test_an_illuminate_board_of_either_kind(firmware: type[FirmwareV1 | FirmwareV2], dialect: str, geometry: LedBoard):
    with EmulatedBoard(firmware(Lamps(geometry))) as emulated, find_board(emulated.port) as board:
        assert isinstance(board, IlluminateClient)
        assert board.dialect == dialect
        assert board.board.wavelengths_um == pytest.approx(geometry.wavelengths_um)
        np.testing.assert_allclose(board.board.positions_mm, geometry.positions_mm)
        board.show(single_led(board.board, 7, colour=0), hold_ms=10.0)
        assert np.flatnonzero(emulated.lit().any(axis=1)).tolist() == [7]


@pytest.mark.parametrize(
    ("properties", "expected_um"),
    [
        ({"color_channels": ["g"], "color_channel_center_wavelengths": {"g": 0.53}}, (0.53,)),
        ({"color_channels": ["w"], "color_channel_center_wavelengths_nm": {"w": 550.0}}, (0.55,)),
        ({"color_channels": ["w"]}, (0.53,)),
        ({"color_channels": ["r", "g", "b"], "color_channel_center_wavelengths_nm": {"r": 630, "g": 530, "b": 470}},
         (0.63, 0.53, 0.47)),
        # as several shipped boards tell it: the names and the wavelengths run opposite ways
        ({"color_channels": ["r", "g", "b"], "color_channel_center_wavelengths": {"r": 0.48, "g": 0.525, "b": 0.625}},
         (0.63, 0.53, 0.47)),
    ],
)  # fmt: skip
def test_wavelengths_are_those_that_the_board_tells(properties: dict[str, object], expected_um: tuple[float, ...]):
    assert find.wavelengths_told(properties) == pytest.approx(expected_um)


@pytest.mark.firmware
@pytest.mark.parametrize("baud", list(SPEEDS))
def test_the_rate_of_a_uart_is_found(native: NativeBoard, baud: int):
    with plugged(native, baud) as plug, find_board(plug.port) as board:
        assert board.board.n_leds == 169


@pytest.mark.firmware
def test_the_rate_of_a_uart_can_be_given(native: NativeBoard):
    with plugged(native, 1_000_000) as plug:
        words = ["led", "info", plug.port, "--json", "--baud"]
        refused = CliRunner().invoke(app, [*words, "115200"])
        assert isinstance(refused.exception, IlluminatorTimeout)
        assert "115200 baud" in refused.exception.message
        assert CliRunner().invoke(app, [*words, "1000000"], catch_exceptions=False).exit_code == 0


@pytest.mark.firmware
def test_a_board_that_starts_when_its_port_is_opened_is_waited_for(native: NativeBoard):
    with plugged(native, 115_200, silent_s=2.0) as plug, find_board(plug.port, baud=115_200) as board:
        assert board.board.n_leds == 169
        assert plug.early


@pytest.mark.firmware
def test_a_boot_loader_behind_a_bridge_is_not_disturbed(native: NativeBoard, monkeypatch: pytest.MonkeyPatch):
    with plugged(native, 1_000_000, silent_s=1.5, loader=True) as plug:
        bridge = ListPortInfo(plug.port)
        bridge.vid, bridge.pid = 0x2341, 0x0042  # an Arduino Mega
        monkeypatch.setattr(find, "comports", lambda: [bridge])
        with find_board(plug.port, baud=1_000_000) as board:
            assert board.board.n_leds == 169
        assert plug.early == b""


def test_a_silent_port_is_not_taken_for_a_kind_of_board(deaf_port: str):
    began = time.monotonic()
    with pytest.raises(IlluminatorTimeout, match="115200 baud") as silent:
        find_board(deaf_port, baud=115_200)
    assert time.monotonic() - began >= find.PATIENCE_S
    assert "by itself" not in str(silent.value)
    for word in ("baud", "cable", "power"):
        assert word in silent.value.hint


def test_what_a_light_does_in_silence_is_said_of_known_boards_only(deaf_port: str):
    with pytest.raises(IlluminatorTimeout) as silent:
        IlluminateClient(open_port(deaf_port), RGB, reply_s=0.1, retries=0)
    assert "by itself" not in silent.value.hint
    firmware = FirmwareV2(Lamps(RGB))
    with EmulatedBoard(firmware) as emulated, IlluminateClient(emulated.open_transport(), RGB, retries=0) as client:
        firmware.receive(b"l." + b".".join([b"1"] * 300) + b"\n", pause_s=0.0)  # hangs it
        with pytest.raises(IlluminatorTimeout) as known:
            client.latched()
    assert "does not go dark by itself" in known.value.hint


@pytest.mark.parametrize("where", ["tcp:", "tcp:localhost", "tcp:host:port"])
def test_a_bad_address_is_explained(where: str):
    with pytest.raises(ConfigError, match="no network address"):
        open_port(where)


def test_a_port_that_does_not_exist_is_named():
    with pytest.raises(FileMissing, match="ttyNONE"):
        find_board("/dev/ttyNONE")


@pytest.mark.firmware
@pytest.mark.parametrize("lane", ["apa102", "ws2812"])
def test_both_kinds_of_led_chips_get_the_same_levels(tmp_path: Path, lane: str):
    with NativeBoard(lane=lane, run_dir=tmp_path) as native, find_board(native.port) as board:
        assert not read_led_frames(native.frames_path)[0][1].any()
        duty = np.random.default_rng(2).integers(0, 80, (169, 3)) / 255
        pattern = type(bright_field(board.board, na=0.1)).of(board.board, duty)
        board.show(pattern, hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), pattern.levels)
        assert isinstance(board, LedBoardClient)
        board.dark()
        assert not native.lit().any()


@pytest.mark.firmware
def test_something_that_is_no_board_is_refused(native: NativeBoard):
    with pytest.raises(IlluminatorError):
        find_board("/dev/ptmx", baud=115_200)
