"""`lsm record`: look into recordings."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsm.cli._record_export import export, replay
from lsm.record import Recording, open_record

app = typer.Typer(
    help="Look into a recording: every frame, the light that was on, every decision.", no_args_is_help=True
)


app.command("export")(export)
app.command("replay")(replay)


@app.callback()
def _group() -> None:
    pass


@app.command(epilog="Example: lsm record info out/demo/record.h5")
def info(
    path: Annotated[Path, typer.Argument(help="Recording (HDF5), also one whose writer was killed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Say what a recording holds."""
    with open_record(path) as recording:
        facts = _facts(recording)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table("", "", box=None, show_header=False)
    for name, value in facts.items():
        table.add_row(f"[bold]{name}[/]", value if isinstance(value, str) else json.dumps(value))
    Console().print(table)


def _facts(recording: Recording) -> dict[str, Any]:
    facts: dict[str, Any] = {"recording": str(recording.path), "complete": recording.complete}
    facts |= {"frames": recording.n_frames}
    if recording.n_frames:
        first = recording.frame(0)
        facts |= {"frame_px": "x".join(map(str, first.image.shape[::-1])), "leds": len(first.shown.levels)}
        facts["light_dose_led_ms"] = round(sum(frame.light_dose for frame in recording.frames()), 3)
    return facts | recording.header | recording.summary
