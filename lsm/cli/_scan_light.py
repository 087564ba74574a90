"""What the channels of a useq sequence mean, as it is said on the command line."""

import re
from pathlib import Path

from lsm.cli._led_input import designed_light
from lsm.cli._light import Light, named_pattern
from lsm.errors import InputError
from lsm.illum import LedBoard, Pattern

MEANT = re.compile(r"(?P<name>[^=]*)=(?P<light>.+?)(?::(?P<capture>\d+))?")


def channel_light(board: LedBoard, text: str, *, na: float) -> tuple[str, Pattern]:
    """A channel's name and light, from NAME=LIGHT; LIGHT is a named one, or FILE or FILE:CAPTURE. Raises InputError."""
    found = MEANT.fullmatch(text)
    if found is None:
        raise InputError(f"--channel '{text}' says no light.", hint="write NAME=bright-field, or NAME=light.json:0")
    name, light = found["name"], found["light"]
    named = {each.value: each for each in Light if each is not Light.LED}
    if light in named and found["capture"] is None:
        return name, named_pattern(board, named[light], na=na, na_min=0.0, led=0, colour="")
    if Path(light).suffix != ".json":
        raise InputError(
            f"--channel '{text}' names the unknown light '{light}'.", hint=f"a light file, or: {', '.join(named)}"
        )
    designed = designed_light(Path(light), int(found["capture"] or 0))
    if designed is None:
        raise InputError(f"--channel '{text}' names no light.", hint="write NAME=light.json:0")
    return name, designed.pattern(board)
