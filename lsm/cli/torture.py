"""`lsm torture`: put faults of every kind to a rig and see what comes of them."""

import json
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from lsm.bench.machine import this_machine
from lsm.cli import _show
from lsm.errors import InputError, ToolMissing
from lsm.scope import RigConfig, find_rig

GROUP = "lsm.torture"
COLUMNS = 110
COUNTS = ("injected", "recovered", "stopped_safely", "silently_wrong", "crashed", "hangs", "left_lit")


def torture(
    rig: Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one.")] = "simulated",
    faults: Annotated[int, typer.Option(min=1, help="How many, shared among all classes.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed injects the same faults.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a rig of its own.")] = 2,
    requests: Annotated[int, typer.Option(min=0, help="Fuzzed requests put to the interlock besides.")] = 20_000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
) -> None:
    """Inject faults into a rig and count what came of each: recovered, stopped safely, silently wrong, or a hang.

    Wire, board, camera, stage, focus, shutter, LEDs, clock, disk, killed processes, damaged files, impossible requests
    and configurations. What is silently wrong is judged by what really happened in the simulated world. A rig of real
    devices gets only the classes that need no devices. The stage of a real rig does not move.

    Exits with 1 where anything was silently wrong, crashed, hung, stayed lit or moved outside its limits.

    Example: lsm torture simulated --faults 2000 --requests 1000000 --json torture.json
    """
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {json_file}.", hint="nothing was tried; make the folder first")
    config = RigConfig.from_file(find_rig(rig))
    with _show.progress(quiet=False) as bars:
        task = bars.add_task("faults", total=faults, loss="")
        report = _campaign()(
            config,
            faults=faults,
            seed=seed,
            workers=workers,
            requests=requests,
            on_step=lambda done, of: bars.update(task, completed=done, total=of),
        )
    plain = {"machine": asdict(this_machine()), **report.plain()}
    console = Console()
    console.width = min(COLUMNS, console.width) if console.is_terminal else COLUMNS
    _print(console, plain)
    if json_file is not None:
        json_file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        console.print(f"Written: {json_file}", soft_wrap=True, markup=False)
    if not plain["promise_kept"]:
        raise typer.Exit(1)


def _campaign() -> Any:
    """The campaign comes with the simulators, which know what really happened."""
    found = entry_points(group=GROUP)
    if not found:
        raise ToolMissing("The simulators are not installed.", hint="install the whole package: make setup")
    return next(iter(found)).load()


def _print(console: Console, plain: dict[str, Any]) -> None:
    title = f"{plain['faults']} faults, rig '{plain['rig']}', seed {plain['seed']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("fault class", no_wrap=True)
    for name in (*COUNTS, "longest_s"):
        words = name.split("_")
        table.add_column(" ".join(words), justify="right", min_width=max(map(len, words)))
    for each in plain["classes"]:
        table.add_row(each["class"], *(_count(each[name], name) for name in COUNTS), f"{each['longest_s']:.2f}")
    totals = plain["totals"]
    counts = (plain["faults"], *(int(totals[name]) for name in COUNTS[1:]))
    table.add_section()
    table.add_row("all", *(_count(*pair) for pair in zip(counts, COUNTS, strict=True)), f"{totals['longest_s']:.2f}")
    console.print(table)
    for each in plain["classes"]:
        for note in each["notes"]:
            console.print(f"{each['class']}: {note}", style="red", highlight=False, soft_wrap=True, markup=False)
    _print_rest(console, plain)


def _print_rest(console: Console, plain: dict[str, Any]) -> None:
    dark, limits = plain["dark_after_death_s"], plain["limits"]
    if dark:
        console.print(
            f"From the host's death to dark LEDs, {dark['killings']} times: "
            f"median {dark['median']:.2f} s, 99 % {dark['p99']:.2f} s, longest {dark['max']:.2f} s.",
            highlight=False,
        )
    if limits:
        console.print(
            f"Fuzzed requests: {limits['asked']}, refused {limits['refused']}, outside a limit {limits['outside']}, "
            f"refused yet changed something {limits['changed']}, crashed {limits['crashed']}.",
            highlight=False,
        )
    for reason in dict.fromkeys(plain["left_out"].values()):
        classes = [name for name, why in plain["left_out"].items() if why == reason]
        console.print(f"Left out, {reason}: {', '.join(classes)}.", highlight=False)
    kept = plain["promise_kept"]
    verdict = "[green]Nothing was silently wrong, nothing hung.[/]" if kept else "[bold red]A promise is broken.[/]"
    console.print(f"{verdict} {plain['minutes']:.1f} minutes, commit {plain['machine']['commit']}.", highlight=False)


def _count(value: int, name: str) -> str:
    bad = value and name in ("silently_wrong", "crashed", "hangs", "left_lit")
    return f"[bold red]{value}[/]" if bad else str(value)
