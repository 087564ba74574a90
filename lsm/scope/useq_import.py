"""useq sequences, and events in files, as plans of captures for an lsm rig."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from useq import AcquireImage, CustomAction, MDAEvent, MDASequence, SLMImage

from lsm.devices import Observe
from lsm.errors import FileMissing, InputError, ModelMismatch, ToolMissing, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.scope.capture_plan import CapturePlan
from lsm.scope.scan_path import Position
from lsm.scope.useq_events import ACTION, KIND, VERSION, closes, own_light, whole_pixels

MOST_EVENTS = 200_000
"""More captures than a slide has fields under ten patterns; a sequence without end has more."""
MAX_BYTES = 2**28


@dataclass(frozen=True)
class Meaning:
    """What the words of a sequence mean on this rig.

    channels: the light of each channel by its name; "" is that of events without one. exposure_ms: of events that
    tell none. field_um: width and height of an image, by which a sequence's grid steps. drop_waits: take events that
    wait for a time as soon as the one before is over, instead of refusing them.
    """

    field_um: Position | None = None
    channels: Mapping[str, Pattern] = field(default_factory=dict)
    exposure_ms: float | None = None
    drop_waits: bool = False


@dataclass(frozen=True)
class Imported:
    """The plan, and what of the events it does not keep, in sentences."""

    plan: CapturePlan
    notes: tuple[str, ...]


def plan_of_file(path: Path, board: LedBoard, meaning: Meaning) -> Imported:
    """The captures that a file asks for. Raises as `read_events` and `plan_of_events`."""
    return plan_of_events(read_events(path, field_um=meaning.field_um), board, meaning)


def read_events(path: Path, *, field_um: Position | None = None) -> list[MDAEvent]:
    """The events in a file that `write_events` wrote, a JSON list of events, or a useq sequence (JSON, YAML).

    SLM images are uint8. field_um: see Meaning. Raises FileMissing, WrongFormat for what is no sequence,
    ToolMissing for YAML that cannot be read here, ModelMismatch for a file of another version.
    """
    table = _table(path)
    try:
        if isinstance(table, dict) and table.get("kind") == KIND:
            if table.get("version") != VERSION:
                raise ModelMismatch(
                    f"{path} has version {table.get('version')}, this program reads {VERSION}.", hint="export it again"
                )
            table = table.get("events")
        if isinstance(table, list):
            events = [MDAEvent.model_validate(each) for each in table]
        else:
            events = list(_sequence_events(_sequence(path, table), field_um))
    except (ValidationError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise WrongFormat(
            f"{path} is no useq sequence: {first}.", hint="it is a sequence or a list of events"
        ) from error
    if len(events) > MOST_EVENTS:
        raise WrongFormat(
            f"{path} asks for more than {MOST_EVENTS} captures.", hint="a sequence without end cannot be a plan"
        )
    return [_with_pixels(event) for event in events]


def plan_of_events(events: Iterable[MDAEvent], board: LedBoard, meaning: Meaning) -> Imported:
    """The captures of these events, in their order.

    Raises InputError, with the event's number, for what a plan cannot say: autofocus, other actions, device
    properties, regions of the camera, waiting times, one stage axis alone, a channel or exposure without a meaning.
    """
    captures: list[Observe] = []
    kept_open, here = False, _Here()
    for number, event in enumerate(events, start=1):
        if closes(event):
            continue
        refusal = _refusal(event, meaning)
        if refusal is not None:
            raise InputError(f"Event {number} {refusal[0]}.", hint=refusal[1])
        kept_open |= event.keep_shutter_open
        captures.append(_capture(number, event, board, meaning, here.moved(number, event)))
    notes = ("Between captures the LEDs are dark: keep_shutter_open is not kept.",) if kept_open else ()
    return Imported(CapturePlan.of(board, captures), notes)


class _Here:
    """Where events have sent the stage: one that names an axis alone leaves the other."""

    def __init__(self) -> None:
        self._x_um: float | None = None
        self._y_um: float | None = None

    def moved(self, number: int, event: MDAEvent) -> Position | None:
        """The place of an event; None for one that names none."""
        if event.x_pos is None and event.y_pos is None:
            return None
        self._x_um = self._x_um if event.x_pos is None else event.x_pos
        self._y_um = self._y_um if event.y_pos is None else event.y_pos
        if self._x_um is None or self._y_um is None:
            raise InputError(
                f"Event {number} names x or y alone, and none before it the other.", hint="give both in the sequence"
            )
        return self._x_um, self._y_um


def _capture(number: int, event: MDAEvent, board: LedBoard, meaning: Meaning, xy_um: Position | None) -> Observe:
    pattern = own_light(event, board)
    if pattern is None:
        channel = event.channel.config if event.channel is not None else ""
        pattern = meaning.channels.get(channel)
        if pattern is None:
            what = f"the channel '{channel}'" if channel else "no channel"
            raise InputError(
                f"Event {number} has {what}, and nothing says which LEDs that is.",
                hint=f"name its light: --channel {channel or 'NAME'}=bright-field",
            )
    exposure_ms = event.exposure or meaning.exposure_ms
    if exposure_ms is None:
        raise InputError(f"Event {number} names no exposure.", hint="give one with --exposure-ms")
    return Observe(pattern, exposure_ms, xy_um, event.z_pos)


def _refusal(event: MDAEvent, meaning: Meaning) -> tuple[str, str] | None:
    """What an event asks for that a plan cannot say, and what to do about it."""
    action = event.action
    own = isinstance(action, CustomAction) and action.name == ACTION
    if not own and not isinstance(action, AcquireImage):
        name = getattr(action, "name", "") or action.type
        return f"asks for the action '{name}'", "take it out of the sequence; focus before with lsm calibrate focus"
    if event.properties:
        device, name, _ = event.properties[0]
        return f"sets {device}.{name}", "set it in the rig file, under properties; it holds for the whole run"
    if event.roi is not None:
        return "asks for a region of the camera", "leave roi out: images of a run are all of one size"
    if event.min_start_time and not meaning.drop_waits:
        return (
            f"waits until {event.min_start_time:g} s",
            "a plan knows no time: --no-wait takes one event after another",
        )
    places = (event.x_pos, event.y_pos, event.z_pos)
    if not all(math.isfinite(place) for place in places if place is not None):
        return f"has the place {places}", "give finite micrometres"
    return None


def _sequence(path: Path, table: Any) -> MDASequence:
    """The sequence; useq drops keys that it does not know, and a misspelt one would change what is taken."""
    known = set(MDASequence.model_fields)
    unknown = sorted(set(table) - known - {"uid"}) if isinstance(table, dict) else []
    if unknown or not table:
        what = f"the unknown key '{unknown[0]}'" if unknown else "nothing in it"
        raise WrongFormat(f"{path} has {what}.", hint=f"a useq sequence has {', '.join(sorted(known))}")
    return MDASequence.model_validate(table)


def _sequence_events(sequence: MDASequence, field_um: Position | None) -> Iterator[MDAEvent]:
    if sequence.setup is not None:
        raise InputError("The sequence has a setup event.", hint="set devices in the rig file, under properties")
    inner = [place.sequence for place in sequence.stage_positions if place.sequence is not None]
    grids: list[Any] = [each.grid_plan for each in (sequence, *inner)]
    for grid in grids:
        if field_um is not None and hasattr(grid, "fov_width"):
            grid.fov_width, grid.fov_height = field_um
    yield from islice(sequence.iter_events(), MOST_EVENTS + 1)


def _with_pixels(event: MDAEvent) -> MDAEvent:
    image = event.slm_image
    if image is None:
        return event
    told = SLMImage(data=whole_pixels(image.data), device=image.device, exposure=image.exposure)
    return event.model_copy(update={"slm_image": told})


def _table(path: Path) -> Any:
    if not path.is_file():
        raise FileMissing(f"The sequence {path} does not exist.", hint="check the path")
    if path.stat().st_size > MAX_BYTES:
        raise WrongFormat(f"{path} is larger than any sequence may be.", hint="it is no sequence")
    try:
        text = path.read_text(encoding="utf-8")
        return _yaml(path, text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongFormat(f"{path} cannot be read: {error}.", hint="a sequence is JSON (.json) or YAML") from error


def _yaml(path: Path, text: str) -> Any:
    try:
        yaml: Any = import_module("yaml")
    except ImportError as error:
        raise ToolMissing(
            f"{path} is YAML, and the package PyYAML is not installed.", hint="install pyyaml, or save it as JSON"
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongFormat(f"{path} is not YAML: {error}.", hint="save it with sequence.yaml()") from error
