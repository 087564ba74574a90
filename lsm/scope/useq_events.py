"""Plans of captures as useq-schema events, which pymmcore-plus runs, and back.

Light is written in one of two ways. `as_slm`: an SLMImage, one pixel per LED, for boards that Micro-Manager takes for a
spatial light modulator; pymmcore-plus' own engine shows it. `as_action`: a CustomAction with the levels of the LEDs,
for boards that it does not know; `lsm.scope.lit_engine` shows it, and an engine that does not know the action takes no
image.

What pymmcore-plus 0.18 does, and what follows: an SLM that refuses an image is a line in the log, not an error; the
light of an SLM stays on until the next event, so the last event is a dark one; an SLM with a memory for sequences is
given objects that it cannot read, so hardware sequencing has to be off; whole numbers of a JSON file become 64-bit
pixels, which the core does not take, so files are read with `read_events`; images of three pixels are taken for one
colour, so boards of three LEDs cannot be written.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from useq import CustomAction, MDAEvent, SLMImage

from lsm.devices import Observe
from lsm.errors import ConfigError, InputError, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.illum.pattern import GREEN
from lsm.scope.capture_plan import CapturePlan, pattern_of_levels
from lsm.types import DutyLevels
from lsm.wholefile import write_whole

KIND: Final = "lsm useq events"
VERSION: Final = 1
ACTION: Final = "lsm capture"
"""Name of the CustomAction that is one capture under given LEDs."""
OWN: Final = "lsm"
"""Key of an event's metadata under which lsm says what no field of it does."""
LAST: Final = "dark at the end"
FULL = 255

Pixels = UInt8[np.ndarray, "row column"]


@dataclass(frozen=True)
class SlmLight:
    """An SLM with one pixel per LED, row by row. device: its label; "" is the core's own SLM.

    colours: the channels in which a lit LED shines. grey: it shows 256 levels, otherwise LEDs are on or off.
    """

    rows: int
    columns: int
    device: str = ""
    colours: tuple[int, ...] = (GREEN,)
    grey: bool = True


def as_slm(plan: CapturePlan, slm: SlmLight) -> list[MDAEvent]:
    """One event per capture with its light as an SLMImage of uint8, and a dark one at the end.

    Raises ConfigError for an SLM that does not have the board's LEDs, WrongFormat for a pattern that it cannot show.
    """
    if slm.rows * slm.columns != plan.board.n_leds or plan.board.n_leds == 3:
        raise ConfigError(
            f"An SLM of {slm.rows} x {slm.columns} pixels cannot show the {plan.board.n_leds} LEDs of board "
            f"'{plan.board.name}'.",
            hint="write the light as actions, or give the board's rows and columns; three pixels mean one colour",
        )
    images = [_image(capture.pattern, slm) for capture in plan.captures]
    numbered = zip(plan.captures, images, _indices(plan), strict=True)
    events = [
        MDAEvent(slm_image=image, **_common(plan.board, capture, index, colours=slm.colours))
        for capture, image, index in numbered
    ]
    shortest_ms = min(capture.exposure_ms for capture in plan.captures)
    unlit = SLMImage(data=np.zeros((slm.rows, slm.columns), np.uint8), device=slm.device or None)
    return [*events, MDAEvent(slm_image=unlit, exposure=shortest_ms, metadata={OWN: {"role": LAST}})]


def as_action(plan: CapturePlan) -> list[MDAEvent]:
    """One event per capture with its light as a CustomAction that lists the lit LEDs."""
    return [
        MDAEvent(
            action=CustomAction(name=ACTION, data={"lit": _lit(capture.pattern.levels)}),
            **_common(plan.board, capture, index),
        )
        for capture, index in zip(plan.captures, _indices(plan), strict=True)
    ]


def own_light(event: MDAEvent, board: LedBoard) -> Pattern | None:
    """The light of an event that `as_action` or `as_slm` wrote; None for another's without an SLM image.

    Pixels of an SLM shine in the colours that the event names, or in green. Raises WrongFormat for levels that are
    none, InputError for LEDs of another board.
    """
    told = event.metadata.get(OWN, {})
    if told.get("board", board.digest) != board.digest:
        raise InputError(
            f"The events were made for LED board {told['board']}, this is {board.digest} ('{board.name}').",
            hint="export them again for this rig",
        )
    name = str(told.get("pattern", ""))
    if isinstance(event.action, CustomAction) and event.action.name == ACTION:
        return pattern_of_levels(board, _levels(event.action.data.get("lit"), board), name=name)
    if event.slm_image is None:
        return None
    pixels = whole_pixels(event.slm_image.data)
    if pixels.size != board.n_leds:
        raise WrongFormat(
            f"An SLM image of {pixels.shape} pixels does not fit the {board.n_leds} LEDs of board '{board.name}'.",
            hint="one pixel per LED, row by row",
        )
    colours = [min(int(colour), board.n_colours - 1) for colour in told.get("colours", (GREEN,))]
    levels = np.zeros((board.n_leds, board.n_colours), np.uint8)
    levels[:, colours] = pixels.reshape(-1, 1)
    return pattern_of_levels(board, levels, name=name)


def closes(event: MDAEvent) -> bool:
    """Whether it is the dark event at the end, which is no capture of the plan."""
    return bool(event.metadata.get(OWN, {}).get("role") == LAST)


def write_events(path: Path, events: Iterable[MDAEvent], *, notes: Sequence[str] = ()) -> None:
    """A JSON table whose "events" are what useq reads; notes: what they do not say, in sentences."""
    tables = [json.dumps(_plain(event)) for event in events]
    head = json.dumps({"kind": KIND, "version": VERSION, "notes": list(notes)}, indent=1).removesuffix("\n}")
    write_whole(path, f'{head},\n "events": [\n' + ",\n".join(tables) + "\n ]\n}\n")


def whole_pixels(data: Any) -> Pixels:
    """An SLM image as uint8, whatever a file or a program gave; True is full light. Raises WrongFormat."""
    pixels = np.asarray(data)
    if pixels.ndim != 2 or pixels.dtype.kind not in "bui":
        raise WrongFormat(
            f"An SLM image of shape {pixels.shape} and type {pixels.dtype} is none of LEDs.",
            hint="give rows of whole numbers from 0 to 255",
        )
    if pixels.dtype.kind == "b":
        pixels = pixels * FULL
    if pixels.min() < 0 or pixels.max() > FULL:
        raise WrongFormat(
            f"An SLM image holds levels from {pixels.min()} to {pixels.max()}.", hint="levels are 0 to 255"
        )
    exact: Pixels = pixels.astype(np.uint8)
    return exact


def _common(
    board: LedBoard, capture: Observe, index: dict[str, int], *, colours: tuple[int, ...] | None = None
) -> dict[str, Any]:
    told = {"board": board.digest, "pattern": capture.pattern.name}
    x_um, y_um = capture.xy_um if capture.xy_um is not None else (None, None)
    return {
        "index": index,
        "exposure": capture.exposure_ms,
        "x_pos": x_um,
        "y_pos": y_um,
        "z_pos": capture.z_um,
        "metadata": {OWN: told if colours is None else told | {"colours": list(colours)}},
    }


def _indices(plan: CapturePlan) -> list[dict[str, int]]:
    """Axes of each event: p, the place in the order of visit; c, the pattern; t counts repeats of both."""
    patterns = {pattern: number for number, pattern in enumerate(plan.patterns)}
    place, before, seen, indices = -1, None, Counter[tuple[int, int]](), []
    for capture in plan.captures:
        here = (capture.xy_um, capture.z_um)
        place += here != before
        before = here
        key = (place, patterns[capture.pattern])
        indices.append({"t": seen[key], "p": key[0], "c": key[1]})
        seen[key] += 1
    return indices


def _image(pattern: Pattern, slm: SlmLight) -> SLMImage:
    on = pattern.levels[:, slm.colours[0]]
    wanted = np.zeros_like(pattern.levels)
    wanted[:, list(slm.colours)] = on[:, None]
    if not np.array_equal(wanted, pattern.levels):
        raise WrongFormat(
            f"Pattern '{pattern.name}' asks for more colours than an SLM's pixels have.",
            hint="write the light as actions, or build the pattern in the SLM's colours alone",
        )
    if not slm.grey and ((on > 0) & (on < FULL)).any():
        raise WrongFormat(
            f"Pattern '{pattern.name}' has levels between 0 and {FULL}; the SLM can only switch LEDs on and off.",
            hint="write the light as actions, or set led.micro_manager.grey if the device shows levels",
        )
    return SLMImage(data=on.reshape(slm.rows, slm.columns).copy(), device=slm.device or None)


def _lit(levels: DutyLevels) -> list[list[int]]:
    """[led, colour, level] of every channel that is not dark."""
    return [[int(led), int(colour), int(levels[led, colour])] for led, colour in np.argwhere(levels)]


def _levels(lit: Any, board: LedBoard) -> DutyLevels:
    levels = np.zeros((board.n_leds, board.n_colours), np.uint8)
    try:
        for led, colour, level in lit:
            if not (0 <= led < board.n_leds and 0 <= colour < board.n_colours and 0 < level <= FULL):
                raise ValueError(f"[{led}, {colour}, {level}]")
            levels[led, colour] = level
    except (TypeError, ValueError) as error:
        raise WrongFormat(
            f"The action '{ACTION}' lists LEDs that board '{board.name}' does not have: {error}.",
            hint="lit = [[led, colour, level from 1 to 255], ...]",
        ) from error
    return levels


def _plain(event: MDAEvent) -> dict[str, Any]:
    """The event as JSON values."""
    if event.slm_image is not None:
        rows = np.asarray(event.slm_image.data).tolist()
        event = event.model_copy(update={"slm_image": event.slm_image.model_copy(update={"data": rows})})
    table: dict[str, Any] = event.model_dump(mode="json", exclude_none=True)
    return table
