"""`lsm record`: make, look into, check and hand on recordings."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from lsm.cli import _show
from lsm.cli._record_export import export, replay
from lsm.cli._record_stack import stack
from lsm.record import Recording, Verification, open_record, verify_record

app = typer.Typer(
    help="Look into a recording, check it, export it, or see it under another light.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="Recording (HDF5), also one whose writer was killed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Say what a recording holds: how many frames, under what light, of which rig and run.

    Example: lsm record info out/demo/record.h5
    """
    with open_record(path) as recording:
        if as_json:
            typer.echo(json.dumps(_facts(recording)))
            return
        tables = list(_tables(recording))
    Console().print(Group(*tables), highlight=False)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Recording (HDF5), also one whose writer was killed.")],
    as_json: _show.AsJson = False,
) -> None:
    """Compare every frame with its checksums, and the recording with its journal and with itself.

    Exit status 1 where something is damaged.

    Example: lsm record verify out/demo/record.h5
    """
    with _show.progress(quiet=as_json) as bars:
        task = bars.add_task("verify", total=None, loss="")
        found = verify_record(path, on_step=lambda done, of: bars.update(task, completed=done, total=of))
    if as_json:
        typer.echo(json.dumps(found.plain()))
    else:
        _tell(found)
    if not found.good:
        raise typer.Exit(1)


app.command("stack")(stack)
app.command("replay")(replay)
app.command("export")(export)


def _tell(found: Verification) -> None:
    console = Console()
    for fault in found.faults:
        console.print(f"[bold red]Damaged:[/] {escape(fault)}", highlight=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"[bold]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    if found.good:
        ended = "complete" if found.complete else "not finished"
        console.print(
            f"[bold green]Good:[/] {escape(str(found.path))}: {found.frames} frames, {ended}, layout {found.schema}, "
            f"light dose {found.light_dose_led_ms:g} LED ms.",
            highlight=False,
            soft_wrap=True,
        )


def _facts(recording: Recording) -> dict[str, Any]:
    facts: dict[str, Any] = {"recording": str(recording.path), "complete": recording.complete}
    facts |= {"layout": recording.schema, "frames": recording.n_frames}
    if recording.n_frames:
        facts |= _frame_facts(recording)
    return facts | recording.header | recording.summary


def _frame_facts(recording: Recording) -> dict[str, Any]:
    frames = recording.frames()
    first = next(frames)
    dose, exposures, lights, stored = 0.0, set[float](), set[str](), 0
    for index, frame in enumerate(chain([first], frames)):
        dose += frame.light_dose
        exposures.add(frame.exposure_ms)
        lights.add(frame.request.pattern.name)
        stored += (recording.place(index) or (0, 0))[1]
    facts: dict[str, Any] = {"frame_px": "x".join(map(str, first.image.shape[::-1])), "leds": len(first.shown.levels)}
    facts |= {"patterns": len(lights), "exposure_ms": sorted({min(exposures), max(exposures)})}
    facts["light_dose_led_ms"] = round(dose, 3)
    facts["stored_share"] = round(stored / (recording.n_frames * first.image.nbytes), 3)
    began, ended = recording.wall_ns(0), recording.wall_ns(recording.n_frames - 1)
    if began is not None and ended is not None:
        facts |= {"first_frame": _utc(began), "duration_s": round((ended - began) / 1e9, 3)}
        facts["sessions"] = int(recording.row(recording.n_frames - 1)["session"]) + 1
    return facts


def _tables(recording: Recording) -> Iterator[RenderableType]:
    state = "complete" if recording.complete else "being written" if recording.growing else "not finished"
    what: dict[str, Any] = {"recording": str(recording.path), "state": state}
    if recording.mended:
        what["put in order"] = recording.mended
    what["layout"] = recording.schema
    what["frames"] = recording.n_frames
    if recording.n_frames:
        facts = _frame_facts(recording)
        size_mb = recording.path.stat().st_size / 1e6
        what["frames"] = f"{recording.n_frames} of {facts['frame_px']}, 16 bit"
        what["on disk"] = f"{size_mb:.1f} MB; images packed to {facts['stored_share']:.0%}"
        patterns = "1 pattern" if facts["patterns"] == 1 else f"{facts['patterns']} patterns"
        what["light"] = f"{patterns} of {facts['leds']} LEDs, {facts['light_dose_led_ms']:g} LED ms"
        what["exposure"] = " to ".join(f"{value:g}" for value in facts["exposure_ms"]) + " ms"
        if "first_frame" in facts:
            times = facts["sessions"] - 1
            resumed = f", resumed {'once' if times == 1 else f'{times} times'}" if times else ""
            what["taken"] = f"{facts['first_frame']} for {facts['duration_s']:g} s{resumed}"
    yield _table("", what)
    yield _table("Header", recording.header)
    if recording.summary:
        yield _table("Summary", recording.summary)


def _table(title: str, rows: Mapping[str, Any]) -> Table:
    table = Table("", Column(overflow="fold"), box=None, show_header=False, title_justify="left")
    table.title = f"\n{title}" if title else None
    for name, value in _flat(rows):
        table.add_row(Text(name, style="bold"), Text(value if isinstance(value, str) else json.dumps(value)))
    return table


def _flat(rows: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Tables within tables as dotted names."""
    for name, value in rows.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _utc(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(sep=" ", timespec="seconds")
