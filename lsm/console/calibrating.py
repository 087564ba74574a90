"""The guided calibration: the session of `lsm calibrate run`, one step at a time, on the owner's thread."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsm.calibrate.leds import LedSearch
from lsm.calibrate.pictures import evidence_png, told
from lsm.calibrate.report import keep_gap, kept_gap, predict_and_compare, told_gap
from lsm.calibrate.session import FILE, PAGE, Session, kept_evidence
from lsm.calibrate.slides import with_slide
from lsm.calibrate.steps import CELLS, STEPS, Slide
from lsm.calibration import Calibration
from lsm.console.owner import UNFORESEEN, Busy, Owner
from lsm.console.runs import RunMicroscope
from lsm.console.state import ON, CalibrationNow, CalibrationStep, Told
from lsm.devices import Frame, Microscope
from lsm.errors import CalibrationFailed, FileMissing, Halted, InputError, LimitExceeded, LsmError, RunStopped
from lsm.scope import RigConfig, connect

FILES = (FILE, PAGE)
REFUSED = (CalibrationFailed, InputError, LimitExceeded)
STAYS = "The file keeps what it had."
TWIN = CalibrationStep(name="twin", title="Twin against rig: patterns that no fit has seen", put=CELLS)
"""The last step is `lsm calibrate report`; it adds nothing to the calibration."""
TITLES = {step.name: step.title for step in (*STEPS, TWIN)}


class Calibrating:
    """Leads through the calibration of the owner's rig; the result is where the command puts it.

    rig: as the owner's microscope was connected; simulation: with what, where it is simulated. folder: of the result.
    seed: of a simulated rig's slides, and of the search for LEDs.

    A rig is calibrated as its file describes it, so one with a calibration is connected anew without it, and as it was
    when the operator leaves. A simulated one is connected anew for every step, since nobody else can change its slide.
    """

    def __init__(self, owner: Owner, rig: RigConfig, folder: Path, *, seed: int, simulation: dict[str, Any]) -> None:
        self._owner, self._state = owner, owner.state
        self._rig, self._plain = rig, rig.uncalibrated()
        self._seed, self._simulation = seed, simulation
        self._pictures: dict[str, bytes] = {}
        self._away = False
        self._scope: RunMicroscope | None = None
        self._search = LedSearch(seed=seed)
        self._session = Session(self._plain, folder, self._opened, leds=self._search, tell=self._progress)

    def open(self) -> Future[None]:
        """Begin, or go on with what the folder holds. Raises Busy, also during a run that is paused; the future
        ConfigError for one of another rig.
        """
        if self._state.now.run.status in ON:
            raise Busy("A run is on.", hint="let it come to its end, or end it, first")
        return self._owner.submit("Opening the calibration", self._open)

    def choose(self, name: str) -> None:
        """Look at a step. Raises Busy while one is measured, or where the calibration is not open."""
        self._refuse_unless_open()
        self._state.change("calibration", step=name)

    def measure(self, name: str) -> None:
        """Measure a step, also again; how it goes is told in the state. Raises Busy."""
        self._refuse_unless_open()
        self._owner.show_live(False)
        scope = self._scope = RunMicroscope(self._owner, self._saw)
        self._state.change("calibration", status="measuring", step=name, captures=0, done=0, of=0)
        try:
            future = self._owner.submit(f"Measuring '{TITLES[name]}'", lambda: self._measure(name), run=True)
        except Busy:
            self._closed(scope)
            raise
        future.add_done_callback(lambda done: done.exception() if not done.cancelled() else None)

    def cancel(self) -> None:
        """End the measurement before its next capture; nothing of it is kept."""
        scope = self._scope
        if scope is not None and self._state.now.calibration.status == "measuring":
            self._state.change("calibration", status="ending")
            scope.ending = True

    def leave(self) -> Future[None]:
        """Connect the rig as it was before. Raises Busy; the future Halted, or DeviceError, and may be asked again."""
        return self._owner.submit("Leaving the calibration", self._leave)

    def picture(self, name: str) -> bytes:
        """The evidence of a step, as PNG. Raises FileMissing."""
        if name not in self._pictures:
            raise FileMissing(f"There is no picture of the step '{name}'.", hint="open the calibration, and measure it")
        return self._pictures[name]

    def file(self, name: str) -> Path:
        """The result, or the page about it. Raises FileMissing."""
        path = self._session.folder / name
        if name not in FILES or not path.is_file():
            raise FileMissing(f"The calibration has no '{name[:50]}'.", hint=f"measured, it has {' and '.join(FILES)}")
        return path

    def _refuse_unless_open(self) -> None:
        status = self._state.now.calibration.status
        if status == "closed":
            raise Busy("The calibration is not open.", hint="open it first")
        if status != "open":
            raise Busy("A step is being measured.", hint="wait, or cancel it")

    def _open(self) -> None:
        now = self._state.now.calibration
        if now.status != "closed":
            return
        calibration = self._session.so_far()
        steps = tuple(
            self._filled(CalibrationStep(name=step.name, title=step.title, put=step.put), calibration)
            for step in (*STEPS, TWIN)
        )
        first = next((step.name for step in steps if step.status == "missing"), steps[0].name)
        self._state.put("calibration", CalibrationNow(status="open", step=first, steps=steps))
        self._tell_file(calibration)
        self._state.note(f"The calibration of rig '{self._rig.name}' is open.")

    def _leave(self) -> None:
        if self._state.now.calibration.status == "closed":
            return
        if self._away:
            self._owner.exchange(lambda: connect(self._rig, **self._simulation).microscope)
            self._away = False
        now = self._state.now.calibration
        self._state.put("calibration", CalibrationNow(file=now.file, file_digest=now.file_digest))
        self._state.note("The calibration was left.")

    def _measure(self, name: str) -> None:
        self._change(name, status="measuring", said=None)
        title, scope = TITLES[name], self._scope
        try:
            calibration = self._compared() if name == TWIN.name else self._session.run([name], again=True)
        except (RunStopped, Halted) as error:
            self._ended(name, "stopped", Told(message=error.message, hint=STAYS))
        except REFUSED as error:
            self._ended(name, "refused", Told(message=error.message, hint=error.hint))
            self._state.note(f"{title}: {error.message}", hint=error.hint, kind="warning")
        except LsmError as error:
            self._ended(name, "refused", Told(message=error.message, hint=error.hint))
            raise
        except UNFORESEEN as error:
            said = Told(message=f"{type(error).__name__}: {error}", hint="this is a fault of lsm")
            self._ended(name, "refused", said)
            raise
        else:
            step = next(each for each in self._state.now.calibration.steps if each.name == name)
            self._put(self._filled(step, calibration))
            self._forget_old_gap(calibration)
            self._tell_file(calibration)
            self._state.note(f"{title}: measured.")
        finally:
            self._closed(scope)

    def _compared(self) -> Calibration:
        """The calibration, when its twin has predicted patterns and the rig has shown them."""
        found = self._session.so_far()
        rig = self._plain.calibrated(self._session.path) if self._session.path.is_file() else self._plain
        with self._opened("cells") as microscope:
            gap = predict_and_compare(microscope, rig, found, self._search, tell=self._progress)
        keep_gap(self._session.folder, found, gap)
        return found

    def _forget_old_gap(self, calibration: Calibration) -> None:
        """What the twin of an earlier calibration was off says nothing of this one."""
        now = next(each for each in self._state.now.calibration.steps if each.name == TWIN.name)
        if now.status == "measured" and kept_gap(self._session.folder, calibration) is None:
            self._put(TWIN)

    @contextmanager
    def _opened(self, slide: Slide) -> Iterator[Microscope]:
        """The owner's microscope with that slide on its stage; see lsm.calibrate.session.Open."""
        if self._rig.simulator is not None or (self._plain != self._rig and not self._away):
            self._away = True
            given = self._simulation | with_slide(self._plain, slide, self._seed)
            self._owner.exchange(lambda: connect(self._plain, **given).microscope)
        if self._scope is None:
            raise Busy("Nothing is being measured.")
        yield self._scope

    def _filled(self, step: CalibrationStep, calibration: Calibration) -> CalibrationStep:
        """The step with what the file says of it, and its picture."""
        if step.name == TWIN.name:
            return self._with_gap(step, calibration)
        facts = getattr(calibration, step.name)
        if facts is None:
            return step
        evidence = kept_evidence(self._session.folder, step.name)
        if evidence is not None:
            self._pictures[step.name] = evidence_png(step.name, evidence, dark=True)
        own = f"{step.name}: "
        return step.model_copy(
            update={
                "status": "measured",
                "values": tuple(told(facts)),
                "findings": tuple(line.removeprefix(own) for line in calibration.findings if line.startswith(own)),
                "said": None,
                "picture": step.picture + (evidence is not None),
            }
        )

    def _with_gap(self, step: CalibrationStep, calibration: Calibration) -> CalibrationStep:
        gap = kept_gap(self._session.folder, calibration)
        if gap is None:
            return step
        seen = {name: [getattr(each, name) for each in gap.patterns] for name in ("rms", "with_noise", "mean_e")}
        self._pictures[step.name] = evidence_png(step.name, seen, dark=True)
        told_now = {"status": "measured", "values": tuple(told_gap(gap)), "said": None, "picture": step.picture + 1}
        return step.model_copy(update=told_now)

    def _tell_file(self, calibration: Calibration) -> None:
        written = self._session.path.is_file()
        digest = calibration.digest() if written else ""
        self._state.change("calibration", file=str(self._session.path), file_digest=digest)

    def _closed(self, scope: RunMicroscope | None) -> None:
        """Nothing more is taken for a measurement that has ended."""
        if scope is not None:
            scope.ending = True
        self._state.change("calibration", status="open")

    def _ended(self, name: str, status: str, said: Told) -> None:
        self._change(name, status=status, said=said)

    def _change(self, name: str, **values: Any) -> None:
        step = next(each for each in self._state.now.calibration.steps if each.name == name)
        self._put(step.model_copy(update=values))

    def _put(self, step: CalibrationStep) -> None:
        steps = self._state.now.calibration.steps
        self._state.change("calibration", steps=tuple(step if each.name == step.name else each for each in steps))

    def _saw(self, frame: Frame) -> None:
        self._state.change("calibration", captures=self._state.now.calibration.captures + 1)

    def _progress(self, done: int, of: int) -> None:
        self._state.change("calibration", done=done, of=of)
