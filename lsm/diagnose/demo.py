"""A small simulated slide, diagnosed twice as `lsm diagnose` does: in bright field alone, and in learned light."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from lsm.agent.pipeline import design_of
from lsm.config import Config
from lsm.diagnose.compare import ComparisonRow
from lsm.diagnose.scan import RegionConfig, ScanConfig
from lsm.diagnose.scan.config import Count, Light
from lsm.diagnose.score import score_run
from lsm.diagnose.slide import Beside, DiagnoseConfig, DiagnoseResult, diagnose
from lsm.diagnose.verdict import VerdictRules
from lsm.errors import InputError
from lsm.samples import CellCrops, CellImageSmear, CellTable, ProceduralSmear, Smear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.sensing.slides import split_crops

BRIGHT, LEARNED, BOARD = "bright-field", "learned-light", "board"
"""Folders of a demonstration: both scans, and the LED board's own log of what it lit."""

OnStep = Callable[[str, int, int, dict[str, Any]], None]
"""Called after every field: light of the scan, fields so far, fields at most, what is known."""


class DemoConfig(Config):
    """What `lsm demo` shows.

    parasitaemia: expected infected fraction of the slide's red cells; the slide is else like those of the design.
    rig: a rig file, or the name of one that is shipped; it must be simulated.
    model: folder or name of a model; empty takes the shipped one for the kind of slide.
    light: of the scan that stands beside the one in bright field; see ScanConfig.
    columns, rows: fields in the middle of the slide. decide: end as soon as the rule decides.
    """

    seed: Annotated[int, Ge(0)] = 1
    parasitaemia: Annotated[float, Gt(0), Lt(1)] = 0.05
    rig: str = "simulated"
    model: str = ""
    light: Literal["learned", "agent"] = "learned"
    columns: Count = 4
    rows: Count = 3
    decide: bool = True
    verdict: VerdictRules = VerdictRules()

    def scan(self, light: Light, model: str, slide: str) -> DiagnoseConfig:
        """Of one of the two scans."""
        region = RegionConfig(columns=self.columns, rows=self.rows)
        return DiagnoseConfig(
            rig=self.rig,
            model=model,
            slide=slide,
            search="scan",
            seed=self.seed,
            verdict=self.verdict,
            scan=ScanConfig(light=light, region=region, decide=self.decide),
        )


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demonstration leaves behind; rows hold the scores against the slide's truth, bright field first.

    bright: the scan in bright field alone. learned: the other, whose page compares them.
    """

    bright: DiagnoseResult
    learned: DiagnoseResult
    rows: tuple[ComparisonRow, ...]
    board: Path
    seconds: float


def run_demo(
    config: DemoConfig, folder: Path, *, cells: Path | None = None, on_step: OnStep = lambda *_: None
) -> DemoResult:
    """Scan one slide twice on the simulated rig; each scan leaves in its folder what `lsm diagnose` does.

    cells: file or folder of real cell images; the slide is made of those of patients that the model never saw.
    Raises InputError where `folder` already holds something, FileMissing, WrongFormat, ToolMissing, DeviceError.
    """
    started = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty.", hint="name another with --out; nothing was changed")
    model = config.model or ("nih" if cells else "procedural")
    rig = RigConfig.from_file(find_rig(config.rig))
    smear, made_of = _slide(config, Bundle.named(model), cells), cells.name if cells else "procedural"
    truth, name = smear.truth(), f"simulated smear, seed {config.seed}"
    (folder / BOARD).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_tidy, folder)
        microscope = stack.enter_context(connect(rig, sample=smear, seed=config.seed, board_folder=folder / BOARD))

        def scan(light: Light, place: str, beside: Beside | None = None) -> DiagnoseResult:
            return diagnose(
                config.scan(light, model, name),
                folder / place,
                on_step=lambda done, most, known: on_step(light, done, most, known),
                on_rig=microscope,
                made_of=made_of,
                beside=beside,
            )

        bright = scan("bright field", BRIGHT)
        learned = scan(config.light, LEARNED, lambda found: (_row(bright, truth), _row(found, truth)))
    rows = (_row(bright, truth), _row(learned, truth))
    return DemoResult(bright, learned, rows, folder / BOARD, time.monotonic() - started)


def _row(result: DiagnoseResult, truth: CellTable) -> ComparisonRow:
    score = score_run(result.run, truth, cells=result.cells)
    verdict = result.verdict
    return ComparisonRow.of(result.run, score, verdict=verdict.outcome.value, reason=verdict.reason)


def _tidy(folder: Path) -> None:
    """Leave nothing behind where the microscope could not even be connected."""
    if not (folder / BRIGHT).exists():
        shutil.rmtree(folder)


def _slide(config: DemoConfig, bundle: Bundle, cells: Path | None) -> Smear:
    design = design_of(bundle)
    smear = design.smear.model_copy(update={"parasitaemia": config.parasitaemia})
    if cells is None:
        return ProceduralSmear(smear, config.seed)
    return CellImageSmear(split_crops(CellCrops.from_path(cells), design, "test"), smear, config.seed)
