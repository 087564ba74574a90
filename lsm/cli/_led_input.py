"""What is typed behind `lsm led`, made into boards, lists and numbers, or refused in one sentence."""

import math
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lsm.devices import Illuminator
from lsm.errors import FileMissing, InputError
from lsm.illum import LedBoard, LightFile, Pattern
from lsm.led import LedBoardClient, SequencePlan, find_board
from lsm.scope import RigConfig, find_rig, open_light

PLACES: Final = "give a serial port (COM5, /dev/ttyACM0), tcp:HOST:PORT, a rig file, or: simulated"
COM: Final = re.compile(r"(\\\\\.\\)?COM\d+", re.IGNORECASE)
RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
LEAST_PERIOD_MS: Final = 0.001
LONGEST_PERIOD_MS: Final = 4_294_967.0
LONGEST_SETTLE_MS: Final = 1000.0
LONGEST_S: Final = 3600.0


def rig_behind(where: str, *, baud: int | None) -> RigConfig | None:
    """The rig of that file or shipped name, with the rate that was given; None for a port.

    Raises InputError for an empty name, FileMissing for what is neither.
    """
    if not where.strip():
        raise InputError("The name of the board's port is empty.", hint=PLACES)
    if where.startswith("tcp:") or COM.fullmatch(where):
        return None
    path = Path(where)
    with suppress(FileMissing):
        file = find_rig(where)
        if file.suffix == ".toml":
            return _at_rate(RigConfig.from_file(file), baud)
    if path.is_dir():
        raise FileMissing(f"'{where}' is a folder.", hint=PLACES)
    if path.exists() or path.is_absolute():
        return None
    raise FileMissing(f"'{where}' is no port and no rig.", hint=PLACES)


def opened(where: str, *, baud: int | None) -> Any:
    """A board that closes itself, from a rig or a port. It is dark."""
    rig = rig_behind(where, baud=baud)
    return find_board(where, baud=baud) if rig is None else open_light(rig)


@dataclass(frozen=True)
class DesignedLight:
    """One capture of a light file."""

    file: LightFile
    capture: int

    def pattern(self, board: LedBoard) -> Pattern:
        """The capture on this board. Raises ModelMismatch for a board that it was not designed for."""
        return self.file.patterns(board)[self.capture]

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says of it."""
        chosen = self.file.captures[self.capture]
        return {
            "light": chosen.name or f"capture {self.capture}",
            "capture": self.capture,
            "captures": len(self.file.captures),
            "exposure_ms": chosen.exposure_ms,
            "sign": chosen.sign,
        }


def designed_light(path: Path | None, capture: int | None, **named: Any) -> DesignedLight | None:
    """The capture of the light file, where one is named.

    named: by option, what describes a light that is not designed. Raises InputError when both are given, or
    for a capture that the file does not have.
    """
    if path is None:
        if capture is not None:
            raise InputError(f"--capture {capture} has no light file.", hint="name one with --pattern")
        return None
    given = [f"{key} {value}" for key, value in named.items() if value not in (None, "")]
    if given:
        raise InputError(
            f"--pattern {path} says which LEDs shine and how strongly, '{given[0]}' cannot change it.",
            hint="leave one of the two out",
        )
    file, chosen = LightFile.load(path), capture or 0
    if chosen >= len(file.captures):
        raise InputError(
            f"--capture {chosen} is not in {path}.", hint=f"its captures are 0 to {len(file.captures) - 1}"
        )
    return DesignedLight(file, chosen)


def leds_named(text: str, board: LedBoard) -> list[int]:
    """LEDs of a list such as 0-24 or 3,7,9, each named once. Raises InputError."""
    chosen: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        if found is None:
            raise InputError(
                f"--leds '{text}' holds '{part}', which is no LED and no range.", hint="write 0-24 or 3,7,9"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise InputError(f"--leds '{text}' holds '{part}', which runs backwards.", hint=f"write {last}-{first}")
        if last >= board.n_leds:
            raise InputError(
                f"--leds '{text}' names LED {last}, which the board does not have.",
                hint=f"its LEDs are 0 to {board.n_leds - 1}",
            )
        chosen += range(first, last + 1)
    twice = [led for led, times in Counter(chosen).items() if times > 1]
    if twice:
        raise InputError(f"--leds '{text}' names LED {twice[0]} more than once.", hint="--rounds repeats the list")
    return chosen


def planned(*, rounds: int, period_ms: float, settle_ms: float, longest_s: float) -> SequencePlan:
    """The plan of a sequence. Raises InputError for what no board can keep to."""
    if period_ms != 0:
        _within("--period-ms", period_ms, LEAST_PERIOD_MS, LONGEST_PERIOD_MS, "ms, or 0 for steps by trigger edges")
    _within("--settle-ms", settle_ms, 0.0, LONGEST_SETTLE_MS, "ms")
    _within("--longest", longest_s, 0.001, LONGEST_S, "s")
    if 0 < period_ms <= settle_ms:
        raise InputError(
            f"--settle-ms {settle_ms:g} leaves nothing of --period-ms {period_ms:g}.", hint="make the period longer"
        )
    return SequencePlan(
        rounds=rounds, period_us=round(period_ms * 1000), settle_us=round(settle_ms * 1000), longest_s=longest_s
    )


def check_pin(board: LedBoardClient, option: str, pin: int, count_key: str) -> None:
    """Raises InputError for a trigger pin that the board does not have."""
    count = int(board.properties[count_key])
    if pin >= count:
        kind = "inputs" if "input" in count_key else "outputs"
        hint = f"its pins are 0 to {count - 1}" if count else "the firmware was built without"
        raise InputError(f"{option} {pin} does not exist: the board has {count} trigger {kind}.", hint=hint)


def own_board(board: Illuminator, where: str) -> LedBoardClient:
    """The board as one with this project's firmware. Raises InputError."""
    if not isinstance(board, LedBoardClient):
        raise InputError(
            f"The board on {where} runs illuminate, which stores no checked sequences.",
            hint="flash the firmware of this project, or use lsm led show",
        )
    return board


def _within(option: str, value: float, least: float, most: float, unit: str) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"{option} {value:g} is not possible.", hint=f"give {least:g} to {most:.10g} {unit}")


def _at_rate(rig: RigConfig, baud: int | None) -> RigConfig:
    if baud is None:
        return rig
    return rig.model_copy(update={"led": rig.led.model_copy(update={"baud": baud})})
