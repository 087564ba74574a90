"""Looking at an LED board without changing it."""

from collections.abc import Callable
from dataclasses import dataclass

from lsm.errors import IlluminatorError
from lsm.illum import LedBoard
from lsm.led._constants import SequenceState
from lsm.led._illuminate_text import RefusedCommand, SilentBoard, TextLine, parse_object, parse_values
from lsm.led.find import REPLY_S, find_port
from lsm.led.transport import Transport
from lsm.types import DutyLevels


@dataclass(frozen=True, eq=False)
class Sight:
    """What a board tells in text.

    levels: what is on [led, colour]; None while a small board, which shows its patterns out of its frame buffer,
    cannot tell. sequence: what `pseq` of this project's firmware tells (state, patterns, steps, missed), else None.
    """

    levels: DutyLevels | None
    sequence: dict[str, int] | None

    @property
    def state(self) -> SequenceState | None:
        """Of the sequence; None where the board does not tell it."""
        return None if self.sequence is None else SequenceState(self.sequence["state"])


class Watcher:
    """Reads a board through `ask`, which returns the answer to a line of text.

    Only the text commands `pvals` and `pseq` are sent. They need no HELLO, which would put the light out, and do not
    count for the watchdog of a program's light: that goes out on time, watched or not. A light that was made by text
    commands goes out when no text has come for a minute, so watching keeps it. An illuminate board tells what it has
    been told to show, not whether its shutter is open.
    """

    def __init__(self, ask: Callable[[str], str], board: LedBoard, *, own: bool, name: str) -> None:
        self._ask = ask
        self._board = board
        self._own = own
        self._name = name

    @classmethod
    def on_port(cls, where: str, *, baud: int | None = None) -> tuple["Watcher", Transport]:
        """A watcher of the board on a port, and the open port, which the caller closes. Raises as find_board does."""
        transport, board, own = find_port(where, baud=baud)
        return cls(TextLine(transport, reply_s=REPLY_S).ask, board, own=own, name=where), transport

    @property
    def board(self) -> LedBoard:
        return self._board

    def look(self) -> Sight | None:
        """What the board tells now; None while it is silent, as after a reset.

        Raises IlluminatorTimeout when the port is gone, IlluminatorError for an answer that cannot be.
        """
        try:
            return Sight(self._levels(), self._sequence() if self._own else None)
        except SilentBoard:
            return None

    def _levels(self) -> DutyLevels | None:
        try:
            answer = self._ask("pvals")
        except RefusedCommand:
            if self._own:
                return None
            raise
        try:
            return parse_values(answer, self._board.n_leds, self._board.n_colours)
        except (ValueError, TypeError) as error:
            raise self._nonsense("pvals") from error

    def _sequence(self) -> dict[str, int]:
        answer = self._ask("pseq")
        try:
            told = parse_object(answer)
            SequenceState(int(told["state"]))
            return {key: int(told[key]) for key in ("state", "patterns", "steps", "missed")}
        except (ValueError, KeyError, TypeError) as error:
            raise self._nonsense("pseq") from error

    def _nonsense(self, command: str) -> IlluminatorError:
        return IlluminatorError(
            f"The LED board on {self._name} answered '{command}' with something else.",
            hint="bytes were lost on the line, or another program reads it too",
        )
