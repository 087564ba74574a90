"""The whole loop on one simulated slide: the agent against a fixed bright-field scan, recorded, scored, reported."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from lsm.agent import SlideRun, run_slide
from lsm.agent.pipeline import design_of
from lsm.config import Config
from lsm.devices import Frame, Microscope
from lsm.diagnose.compare import ComparisonRow
from lsm.diagnose.provenance import report_provenance, run_header, run_summary
from lsm.diagnose.report import ReportContent, write_report
from lsm.diagnose.score import score_run
from lsm.diagnose.verdict import Verdict, VerdictRules, judge
from lsm.diagnose.ways import Way, search_of
from lsm.errors import InputError
from lsm.record import Recorder, open_record
from lsm.samples import CellCrops, CellImageSmear, ProceduralSmear, Smear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.sensing.slides import split_crops

OnStep = Callable[[str, int, int, dict[str, Any]], None]
"""Called after every capture: policy, captures so far, captures at most, the decision."""


class DemoConfig(Config):
    """What `lsm demo` shows.

    parasitaemia: expected infected fraction of the slide's red cells; the slide is else like those of the design.
    rig: a rig file, or the name of one that is shipped; it must be simulated.
    model: folder or name of a model; empty takes the shipped one for the kind of slide.
    captures: budget of the agent; None takes what its policy was trained for.
    """

    seed: Annotated[int, Ge(0)] = 1
    parasitaemia: Annotated[float, Gt(0), Lt(1)] = 0.05
    rig: str = "simulated"
    model: str = ""
    captures: Annotated[int, Ge(1)] | None = None
    verdict: VerdictRules = VerdictRules()


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demonstration leaves behind; rows hold the scores against the slide's truth, the agent first."""

    run: SlideRun
    verdict: Verdict
    rows: tuple[ComparisonRow, ComparisonRow]
    report: Path
    record: Path
    seconds: float


def run_demo(
    config: DemoConfig, folder: Path, *, cells: Path | None = None, on_step: OnStep = lambda *_: None
) -> DemoResult:
    """Search one slide twice on the simulated rig and write record.h5, report.html and the board's log.

    cells: file or folder of real cell images; the slide is made of those of patients that the model never saw.
    Raises InputError where `folder` already holds something, FileMissing, WrongFormat, ToolMissing, DeviceError.
    """
    started = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty.", hint="name another with --out; nothing was changed")
    bundle = Bundle.named(config.model or ("nih" if cells else "procedural"))
    rig = RigConfig.from_file(find_rig(config.rig))
    smear = _slide(config, bundle, cells)
    search = search_of(bundle, config.captures)
    agent = Way.of_agent(bundle, rig, search)
    drawn_from = cells.name if cells else "procedural"
    header = run_header("lsm demo", config, rig, bundle, seed=config.seed, cells=drawn_from)
    record, board_folder = folder / "record.h5", folder / "board"
    board_folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_tidy, folder, record)
        microscope = stack.enter_context(connect(rig, sample=smear, seed=config.seed, board_folder=board_folder))
        recorder = stack.enter_context(Recorder(record, header))
        run = _run(microscope, agent, recorder, "agent", on_step)
        baseline = Way.of_bright_field(bundle, rig, search, run.captures)
        other = _run(microscope, baseline, recorder, "baseline", on_step)
        recorder.finish({"agent": run_summary(run), "baseline": run_summary(other)})
    verdict = judge(run, config.verdict, calibration=agent.plan.calibration)
    truth = smear.truth()
    rows = (ComparisonRow.of(run, score_run(run, truth)), ComparisonRow.of(other, score_run(other, truth)))
    report = _report(folder, config, rig, bundle, agent, run, other, verdict, rows)
    return DemoResult(run, verdict, rows, report, record, time.monotonic() - started)


def _tidy(folder: Path, record: Path) -> None:
    """Leave nothing behind where the microscope could not even be connected."""
    if not record.exists():
        shutil.rmtree(folder)


def _slide(config: DemoConfig, bundle: Bundle, cells: Path | None) -> Smear:
    design = design_of(bundle)
    smear = design.smear.model_copy(update={"parasitaemia": config.parasitaemia})
    if cells is None:
        return ProceduralSmear(smear, config.seed)
    return CellImageSmear(split_crops(CellCrops.from_path(cells), design, "test"), smear, config.seed)


def _run(microscope: Microscope, way: Way, recorder: Recorder, label: str, on_step: OnStep) -> SlideRun:
    most = way.plan.rules.capture_budget
    taken = 0

    def keep(frame: Frame, decision: dict[str, Any]) -> None:
        nonlocal taken
        recorder.add(frame, decision | {"run": label})
        taken += 1
        on_step(way.policy.name, taken, most, decision)

    return run_slide(microscope, way.policy, way.plan, on_capture=keep)


def _report(
    folder: Path,
    config: DemoConfig,
    rig: RigConfig,
    bundle: Bundle,
    agent: Way,
    run: SlideRun,
    other: SlideRun,
    verdict: Verdict,
    rows: tuple[ComparisonRow, ComparisonRow],
) -> Path:
    with open_record(folder / "record.h5") as recording:
        content = ReportContent(
            slide=f"simulated smear, seed {config.seed}",
            run=run,
            verdict=verdict,
            frames=recording.frame,
            board=rig.led.board.build(),
            patterns=agent.plan.codebook.patterns,
            exposures_ms=agent.plan.codebook.exposures_ms,
            na=rig.objective.na,
            comparison=rows,
            other=other,
            provenance=report_provenance(rig, bundle, recording.header),
        )
        return write_report(folder / "report.html", content)
