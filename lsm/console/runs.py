"""Diagnoses and acquisitions on the owner's thread: paused and ended between captures, kept in folders."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import model_validator

from lsm.config import Config, shipped_config
from lsm.console.acquiring import AcquisitionRequest, acquisition_of
from lsm.console.follower import Follower
from lsm.console.outline import RunOutline, outline_of
from lsm.console.owner import UNFORESEEN, Busy, Owner
from lsm.console.state import ON, Run, Told
from lsm.devices import Frame, Observe
from lsm.diagnose.acquire import SUMMARY, Acquired, acquire, go_on_acquiring, planned_captures
from lsm.diagnose.scan.config import FocusWay, Light
from lsm.diagnose.slide import RECORD, REPORT, DiagnoseConfig, DiagnoseResult, diagnose, resume
from lsm.errors import FileMissing, Halted, InputError, LsmError, RunStopped
from lsm.illum import LedBoard
from lsm.record import open_record
from lsm.scope import RigConfig

MOST_FIELDS = 1_000_000
FILES = ("report.html", "report.pdf", "report.json", "review.html", "review.pdf", "review.json", SUMMARY)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunRequest(Config):
    """What to do with the slide on the stage.

    search: "scan" goes over the slide, "agent" is the model's policy, "bright field" what it has to beat.
    captures: budget of a search. columns, rows, fields, light, focus: of a scan, as in `lsm diagnose`. decide: end
    a scan as soon as it has a verdict; otherwise it goes over the whole region, for the density.
    """

    search: Literal["scan", "agent", "bright field"] = "scan"
    slide: Annotated[str, MaxLen(60)] = ""
    captures: Annotated[int, Ge(1), Le(100_000)] | None = None
    columns: Annotated[int, Ge(1), Le(10_000)] | None = None
    rows: Annotated[int, Ge(1), Le(10_000)] | None = None
    fields: Annotated[int, Ge(1), Le(MOST_FIELDS)] | None = None
    light: Light | None = None
    focus: FocusWay | None = None
    decide: bool = True

    @model_validator(mode="after")
    def _a_plan_that_fits_into_memory(self) -> "RunRequest":
        if (self.columns or 1) * (self.rows or 1) > MOST_FIELDS:
            raise ValueError(f"a region may have {MOST_FIELDS} fields")
        if (self.columns is None) != (self.rows is None):
            raise ValueError("give both columns and rows, or neither")
        return self


class RunEntry(Config):
    """A folder of the console's: a run that has all it was to leave, or one that can be gone on with."""

    name: str
    complete: bool
    reviewable: bool


@dataclass(frozen=True)
class Ended:
    """What is told of a run that came to its end. report: whether it has one to read."""

    reason: str
    verdict: str = ""
    report: bool = False
    reviewable: bool = False


Work = Callable[["RunMicroscope", Follower], Ended]


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

    rig: that the owner's microscope is of. named, model, seed: rig, model and seed as in DiagnoseConfig.
    """

    def __init__(self, owner: Owner, folder: Path, rig: RigConfig, *, named: str, model: str, seed: int) -> None:
        self.folder = folder
        self._owner, self._state, self._rig = owner, owner.state, rig
        self._fixed = {"rig": named, "model": model, "seed": seed}
        self._scope: RunMicroscope | None = None
        self._taken_here: set[str] = set()
        self.thumbs: dict[int, bytes] = {}

    def start(self, request: RunRequest) -> str:
        """Begin a diagnosis and return its name. Raises Busy, ConfigError."""
        config = _config(request, self._fixed)
        name, folder = self._new(request.slide)

        def work(scope: RunMicroscope, follower: Follower) -> Ended:
            folder.parent.mkdir(parents=True, exist_ok=True)
            return _diagnosed(diagnose(config, folder, on_step=follower, on_rig=scope))

        self._begin(name, request.search, work)
        return name

    def acquire(self, request: AcquisitionRequest) -> str:
        """Begin an acquisition and return its name. Raises Busy, InputError, LimitExceeded for what is not possible."""
        config = acquisition_of(request, self._rig, self._owner, model=str(self._fixed["model"]))
        planned_captures(config, self._rig)
        name, folder = self._new(request.slide)

        def work(scope: RunMicroscope, follower: Follower) -> Ended:
            folder.parent.mkdir(parents=True, exist_ok=True)
            return _acquired(folder, acquire(config, self._rig, folder, on_rig=scope, on_taken=follower.took))

        self._begin(name, "acquisition", work)
        return name

    def outline(self, name: str) -> RunOutline:
        """What a run would go on with. Raises FileMissing, Busy for the one that is on, ConfigError, RecordError."""
        folder, run = self.path(name), self._state.now.run
        if run.name == name and run.status in ON:
            raise Busy(f"The run '{name}' is on.", hint="end it first")
        return outline_of(folder, self._rig)

    def go_on(self, name: str) -> None:
        """Go on with a run that was ended or interrupted. Raises FileMissing, Busy, InputError."""
        outline, folder = self.outline(name), self.path(name)
        if _complete(folder):
            raise InputError(f"The run '{name}' is complete.", hint="there is nothing to go on with")
        here = name in self._taken_here

        def work(scope: RunMicroscope, follower: Follower) -> Ended:
            if not here:
                _charge(self._owner, folder)
            if outline.kind == "acquisition":
                return _acquired(folder, go_on_acquiring(folder, self._rig, on_rig=scope, on_taken=follower.took))
            named = str(self._fixed["rig"])
            return _diagnosed(resume(folder, rig=named, on_step=follower, on_rig=scope))

        self._begin(name, outline.kind, work, seen=outline)

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
            RunEntry(name=path.name, complete=_complete(path), reviewable=(path / "report.json").is_file())
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
        return self._state.change_if("run", lambda run: run.status in ("running", "paused"), status=status)

    def _new(self, slide: str) -> tuple[str, Path]:
        """Name and folder of a run that begins now."""
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}{_slug(slide)}"
        return name, self.folder / name

    def _begin(self, name: str, kind: str, work: Work, *, seen: RunOutline | None = None) -> None:
        if self._owner.scope.halted:
            raise Busy("The microscope is stopped: nothing begins.", hint="release the stop first")
        if self._state.now.calibration.status != "closed":
            raise Busy("The rig is being calibrated.", hint="leave the calibration first")
        follower = Follower(self._state, self.thumbs)
        scope = RunMicroscope(self._owner, follower.saw)

        def run() -> None:
            self._scope = scope
            self.thumbs.clear()
            self._taken_here.add(name)
            self._state.put("run", _begun(name, kind, seen))
            self._state.note(f"Run {name} ({kind}) begins.")
            self._finish(name, lambda: work(scope, follower))

        self._owner.show_live(False)
        future = self._owner.submit("Starting a run", run, run=True)
        future.add_done_callback(lambda done: done.exception() if not done.cancelled() else None)

    def _finish(self, name: str, work: Callable[[], Ended]) -> None:
        try:
            ended = work()
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
            self._state.change(
                "run",
                status="done",
                verdict=ended.verdict,
                said=Told(message=ended.reason),
                report=f"/api/runs/{name}/{REPORT}" if ended.report else "",
                reviewable=ended.reviewable,
            )
            self._state.note(f"Run {name}: {ended.verdict + '. ' if ended.verdict else ''}{ended.reason}")


def _begun(name: str, kind: str, seen: RunOutline | None) -> Run:
    """The state of a run as it begins, with what it recorded before it was interrupted."""
    if seen is None:
        return Run(name=name, kind=kind, status="running")
    fields = tuple((*place, "") for place in seen.seen)
    # what a diagnosis has taken it tells itself, when it has come to where it was
    done = (seen.recorded, seen.captures or 0) if kind == "acquisition" else (0, 0)
    return Run(name=name, kind=kind, status="running", taken=done[0], most=done[1], fields=fields)


def _diagnosed(result: DiagnoseResult) -> Ended:
    verdict = result.verdict
    return Ended(verdict.reason, verdict.outcome.value, report=True, reviewable=result.scan is not None)


def _acquired(folder: Path, told: Acquired) -> Ended:
    dimmed = f" {told.dimmed} were dimmed to the LED board's current limit." if told.dimmed else ""
    return Ended(f"{told.captures} captures are recorded in {folder / RECORD}.{dimmed}")


def _complete(folder: Path) -> bool:
    return (folder / REPORT).is_file() or (folder / SUMMARY).is_file()


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
    table["scan"]["decide"] = request.decide
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
