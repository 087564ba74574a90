"""What the console knows, as values: a page that is loaded at any time shows the same as one that was always there."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from lsm.config import Config
from lsm.console.bell import Bell

LOG_LINES = 60
Place = tuple[float, float]
Doing = Literal["idle", "live", "busy", "running", "paused", "stopped", "fault"]
RunStatus = Literal["none", "running", "paused", "ending", "done", "stopped", "failed"]
ON: tuple[RunStatus, ...] = ("running", "paused", "ending")
"""Of a run that has not come to its end."""


class Told(Config):
    """A message in plain words and what to do about it."""

    message: str
    hint: str = ""


class Machine(Config):
    """The microscope now.

    doing: "stopped" while nothing moves or shines until it is released; "fault" after a device failed.
    dose_led_ms: light given since the rig was connected, of limits.total_dose_led_ms.
    """

    doing: Doing = "idle"
    live: bool = False
    halted: bool = False
    fault: Told | None = None
    xy_um: Place | None = None
    z_um: float | None = None
    exposure_ms: float = 1.0
    dose_led_ms: float = 0.0
    window_adu: tuple[float, float] | None = None


class LightNow(Config):
    """The light of the next capture as asked for, and of the last one as the board read it back.

    asked, shown: LED and 8-bit level per colour, of lit LEDs only. choice: how often a light was asked for. colour,
    brightness: that it was asked for with; designed patterns bring their own colour.
    limited: the board dimmed it to its current limit.
    """

    name: str = "dark"
    asked: tuple[tuple[int, ...], ...] = ()
    choice: int = 0
    colour: str = "green"
    brightness: float = 1.0
    shown_name: str = ""
    shown: tuple[tuple[int, ...], ...] = ()
    limited: bool = False
    latch: int = 0


class Step(Config):
    """One capture of a run: where and under which light, what was believed after it, and why it was taken."""

    number: int
    xy_um: Place
    light: str
    exposure_ms: float
    prevalence: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


class Run(Config):
    """The run that is on, or the last one.

    settled: (captures or fields, prevalence, low, high) as they came. fields: x, y and the fault, "" for a good one.
    kind: "scan", "agent" or "bright field", which diagnose, or "acquisition". unit: what `taken` and `most` count.
    """

    name: str = ""
    kind: str = ""
    status: RunStatus = "none"
    taken: int = 0
    most: int = 0
    unit: Literal["captures", "fields"] = "captures"
    captures: int = 0
    cells: int = 0
    suspicious: int | None = None
    prevalence: float | None = None
    low: float | None = None
    high: float | None = None
    per_ul: tuple[float, float, float] | None = None
    settled: tuple[tuple[int, float, float, float], ...] = ()
    fields: tuple[tuple[float, float, str], ...] = ()
    steps: tuple[Step, ...] = ()
    verdict: str = ""
    said: Told | None = None
    report: str = ""
    reviewable: bool = False


class CalibrationStep(Config):
    """One step of the guided calibration.

    put: what has to be on the stage. values: what is in the file, with its uncertainty; names tell the unit.
    findings: what is not as the rig file says. said: why it was refused or stopped the last time.
    picture: counts the pictures of its evidence; 0 while there is none.
    """

    name: str
    title: str
    put: str
    status: Literal["missing", "measuring", "measured", "refused", "stopped"] = "missing"
    values: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()
    said: Told | None = None
    picture: int = 0


class CalibrationNow(Config):
    """The guided calibration. step: the one that is looked at or measured. done, of: progress within it, 0 of untold.

    file: where the result is kept from the first step on. file_digest: of what is in it, "" while there is none.
    """

    status: Literal["closed", "open", "measuring", "ending"] = "closed"
    step: str = ""
    steps: tuple[CalibrationStep, ...] = ()
    captures: int = 0
    done: int = 0
    of: int = 0
    file: str = ""
    file_digest: str = ""


class Control(Config):
    """Who steers; everybody else watches."""

    holder: str = ""
    watching: int = 0


class Line(Config):
    """One thing that happened. number: counts from 1, without gaps."""

    number: int
    at: str
    kind: Literal["note", "warning", "fault"]
    message: str
    hint: str = ""


class Log(Config):
    """The last things that happened."""

    lines: tuple[Line, ...] = ()


Section = Machine | LightNow | Run | CalibrationNow | Control | Log
SECTIONS: Mapping[str, type[Section]] = {
    "machine": Machine,
    "light": LightNow,
    "run": Run,
    "calibration": CalibrationNow,
    "control": Control,
    "log": Log,
}


class State(Config):
    """All sections at one moment."""

    machine: Machine
    light: LightNow
    run: Run
    calibration: CalibrationNow
    control: Control
    log: Log


class StateBoard:
    """The present value of every section, changed from any thread."""

    def __init__(self) -> None:
        self.bell = Bell()
        self._lock = threading.RLock()
        self._now: dict[str, Any] = {name: kind() for name, kind in SECTIONS.items()}
        self._versions = dict.fromkeys(SECTIONS, 1)

    def change(self, section: str, **values: Any) -> None:
        """Replace these values of a section and tell those who listen."""
        with self._lock:
            changed = self._now[section].model_copy(update=values)
            if changed == self._now[section]:
                return
            self._now[section] = changed
            self._versions[section] += 1
        self.bell.ring()

    def change_if(self, section: str, holds: Callable[[Any], bool], **values: Any) -> bool:
        """The same where that holds of the section as it is; returns whether it did."""
        with self._lock:
            if not holds(self._now[section]):
                return False
            self.change(section, **values)
        return True

    def put(self, section: str, value: Section) -> None:
        """Replace a whole section."""
        with self._lock:
            self._now[section] = value
            self._versions[section] += 1
        self.bell.ring()

    def note(self, message: str, *, hint: str = "", kind: Literal["note", "warning", "fault"] = "note") -> None:
        """Add a line to the log."""
        with self._lock:
            lines = self._now["log"].lines
            number = lines[-1].number + 1 if lines else 1
            at = datetime.now(UTC).isoformat(timespec="seconds")
            line = Line(number=number, at=at, kind=kind, message=message, hint=hint)
            self.put("log", Log(lines=(*lines[1 - LOG_LINES :], line)))

    @property
    def now(self) -> State:
        with self._lock:
            return State(**self._now)

    def since(self, known: dict[str, int]) -> dict[str, Any]:
        """Sections that are newer than `known`, as plain values; `known` is brought up to date."""
        with self._lock:
            news = {name: self._now[name] for name, version in self._versions.items() if version != known.get(name)}
            known.update(self._versions)
        return {name: value.model_dump(mode="json") for name, value in news.items()}
