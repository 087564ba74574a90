"""A designed light as one JSON file: its captures, their exposures, and the board they are made for.

    >>> import numpy as np
    >>> from lsm.illum import LedBoard, LightCapture, LightFile
    >>> board = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
    >>> levels = np.zeros((9, 3), dtype=np.uint8)
    >>> levels[4, 1] = 255
    >>> light = LightFile.of(board, [LightCapture.of(levels, exposure_ms=12.5, name="centre")])
    >>> light.patterns(board)[0].total_duty
    1.0

The file is a table with `kind`, `version`, `board_name`, `board_digest`, `leds`, `colours`, `captures` and
`made`; a capture has `name`, `sign`, `exposure_ms` and `levels`, whole numbers 0 to 255 as [led][colour].
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import numpy as np
from annotated_types import Ge, Gt, Le
from pydantic import Field, JsonValue, Strict

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing, ModelMismatch, WrongFormat
from lsm.illum.board import LedBoard
from lsm.illum.drive import LEVELS
from lsm.illum.pattern import Pattern
from lsm.types import DutyLevels

KIND: Final = "lsm light"
VERSION: Final = 1
MAX_BYTES = 2**24
"""Largest file that is read: some hundred captures of a thousand LEDs in three colours."""

Level = Annotated[int, Strict(), Ge(0), Le(LEVELS)]


class LightCapture(Config):
    """One exposure of the camera under one pattern.

    sign: -1 where the image is subtracted; a signed pattern is two captures, of sign 1 and -1.
    levels: drive [LED, colour].
    """

    name: str = ""
    sign: Literal[1, -1] = 1
    exposure_ms: Annotated[float, Gt(0)]
    levels: tuple[tuple[Level, ...], ...]

    @classmethod
    def of(cls, levels: DutyLevels, *, exposure_ms: float, sign: int = 1, name: str = "") -> "LightCapture":
        """The capture of an array of levels [led, colour]. Raises ConfigError."""
        table = {"name": name, "sign": sign, "exposure_ms": exposure_ms, "levels": levels.tolist()}
        return cls.from_table(table, source=f"the capture '{name}'")

    @property
    def array(self) -> DutyLevels:
        """The levels as an array [led, colour]."""
        levels: DutyLevels = np.array(self.levels, dtype=np.uint8)
        return levels


class LightFile(Config):
    """A light that was designed for one board; immutable.

    board_digest: identity of that board, `LedBoard.digest`; its name is for people.
    made: how the light came about, plain facts for people.
    """

    kind: Literal["lsm light"] = KIND
    version: Literal[1] = VERSION
    board_name: str
    board_digest: str
    leds: Annotated[int, Gt(0)]
    colours: Annotated[int, Gt(0)]
    captures: tuple[LightCapture, ...]
    made: dict[str, JsonValue] = Field(default_factory=dict)

    @classmethod
    def of(
        cls, board: LedBoard, captures: Iterable[LightCapture], *, made: Mapping[str, Any] | None = None
    ) -> "LightFile":
        """The light of these captures on this board. Raises WrongFormat when they do not fit it."""
        table = {
            "board_name": board.name,
            "board_digest": board.digest,
            "leds": board.n_leds,
            "colours": board.n_colours,
            "captures": tuple(captures),
            "made": dict(made or {}),
        }
        return _checked(table, "the light")

    @classmethod
    def load(cls, path: Path) -> "LightFile":
        """Read a light. Raises FileMissing, WrongFormat, or ModelMismatch for a file of another version."""
        if not path.is_file():
            raise FileMissing(f"The light {path} does not exist.", hint="'lsm design' writes one as light.json")
        if path.stat().st_size > MAX_BYTES:
            raise WrongFormat(f"{path} is larger than any light may be.", hint="it is no light file")
        try:
            table = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise WrongFormat(f"The light {path} cannot be read: {error}.", hint="restore the file") from error
        if not isinstance(table, dict) or table.get("kind") != KIND:
            raise WrongFormat(f"{path} is no light file.", hint=f'it would say "kind": "{KIND}"')
        if table.get("version") != VERSION:
            raise ModelMismatch(
                f"The light {path} has version {table.get('version')}, this program reads {VERSION}.",
                hint="use the program version that wrote it, or design the light anew",
            )
        return _checked(table, str(path))

    def save(self, path: Path) -> None:
        """Write the file, complete before it takes its name; one line for each capture."""
        table = self.model_dump(mode="json")
        captures = ",\n".join(json.dumps(capture) for capture in table.pop("captures"))
        made = json.dumps(table.pop("made"), indent=1, allow_nan=False)
        head = json.dumps(table, indent=1).removesuffix("\n}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            part.write_text(f'{head},\n "captures": [\n{captures}\n ],\n "made": {made}\n}}\n', encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def patterns(self, board: LedBoard) -> tuple[Pattern, ...]:
        """One pattern per capture. Raises ModelMismatch for a board other than the one it was designed for."""
        if board.digest != self.board_digest:
            raise ModelMismatch(
                f"The light was designed for LED board {self.board_digest} ('{self.board_name}', {self.leds} LEDs), "
                f"this is {board.digest} ('{board.name}', {board.n_leds} LEDs).",
                hint="use the board of the light, or design one for this board",
            )
        return tuple(
            Pattern.of(board, (capture.array / LEVELS).astype(np.float32), name=capture.name)
            for capture in self.captures
        )

    @property
    def light_digest(self) -> str:
        """Identity of what is shown: board, levels, signs and exposures, whatever the names."""
        sha = hashlib.sha256(self.board_digest.encode())
        for capture in self.captures:
            sha.update(f"|{capture.sign}|{capture.exposure_ms!r}|".encode() + capture.array.tobytes())
        return sha.hexdigest()[:16]


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no number")


def _checked(table: dict[str, Any], source: str) -> LightFile:
    try:
        light = LightFile.from_table(table, source=source)
    except ConfigError as error:
        raise WrongFormat(error.message, hint=error.hint) from error
    if not light.captures:
        raise WrongFormat(f"{source} has no capture.", hint="a light has at least one")
    for number, capture in enumerate(light.captures):
        found = {len(row) for row in capture.levels}
        if len(capture.levels) != light.leds or found != {light.colours}:
            colours = " or ".join(str(count) for count in sorted(found)) or "no"
            raise WrongFormat(
                f"{source}: capture {number} has {len(capture.levels)} LEDs with {colours} levels each, "
                f"its board has {light.leds} LEDs with {light.colours}.",
                hint="give one level for each LED and colour, in board order",
            )
    try:
        json.dumps(light.made, allow_nan=False)
    except ValueError as error:
        raise WrongFormat(f"{source}: 'made' holds a number that is not finite.", hint="leave it out") from error
    return light
