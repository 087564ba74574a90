"""`lsm scope`: find out whether a rig is ready to work."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lsm.cli import _show
from lsm.scope import Report, RigConfig, check_rig, find_rig
from lsm.scope.light_check import DARK_FRAMES

MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "wrong": "[bold red]wrong  [/]"}
WIDEST_VALUE = 40

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
    as_json: _show.AsJson = False,
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
        table = _table("How long it takes, median")
        table.add_column("what")
        table.add_column("ms", justify="right")
        for name, value in report.latency_ms.items():
            table.add_row(name, f"{value:.1f}")
        console.print(table)
    for finding in report.findings:
        console.print(f"{MARKS[finding.level]} {finding.about}: ", end="", highlight=False)
        console.print(finding.text, highlight=False, markup=False, soft_wrap=True)
        if finding.hint and finding.level != "ok":
            console.print(f"        Hint: {finding.hint}", highlight=False, markup=False, soft_wrap=True)
    wrong, warnings = (sum(each.level == level for each in report.findings) for level in ("wrong", "warning"))
    verdict = "is not ready" if report.wrong else "is ready"
    console.print(
        f"Rig '{report.rig}' {verdict}: {wrong} wrong, {warnings} warning{'s' if warnings != 1 else ''}.",
        highlight=False,
        markup=False,
    )


def _devices(rows: list[dict[str, Any]]) -> Table:
    table = _table("Devices of Micro-Manager")
    table.add_column("label", no_wrap=True)
    table.add_column("adapter", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for row in rows:
        about = "" if row["description"] == row["name"] else row["description"].rstrip(".")
        parts = [row["role"] or row["kind"], about]
        # simulated devices are loaded with a key that means something to them alone
        loaded = {name: value for name, value in row["loaded_with"].items() if name != "World"}
        parts += [f"{name} = {_short(value)}" for name, value in loaded.items()]
        label = row["label"] + (" (busy)" if row["busy"] else "")
        table.add_row(Text(label), Text(f"{row['library']} / {row['name']}"), Text("; ".join(filter(None, parts))))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _short(value: str) -> str:
    return value if len(value) <= WIDEST_VALUE else f"{value[: WIDEST_VALUE - 3]}..."
