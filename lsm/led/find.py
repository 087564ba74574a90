"""From the name of a port to the board behind it."""

import json

from lsm.errors import ConfigError, IlluminatorError
from lsm.illum import LedBoard
from lsm.led._illuminate_text import TextLine, parse_object, parse_positions
from lsm.led.client import LedBoardClient
from lsm.led.illuminate import IlluminateClient
from lsm.led.transport import SerialTransport, SocketTransport, Transport

TCP = "tcp:"
REPLY_S = 0.5
BAUD = 115_200


def open_port(where: str, *, baud: int = BAUD) -> Transport:
    """The transport of a serial port (COM5, /dev/ttyACM0) or of `tcp:HOST:PORT`.

    Raises FileMissing, PortBusy, or ConfigError for a network address without a port number.
    """
    if not where.startswith(TCP):
        return SerialTransport(where, baud=baud)
    host, _, port = where.removeprefix(TCP).rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(
            f"'{where}' is no network address.", hint="write tcp:HOST:PORT, for example tcp:127.0.0.1:9000"
        )
    return SocketTransport(host, int(port))


def find_board(where: str, *, baud: int = BAUD) -> LedBoardClient | IlluminateClient:
    """The board on a port, with the LED positions that it tells itself. The board is dark when this returns.

    A board with this project's firmware is driven by checked binary frames, any other as an illuminate board.
    Raises FileMissing, PortBusy, IlluminatorTimeout (silent), IlluminatorError (no LED board).
    """
    transport = open_port(where, baud=baud)
    try:
        board, own = ask_geometry(transport)
    except (IlluminatorError, ConfigError):
        transport.close()
        raise
    return LedBoardClient(transport, board) if own else IlluminateClient(transport, board)


def ask_geometry(transport: Transport) -> tuple[LedBoard, bool]:
    """The board's geometry as it tells it in text, and whether it runs this project's firmware.

    Raises IlluminatorTimeout, or IlluminatorError where no LED board answers.
    """
    line = TextLine(transport, reply_s=REPLY_S)
    line.drain()
    answer = line.ask("pprops")
    try:
        properties = parse_object(answer)
        n_leds = int(properties["led_count"])
        name = str(properties.get("device_name", "LED board"))
        if "lsm" in properties:
            own = properties["lsm"]
            grid = LedBoard.grid(
                rows=int(own["rows"]),
                columns=int(own["columns"]),
                pitch_mm=float(own["pitch_um"]) / 1000,
                distance_mm=float(own["distance_um"]) / 1000,
                name=name,
            )
            return grid, True
        positions_mm = parse_positions(line.ask("pledpos"), n_leds)
    except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise IlluminatorError(
            f"What answers on {transport.name} is no LED board: {answer[:60]!r}.", hint="check the port's name"
        ) from error
    positions_mm[:, 2] = -abs(positions_mm[:, 2])  # illuminate counts from the board to the sample
    normals = positions_mm * 0.0 + [0.0, 0.0, 1.0]
    return LedBoard(name, positions_mm, normals), False
