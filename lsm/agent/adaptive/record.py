"""What a policy did at cells, on the disk: every frame in a recording, every decision as a line of JSON.

A folder holds `record.h5` (lsm.record: frames, the light read back, and the decision that led to each) and
`decisions.jsonl`: a head, one line for each look for cells, one for each decision, whether it led to a frame or not,
and one for each end. A frame and then its line are durable before the next light; a line that a killed program left
unfinished is not read.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from lsm.agent.adaptive._record_logs import STOPPED, FrameLog, LineLog
from lsm.agent.adaptive.light import LightBook, lamps_of_stack
from lsm.agent.adaptive.policies.checkpoint import rig_digest
from lsm.agent.adaptive.run import CellDecision, CellPlace, CellRun, CellSearch
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError, LsmError, RecordError
from lsm.record import Recording, unborn

SCHEMA: Final = "lsm-cell-decisions/2"
RECORD, DECISIONS = "record.h5", "decisions.jsonl"


class CellRecorder:
    """Writes the runs of a policy at one cell after another into a new folder; a context manager.

    header: what the recording's header shall hold beside the policy (rig, seed, ...), JSON values. What was written
    stays whatever happens; an LsmError that leaves the context is noted as the cell's end.

    held: the open recording of an interrupted run in this folder, which is gone on with. What is told again must be
    what was recorded; what comes after it is appended, once `go_on` or a frame that is not held has closed `held`.
    Raises InputError where a new run's folder holds anything already, RecordError, WrongFormat for damaged files.
    """

    def __init__(
        self,
        folder: Path,
        world: AdaptiveWorld,
        policy: str,
        header: Mapping[str, Any] | None = None,
        *,
        held: Recording | None = None,
    ) -> None:
        if held is None:
            require_room(folder)
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._cell, self._captures, self._searches = -1, 0, 0
        about = _about(world, policy)
        named = {name: about[name] for name in ("policy", "world", "cell_rig")}
        self._frames = FrameLog(folder / RECORD, header={**(header or {}), **named}, held=held)
        with ExitStack() as undo:
            undo.callback(self._frames.close)
            self._lines = LineLog(folder / DECISIONS, frames=None if held is None else held.n_frames)
            self._lines.write({"schema": SCHEMA, **about})
            undo.pop_all()

    def go_on(self) -> None:
        """From here on frames are written, before the light that they need. Raises RecordError."""
        self._frames.begin()

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
        self._lines.write(plain | {"frame": self._frames.add(frame, plain)})
        self._searches += 1

    def begin(self, place: CellPlace) -> int:
        """The next decisions are at this cell; its number."""
        self._cell += 1
        search = self._searches - 1 if self._searches else None
        self._lines.write({"cell": self._cell, "place": _plain_place(place), "of_search": search})
        return self._cell

    def add(self, decision: CellDecision) -> None:
        """Write one decision, its frame first. Raises RecordError, with what was acknowledged safe."""
        plain = plain_decision(decision) | {"cell": self._cell}
        if decision.look is not None:
            plain["frame"] = self._frames.add(decision.look.frame, plain)
            self._captures += 1
        self._lines.write(plain)

    def end(self, run: CellRun) -> None:
        """Write what came of the cell."""
        totals = {"captures": run.captures, "light_led_s": run.light_led_s, "time_s": run.time_s}
        self._lines.write({"cell": self._cell, "declared": run.declared, "belief": run.belief, **totals})

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
            # what is told again has been stopped before, or is refused for not being what was recorded
            if isinstance(error, LsmError) and not self._lines.closed and not self._lines.again:
                # a disk that is full is why it stopped: the first error is the one to tell
                with suppress(RecordError):
                    self._lines.write({"cell": self._cell, STOPPED: type(error).__name__, "message": error.message})
        finally:
            self.close()


def require_room(folder: Path) -> None:
    """Raises InputError where a folder holds anything but what a run left that was killed before it began."""
    if folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - set(unborn(folder / RECORD))):
        raise InputError(
            f"{folder} exists and is not empty.",
            hint="name another with --out, or go on with its run by --resume; nothing was changed",
        )


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


def _plain_place(place: CellPlace) -> dict[str, Any]:
    return {"xy_um": place.xy_um, "z_um": place.z_um, "centre_px": place.centre_px}


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
