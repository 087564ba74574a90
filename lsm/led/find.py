"""From the name of a port to the board behind it."""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from serial.tools.list_ports import comports

from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout
from lsm.illum import LedBoard
from lsm.illum.board import RGB_WAVELENGTHS_UM
from lsm.led._illuminate_dialects import DIALECTS
from lsm.led._illuminate_text import SilentBoard, TextLine, ask_properties, parse_positions
from lsm.led.client import LedBoardClient
from lsm.led.illuminate import IlluminateClient
from lsm.led.transport import SerialTransport, SocketTransport, Transport

TCP: Final = "tcp:"
REPLY_S: Final = 0.5
BAUDS: Final = (115_200, 1_000_000)
PATIENCE_S: Final = 3.0
BOOT_S: Final = 2.0
GREEN_UM: Final = 0.53
LEAST_NM: Final = 100.0  # a smaller number is micrometres
# FTDI, Silicon Labs, WCH, Prolific: their DTR line resets the processor behind them
BRIDGES: Final = (0x0403, 0x10C4, 0x1A86, 0x067B)
ARDUINO: Final = (0x2341, 0x2A03)
MEGA: Final = (0x0010, 0x0042)
RGB: Final = ("r", "g", "b")


def open_port(where: str, *, baud: int = BAUDS[0]) -> Transport:
    """The transport of a serial port (COM5, /dev/ttyACM0) or of `tcp:HOST:PORT`.

    Behind a USB plug that is a UART bridge, where opening resets the board, it returns after the board's start.
    Raises FileMissing, PortBusy, or ConfigError for a network address without a port number.
    """
    if where.startswith(TCP):
        host, _, port = where.removeprefix(TCP).rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigError(
                f"'{where}' is no network address.", hint="write tcp:HOST:PORT, for example tcp:127.0.0.1:9000"
            )
        return SocketTransport(host, int(port))
    transport = SerialTransport(where, baud=baud)
    if opening_resets(where):
        # a byte within its first second keeps the boot loader of an Arduino Mega waiting for some nine seconds
        time.sleep(BOOT_S)
    return transport


def opening_resets(where: str) -> bool:
    """Whether the serial port is a USB plug whose UART bridge resets the board when a program opens it."""
    names = {where.lower(), str(Path(where).resolve()).lower()}
    plugs = [(port.vid, port.pid) for port in comports() if port.device.lower() in names]
    return any(vid in BRIDGES or (vid in ARDUINO and pid in MEGA) for vid, pid in plugs)


def find_board(where: str, *, baud: int | None = None) -> LedBoardClient | IlluminateClient:
    """The board on a port, with the LED positions that it tells itself. The board is dark when this returns.

    A board with this project's firmware is driven by checked binary frames, any other as an illuminate board.
    baud: of a UART; None tries 115200, then 1000000.
    Raises FileMissing, PortBusy, IlluminatorTimeout (silent), IlluminatorError (no LED board).
    """
    transport, board, own = find_port(where, baud=baud)
    return LedBoardClient(transport, board) if own else IlluminateClient(transport, board)


def find_port(where: str, *, baud: int | None = None) -> tuple[Transport, LedBoard, bool]:
    """The open port of a board, the board's geometry, and whether it runs this project's firmware.

    The board has only been asked in text: nothing about its light has changed. Raises as find_board does.
    """
    bauds = BAUDS if baud is None else (baud,)
    for each in bauds[:1] if where.startswith(TCP) else bauds:
        transport = open_port(where, baud=each)
        try:
            return transport, *ask_geometry(transport)
        except SilentBoard:
            transport.close()
        except (IlluminatorError, ConfigError):
            transport.close()
            raise
    rates = "" if where.startswith(TCP) else f" at {' or '.join(map(str, bauds))} baud"
    raise IlluminatorTimeout(
        f"Nothing on {where} answered within {PATIENCE_S:g} s{rates}.",
        hint="check the port's name, the board's baud rate (--baud, in a rig file led.baud), cable and power",
    )


def ask_geometry(transport: Transport, *, patience_s: float = PATIENCE_S) -> tuple[LedBoard, bool]:
    """The board's geometry as it tells it in text, and whether it runs this project's firmware.

    patience_s: how long a silent board is asked again, since many restart when their port is opened.
    Raises SilentBoard, IlluminatorTimeout (the port is gone), or IlluminatorError where no LED board answers.
    """
    line = TextLine(transport, reply_s=REPLY_S)
    properties = _patiently_asked(line, patience_s)
    try:
        if "lsm" in properties:
            return _own_grid(properties), True
        return _told_positions(line, properties), False
    except (ValueError, KeyError, TypeError) as error:
        raise IlluminatorError(
            f"What answers on {transport.name} does not tell where its LEDs are: {error!r}.",
            hint="check the port's name, update the board's firmware",
        ) from error


def _patiently_asked(line: TextLine, patience_s: float) -> dict[str, Any]:
    words = [dialect.properties_word for dialect in DIALECTS]
    deadline = time.monotonic() + patience_s
    refused = False
    while True:
        line.drain()
        try:
            return ask_properties(line, words)[1]
        except SilentBoard:
            if time.monotonic() >= deadline:
                raise
        except IlluminatorTimeout:  # the port is gone
            raise
        except IlluminatorError:
            # the first question may have ended a line that another program left unfinished, or a boot message
            if refused:
                raise
            refused = True


def _own_grid(properties: dict[str, Any]) -> LedBoard:
    own = properties["lsm"]
    return LedBoard.grid(
        rows=int(own["rows"]),
        columns=int(own["columns"]),
        pitch_mm=float(own["pitch_um"]) / 1000,
        distance_mm=float(own["distance_um"]) / 1000,
        name=_name(properties),
    )


def _told_positions(line: TextLine, properties: dict[str, Any]) -> LedBoard:
    positions_mm = parse_positions(line.ask("pledpos"), int(properties["led_count"]))
    positions_mm[:, 2] = -abs(positions_mm[:, 2])  # illuminate counts from the board to the sample
    normals = positions_mm * 0.0 + [0.0, 0.0, 1.0]
    return LedBoard(_name(properties), positions_mm, normals, wavelengths_told(properties))


def wavelengths_told(properties: dict[str, Any]) -> tuple[float, ...]:
    """The centre wavelength in micrometres of each colour channel of an illuminate board, as its properties tell it.

    Older boards tell micrometres, newer ones nanometres, under another name. Many call a channel of 480 nm "r"
    and one of 625 nm "b": where red is not the longest the names are believed. Green where nothing is told.
    Raises ValueError, KeyError or TypeError for a board without channels.
    """
    names = [str(name) for name in properties["color_channels"]]
    if not names:
        raise ValueError("no colour channels")
    told: dict[str, Any] = {}
    for key, value in properties.items():
        if key.startswith("color_channel_center"):
            told = dict(value)
    nominal = dict(zip(RGB, RGB_WAVELENGTHS_UM, strict=True))
    lengths = {name: float(told.get(name, 0.0)) for name in names}
    lengths_um = {name: each / 1000 if each > LEAST_NM else each for name, each in lengths.items()}
    if set(names) == set(RGB) and not lengths_um["r"] > lengths_um["g"] > lengths_um["b"] > 0:
        return tuple(nominal[name] for name in names)
    believable = {name: 0.2 < each < 2.0 and bool(np.isfinite(each)) for name, each in lengths_um.items()}
    return tuple(lengths_um[name] if believable[name] else nominal.get(name, GREEN_UM) for name in names)


def _name(properties: dict[str, Any]) -> str:
    return str(properties.get("device_name", "LED board"))
