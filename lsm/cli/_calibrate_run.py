"""`lsm calibrate run` and `report`: the guided calibration, and how well a twin with it predicts the rig."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from lsm.calibrate.gap import FRAMES, Gap
from lsm.calibrate.leds import LedSearch
from lsm.calibrate.pictures import told
from lsm.calibrate.report import WITHHELD, keep_gap, predict_and_compare
from lsm.calibrate.session import DEFAULT_OUT, FILE, PAGE, Session
from lsm.calibrate.slides import opener
from lsm.calibrate.steps import NAMED, STEPS, Step
from lsm.calibration import Calibration
from lsm.cli import _show
from lsm.errors import InputError
from lsm.scope import RigConfig, find_rig

Rig = Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")]
Out = Annotated[Path | None, typer.Option(help=f"Folder of the result and its evidence; default {DEFAULT_OUT}/NAME.")]
Seed = Annotated[int, typer.Option(help="Of a simulated sample, of its noise, and of drawn patterns.")]
Window = Annotated[int, typer.Option(min=32, help="Side of the windows in which LEDs are fitted, camera pixels.")]


class RunsByDefault(TyperGroup):
    """`lsm calibrate RIG` is `lsm calibrate run RIG`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of that name, else `run` with that rig."""
        known = args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["run", *args])


def run(
    rig: Rig,
    steps: Annotated[str, typer.Option(help=f"Which, by comma: {','.join(NAMED)}.")] = ",".join(NAMED),
    out: Out = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask between steps; simulated rigs only.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure steps again that are done.")] = False,
    seed: Seed = 0,
    window_px: Window = 80,
    as_json: _show.AsJson = False,
) -> None:
    """Measure a rig step by step: camera, stage, focus, LEDs, empty field.

    Says before each step what to put on the stage. Stopped, it goes on
    with the steps that are missing. Name the file that comes out in the
    rig file: calibration = "FILE".

    Example: lsm calibrate run simulated --steps camera,stage --yes
    """
    config = RigConfig.from_file(find_rig(rig)).uncalibrated()
    if config.simulator is None and yes:
        raise InputError(f"Rig '{config.name}' is not simulated: nobody but you can change its slide.", hint="no --yes")
    if not yes and not sys.stdin.isatty():
        raise InputError("There is nobody to ask between the steps.", hint="run it in a terminal, or with --yes")
    folder = out or DEFAULT_OUT / config.name
    with _show.progress(quiet=as_json) as bars:
        task = bars.add_task("", total=None, loss="")

        def announce(step: Step) -> None:
            bars.update(task, description=step.title, completed=0, total=None)
            if not yes:
                bars.stop()
                typer.confirm(f"{step.title}. {step.put} Ready?", abort=True)
                bars.start()

        session = Session(
            config,
            folder,
            opener(config, seed),
            leds=LedSearch(window_px=window_px, seed=seed),
            announce=announce,
            tell=lambda done, of: bars.update(task, completed=done, total=of),
        )
        try:
            calibration = session.run([name.strip() for name in steps.split(",") if name.strip()], again=again)
        except KeyboardInterrupt:
            if session.path.is_file():
                kept = f"Steps that are done are in {session.path}; the same command goes on with the others."
                Console(stderr=True, markup=False).print(kept, soft_wrap=True, highlight=False)
            raise
    _tell(session, calibration, as_json=as_json)


def report(
    rig: Rig,
    out: Out = None,
    patterns: Annotated[int, typer.Option(min=2, help="Random patterns beside the four fixed ones.")] = WITHHELD,
    seed: Seed = 0,
    window_px: Window = 80,
    as_json: _show.AsJson = False,
) -> None:
    """Predict patterns with the calibrated twin, take them on the rig, and state the gap between both.

    The sample is recovered from one image per LED; the patterns are not
    among them. Cells in view and in focus. What comes out is kept beside
    the calibration, as twin.json.

    Example: lsm calibrate report simulated --patterns 4
    """
    described = RigConfig.from_file(find_rig(rig)).uncalibrated()
    folder = out or DEFAULT_OUT / described.name
    path = folder / FILE
    config, found = described.calibrated(path), Calibration.read(path)
    if missing := [name for name in ("camera", "focus", "leds") if getattr(found, name) is None]:
        raise InputError(
            f"{path} lacks what a twin needs: {', '.join(missing)}.",
            hint=f"run the steps that are missing: lsm calibrate run {rig}",
        )
    search = LedSearch(window_px=window_px, seed=seed)
    with _show.progress(quiet=as_json) as bars, opener(described, seed)("cells") as microscope:
        task = bars.add_task("LED by LED", total=None, loss="")
        gap = predict_and_compare(
            microscope,
            config,
            found,
            search,
            n=patterns,
            tell=lambda done, of: bars.update(task, completed=done, total=of),
        )
    keep_gap(folder, found, gap)
    _tell_gap(config, gap, as_json=as_json)


def _tell(session: Session, calibration: Calibration, *, as_json: bool) -> None:
    if as_json:
        facts = calibration.model_dump(mode="json")
        typer.echo(json.dumps(facts | {"digest": calibration.digest(), "file": str(session.path)}))
        return
    console = Console(markup=False)
    for step in STEPS:
        facts = getattr(calibration, step.name)
        console.print(f"{step.title}{': not measured' if facts is None else ''}", soft_wrap=True, highlight=False)
        for name, value in told(facts) if facts is not None else ():
            console.print(f"  {name}: {value}", soft_wrap=True, highlight=False)
    for finding in calibration.findings:
        console.print(f"Not as the rig file says: {finding}", soft_wrap=True, highlight=False)
    console.print("When within an exposure the light comes is not measured: no image tells it.", soft_wrap=True)
    console.print(f"Written: {session.path}; evidence: {session.folder / PAGE}", soft_wrap=True, highlight=False)


def _tell_gap(config: RigConfig, gap: Gap, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"rig": config.name, **asdict(gap)}))
        return
    console = Console(markup=False)
    for each in gap.patterns:
        console.print(f"{each.name:14s} mean {each.mean_e:8.0f} e   rms error {100 * each.rms:6.2f} %", highlight=False)
    low, high = gap.interval
    console.print(
        f"The twin predicts withheld patterns of rig '{config.name}' with an rms error of {100 * gap.rms:.2f} % "
        f"of their mean (95 %: {100 * low:.2f} to {100 * high:.2f} %, over {len(gap.patterns)} patterns); camera noise "
        f"is taken off. With what noise {FRAMES} frames leave: {100 * gap.with_noise:.2f} %.",
        soft_wrap=True,
        highlight=False,
    )
