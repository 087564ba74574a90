"""Diagnoses that the console starts: on the owner's thread, paused and ended between captures, kept in folders."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import model_validator

from lsm.config import Config, shipped_config
from lsm.console.owner import UNFORESEEN, Owner
from lsm.console.pictures import contrast, eight_bits, jpeg
from lsm.console.state import Run, StateBoard, Step, Told
from lsm.devices import Frame, Observe
from lsm.diagnose.scan.config import FocusWay, Light
from lsm.diagnose.slide import RECORD, REPORT, DiagnoseConfig, DiagnoseResult, diagnose, resume
from lsm.errors import FileMissing, Halted, LsmError, RunStopped
from lsm.illum import LedBoard
from lsm.record import open_record

STEPS_KEPT, SETTLED_KEPT = 48, 400
MOST_FIELDS = 1_000_000
THUMB_PX = 96
FILES = ("report.html", "report.pdf", "report.json", "review.html", "review.pdf", "review.json")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunRequest(Config):
    """What to do with the slide on the stage.

    search: "scan" goes over the slide, "agent" is the model's policy, "bright field" what it has to beat.
    captures: budget of a search. columns, rows, fields, light, focus: of a scan, as in `lsm diagnose`.
    """

    search: Literal["scan", "agent", "bright field"] = "scan"
    slide: Annotated[str, MaxLen(60)] = ""
    captures: Annotated[int, Ge(1), Le(100_000)] | None = None
    columns: Annotated[int, Ge(1), Le(10_000)] | None = None
    rows: Annotated[int, Ge(1), Le(10_000)] | None = None
    fields: Annotated[int, Ge(1), Le(MOST_FIELDS)] | None = None
    light: Light | None = None
    focus: FocusWay | None = None

    @model_validator(mode="after")
    def _a_plan_that_fits_into_memory(self) -> "RunRequest":
        if (self.columns or 1) * (self.rows or 1) > MOST_FIELDS:
            raise ValueError(f"a region may have {MOST_FIELDS} fields")
        return self


class RunEntry(Config):
    """A folder of the console's: a run that has its report, or one that can be gone on with."""

    name: str
    complete: bool
    reviewable: bool


class RunMicroscope:
    """The owner's microscope as a run sees it: a capture waits while the run is paused, and raises when it is to end.

    What somebody has moved during a pause is moved back with the next capture.
    """

    def __init__(self, owner: Owner, on_frame: Callable[[Frame], None]) -> None:
        self._owner, self._on_frame = owner, on_frame
        self._last: Frame | None = None
        self.ending = False

    @property
    def board(self) -> LedBoard:
        return self._owner.scope.board

    def observe(self, request: Observe) -> Frame:
        """The frame, with the request as it came. Raises RunStopped, and what the microscope raises."""
        asked = request
        if self._owner.wait_while_paused() and self._last is not None:
            xy_um = self._last.xy_um if request.xy_um is None else request.xy_um
            asked = replace(request, xy_um=xy_um, z_um=self._last.z_um if request.z_um is None else request.z_um)
        if self.ending or self._owner.closing:
            raise RunStopped("The run was ended by its operator.", hint="it can be gone on with: what it saw is kept")
        frame = self._owner.scope.observe(asked)
        if asked is not request:
            frame = replace(frame, request=request)
        self._last = frame
        self._owner.publish(frame)
        self._on_frame(frame)
        return frame

    def close(self) -> None:
        """The owner keeps it."""


class Runs:
    """Starts runs in folders of their own under `folder`, one at a time, and tells of them.

    rig, model, seed: as in DiagnoseConfig.
    """

    def __init__(self, owner: Owner, folder: Path, *, rig: str, model: str, seed: int) -> None:
        self.folder = folder
        self._owner, self._state = owner, owner.state
        self._fixed = {"rig": rig, "model": model, "seed": seed}
        self._scope: RunMicroscope | None = None
        self._taken_here: set[str] = set()
        self.thumbs: dict[int, bytes] = {}

    def start(self, request: RunRequest) -> str:
        """Begin a run and return its name. Raises Busy, ConfigError."""
        config = _config(request, self._fixed)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}{_slug(request.slide)}"
        folder = self.folder / name

        def work(scope: RunMicroscope, on_step: "Follower") -> DiagnoseResult:
            folder.parent.mkdir(parents=True, exist_ok=True)
            return diagnose(config, folder, on_step=on_step, on_rig=scope)

        self._begin(name, request.search, work)
        return name

    def go_on(self, name: str) -> None:
        """Go on with a run that was ended or interrupted. Raises FileMissing, Busy."""
        folder = self.path(name)
        here = name in self._taken_here

        def work(scope: RunMicroscope, on_step: "Follower") -> DiagnoseResult:
            if not here:
                _charge(self._owner, folder)
            return resume(folder, rig=str(self._fixed["rig"]), on_step=on_step, on_rig=scope)

        self._begin(name, "gone on with", work)

    def pause(self) -> None:
        """Wait before the next capture."""
        if self._running("paused"):
            self._owner.pause(True)

    def unpause(self) -> None:
        """Go on after a pause."""
        if self._running("running"):
            self._owner.pause(False)

    def end(self) -> None:
        """End the run before its next capture; it can be gone on with."""
        scope = self._scope
        if scope is not None and self._running("ending"):
            scope.ending = True
            self._owner.pause(False)

    def entries(self) -> tuple[RunEntry, ...]:
        """The runs in the folder, the newest first."""
        if not self.folder.is_dir():
            return ()
        found = sorted((path for path in self.folder.iterdir() if (path / RECORD).is_file()), reverse=True)
        return tuple(
            RunEntry(name=path.name, complete=(path / REPORT).is_file(), reviewable=(path / "report.json").is_file())
            for path in found[:200]
            if NAME.fullmatch(path.name)
        )

    def path(self, name: str) -> Path:
        """The folder of a run. Raises FileMissing."""
        if not NAME.fullmatch(name) or not (self.folder / name / RECORD).is_file():
            raise FileMissing(f"There is no run '{name[:100]}'.", hint="GET /api/runs lists them")
        return self.folder / name

    def file(self, name: str, file: str) -> Path:
        """A report of a run. Raises FileMissing."""
        path = self.path(name) / file
        if file not in FILES or not path.is_file():
            raise FileMissing(f"The run '{name}' has no '{file[:50]}'.", hint=f"there may be {', '.join(FILES)}")
        return path

    def _running(self, status: str) -> bool:
        on = self._state.now.run.status in ("running", "paused")
        if on:
            self._state.change("run", status=status)
        return on

    def _begin(self, name: str, kind: str, work: Callable[[RunMicroscope, "Follower"], DiagnoseResult]) -> None:
        follower = Follower(self._state, self.thumbs)
        scope = RunMicroscope(self._owner, follower.saw)

        def run() -> None:
            self._scope = scope
            self.thumbs.clear()
            self._taken_here.add(name)
            self._state.put("run", Run(name=name, kind=kind, status="running", report=f"/api/runs/{name}/report.html"))
            self._state.note(f"Run {name} ({kind}) begins.")
            self._finish(name, lambda: work(scope, follower))

        self._owner.show_live(False)
        future = self._owner.submit("Starting a run", run, run=True)
        future.add_done_callback(lambda done: done.exception() if not done.cancelled() else None)

    def _finish(self, name: str, work: Callable[[], DiagnoseResult]) -> None:
        try:
            result = work()
        except (RunStopped, Halted) as error:
            said = Told(message=error.message, hint="it can be gone on with: what it recorded is kept")
            self._state.change("run", status="stopped", said=said, report="")
            self._state.note(f"Run {name} was stopped.", hint=said.hint, kind="warning")
        except LsmError as error:
            self._state.change("run", status="failed", said=Told(message=error.message, hint=error.hint), report="")
            raise
        except UNFORESEEN as error:
            said = Told(message=f"{type(error).__name__}: {error}", hint="this is a fault of lsm")
            self._state.change("run", status="failed", said=said, report="")
            raise
        else:
            verdict = result.verdict
            self._state.change(
                "run",
                status="done",
                verdict=verdict.outcome.value,
                said=Told(message=verdict.reason),
                reviewable=result.scan is not None,
            )
            self._state.note(f"Run {name}: {verdict.outcome.value}. {verdict.reason}")


class Follower:
    """Tells of a run as it goes: what it saw, and what was decided on it."""

    def __init__(self, state: StateBoard, thumbs: dict[int, bytes]) -> None:
        self._state, self._thumbs = state, thumbs
        self._captures = 0

    def saw(self, frame: Frame) -> None:
        """A capture of the run."""
        self._captures += 1
        number, run = self._captures, self._state.now.run
        self._thumbs[number] = thumbnail(frame)
        self._thumbs.pop(number - STEPS_KEPT, None)
        step = Step(
            number=number,
            xy_um=(round(frame.xy_um[0], 1), round(frame.xy_um[1], 1)),
            light=frame.request.pattern.name,
            exposure_ms=frame.exposure_ms,
        )
        self._state.change("run", captures=number, steps=(*run.steps[1 - STEPS_KEPT :], step))

    def __call__(self, taken: int, most: int, told: dict[str, Any]) -> None:
        """After a capture of a search or a field of a scan; see lsm.diagnose.slide.OnStep."""
        run, scan = self._state.now.run, "suspicious" in told
        values = (told["prevalence"], told["prevalence_low"], told["prevalence_high"])
        steps = run.steps
        if steps and steps[-1].prevalence is None:
            believed = dict(zip(("prevalence", "low", "high"), values, strict=True))
            steps = (*steps[:-1], steps[-1].model_copy(update={**believed, "reason": _reason(told)}))
        place = steps[-1].xy_um if steps else None
        fault = str(told.get("fault", "")) if scan else ""
        fields = run.fields if place is None or (not scan and (*place, fault) in run.fields) else (
            *run.fields, (*place, fault)
        )  # fmt: skip
        self._state.change(
            "run",
            taken=taken,
            most=most,
            unit="fields" if scan else "captures",
            cells=told["cells"],
            suspicious=told.get("suspicious"),
            prevalence=values[0],
            low=values[1],
            high=values[2],
            per_ul=(told["per_ul"], told["per_ul_low"], told["per_ul_high"]) if scan else None,
            settled=_thinned((*run.settled, (taken, *values))),
            fields=fields,
            steps=steps,
        )


def thumbnail(frame: Frame) -> bytes:
    """A small JPEG of a frame, every n-th pixel of it."""
    step = max(1, max(frame.image.shape) // THUMB_PX)
    small = frame.image[::step, ::step]
    return jpeg(eight_bits(small, contrast(frame.image)), quality=75)


def _reason(told: dict[str, Any]) -> str:
    """Why a capture was taken, in words."""
    if "suspicious" in told:
        return f"field {told['field'] + 1}: {told['fault'] or 'good'}"
    chances = told.get("probabilities") or []
    name = told.get("action_name", "")
    if not chances:
        return str(name)
    return f"{name}, chosen with {chances[told['action']]:.0%}"


def _thinned(points: tuple[tuple[int, float, float, float], ...]) -> tuple[tuple[int, float, float, float], ...]:
    """Every second point but the last, where there are too many to draw."""
    return points if len(points) <= SETTLED_KEPT else (*points[:-1:2], points[-1])


def _config(request: RunRequest, fixed: dict[str, Any]) -> DiagnoseConfig:
    base = DiagnoseConfig.from_file(
        shipped_config("diagnose.toml"), **fixed, search=request.search, slide=request.slide or None,
        captures=request.captures,
    )  # fmt: skip
    if request.search != "scan":
        return base
    table = base.model_dump()
    region = {"columns": request.columns, "rows": request.rows, "fields": request.fields}
    table["scan"]["region"] |= {key: value for key, value in region.items() if value is not None}
    table["scan"]["light"] = request.light or table["scan"]["light"]
    table["scan"]["focus"]["way"] = request.focus or table["scan"]["focus"]["way"]
    return DiagnoseConfig.from_table(table, source="the run asked for")


def _slug(slide: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", slide).strip("-")
    return f"-{words[:40]}" if words else ""


def _charge(owner: Owner, folder: Path) -> None:
    """Count the light of frames that were taken before this rig was connected."""
    with open_record(folder / RECORD) as recording:
        for frame in recording.frames():
            owner.scope.charge(frame)
