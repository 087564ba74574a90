"""One slide on one rig: searched, recorded frame by frame, judged and reported; and an interrupted run resumed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from lsm.agent import Codebook, ScanGrid, SlideRun, run_slide
from lsm.config import Config
from lsm.devices import Frame, Microscope, Observe
from lsm.diagnose.compare import ComparisonRow
from lsm.diagnose.provenance import report_provenance, run_header, run_summary
from lsm.diagnose.report import ReportContent, write_report
from lsm.diagnose.scan import CellFile, Progress, ScanConfig, ScanKit, ScanResult, scan_slide
from lsm.diagnose.scan.kit import scan_kit
from lsm.diagnose.scan.verdict import judge_scan
from lsm.diagnose.scan_report import Illustrated, ScanReport, scan_report, write_reports
from lsm.diagnose.scan_report.facts import VerdictFacts
from lsm.diagnose.scan_report.review import Answers, Review, apply_answers
from lsm.diagnose.verdict import Verdict, VerdictRules, judge
from lsm.diagnose.ways import Way, search_of
from lsm.errors import ConfigError, InputError, ModelMismatch, RecordError
from lsm.illum import LedBoard
from lsm.record import ContinuedMicroscope, Recorder, Recording, open_record, unborn
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.stats import density_per_ul
from lsm.stats.reviewed import OperatorAccuracy

MADE_BY = "lsm diagnose"
RECORD, REPORT, CELLS = "record.h5", "report.html", "cells.bin"
COMPUTED, ON_STAGE = "computed", "on the stage"
RESUMED = "resumed"
"""Key in the decision of the first frame after an interruption."""

OnStep = Callable[[int, int, dict[str, Any]], None]
"""Called after every capture of a search, also a recorded one: captures so far, captures at most, the decision. After
every field of a scan: fields so far, fields at most, what is known."""


class DiagnoseConfig(Config):
    """What `lsm diagnose` does.

    rig: a rig file, or the name of one that is shipped. model: folder or name of a model.
    slide: its name, in record and report.
    search: "agent" is the model's policy, "bright field" the serpentine that it has to beat, both over the region that
    the policy was trained for; "scan" goes over the whole slide as `scan` says.
    captures: budget of a search; None takes what the policy was trained for.
    corner_um: stage position of a search's corner at smallest x and y; None takes the model's own.
    z_um: focus of every capture; None leaves it where it is.
    seed: of a simulated rig's slide, stage and noise; a real rig has none.
    """

    rig: str = "simulated"
    model: str = "procedural"
    slide: str = ""
    search: Literal["agent", "bright field", "scan"] = "agent"
    captures: Annotated[int, Ge(1)] | None = None
    corner_um: tuple[float, float] | None = None
    z_um: float | None = None
    seed: Annotated[int, Ge(0)] = 1
    verdict: VerdictRules = VerdictRules()
    scan: ScanConfig = ScanConfig()


@dataclass(frozen=True, eq=False)
class DiagnoseResult:
    """What a run leaves behind. resumed_after: recorded frames that the run went on from; 0 of one in one go.

    scan, cells: of a scan, and the file of all its cells. slide: its name.
    """

    run: SlideRun
    verdict: Verdict
    report: Path
    record: Path
    resumed_after: int = 0
    scan: ScanResult | None = None
    cells: Path | None = None
    slide: str = ""


Beside = Callable[[DiagnoseResult], tuple[ComparisonRow, ...]]
"""Called with a scan that has ended, before its page is written: the ways of looking that the page compares."""


@dataclass(frozen=True)
class ReviewResult:
    """The verdict of the scan, the one with the answers, and the page that shows both."""

    before: VerdictFacts
    after: VerdictFacts
    report: Path


@dataclass(frozen=True, eq=False)
class _Found:
    run: SlideRun
    verdict: Verdict
    scan: ScanResult | None = None


@dataclass(frozen=True, eq=False)
class _Job:
    config: DiagnoseConfig
    rig: RigConfig
    bundle: Bundle
    way: Way | ScanKit
    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / RECORD

    @property
    def codebook(self) -> Codebook:
        return self.way.codebook if isinstance(self.way, ScanKit) else self.way.plan.codebook


def diagnose(
    config: DiagnoseConfig,
    folder: Path,
    *,
    on_step: OnStep = lambda *_: None,
    on_rig: Microscope | None = None,
    made_of: str = "",
    beside: Beside | None = None,
    **simulation: Any,
) -> DiagnoseResult:
    """Search the slide that is on the rig and write record.h5 and report.html into `folder`.

    Every frame is on the disk before the next decision is taken. on_rig: the microscope of that rig, where it is
    connected already; it stays so. made_of: what the slide is made of, where the caller made it and put it under
    on_rig; nobody else can then go on with the run. simulation: passed to a simulated rig that is not connected
    (sample, ...).
    Raises InputError where `folder` already holds something, ModelMismatch for a rig unlike the model's,
    LimitExceeded, DeviceError, RecordError; what was recorded before stays and can be resumed. What a run left that
    was killed before its recording began is no obstacle.
    """
    refuse_used(folder)
    job = _job(config, folder)
    with _connected(job, on_rig, simulation) as microscope:
        folder.mkdir(parents=True, exist_ok=True)
        with Recorder(job.record, _header(job, made_of)) as recorder:
            found = _look(microscope, job, recorder.add, on_step)
            recorder.finish({"run": run_summary(found.run)})
    return _report(job, found, beside=beside)


def resume(
    folder: Path,
    *,
    rig: str | None = None,
    on_step: OnStep = lambda *_: None,
    on_rig: Microscope | None = None,
    **simulation: Any,
) -> DiagnoseResult:
    """Go on with the interrupted run in `folder`, from its last durable frame, to the end.

    The recorded frames are read, not taken again, and lead to the decisions that they led to before; the light
    that they cost counts. rig: where the rig file is now; None takes the place it had.
    on_rig: as in diagnose; whoever connected it charges it for recorded frames of another connection.
    Of a run that recorded all but lacks its report, the report is made without any light.
    Raises InputError for a run that is complete or still being written, ConfigError or ModelMismatch for another rig
    or model than recorded, RecordError where a decision is not the recorded one, and what diagnose raises.
    """
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no recording to go on with.", hint="start a new run in a new folder")
    with open_record(folder / RECORD) as recording:
        if recording.growing:
            raise InputError(
                f"The run in {folder} is still being written.", hint="wait until that program has ended, or end it"
            )
        job = _recorded_job(folder, recording, rig)
        frames = recording.n_frames
        if recording.complete:
            return _report(job, _look_again(job, recording), resumed_after=frames)
        if on_rig is None:
            _refuse_lost_slide(recording)
        # a simulated microscope was switched off with the run and must come to where a real one still is
        past: dict[str, Any] = {"history": recording.exposures()} if _is_computed(job.rig) else {}
        with _connected(job, on_rig, simulation | past) as microscope:
            if isinstance(microscope, Interlock):
                for frame in recording.frames():
                    microscope.charge(frame)
            found = _go_on(microscope, job, recording, on_step)
    return _report(job, found, resumed_after=frames)


def refuse_used(folder: Path) -> None:
    """Raise InputError where a run may not begin: the folder holds more than what a killed beginning left."""
    if folder.exists() and set(folder.iterdir()) - set(unborn(folder / RECORD)):
        raise InputError(
            f"The folder {folder} is not empty.", hint="name another with --out, or go on with its run by --resume"
        )


@contextmanager
def _connected(job: _Job, on_rig: Microscope | None, simulation: dict[str, Any]) -> Iterator[Microscope]:
    """The one given, or the rig's own, which is closed afterwards."""
    if on_rig is not None:
        yield on_rig
        return
    with connect(job.rig, **_simulated(job, simulation)) as microscope:
        yield microscope


def _go_on(microscope: Microscope, job: _Job, recording: Recording, on_step: OnStep) -> _Found:
    with ExitStack() as stack:
        append: list[Recorder] = []

        def begin() -> None:
            recording.close()
            append.append(stack.enter_context(Recorder.resume(job.record)))

        frames, seen = recording.n_frames, 0

        def keep(frame: Frame, decision: dict[str, Any]) -> None:
            nonlocal seen
            if seen < frames:
                _refuse_other_decision(decision, recording.decision(seen))
            else:
                append[0].add(frame, decision | ({RESUMED: True} if seen == frames else {}))
            seen += 1

        continued = ContinuedMicroscope(microscope, recording.frames(), on_end=begin)
        found = _look(continued, job, keep, on_step)
        if not append:
            begin()
        append[0].finish({"run": run_summary(found.run)})
        return found


def _look_again(job: _Job, recording: Recording) -> _Found:
    """What the recorded run found, from its frames alone."""
    relived = ContinuedMicroscope(_NoMicroscope(job.rig.led.board.build()), recording.frames())
    held = recording.decisions()

    def keep(frame: Frame, decision: dict[str, Any]) -> None:
        _refuse_other_decision(decision, next(held))

    return _look(relived, job, keep, lambda *_: None)


@dataclass(frozen=True)
class _NoMicroscope:
    """Stands behind a recording that holds all that will be asked for."""

    board: LedBoard

    def observe(self, request: Observe) -> Frame:
        raise RecordError(
            "The run comes to captures that its complete recording does not hold.",
            hint="use the program that made the recording",
        )

    def close(self) -> None:
        """Nothing to release."""


def _job(config: DiagnoseConfig, folder: Path) -> _Job:
    bundle = Bundle.named(config.model)
    rig = RigConfig.from_file(find_rig(config.rig))
    if config.search == "scan":
        return _Job(config, rig, bundle, scan_kit(bundle, rig, config.scan, config.verdict, z_um=config.z_um), folder)
    search = search_of(bundle, config.captures)
    if config.corner_um is not None:
        grid = ScanGrid(**search.grid.model_dump() | {"corner_um": config.corner_um})
        search = search.model_copy(update={"grid": grid})
    if config.search == "agent":
        way = Way.of_agent(bundle, rig, search, z_um=config.z_um)
    else:
        way = Way.of_bright_field(bundle, rig, search, search.capture_budget, z_um=config.z_um)
    return _Job(config, rig, bundle, way, folder)


def _recorded_job(folder: Path, recording: Recording, rig: str | None, *, again: bool = False) -> _Job:
    """What the recorded run was begun with. again: also of a run that is complete."""
    header = recording.header
    if header.get("made_by") != MADE_BY:
        raise InputError(f"{recording.path} is not a recording of 'lsm diagnose'.", hint="only its runs can be resumed")
    if recording.complete and (folder / REPORT).exists() and not again:
        raise InputError(f"The run in {folder} is complete.", hint="there is nothing to resume")
    config = DiagnoseConfig.from_table(header["config"], source=f"the header of {recording.path}")
    job = _job(config if rig is None else config.model_copy(update={"rig": rig}), folder)
    if job.rig.digest() != header["rig_digest"]:
        raise ConfigError(
            f"Rig '{job.rig.name}' is not as it was when {recording.path} was begun.",
            hint="resume with the unchanged rig file, or start a new run",
        )
    if job.bundle.card.weights_digest != header["model_digest"]:
        raise ModelMismatch(
            f"Model '{job.bundle.card.name}' is not the one that {recording.path} was begun with.",
            hint="resume with the unchanged model, or start a new run",
        )
    return job


def _refuse_lost_slide(recording: Recording) -> None:
    """Raise InputError for a slide that the program made which began the run."""
    if recording.header["cells"] not in (COMPUTED, ON_STAGE):
        raise InputError(
            f"The slide of {recording.path}, made of {recording.header['cells']}, went with the program that began it.",
            hint="start a new run",
        )


def _refuse_other_decision(decision: dict[str, Any], held: dict[str, Any]) -> None:
    for key in ("action", "field"):
        if decision[key] != held.get(key):
            raise RecordError(
                f"A frame was recorded with the {key} {held.get(key)}, the resumed run comes to {decision[key]}.",
                hint="resume with the program that began the recording",
            )


def _look(microscope: Microscope, job: _Job, keep: Callable[[Frame, dict[str, Any]], Any], on_step: OnStep) -> _Found:
    if isinstance(job.way, ScanKit):
        return _scan(microscope, job, job.way, keep, on_step)
    plan, taken = job.way.plan, 0

    def on_capture(frame: Frame, decision: dict[str, Any]) -> None:
        nonlocal taken
        keep(frame, decision)
        taken += 1
        on_step(taken, plan.rules.capture_budget, decision)

    run = run_slide(microscope, job.way.policy, plan, on_capture=on_capture)
    return _Found(run, judge(run, job.config.verdict, calibration=plan.calibration))


def _scan(
    microscope: Microscope, job: _Job, kit: ScanKit, keep: Callable[[Frame, dict[str, Any]], Any], on_step: OnStep
) -> _Found:
    def on_field(progress: Progress) -> None:
        estimate, per = progress.said.estimate, job.config.verdict.red_cells_per_ul
        densities = {
            "per_ul": density_per_ul(estimate.prevalence, red_cells_per_ul=per),
            "per_ul_low": density_per_ul(estimate.low, red_cells_per_ul=per),
            "per_ul_high": density_per_ul(estimate.high, red_cells_per_ul=per),
        }
        on_step(progress.fields, progress.planned, progress.plain() | densities)

    with CellFile(job.folder / CELLS) as cells:
        result = scan_slide(microscope, kit, on_capture=keep, on_field=on_field, cells=cells)
    return _Found(result.run, judge_scan(result, job.config.verdict, kit.rule), result)


def _header(job: _Job, made_of: str) -> dict[str, Any]:
    cells = made_of or (COMPUTED if _is_computed(job.rig) else ON_STAGE)
    return run_header(MADE_BY, job.config, job.rig, job.bundle, seed=job.config.seed, cells=cells)


def _simulated(job: _Job, simulation: dict[str, Any]) -> dict[str, Any]:
    """A simulated rig grows its slide from the seed; a rig with hardware takes no such thing."""
    return {"seed": job.config.seed} | simulation if job.rig.simulator is not None else simulation


def _report(job: _Job, found: _Found, *, resumed_after: int = 0, beside: Beside | None = None) -> DiagnoseResult:
    result = DiagnoseResult(
        found.run,
        found.verdict,
        job.folder / REPORT,
        job.record,
        resumed_after,
        found.scan,
        None if found.scan is None else job.folder / CELLS,
        _slide_name(job),
    )
    if found.scan is not None and isinstance(job.way, ScanKit):
        _report_scan(job, job.way, found.scan, found.verdict, () if beside is None else beside(result))
        return result
    with open_record(job.record) as recording:
        content = ReportContent(
            slide=_slide_name(job),
            run=found.run,
            verdict=found.verdict,
            frames=recording.frame,
            board=job.rig.led.board.build(),
            patterns=job.codebook.patterns,
            exposures_ms=job.codebook.exposures_ms,
            na=job.rig.objective.na,
            provenance=report_provenance(job.rig, job.bundle, recording.header),
        )
        write_report(result.report, content)
    return result


def _report_scan(
    job: _Job, kit: ScanKit, result: ScanResult, verdict: Verdict, beside: tuple[ComparisonRow, ...]
) -> None:
    """report.json, report.pdf and report.html; the last one last, since a folder with it is complete."""
    with open_record(job.record) as recording:
        report = scan_report(
            result,
            verdict,
            kit,
            job.config.verdict,
            recording.frame,
            slide=_slide_name(job),
            provenance=report_provenance(job.rig, job.bundle, recording.header),
        )
        content = Illustrated(report, recording.frame, job.rig.led.board.build(), kit.codebook.patterns, beside)
        write_reports(job.folder, content)


def _slide_name(job: _Job) -> str:
    if job.config.slide:
        return job.config.slide
    if _is_computed(job.rig):
        return f"simulated smear, seed {job.config.seed}"
    return f"slide on rig '{job.rig.name}'"


def _is_computed(rig: RigConfig) -> bool:
    """Whether sample and stage are computed, not only the LED board."""
    return rig.simulator is not None and rig.cfg is None


def review(folder: Path, answers: Path, operator: OperatorAccuracy, *, rig: str | None = None) -> ReviewResult:
    """Apply an operator's answers to the scan in `folder`, and write review.json, review.pdf and review.html beside it.

    The scan's own files stay as they are; an earlier review is replaced. rig: where the rig file is now.
    Raises FileMissing, WrongFormat, InputError for answers that do not fit, ConfigError or ModelMismatch for another
    rig or model than recorded.
    """
    given = Answers.read(answers)
    with open_record(folder / RECORD) as recording:
        scanned = scan_to_review(folder, recording, rig=rig)
        found = scanned.with_answers(given, operator)
        content = scanned.content
        page = write_reports(folder, replace(content, report=found.after), name="review")
    return ReviewResult(found.before.verdict, found.after.verdict, page)


@dataclass(frozen=True, eq=False)
class ReviewedScan:
    """A scan that has ended, with what its answers are counted by. content: its report and pictures."""

    content: Illustrated
    rules: VerdictRules
    kit: ScanKit

    def with_answers(self, given: Answers, operator: OperatorAccuracy) -> Review:
        """The report before and after. Raises InputError for answers that do not fit."""
        return apply_answers(self.content.report, given, self.rules, self.kit.rule, self.kit.calibration, operator)


def scan_to_review(folder: Path, recording: Recording, *, rig: str | None = None) -> ReviewedScan:
    """The scan in `folder`, whose recording is open. Raises as review does."""
    report = ScanReport.read(folder / "report.json")
    job = _recorded_job(folder, recording, rig, again=True)
    if not isinstance(job.way, ScanKit):
        raise InputError(f"{folder} holds no scan.", hint="only scans have a queue to review")
    board, patterns = job.rig.led.board.build(), job.way.codebook.patterns
    return ReviewedScan(Illustrated(report, recording.frame, board, patterns), job.config.verdict, job.way)
