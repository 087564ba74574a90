"""The two generations of illuminate firmware, as far as they differ."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, Literal

import numpy as np

from lsm.led._illuminate_plan import FULL, Colour, groups_of, packet_command
from lsm.led._illuminate_text import TextLine, parse_sequence_v1, parse_sequence_v2
from lsm.types import DutyLevels

DialectName = Literal["v1", "v2"]
Stored = list[tuple[int, int]]

V1_CHARS_MAX: Final = 1500  # longer commands are known to fail
V2_LEDS_MAX: Final = 298  # v2 keeps 300 words: the command, its numbers, and the end of the list


class Dialect(ABC):
    """Words of a board on `line`. Every method checks the answers and raises IlluminatorError for a wrong one."""

    name: ClassVar[DialectName]
    properties_word: ClassVar[str]

    def __init__(self, line: TextLine) -> None:
        self._line = line

    @abstractmethod
    def configure(self) -> None:
        """Settings that a board forgets with its power; changes nothing that is lit."""

    @abstractmethod
    def set_colour(self, colour: Colour) -> None:
        """The colour of what is drawn or stepped to from now on; changes nothing that is lit."""

    @abstractmethod
    def stage(self, levels: DutyLevels) -> Colour | None:
        """Store `levels` without lighting anything, read them back, and return the colour to step to them in.

        None where the board cannot store them. The colour must be black: the end of `ssl.1` is `l.1`, which draws.
        """

    def step(self) -> None:
        """Light what is staged; the word means nothing when it is damaged."""
        answer = self._line.ask("sseq")
        if not answer.endswith("Displayed pattern # 1 of 1"):
            raise self._line.nonsense("sseq", answer)

    def _check_stored(self, stored: Stored, parse: Callable[[str], Stored]) -> None:
        answer = self._line.ask("pseq")
        try:
            right = parse(answer) == stored
        except (ValueError, TypeError) as error:
            raise self._line.nonsense("pseq", answer) from error
        if not right:
            raise self._line.nonsense("pseq", answer)


class DialectV1(Dialect):
    """zfphil/illuminate r1: stores a level per LED, the same for all its colours."""

    name = "v1"
    properties_word = "pp"

    def configure(self) -> None:
        self._line.ask("machine")

    def set_colour(self, colour: Colour) -> None:
        if len(colour) == 1:
            self._line.expect(f"sb.{colour[0]}", f"SB.{colour[0]}")
            return
        self._line.expect(f"sb.{FULL}", f"SB.{FULL}")  # `sc` scales with it
        self._line.expect(f"sc.{'.'.join(map(str, colour))}", colour_said(colour))

    def stage(self, levels: DutyLevels) -> Colour | None:
        groups = groups_of(levels)
        if not groups:
            return None
        grey = bool((levels == levels[:, :1]).all())
        if not grey and len(groups) > 1:
            return None
        stored = [(int(led), int(levels[led, 0]) if grey else 1) for led in np.flatnonzero(levels.any(axis=1))]
        # one more than there are: the board makes room for this many numbers and writes one further
        numbers = [1 + len(stored), *(number for pair in stored for number in pair)]
        command = ".".join(["ssv", *map(str, numbers)])
        if len(command) >= V1_CHARS_MAX:
            return None
        bits = 8 if grey else 1
        self._line.expect(f"ssbd.{bits}", f"BD.{bits}")
        self._line.ask("ssl.1")
        self._line.ask(command)
        self._check_stored(stored, lambda answer: parse_sequence_v1(answer, bits=bits))
        return (0,) * levels.shape[1] if grey else groups[0].colour


class DialectV2(Dialect):
    """sci-microscopy/illuminate v2: stores which LEDs are on, all in one colour."""

    name = "v2"
    properties_word = "pprops"

    def configure(self) -> None:
        self._line.ask("machine")
        # a closed shutter keeps everything from the LEDs, darkness too, while `pvals` reads zeros
        self._line.expect("gs.1", "GS.1")

    def set_colour(self, colour: Colour) -> None:
        answer = ""
        for channel, level in enumerate(colour):  # `sc` would scale with the strongest channel
            answer = self._line.ask(f"ssc.{channel}.{level}")
        if answer != colour_said(colour):
            raise self._line.nonsense("ssc", answer)

    def stage(self, levels: DutyLevels) -> Colour | None:
        groups = groups_of(levels)
        if len(groups) != 1 or len(groups[0].leds) > V2_LEDS_MAX:
            return None
        self._line.expect("ssl.1", "SEQ_LEN.1")
        self._line.ask(packet_command("ssv", groups[0].leds))
        self._check_stored([(led, 1) for led in groups[0].leds], parse_sequence_v2)
        return groups[0].colour


DIALECTS: Final[tuple[type[Dialect], ...]] = (DialectV2, DialectV1)


def colour_said(colour: Colour) -> str:
    return "CO." + ".".join(map(str, colour))
