"""Third-party boards that run the illuminate firmware, as an Illuminator."""

import atexit
import math
import threading
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np

from lsm.devices import Shown
from lsm.errors import ConfigError, IlluminatorError, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.led._constants import WATCHDOG_CEILING_MS, WATCHDOG_DEFAULT_MS
from lsm.led._illuminate_dialects import DIALECTS, Dialect, DialectName
from lsm.led._illuminate_plan import groups_of, led_commands, quantise
from lsm.led._illuminate_text import TextLine, ask_properties, parse_positions, parse_values
from lsm.led.transport import Transport
from lsm.types import DutyLevels

DARK_AGAIN_S: Final = 1.0


class IlluminateClient:
    """The Illuminator behind `transport`, which it owns from now on: an illuminate board, spoken to in text.

    The board is dark when this returns. dialect: "v1" (zfphil/illuminate), "v2" (sci-microscopy/illuminate)
    or "auto", which asks the board. levels: the most colours in one pattern; a pattern with more is rounded
    to the finest even grid of levels that has no more, and Shown.levels tells what was lit.
    pose_tolerance_mm: how far x and y of an LED may be from those of `board`. reply_s, retries: patience
    with a slow line.

    What such a board cannot do, and what is done about it:

    - Nothing protects its commands: a pause or a lost byte makes LED 345 into LED 3, and it answers "ok".
      A pattern of one colour (on v1 also one of grey levels) is stored while no command could light anything,
      read back, and lit with a word that means nothing when it is damaged; so a wrong LED is never lit.
      Any other pattern is drawn colour by colour, dimmest first. Each of these commands fits one USB packet, which
      arrives whole or not at all; on a line that can damage bytes (a UART) a wrong LED may be on until the read-back
      after its colour, some milliseconds later. Where that matters show one-colour patterns in turn, which
      lsm.illum.compile_light plans for a Drive of one bit.
    - It cannot switch all LEDs at one edge: every show() starts dark, and a drawn pattern grows while it is drawn.
    - It has no watchdog. A thread here turns the light off, and so does leaving Python, but a computer
      that hangs, or a cable that is pulled from a board with its own supply, leaves the light on.
    - It does not tell its current: keep to what its supply bears with lsm.illum.compile_light, too.
    - It counts no frames: still_lit() knows of its own commands and of what is lit at that moment.

    Raises IlluminatorTimeout (silent), IlluminatorError (something else answers), ConfigError (other LEDs).
    """

    def __init__(
        self,
        transport: Transport,
        board: LedBoard,
        *,
        dialect: Literal["auto", "v1", "v2"] = "auto",
        levels: int = 64,
        pose_tolerance_mm: float = 1.5,
        reply_s: float = 0.5,
        retries: int = 3,
    ) -> None:
        self._transport = transport
        self._board = board
        self._colours_max = levels
        self._retries = retries
        self._line = TextLine(transport, reply_s=reply_s)
        self._lock = threading.RLock()
        self._latch = 0
        self._lit = False
        self._hold_s = 0.0
        self._closed = False
        self._configured = True
        self._timer = threading.Timer(0.0, self._expire)
        try:
            self._check_request(levels)
            self._put_out(None)
            self._speech, self._properties = self._identify(dialect)
            self._check_board()
            self._check_pose(pose_tolerance_mm)
            self._speech.configure()
            self.dark()
        except (IlluminatorError, ConfigError):
            self._closed = True
            self._stop_guard()
            transport.close()
            raise
        atexit.register(self._dark_quietly)

    @property
    def board(self) -> LedBoard:
        return self._board

    @property
    def dialect(self) -> DialectName:
        return self._speech.name

    @property
    def properties(self) -> dict[str, Any]:
        """What the board tells of itself."""
        return dict(self._properties)

    def show(self, pattern: Pattern, *, hold_ms: float) -> Shown:
        """Light `pattern` and return the levels that the board reads back, after comparing every LED.

        Starts and, on any failure, ends dark. A thread turns the light off max(2000, hold_ms) milliseconds after
        the last show() or still_lit(); this is weaker than a watchdog on the board.
        Raises WrongFormat (a pattern for another board), LimitExceeded (hold_ms outside 0 to 60000; nothing was
        lit), IlluminatorTimeout or IlluminatorError (dark, or tried every second until it is).
        """
        if pattern.board != self._board.digest or pattern.n_colours != self._board.n_colours:
            raise WrongFormat(
                f"Pattern '{pattern.name}' was made for another board than '{self._board.name}'.",
                hint="build it with Pattern.of(board, duty) from the rig's own board",
            )
        if not 0.0 <= hold_ms <= WATCHDOG_CEILING_MS:
            raise LimitExceeded(
                f"A light cannot be held for {hold_ms:g} ms; the limit is 0 to {WATCHDOG_CEILING_MS} ms.",
                hint="shorten the exposure",
            )
        with self._lock:
            self._lit = False
            self._hold_s = max(WATCHDOG_DEFAULT_MS, math.ceil(hold_ms)) / 1000
            self._guard(self._hold_s)  # before anything shines, for whatever may end this without a result
            try:
                lit = self._light(pattern.levels)
            except IlluminatorError:
                self._configured = False
                self._dark_quietly()
                raise
            self._latch += 1
            self._lit = True
            self._guard(self._hold_s)
            return Shown(lit, False, self._latch)

    def still_lit(self, shown: Shown) -> bool:
        """Whether exactly the light of `shown` is on, and this client has lit or put out nothing since."""
        with self._lock:
            if not self._lit or shown.latch != self._latch:
                return False
            lit = self._read_back()
            self._guard(self._hold_s)
            return np.array_equal(lit, shown.levels)

    def dark(self) -> None:
        """All LEDs off, read back as off, before it returns; works in every state.

        Raises IlluminatorTimeout or IlluminatorError when the board could not be brought to say so;
        it is then tried again every second until close(), also with a board that was away for a while.
        """
        with self._lock:
            self._stop_guard()
            self._lit = False
            try:
                self._put_out(self._read_back)
            except IlluminatorError:
                self._guard(DARK_AGAIN_S)
                raise

    def latched(self) -> DutyLevels:
        """The levels [led, colour] that the board says are on. Raises IlluminatorTimeout or IlluminatorError."""
        with self._lock:
            return self._read_back()

    def close(self) -> None:
        """Dark, then release the port; never raises for a board that is gone."""
        with self._lock:
            if self._closed:
                return
            self._dark_quietly()
            self._closed = True
            self._stop_guard()
            atexit.unregister(self._dark_quietly)
            self._transport.close()

    def __enter__(self) -> "IlluminateClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_request(self, levels: int) -> None:
        if self._board.n_colours not in (1, 3):
            raise ConfigError(
                f"Board '{self._board.name}' has {self._board.n_colours} colours; illuminate boards have 1 or 3.",
                hint="give the wavelengths of the board that is connected",
            )
        least = 2**self._board.n_colours - 1
        if levels < least:
            raise ConfigError(
                f"{levels} levels are too few for {self._board.n_colours} colours.", hint=f"give {least} or more"
            )

    def _put_out(self, read_back: Callable[[], DutyLevels] | None) -> None:
        """Try to put out all LEDs until `read_back` says so; a line left unfinished may swallow the first attempts."""
        for attempt in range(1 + self._retries):
            try:
                if attempt == self._retries > 0:
                    self._line.reopen()
                if attempt > 0 or read_back is None:
                    self._line.drain()
                self._line.expect("x", "")
                if read_back is None or not read_back().any():
                    return
            except IlluminatorError:
                if attempt == self._retries:
                    raise
        raise IlluminatorError(
            f"The LED board on {self._line.name} has LEDs on after it was told to put all out.", hint="cut its power"
        )

    def _identify(self, dialect: str) -> tuple[Dialect, dict[str, Any]]:
        """Which dialect is spoken, told by the word that a board knows for its properties."""
        spoken = {each.properties_word: each for each in DIALECTS if dialect in ("auto", each.name)}
        word, properties = ask_properties(self._line, spoken)
        self._line.no_watchdog = True
        return spoken[word](self._line), properties

    def _check_board(self) -> None:
        if "lsm" in self._properties:
            raise IlluminatorError(
                f"The board on {self._line.name} runs this project's firmware.",
                hint="use LedBoardClient, whose frames are checked",
            )
        n_leds, n_colours = int(self._properties["led_count"]), len(self._properties["color_channels"])
        if (n_leds, n_colours) != (self._board.n_leds, self._board.n_colours):
            raise ConfigError(
                f"The board on {self._line.name} has {n_leds} LEDs in {n_colours} colours,"
                f" '{self._board.name}' has {self._board.n_leds} in {self._board.n_colours}.",
                hint="make the configured board that which is connected",
            )

    def _check_pose(self, tolerance_mm: float) -> None:
        answer = self._line.ask("pledpos")
        try:
            positions_mm = parse_positions(answer, self._board.n_leds)
        except (ValueError, TypeError) as error:
            raise self._line.nonsense("pledpos", answer) from error
        away_mm = np.abs(positions_mm[:, :2] - self._board.positions_mm[:, :2]).max(axis=1)
        worst = int(away_mm.argmax())
        if not away_mm[worst] <= tolerance_mm:
            raise ConfigError(
                f"LED {worst} of the board on {self._line.name} is {away_mm[worst]:.2f} mm from where"
                f" '{self._board.name}' has it (tolerance {tolerance_mm:g} mm).",
                hint="read the LED table of this very board with LedBoard.from_csv",
            )

    def _read_back(self) -> DutyLevels:
        answer = self._line.ask("pvals")
        try:
            return parse_values(answer, self._board.n_leds, self._board.n_colours)
        except (ValueError, TypeError) as error:
            raise self._line.nonsense("pvals", answer) from error

    def _light(self, wanted: DutyLevels) -> DutyLevels:
        self._line.expect("x", "")
        if not self._configured:
            self._speech.configure()
            self._configured = True
        self._speech.set_colour((0,) * self._board.n_colours)
        for levels in (wanted, quantise(wanted, colours_max=self._colours_max)):
            colour = self._speech.stage(levels)
            if colour is not None:
                self._speech.set_colour(colour)
                self._speech.step()
                return self._compared(levels)
        return self._draw(levels)

    def _draw(self, wanted: DutyLevels) -> DutyLevels:
        self._line.expect("ac.0", "AC.0")
        so_far = np.zeros_like(wanted)
        lit = self._compared(so_far)
        for group in groups_of(wanted):
            self._speech.set_colour(group.colour)
            for command in led_commands(group.leds):
                self._line.expect(command, "")
            so_far[list(group.leds)] = group.colour
            lit = self._compared(so_far)
        return lit

    def _compared(self, wanted: DutyLevels) -> DutyLevels:
        lit = self._read_back()
        if not np.array_equal(lit, wanted):
            led = int((lit != wanted).any(axis=1).argmax())
            raise IlluminatorError(
                f"LED {led} of the board on {self._line.name} reads {lit[led].tolist()}"
                f" where {wanted[led].tolist()} was asked for.",
                hint="the LEDs were put out; use a shorter or better cable, or show one-colour patterns",
            )
        return lit

    def _guard(self, seconds: float) -> None:
        self._stop_guard()
        if not self._closed:
            self._timer = threading.Timer(seconds, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _stop_guard(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        with self._lock:
            # otherwise something was shown, or the port released, while this waited for the lock
            if threading.current_thread() is self._timer and not self._closed:
                self._dark_quietly()

    def _dark_quietly(self) -> None:
        try:
            self.dark()
        except IlluminatorError:
            return
