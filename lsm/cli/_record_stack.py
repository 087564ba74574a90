"""`lsm record stack`: one image per LED, for `lsm record replay` and `lsm recover`."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsm.calibrate.led_stack import StackPlan, record_led_stack
from lsm.cli import _show
from lsm.cli._light import channels
from lsm.devices import Observe
from lsm.diagnose.provenance import rig_header
from lsm.errors import InputError
from lsm.illum import dark
from lsm.record import Recorder
from lsm.scope import RigConfig, connect, find_rig


def stack(
    rig: Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")],
    out: Annotated[Path, typer.Argument(help="New recording (.h5).")],
    exposure_ms: Annotated[float, typer.Option(help="Of the LEDs inside the objective's NA.")] = 20.0,
    dark_field_ms: Annotated[float, typer.Option(help="Of the LEDs outside it.")] = 100.0,
    colour: Annotated[
        str, typer.Option(show_default="green, or the only one", help="red, green or blue, where there is a choice.")
    ] = "",
    place: Annotated[
        tuple[float, float] | None, typer.Option(help="Stage x and y in um; default: where it is.")
    ] = None,
    z: Annotated[float | None, typer.Option(help="Focus in um; default: where it is.")] = None,
    darks: Annotated[int, typer.Option(help="Frames without light, at each exposure.", min=1)] = 4,
    as_json: _show.AsJson = False,
) -> None:
    """Record one image per LED of what lies on the stage; look at it later under any light.

    Example: lsm record stack simulated stack.h5
    """
    config = RigConfig.from_file(find_rig(rig))
    channel, *more = channels(config.led.board.build(), colour)
    if more:
        raise InputError(f"One LED at a time has one colour, not {colour}.", hint="choose red, green or blue")
    plan = StackPlan(config.objective.na, (exposure_ms, dark_field_ms), channel, darks)
    with _show.progress(quiet=as_json) as bars, ExitStack() as opened:
        microscope = opened.enter_context(connect(config))
        # what the rig refuses is refused here, before there is a file
        for each_ms in dict.fromkeys(plan.exposures_ms):
            microscope.observe(Observe(dark(microscope.board), each_ms, place, z))
        recorder = opened.enter_context(Recorder(out, rig_header("lsm record stack", config)))
        task = bars.add_task("one image per LED", total=None, loss="")
        frames = record_led_stack(
            microscope,
            recorder,
            plan,
            xy_um=place,
            z_um=z,
            on_step=lambda done, of: bars.update(task, completed=done, total=of),
        )
        recorder.finish({"frames": frames})
    if as_json:
        typer.echo(json.dumps({"record": str(out), "frames": frames}))
        return
    Console(markup=False).print(
        f"{frames} frames in {out}; see them with: lsm record replay {out} --out picture.png",
        soft_wrap=True,
        highlight=False,
    )
