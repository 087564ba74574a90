"""What a policy did at cells, on the disk: every frame in a recording, every decision as a line of JSON.

A folder holds `record.h5` (lsm.record: frames, the light read back, and the decision that led to each) and
`decisions.jsonl`: a head, one line for each look for cells, one for each decision, whether it led to a frame or not,
and one for each end. A frame and then its line are durable before the next light; a line that a killed program left
unfinished is not read.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from lsm.agent.adaptive.light import LightBook, lamps_of_stack
from lsm.agent.adaptive.policies.checkpoint import rig_digest
from lsm.agent.adaptive.run import CellDecision, CellLook, CellPlace, CellRun, CellSearch
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.devices import Frame
from lsm.errors import FileMissing, InputError, LsmError, RecordError, WrongFormat
from lsm.record import Recorder, open_record

SCHEMA: Final = "lsm-cell-decisions/2"
READABLE: Final = ("lsm-cell-decisions/1", SCHEMA)
"""Of the first layout there is no look for cells."""

RECORD, DECISIONS = "record.h5", "decisions.jsonl"
_HINT: Final = "name the folder that 'lsm policy run' wrote"

FrameOf = Callable[[int], Frame]


class CellRecorder:
    """Writes the runs of a policy at one cell after another into a new folder; a context manager.

    header: what the recording's header shall hold beside the policy (rig, seed, ...), JSON values.
    What was written stays whatever happens; an LsmError that leaves the context is noted as the cell's end.
    Raises InputError where the folder holds anything already.
    """

    def __init__(
        self, folder: Path, world: AdaptiveWorld, policy: str, header: Mapping[str, Any] | None = None
    ) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not empty.", hint="name another with --out; nothing was changed")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._cell, self._captures, self._searches = -1, 0, 0
        about = _about(world, policy)
        named = {name: about[name] for name in ("policy", "world", "cell_rig")}
        self._frames = Recorder(folder / RECORD, {**(header or {}), **named})
        self._lines = (folder / DECISIONS).open("x", encoding="utf-8")
        self._write({"schema": SCHEMA, **about})

    def searched(self, search: CellSearch) -> None:
        """Write one look for cells, its frame first; the next cells are of this look. Raises RecordError."""
        frame = search.frame
        plain: dict[str, Any] = {
            "search": self._searches,
            "place": _plain_place(search.place),
            "light": frame.request.pattern.name,
            "exposure_ms": frame.exposure_ms,
            "light_led_s": frame.light_dose / 1000,
            "cells_px": [cell.centre_px for cell in search.cells],
        }
        self._write(plain | {"frame": self._frames.add(frame, plain)})
        self._searches += 1

    def begin(self, place: CellPlace) -> int:
        """The next decisions are at this cell; its number."""
        self._cell += 1
        search = self._searches - 1 if self._searches else None
        self._write({"cell": self._cell, "place": _plain_place(place), "of_search": search})
        return self._cell

    def add(self, decision: CellDecision) -> None:
        """Write one decision, its frame first. Raises RecordError, with what was acknowledged safe."""
        plain = plain_decision(decision) | {"cell": self._cell}
        if decision.look is not None:
            plain["frame"] = self._frames.add(decision.look.frame, plain)
            self._captures += 1
        self._write(plain)

    def end(self, run: CellRun) -> None:
        """Write what came of the cell."""
        totals = {"captures": run.captures, "light_led_s": run.light_led_s, "time_s": run.time_s}
        self._write({"cell": self._cell, "declared": run.declared, "belief": run.belief, **totals})

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the recording's summary and close both files. Raises RecordError."""
        counts = {"cells": self._cell + 1, "captures": self._captures, "searches": self._searches}
        self._frames.finish({**summary, **counts})
        self._lines.close()

    def close(self) -> None:
        """Close both files as they are; may be called twice."""
        try:
            self._lines.close()
        finally:
            self._frames.close()

    def __enter__(self) -> "CellRecorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, LsmError) and not self._lines.closed:
                # a disk that is full is why it stopped: the first error is the one to tell
                with suppress(RecordError):
                    self._write({"cell": self._cell, "stopped_by": type(error).__name__, "message": error.message})
        finally:
            self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._lines.write(json.dumps(line, allow_nan=False) + "\n")
            self._lines.flush()
            os.fsync(self._lines.fileno())
        except (OSError, ValueError) as error:
            raise RecordError(
                f"The decisions in {self.folder} cannot be written: {error}.", hint="see whether the disk is full"
            ) from error


@dataclass(frozen=True, eq=False)
class RecordedCell:
    """One cell of a recording.

    decisions: as CellRun has them. of_search: the look in which it was found; None where nobody looked for it.
    declared, belief: empty and the last belief where the run was stopped. stopped_by: the error in words, or empty.
    """

    number: int
    decisions: tuple[CellDecision, ...]
    declared: str
    belief: float
    stopped_by: str = ""
    of_search: int | None = None


@dataclass(frozen=True, eq=False)
class RecordedSearch:
    """One look for cells. cells_px: rows and columns of those to look at, in their order."""

    number: int
    light: str
    light_led_s: float
    cells_px: tuple[tuple[float, float], ...]
    frame: Frame


@dataclass(frozen=True, eq=False)
class CellRecord:
    """All cells of a folder. kinds: names of the actions. places_mm: of every lamp on its board, x and y.

    captures_most: budget of a cell. side_px: of a cell's own pixels. searches: looks for cells, if there were any.
    """

    policy: str
    kinds: tuple[str, ...]
    places_mm: Float[np.ndarray, "lamp 2"]
    captures_most: int
    about: Mapping[str, Any]
    cells: tuple[RecordedCell, ...]
    side_px: tuple[int, int]
    searches: tuple[RecordedSearch, ...] = ()


def plain_decision(decision: CellDecision) -> dict[str, Any]:
    """A decision as a JSON object, without its frame."""
    plain: dict[str, Any] = {
        name: getattr(decision, name)
        for name in (
            "step",
            "kind",
            "name",
            "allowed",
            "value",
            "odds_before",
            "odds_after",
            "belief_before",
            "belief_after",
            "captures",
            "light_led_s",
            "time_s",
        )
    }
    plain["probabilities"] = list(decision.probabilities)
    look = decision.look
    if look is not None:
        plain |= {"light": look.light, "exposure_ms": look.exposure_ms, "levels": look.levels.tolist()}
        plain |= {"corner_px": list(look.corner_px), "side_px": list(look.pixels.shape)}
    return plain


def read_cells_record(folder: Path) -> CellRecord:
    """What a folder holds, also one whose run was cut short.

    Raises FileMissing, WrongFormat for other files, RecordError for a damaged recording.
    """
    path = folder / DECISIONS
    if not path.is_file():
        raise FileMissing(f"{folder} holds no decisions.", hint=_HINT)
    lines = list(_lines(path))
    if not lines or lines[0].get("schema") not in READABLE:
        raise WrongFormat(f"{path} is no list of decisions at cells.", hint=_HINT)
    about, rest = lines[0], lines[1:]
    try:
        with _frames_of(folder, rest) as frame_of:
            searches = tuple(_search(line, frame_of) for line in rest if "search" in line)
            cells = _cells(rest, frame_of)
        return CellRecord(
            policy=str(about["policy"]),
            kinds=tuple(about["kinds"]),
            places_mm=np.array(about["places_mm"], dtype=np.float64),
            captures_most=int(about["captures_most"]),
            about=about,
            cells=tuple(cells),
            side_px=_pair(about.get("side_px", (0, 0))),
            searches=searches,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WrongFormat(f"{path} is damaged: {error}.", hint=_HINT) from error


def _plain_place(place: CellPlace) -> dict[str, Any]:
    return {"xy_um": place.xy_um, "z_um": place.z_um, "centre_px": place.centre_px}


def _pair(numbers: Sequence[int]) -> tuple[int, int]:
    first, second = numbers
    return int(first), int(second)


def _about(world: AdaptiveWorld, policy: str) -> dict[str, Any]:
    lamps, light, rules = lamps_of_stack(world.source.stack), world.light, world.rules
    lights = list(light.names) if isinstance(light, LightBook) and light.names else list(rules.kind_names)
    return {
        "policy": policy,
        "world": world.digest,
        "cell_rig": rig_digest(world),
        "kinds": [*lights[: rules.first_declaration], *rules.kind_names[rules.first_declaration :]],
        "captures_most": rules.budget.captures,
        "side_px": list(rules.side_px),
        "places_mm": lamps.board.positions_mm[lamps.led, :2].tolist(),
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; the last may be half of one."""
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            yield json.loads(line)
        except ValueError as error:
            raise WrongFormat(f"{path} is damaged: {error}.", hint=_HINT) from error


@contextmanager
def _frames_of(folder: Path, lines: list[dict[str, Any]]) -> Iterator[FrameOf]:
    """How to read frames by number; a record without any need not be opened."""
    if not any("frame" in line for line in lines):
        yield _no_frame
        return
    with open_record(folder / RECORD) as recording:
        yield recording.frame


def _no_frame(number: int) -> Frame:
    raise ValueError(f"there is no frame {number}")


def _search(line: Mapping[str, Any], frame_of: FrameOf) -> RecordedSearch:
    cells_px = tuple((float(row), float(column)) for row, column in line["cells_px"])
    number, led_s = int(line["search"]), float(line["light_led_s"])
    return RecordedSearch(number, str(line["light"]), led_s, cells_px, frame_of(int(line["frame"])))


def _cells(lines: list[dict[str, Any]], frame_of: FrameOf) -> list[RecordedCell]:
    of_cell: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if "cell" in line:
            of_cell.setdefault(int(line["cell"]), []).append(line)
    of_cell.pop(-1, None)
    return [_cell(number, held, frame_of) for number, held in of_cell.items()]


def _cell(number: int, lines: list[dict[str, Any]], frame_of: FrameOf) -> RecordedCell:
    decisions = tuple(_decision(line, frame_of) for line in lines if "step" in line)
    ends: dict[str, Any] = {}
    for line in lines:
        if "step" not in line:
            ends |= line
    belief = float(ends.get("belief", decisions[-1].belief_after if decisions else 0.5))
    stopped = f"{ends['stopped_by']}: {ends['message']}" if "stopped_by" in ends else ""
    of_search = ends.get("of_search")
    declared = str(ends.get("declared", ""))
    return RecordedCell(number, decisions, declared, belief, stopped, None if of_search is None else int(of_search))


def _decision(line: Mapping[str, Any], frame_of: FrameOf) -> CellDecision:
    look = None
    if "frame" in line:
        frame = frame_of(int(line["frame"]))
        (row, column), (height, width) = _pair(line["corner_px"]), _pair(line["side_px"])
        pixels = frame.image[row : row + height, column : column + width].astype(np.int32)
        levels = np.array(line["levels"], dtype=np.uint8)
        look = CellLook(str(line["light"]), levels, float(line["exposure_ms"]), pixels, (row, column), frame)
    return CellDecision(
        step=int(line["step"]),
        kind=int(line["kind"]),
        name=str(line["name"]),
        allowed=bool(line["allowed"]),
        probabilities=tuple(float(value) for value in line["probabilities"]),
        value=float(line["value"]),
        odds_before=int(line["odds_before"]),
        odds_after=int(line["odds_after"]),
        belief_before=float(line["belief_before"]),
        belief_after=float(line["belief_after"]),
        captures=int(line["captures"]),
        light_led_s=float(line["light_led_s"]),
        time_s=float(line["time_s"]),
        look=look,
    )
