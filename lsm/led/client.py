"""The project's own LED board as an Illuminator."""

import binascii
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from lsm.devices import Shown
from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.led._constants import (
    LEDS_PER_GEOMETRY,
    MAX_FRAME,
    PROTOCOL_VERSION,
    SCALE_ONE,
    WATCHDOG_DEFAULT_MS,
    Bank,
    Command,
    Flag,
    Status,
)
from lsm.led._link import OK_OR_LIMITED, Link, LostBoard, Request, parsed
from lsm.led._sequences import SequenceControl
from lsm.led._upload import write_requests
from lsm.led.protocol import BoardStatus, Hello, LatchReport, Reply
from lsm.led.sequence import scaled
from lsm.led.transport import Transport
from lsm.types import DutyLevels, LedVectors

COLOURS = 3
BYTES_PER_POSITION = 12
READ_OVERHEAD = 5  # an answer's seq, command, status and CRC

_T = TypeVar("_T")


class LedBoardClient:
    """The Illuminator behind `transport`, which it owns from now on.

    Identifies the board in text, says HELLO (the board is dark from then on and its watchdog runs) and checks
    that the LEDs are those of `board`: their number, and x and y within `pose_tolerance_mm`.
    limit_ma: current limit below the board's own; None keeps the board's default.
    reply_s, retries: patience with a slow or disturbed line.
    Raises IlluminatorTimeout (silent), IlluminatorError (something else answers), ConfigError (other LEDs).
    """

    def __init__(
        self,
        transport: Transport,
        board: LedBoard,
        *,
        limit_ma: int | None = None,
        pose_tolerance_mm: float = 1.5,
        reply_s: float = 0.5,
        retries: int = 3,
    ) -> None:
        self._transport = transport
        self._board = board
        self._limit_ma = limit_ma
        self._watchdog_ms = 0
        self._link = Link(transport, reply_s=reply_s, retries=retries)
        self._sequences = SequenceControl(self._link, board, self._recovered)
        try:
            self._properties = self._identify()
            self._hello = self._greet()
            self._check_count(self._hello.n_leds)
            self._check_pose(pose_tolerance_mm)
        except (IlluminatorError, ConfigError):
            transport.close()
            raise

    @property
    def board(self) -> LedBoard:
        return self._board

    @property
    def properties(self) -> dict[str, Any]:
        """What the board tells of itself in text (`pprops`)."""
        return dict(self._properties)

    @property
    def hello(self) -> Hello:
        """What the board offered when it was greeted."""
        return self._hello

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent to and received from the board since it was opened."""
        return self._link.sent, self._link.received

    @property
    def sequences(self) -> SequenceControl:
        """Patterns stored on the board and stepped by triggers."""
        return self._sequences

    def show(self, pattern: Pattern, *, hold_ms: float) -> Shown:
        """Latch `pattern` and return the levels that the board reads back as lit.

        The board compares its frame buffer with a CRC-32 before anything shines, and the latched levels
        are compared with what they must be; where the current limit scaled them, they are read back.
        A board that was away or has rebooted is greeted again, once. Goes dark when nothing is sent for
        max(2000, hold_ms) milliseconds.
        Raises WrongFormat (a pattern for another board), LimitExceeded (hold_ms above the board's ceiling;
        nothing was lit), IlluminatorTimeout or IlluminatorError (the LEDs are dark, or go dark by the watchdog).
        """
        if pattern.board != self._board.digest or pattern.n_colours != COLOURS:
            raise WrongFormat(
                f"Pattern '{pattern.name}' was made for another board than '{self._board.name}'.",
                hint="build it with Pattern.of(board, duty) from the rig's own board",
            )
        watchdog_ms = self._watchdog_for(hold_ms)
        try:
            return self._recovered(lambda: self._show(pattern.levels, watchdog_ms))
        except IlluminatorError:
            self._stop_quietly()
            raise

    def still_lit(self, shown: Shown) -> bool:
        """Whether exactly the light of `shown` has been on without a break since show() returned it."""
        status = self.status()
        expected_crc = binascii.crc32(shown.levels.tobytes())
        lit = bool(status.flags & Flag.LIT)
        return status.latch == shown.latch and status.levels_crc == expected_crc and lit == bool(shown.levels.any())

    def dark(self) -> None:
        """All LEDs off and any sequence ended when it returns; works in every state. Raises IlluminatorTimeout."""
        self._sequences.forget_armed()
        self._recovered(lambda: self._link.ask(Command.STOP))

    def status(self) -> BoardStatus:
        """The board's state; asking also feeds its watchdog. Raises IlluminatorTimeout."""
        return self._recovered(lambda: parsed(BoardStatus.parse, self._link.ask(Command.STATUS)))

    def latched(self) -> DutyLevels:
        """The levels [led, colour] that are on now, read back from the board. Raises IlluminatorTimeout."""
        step = self._hello.max_frame - READ_OVERHEAD
        requests = [
            (Command.FB_READ, struct.pack("<BHH", Bank.LATCHED, start, min(step, self._n_bytes - start)))
            for start in range(0, self._n_bytes, step)
        ]
        data = b"".join(self._link.accept(reply).payload for reply in self._link.call_all(requests))
        if len(data) != self._n_bytes:
            raise IlluminatorError(
                f"The LED board on {self._link.name} read back {len(data)} of {self._n_bytes} bytes.",
                hint="update its firmware",
            )
        levels: DutyLevels = np.frombuffer(data, dtype=np.uint8).reshape(-1, COLOURS)
        return levels

    def read_geometry(self) -> LedVectors:
        """The board's own LED positions [led, 3] in millimetres. Raises IlluminatorTimeout."""
        n_leds = self._board.n_leds
        step = min(LEDS_PER_GEOMETRY, (self._hello.max_frame - READ_OVERHEAD) // BYTES_PER_POSITION)
        requests = [
            (Command.GEOM_READ, struct.pack("<HB", start, min(step, n_leds - start)))
            for start in range(0, n_leds, step)
        ]
        data = b"".join(self._link.accept(reply).payload for reply in self._link.call_all(requests))
        positions_mm: LedVectors = np.frombuffer(data, dtype="<i4").reshape(-1, 3) / 1000.0
        return positions_mm

    def limit(self, limit_ma: int) -> None:
        """Set the current limit; a light above it goes out, a sequence ends. Raises LimitExceeded above the ceiling."""
        if not 1 <= limit_ma <= self._hello.ceiling_ma:
            raise LimitExceeded(
                f"A current limit of {limit_ma} mA is impossible; the board allows 1 to {self._hello.ceiling_ma} mA.",
                hint="the ceiling is fixed when the firmware is compiled",
            )
        self._sequences.forget_armed()
        self._link.ask(Command.SET_LIMIT, struct.pack("<I", limit_ma))
        self._limit_ma = limit_ma

    def current_limit_ma(self) -> float:
        """Above which the board dims a light, as it is now on the board. Raises IlluminatorTimeout."""
        return float(self.status().limit_ma)

    def text(self, line: str) -> str:
        """The answer to a line of illuminate text (see PROTOCOL.md), for a line that may run twice.

        While the board's watchdog runs, the board refuses lines that change the light. Raises IlluminatorTimeout.
        """
        return self._link.text(line)

    def save_settings(self) -> None:
        """Keep the present current limit, watchdog and triggers on the board, for its next power-on.

        Raises IlluminatorError while a light is on, or where the board has no place to keep them.
        """
        self._link.ask(Command.CFG_SAVE, b"\0")

    def forget_settings(self) -> None:
        """The board's defaults hold again after its next power-on or HELLO. Raises IlluminatorError."""
        self._link.ask(Command.CFG_SAVE, b"\1")

    def close(self) -> None:
        """Dark, then release the port; never raises for a board that is gone."""
        self._stop_quietly()
        self._transport.close()

    def __enter__(self) -> "LedBoardClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _n_bytes(self) -> int:
        return self._board.n_leds * COLOURS

    def _identify(self) -> dict[str, Any]:
        self._link.drain()
        answer = self._link.text("pprops", lambda text: properties_in(text) is not None)
        properties = properties_in(answer)
        if properties is None:
            raise IlluminatorError(
                f"What answers on {self._link.name} is no LED board: {answer[:60]!r}.", hint="check the port's name"
            )
        if "lsm" not in properties:
            raise IlluminatorError(
                f"The board on {self._link.name} speaks illuminate text only.",
                hint="flash the firmware of this project, whose binary frames are checked",
            )
        return properties

    def _greet(self) -> Hello:
        hello = parsed(Hello.parse, self._link.ask(Command.HELLO, bytes([PROTOCOL_VERSION])))
        self._link.max_frame = min(hello.max_frame, MAX_FRAME)
        self._link.rx_window = hello.rx_window
        self._watchdog_ms = hello.watchdog_ms
        if self._limit_ma is not None:
            self._hello = hello
            self.limit(self._limit_ma)
        self._sequences.greeted()
        return hello

    def _recovered(self, action: Callable[[], _T]) -> _T:
        """The action's result; where the board was away or has rebooted, it is found or greeted again, once.

        Only for actions that say all they want: a light in the making on the board is lost.
        """
        try:
            return action()
        except IlluminatorTimeout:
            self._find_again()
        except LostBoard:
            self._hello = self._greet()
        try:
            return action()
        except LostBoard:  # it has rebooted while it was away
            self._hello = self._greet()
            return action()

    def _find_again(self) -> None:
        self._link.reopen()
        self._properties = self._identify()
        last, behind = (struct.pack("<HB", led, 1) for led in (self._board.n_leds - 1, self._board.n_leds))
        there, missing = self._link.call_all([(Command.GEOM_READ, last), (Command.GEOM_READ, behind)])
        if there.status != Status.OK or missing.status != Status.RANGE:
            raise IlluminatorError(
                f"Another board is on {self._link.name} now: it has not {self._board.n_leds} LEDs as the one before.",
                hint="plug in the board that was there before",
            )

    def _check_count(self, n_leds: int) -> None:
        if n_leds != self._board.n_leds:
            raise ConfigError(
                f"The board on {self._link.name} has {n_leds} LEDs, '{self._board.name}' has {self._board.n_leds}.",
                hint="make rows and columns in the configuration those of the board",
            )

    def _check_pose(self, tolerance_mm: float) -> None:
        away_mm = np.abs(self.read_geometry()[:, :2] - self._board.positions_mm[:, :2]).max(axis=1)
        worst = int(away_mm.argmax())
        if away_mm[worst] > tolerance_mm:
            raise ConfigError(
                f"LED {worst} of the board on {self._link.name} is {away_mm[worst]:.2f} mm from where"
                f" '{self._board.name}' has it (tolerance {tolerance_mm:g} mm).",
                hint="check pitch, LED order and orientation in the configuration",
            )

    def _watchdog_for(self, hold_ms: float) -> int:
        if not 0.0 <= hold_ms <= self._hello.watchdog_ceiling_ms:
            raise LimitExceeded(
                f"A light cannot be held for {hold_ms:g} ms;"
                f" the board allows 0 to {self._hello.watchdog_ceiling_ms} ms.",
                hint="shorten the exposure",
            )
        return max(WATCHDOG_DEFAULT_MS, math.ceil(hold_ms))

    def _show(self, levels: DutyLevels, watchdog_ms: int) -> Shown:
        hello = self._hello
        requests = write_requests(levels, max_frame=self._link.max_frame, channels=hello.frame_channels)
        if watchdog_ms != self._watchdog_ms:
            requests = [(Command.WATCHDOG, struct.pack("<I", watchdog_ms)), *requests]
        show = (Command.SHOW, struct.pack("<I", binascii.crc32(levels.tobytes())))
        reply = self._sent([*requests, show])
        if reply.status == Status.CRC:  # a lost write came after what should have followed it
            reply = self._sent([*requests, show])
        self._watchdog_ms = watchdog_ms
        report = parsed(LatchReport.parse, self._link.accept(reply, OK_OR_LIMITED))
        return self._verified(levels, report, limited=reply.status == Status.LIMITED)

    def _sent(self, requests: Sequence[Request]) -> Reply:
        """The answer to the last request; the others must be accepted."""
        *others, last = self._link.call_all(requests)
        for reply in others:
            self._link.accept(reply)
        return last

    def _verified(self, levels: DutyLevels, report: LatchReport, *, limited: bool) -> Shown:
        expected = scaled(levels, report.scale_q16)
        lit = self.latched() if limited else expected
        right_scale = report.scale_q16 < SCALE_ONE if limited else report.scale_q16 == SCALE_ONE
        right_levels = np.array_equal(lit, expected) and binascii.crc32(expected.tobytes()) == report.levels_crc
        if not (right_scale and right_levels):
            raise IlluminatorError(
                f"The LED board on {self._link.name} latched other levels than it was sent.",
                hint="the LEDs were put out; update the firmware or replace the board",
            )
        return Shown(lit, limited, report.latch)

    def _stop_quietly(self) -> None:
        self._sequences.forget_armed()
        try:
            self._link.ask(Command.STOP)
        except IlluminatorError:
            return


def properties_in(text: str) -> dict[str, Any] | None:
    """The board's properties where `text` is an answer to `pprops`."""
    try:
        properties = json.loads(text)
        int(properties["led_count"])
    except (ValueError, TypeError, KeyError):
        return None
    return dict(properties)
