"""`lsm scope`: find out whether a rig is ready to work."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsm.cli import _show
from lsm.scope import Report, RigConfig, check_rig, find_rig
from lsm.scope.light_check import DARK_FRAMES

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "wrong": "[bold red]wrong[/]"}

app = typer.Typer(help="Look after a rig: what it consists of, how fast it is, what is wrong.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def check(
    rig: Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")],
    exposure_ms: Annotated[float, typer.Option(min=0.001, help="Exposure of the images, within limits.")] = 20.0,
    move: Annotated[
        bool, typer.Option("--move/--no-move", help="Move stage and focus by up to 10 um and back.")
    ] = True,
    leds: Annotated[bool, typer.Option("--leds", help="One image per LED: find dead and stuck ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")] = False,
) -> None:
    """Connect to every device of a rig, try each, and say in plain words what is wrong.

    Lists the devices and their versions, takes images in the dark and under one LED,
    moves stage and focus by at most 10 um and back (never outside the rig's limits),
    waits for the LED board's watchdog, and measures how long everything takes.
    Exit status 1 if something is wrong.

    Example: lsm scope check simulated --leds
    """
    config = RigConfig.from_file(find_rig(rig))
    with _show.progress(quiet=as_json) as bars:
        task = None
        if leds:
            total = config.led.board.build().n_leds + 2 * DARK_FRAMES
            task = bars.add_task("one image per LED", total=total, loss="")

        def advance() -> None:
            if task is not None:
                bars.advance(task)

        report = check_rig(config, exposure_ms=exposure_ms, move=move, leds=leds, progress=advance)
    if as_json:
        typer.echo(json.dumps({"wrong": report.wrong, **asdict(report)}))
    else:
        _print(report)
    if report.wrong:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    console = Console()
    if report.devices:
        console.print(_devices(report.devices))
    if report.latency_ms:
        table = Table(title="How long it takes, median", title_justify="left")
        table.add_column("what")
        table.add_column("ms", justify="right")
        for name, value in report.latency_ms.items():
            table.add_row(name, f"{value:.1f}")
        console.print(table)
    for finding in report.findings:
        console.print(f"{MARKS[finding.level]} {finding.about}: ", end="")
        console.print(finding.text, highlight=False, markup=False, soft_wrap=True)
        if finding.hint and finding.level != "ok":
            console.print(f"   Hint: {finding.hint}", highlight=False, markup=False, soft_wrap=True)
    counts = {level: sum(each.level == level for each in report.findings) for level in ("wrong", "warning")}
    verdict = "is not ready" if report.wrong else "is ready"
    console.print(
        f"Rig '{report.rig}' {verdict}: {counts['wrong']} wrong, {counts['warning']} warnings.", highlight=False
    )


def _devices(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Devices of Micro-Manager", title_justify="left")
    for column in ("label", "adapter", "kind", "role", "description", "loaded with"):
        table.add_column(column, overflow="fold")
    for row in rows:
        loaded = ", ".join(f"{name}={value}" for name, value in row["loaded_with"].items())
        busy = " (busy)" if row["busy"] else ""
        table.add_row(
            row["label"] + busy, f"{row['library']}/{row['name']}", row["kind"], row["role"], row["description"], loaded
        )
    return table
