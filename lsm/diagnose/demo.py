"""The whole loop on one simulated slide: the agent against a fixed bright-field scan, recorded, scored, reported."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from lsm.agent import (
    Codebook,
    FixedScan,
    Policy,
    SearchConfig,
    SearchPlan,
    SlideRun,
    TrainedPolicy,
    run_slide,
)
from lsm.agent.pipeline import design_of, search_config_of
from lsm.config import Config
from lsm.devices import Frame, Microscope
from lsm.diagnose.compare import ComparisonRow
from lsm.diagnose.report import ReportContent, write_report
from lsm.diagnose.score import score_run
from lsm.diagnose.verdict import Verdict, VerdictRules, judge
from lsm.errors import InputError
from lsm.record import Recorder, open_record
from lsm.samples import CellCrops, CellImageSmear, ProceduralSmear, Smear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.sensing.slides import split_crops
from lsm.stats import ScoreCalibration
from lsm.vision import FieldReader

BASELINE = "fixed scan, bright field"

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


@dataclass(frozen=True, eq=False)
class _Way:
    """One way to search the slide."""

    policy: Policy
    plan: SearchPlan


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
    search = _search_config(config, bundle)
    agent = _agent(bundle, rig, search)
    record, board_folder = folder / "record.h5", folder / "board"
    board_folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_tidy, folder, record)
        microscope = stack.enter_context(connect(rig, sample=smear, seed=config.seed, board_folder=board_folder))
        recorder = stack.enter_context(Recorder(record, _header(config, rig, bundle, cells)))
        run = _run(microscope, agent, recorder, "agent", on_step)
        baseline = _baseline(bundle, rig, search, run.captures)
        other = _run(microscope, baseline, recorder, "baseline", on_step)
        recorder.finish({"agent": _summary(run), "baseline": _summary(other)})
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


def _search_config(config: DemoConfig, bundle: Bundle) -> SearchConfig:
    search = search_config_of(bundle)
    if config.captures is None:
        return search
    return search.model_copy(update={"capture_budget": config.captures, "action_budget": 3 * config.captures + 2})


def _agent(bundle: Bundle, rig: RigConfig, search: SearchConfig) -> _Way:
    codebook = Codebook.from_bundle(bundle, rig.led.board.build())
    rules = codebook.rules(search)
    calibration = ScoreCalibration.from_arrays(bundle.arrays("calibration"))
    plan = SearchPlan(FieldReader(bundle), codebook, rules, calibration, rig.camera_pixel_um)
    return _Way(TrainedPolicy.of(bundle.select("policy"), rules, name="agent"), plan)


def _baseline(bundle: Bundle, rig: RigConfig, search: SearchConfig, captures: int) -> _Way:
    """The serpentine in bright field with its own classifier, allowed as many captures as the agent took."""
    codebook = Codebook.from_bundle(bundle, rig.led.board.build()).first(1)
    budget = {"capture_budget": captures, "action_budget": 2 * captures + 1}
    rules = codebook.rules(search.model_copy(update=budget))
    calibration = ScoreCalibration.from_arrays(bundle.arrays("baseline_calibration"))
    reader = FieldReader(bundle, baseline=True)
    plan = SearchPlan(reader, codebook, rules, calibration, rig.camera_pixel_um)
    return _Way(FixedScan(rules, (0,), name=BASELINE), plan)


def _run(microscope: Microscope, way: _Way, recorder: Recorder, label: str, on_step: OnStep) -> SlideRun:
    most = way.plan.rules.capture_budget
    taken = 0

    def keep(frame: Frame, decision: dict[str, Any]) -> None:
        nonlocal taken
        recorder.add(frame, decision | {"run": label})
        taken += 1
        on_step(way.policy.name, taken, most, decision)

    return run_slide(microscope, way.policy, way.plan, on_capture=keep)


def _header(config: DemoConfig, rig: RigConfig, bundle: Bundle, cells: Path | None) -> dict[str, Any]:
    return {
        "made_by": "lsm demo",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest(),
        "rig": rig.name,
        "rig_digest": rig.digest(),
        "board_digest": bundle.card.board_digest,
        "model": bundle.card.name,
        "model_digest": bundle.card.weights_digest,
        "cells": cells.name if cells else "procedural",
    }


def _summary(run: SlideRun) -> dict[str, Any]:
    return {
        "policy": run.policy,
        "captures": run.captures,
        "fields": len(run.visits),
        "light_dose_led_ms": run.light_dose,
        "prevalence": run.estimate.prevalence,
        "interval": [run.estimate.low, run.estimate.high],
        "cells": run.estimate.cells,
    }


def _report(
    folder: Path,
    config: DemoConfig,
    rig: RigConfig,
    bundle: Bundle,
    agent: _Way,
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
            provenance=_provenance(config, rig, bundle, recording.header),
        )
        return write_report(folder / "report.html", content)


def _provenance(
    config: DemoConfig, rig: RigConfig, bundle: Bundle, header: dict[str, Any]
) -> dict[str, dict[str, str]]:
    card = bundle.card
    return {
        "Slide": {
            "Cells": str(header["cells"]),
            "Seed": str(config.seed),
            "Recorded": str(header["started"]),
            "Configuration": config.digest(),
        },
        "Rig": {
            "Name": rig.name,
            "Objective": f"{rig.objective.magnification:g}x / NA {rig.objective.na:.2f}",
            "Camera pixel at the sample": f"{rig.camera_pixel_um:g} um",
            "Digest": rig.digest(),
            "Simulated": "sample, optics, camera, stage; firmware, protocol and Micro-Manager core are real",
        },
        "Model": {
            "Name": card.name,
            "Trained on": card.data,
            "Commit": card.commit,
            "Seed": str(card.seed),
            "Configuration": card.config_digest,
            "Weights": card.weights_digest[:16],
        },
    }
