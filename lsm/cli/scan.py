"""`lsm scan`: plans of captures for other acquisition programs, from them, and on a rig."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lsm.cli import _show
from lsm.cli._scan_light import channel_light
from lsm.diagnose.acquire import take_captures
from lsm.diagnose.captures import Lit, lights_of_field, scan_captures
from lsm.diagnose.provenance import rig_header
from lsm.diagnose.scan.config import Light, RegionConfig
from lsm.errors import InputError
from lsm.record import Recorder
from lsm.scope import RigConfig, connect, find_rig
from lsm.scope.capture_plan import CapturePlan
from lsm.scope.scan_path import Position
from lsm.scope.useq_events import SlmLight, as_action, as_slm, write_events
from lsm.scope.useq_import import Imported, Meaning, plan_of_file

app = typer.Typer(
    help="Plans of captures that are fixed beforehand: for pymmcore-plus, from useq sequences, and on a rig.",
    no_args_is_help=True,
)

Rig = Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", help="Light of a channel, NAME=LIGHT: bright-field, dark-field, light.json:0; repeat."),
]
Exposure = Annotated[float | None, typer.Option(min=0.001, help="In ms; default: what light or sequence say.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Take events that wait for a time one after another.")]


class Way(StrEnum):
    """How an event says its light."""

    SLM = "slm"
    ACTION = "action"


@app.callback()
def _group() -> None:
    pass


@app.command("export")
def export_plan(
    rig: Rig,
    out: Annotated[Path, typer.Argument(help="New file of useq events (.json).")],
    light: Annotated[Light, typer.Option(help="Of every field: one pattern, or all of the model.")] = "bright field",
    model: Annotated[str, typer.Option(help="Folder of a model, or the name of a shipped one.")] = "procedural",
    light_file: Annotated[Path | None, typer.Option(help="Light file (JSON) in place of the model's patterns.")] = None,
    size: Annotated[tuple[int, int] | None, typer.Option(help="Columns and rows of fields.")] = None,
    fields: Annotated[int, typer.Option(min=1, help="At most so many.")] = 500,
    corner: Annotated[tuple[float, float] | None, typer.Option(help="Stage x and y of its corner, um.")] = None,
    overlap: Annotated[float, typer.Option(min=0, max=0.5, help="Share of a field that neighbours share.")] = 0.1,
    z: Annotated[float | None, typer.Option(help="Focus in um; default: where it is.")] = None,
    exposure_ms: Exposure = None,
    way: Annotated[Way, typer.Option("--as", help="An SLM's image, or an action for a board of its own.")] = Way.SLM,
    slm: Annotated[str, typer.Option(help="Label of the SLM; default: the rig's, else the core's own.")] = "",
    as_json: _show.AsJson = False,
) -> None:
    """Write a scan as useq-schema events, which pymmcore-plus runs.

    What events cannot say is refused (light that is chosen while it runs) or told (when to stop, focus, limits).

    Example: lsm scan export simulated scan.json --light learned --size 4 3
    """
    config = RigConfig.from_file(find_rig(rig))
    columns, rows = size or (None, None)
    region = RegionConfig.from_table(
        {"corner_um": corner, "columns": columns, "rows": rows, "fields": fields, "overlap": overlap},
        source="the options",
    )
    lit = lights_of_field(config, light, model, light_file, exposure_ms)
    plan = scan_captures(config, region, lit, z_um=z)
    events = as_action(plan) if way is Way.ACTION else as_slm(plan, _slm(config, slm))
    notes = (*_unsaid(plan, lit, way), *lit.notes)
    write_events(out, events, notes=notes)
    _tell(plan, out, notes, as_json=as_json)


@app.command("import")
def import_plan(
    rig: Rig,
    sequence: Annotated[Path, typer.Argument(help="useq sequence (JSON, YAML), or events.")],
    out: Annotated[Path, typer.Argument(help="New plan: events with the light of each capture (.json).")],
    channel: Channels = None,
    exposure_ms: Exposure = None,
    no_wait: NoWait = False,
    as_json: _show.AsJson = False,
) -> None:
    """Read a useq sequence as a plan for this rig: places, light and exposure of every capture, within its limits.

    Example: lsm scan import simulated sequence.yaml plan.json --channel BF=bright-field
    """
    config = RigConfig.from_file(find_rig(rig))
    found = _read(config, sequence, channel or [], exposure_ms, no_wait=no_wait)
    write_events(out, as_action(found.plan), notes=found.notes)
    _tell(found.plan, out, found.notes, as_json=as_json)


@app.command("run")
def run_plan(
    rig: Rig,
    plan: Annotated[Path, typer.Argument(help="Plan, useq sequence (JSON, YAML) or events.")],
    out: Annotated[Path, typer.Argument(help="New recording (.h5).")],
    channel: Channels = None,
    exposure_ms: Exposure = None,
    no_wait: NoWait = False,
    as_json: _show.AsJson = False,
) -> None:
    """Take the captures of a plan on a rig and record them.

    Example: lsm scan run simulated plan.json plan.h5
    """
    config = RigConfig.from_file(find_rig(rig))
    found = _read(config, plan, channel or [], exposure_ms, no_wait=no_wait)
    captures = found.plan.captures
    with _show.progress(quiet=as_json) as bars, ExitStack() as opened:
        task = bars.add_task("captures", total=len(captures), loss="")
        microscope = opened.enter_context(connect(config))
        recorder = opened.enter_context(Recorder(out, rig_header("lsm scan run", config)))
        dimmed = take_captures(microscope, captures, recorder.add, on_taken=lambda *_: bars.advance(task))
        recorder.finish({"frames": len(captures)})
    notes = [f"{dimmed} captures were dimmed to the LED board's current limit."] if dimmed else []
    _tell(found.plan, out, [*found.notes, *notes], as_json=as_json)


def _read(
    config: RigConfig, path: Path, channels: Sequence[str], exposure_ms: float | None, *, no_wait: bool
) -> Imported:
    board, na = config.led.board.build(), config.objective.na
    meaning = Meaning(
        field_um=_field_um(config),
        channels=dict(channel_light(board, text, na=na) for text in channels),
        exposure_ms=exposure_ms,
        drop_waits=no_wait,
    )
    found = plan_of_file(path, board, meaning)
    found.plan.refuse_beyond(config.limits)
    return found


def _field_um(config: RigConfig) -> Position | None:
    if config.camera.shape_px is None:
        return None
    rows_px, columns_px = config.camera.shape_px
    return columns_px * config.camera_pixel_um, rows_px * config.camera_pixel_um


def _slm(config: RigConfig, device: str) -> SlmLight:
    """The rig's SLM where it has one; otherwise one that has the rows and columns of its board."""
    board, known = config.led.board, config.led.micro_manager
    if board.csv is not None:
        raise InputError(
            f"The LEDs of rig '{config.name}' are listed in a file, so that an SLM has no rows for them.",
            hint="write the light as actions: --as action",
        )
    if config.led.kind != "mm_slm":
        return SlmLight(board.rows, board.columns, device)
    return SlmLight(board.rows, board.columns, device or known.device, known.colours, known.grey)


def _unsaid(plan: CapturePlan, lit: Lit, way: Way) -> tuple[str, ...]:
    """What the events do not say, in sentences."""
    fields = len(plan) // len(lit.patterns)
    light = {
        Way.SLM: "The SLM stays lit from one event to the next, also while the stage moves; the last event is dark.",
        Way.ACTION: "pymmcore-plus' own engine takes no image of these actions: run them with lsm.scope.lit_engine.",
    }[way]
    return (
        f"When to stop is not in the events: all {fields} fields are taken, whatever is found in them.",
        "Focus is not looked for, and fields are not judged while they are taken.",
        "The rig's limits were kept to when this was written; whoever runs it does not check them.",
        light,
    )


def _tell(plan: CapturePlan, out: Path, notes: Sequence[str], *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "file": str(out),
        "captures": len(plan),
        "places": plan.places,
        "patterns": [pattern.name for pattern in plan.patterns],
        "exposure_s": plan.exposure_s,
        "light_dose_led_ms": plan.light_dose_led_ms,
        "notes": list(notes),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console(markup=False)
    console.print(
        f"{out}: {len(plan)} captures at {plan.places} places under {len(plan.patterns)} patterns, "
        f"{plan.exposure_s:.3g} s of exposure.",
        soft_wrap=True,
        highlight=False,
    )
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False)
