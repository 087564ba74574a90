"""`lsm scope`: find out whether a rig is ready to work."""

import json
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lsm.devices import Frame, Observe
from lsm.illum import dark, single_led
from lsm.scope import RigConfig, connect, find_rig

app = typer.Typer(help="Look after a rig: connect, light one LED, take two frames.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def check(
    rig: Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")],
    exposure_ms: Annotated[float, typer.Option(help="Exposure of the two frames.")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")] = False,
) -> None:
    """Connect to a rig, take one dark frame and one under the LED nearest the axis, and say what was seen.

    The stage does not move.

    Example: lsm scope check simulated
    """
    config = RigConfig.from_file(find_rig(rig))
    with connect(config) as microscope:
        board = microscope.board
        frames = {
            "dark": microscope.observe(Observe(dark(board), exposure_ms)),
            "one LED": microscope.observe(Observe(single_led(board, int(np.argmin(board.na))), exposure_ms)),
        }
    facts = {"rig": config.name, "leds": board.n_leds, **{name: _facts(frame) for name, frame in frames.items()}}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table(title=f"Rig '{config.name}' answers: {board.n_leds} LEDs", title_justify="left")
    for column in ("light", "LEDs lit", "mean, ADU", "largest, ADU", "stage, um", "took, ms"):
        table.add_column(column, justify="left" if column == "light" else "right")
    for name, frame in frames.items():
        held = _facts(frame)
        stage = ", ".join(f"{value:.1f}" for value in held["xy_um"])
        table.add_row(
            name, str(held["lit"]), f"{held['mean_adu']:.1f}", str(held["max_adu"]), stage, f"{held['ms']:.1f}"
        )
    Console().print(table)


def _facts(frame: Frame) -> dict[str, Any]:
    return {
        "lit": int(frame.shown.levels.any(axis=1).sum()),
        "mean_adu": float(frame.image.mean()),
        "max_adu": int(frame.image.max()),
        "xy_um": list(frame.xy_um),
        "z_um": frame.z_um,
        "ms": (frame.ended_ns - frame.started_ns) / 1e6,
    }
