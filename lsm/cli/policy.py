"""`lsm policy`: try a policy for single cells, run it on a microscope, and look at what it did."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lsm.agent.adaptive import BatchAdaptiveEnv
from lsm.agent.adaptive.evaluate import Outcome, Trial, try_policy
from lsm.agent.adaptive.overview import search_png, told_of
from lsm.agent.adaptive.record import CellRecord, CellRecorder, RecordedCell, RecordedSearch, read_cells_record
from lsm.agent.adaptive.run import CellRun, run_cell
from lsm.agent.adaptive.strip import Strip, strip_png
from lsm.agent.adaptive.training import CellTrials, PolicyFolder, judge, labelled_cells, row_of
from lsm.cli import _show
from lsm.cli._policy_cells import HELD_OUT, light_names_of, tell_rows
from lsm.cli._policy_rig import Aim, Cells, opened
from lsm.errors import InputError
from lsm.sensing.cells.cellfile import read_cells
from lsm.sensing.progress import RichReporter
from lsm.threads import threads
from lsm.wholefile import whole_file

app = typer.Typer(
    help="Policies for single cells: try them on cells, run them on a microscope, see what they did.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="Folder that 'lsm train-policy cells' wrote.")]


@app.callback()
def _group() -> None:
    pass


@app.command()
def evaluate(
    policy: Folder,
    stack: Annotated[
        Path | None, typer.Option(help="Other labelled cells: a file of 'lsm data convert', of the same rig.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="How often each cell is met.", show_default="as in its training; 1 of a stack"),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the camera's noise; 0 is that of the training's figures, if without --stack.")
    ] = 0,
    cells: Annotated[
        Path | None, typer.Option(help="NIH cell crops, for a policy made from them; default: from LSM_DATA.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for computed cells.")] = Path("out/cache"),
    as_json: _show.AsJson = False,
) -> None:
    """Try a policy on cells of patients that nobody learned from, beside policies without learning.

    Without --stack these are the held-out patients of its training, computed again where they are not kept.

    Example: lsm policy evaluate out/policies/cells
    """
    with _show.progress(quiet=as_json) as bars, threads(1):
        if stack is not None:
            found = PolicyFolder.load(policy, read_cells(stack))
            rows = [row_of(_outcome(found, repeats or 1, seed), found.config.seed)]
        else:
            found = PolicyFolder.load(policy)
            config = found.config.model_copy(update={"repeats": repeats or found.config.repeats})
            known = labelled_cells(found.config, cache, crops=cells or _show.nih_cells(), progress=RichReporter(bars))
            fitted = CellTrials.of(known, config)
            found = PolicyFolder.load(policy, fitted.judge.source.stack)
            # its own reader and exposures, which a fit on another machine need not give again
            learn, judged = (replace(found.world, source=world.source) for world in (fitted.learn, fitted.judge))
            trials = CellTrials(learn, judged, config)
            rows = judge(found.policy, trials, noise=seed)
    if as_json:
        typer.echo(json.dumps({"policy": str(policy), "rows": rows}))
        return
    where = HELD_OUT if stack is None else f"On all cells of {stack.name}, those learned from too if it has them"
    tell_rows(rows, light_names_of(found.world), where)


def _outcome(found: PolicyFolder, repeats: int, seed: int) -> Outcome:
    rows = torch.arange(len(found.world.source.stack))
    return try_policy(found.policy, Trial(BatchAdaptiveEnv(found.world), rows, repeats, seed))


@app.command()
def run(
    rig: Annotated[
        str,
        typer.Argument(help="Rig file (TOML), a shipped one such as simulated, 'twin', or a measured LED stack."),
    ],
    policy: Annotated[Path, typer.Option(help="Folder that 'lsm train-policy cells' wrote.")],
    out: Annotated[Path | None, typer.Option(help="New folder for recording, decisions and strips.")] = None,
    cells: Annotated[int, typer.Option(min=1, help="At most so many cells at each place.")] = 5,
    place: Annotated[
        list[str] | None,
        typer.Option(help="Stage position X,Y in um; repeatable. Default: where it is."),
    ] = None,
    focus: Annotated[float | None, typer.Option(help="Focus in um; default: where it is.")] = None,
    middle: Annotated[
        bool, typer.Option("--middle", help="One cell a place, in the middle of the frame; search for none.")
    ] = False,
    finder: Annotated[str, typer.Option(help="Model whose finder looks for cells in bright field.")] = "procedural",
    as_measured: Annotated[
        bool,
        typer.Option(
            "--as-measured", help="Measured stack: no fresh noise. A light taken twice is then the same frame twice."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Sample and noise of what is simulated, noise of a stack.")] = 1,
    as_json: _show.AsJson = False,
) -> None:
    """Look at cells on a microscope with a policy: it chooses each light, stops, and says what the cell is.

    At each place cells are found in one bright-field frame. That frame, every other that the policy asks for and every
    decision, with its probabilities and the belief before and after, is on the disk before the next light; the places
    and a strip of each cell are drawn. A policy that was trained for another rig is refused. On a measured stack
    (`lsm record stack`, with many --darks) frames get the noise of one capture.

    Research use only, not a diagnosis.

    Example: lsm policy run simulated --policy out/policies/cells --out out/cells-1
    """
    found = PolicyFolder.load(policy)
    aim = Aim(tuple(_place(text) for text in place or ()), focus, cells, finder, middle=middle)
    folder = _show.new_folder(out or Path("out") / f"cells-{Path(rig).stem}")
    runs: list[CellRun] = []
    with (
        opened(rig, found, seed, as_measured=as_measured) as where,
        threads(1),
        _show.progress(quiet=as_json) as bars,
    ):
        header = {"made_by": "lsm policy run", "rig": rig, "seed": seed, "policy_folder": policy.name}
        with CellRecorder(folder, found.world, found.policy.name, header) as recorder:
            places = Cells(where, found, aim, recorder.searched)
            task = bars.add_task("cells", total=None, loss="")
            for each in places:
                recorder.begin(each)
                done = run_cell(where.microscope, found.policy, found.world, each, on_decision=recorder.add)
                recorder.end(done)
                runs.append(done)
                bars.update(task, total=places.total, completed=len(runs))
            light_led_s = sum(one.light_led_s for one in runs)
            recorder.finish({"light_led_s": light_led_s, "finder_led_s": places.finder_led_s})
    held = read_cells_record(folder)
    drawn = _draw(held, folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "cells": [_plain(one) for one in runs]} | drawn))
        return
    _tell(held, folder)


@app.command()
def show(
    record: Annotated[Path, typer.Argument(help="Folder that 'lsm policy run' wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the strips; default: the same.")] = None,
    cell: Annotated[int | None, typer.Option(min=1, help="Only this cell.")] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Draw what a policy did at each cell: what was likely, which light shone, what was seen, how belief moved.

    Without --cell also the frames in which cells were looked for, with those that were found.

    Example: lsm policy show out/cells-1 --cell 2
    """
    held = read_cells_record(record)
    if cell is not None and cell not in [one.number + 1 for one in held.cells]:
        raise InputError(f"{record} has no cell {cell}.", hint=f"it has cells 1 to {len(held.cells)}")
    drawn = _draw(held, out or record, cell)
    if as_json:
        facts = [_recorded(one) for one in held.cells if cell in (None, one.number + 1)]
        typer.echo(json.dumps({"policy": held.policy, "cells": facts} | drawn))
        return
    _tell(held, out or record, cell)


def _place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"The place '{text}' is not X,Y.", hint="such as --place 1150,690") from None
    return x, y


def _draw(held: CellRecord, out: Path, cell: int | None = None) -> dict[str, Any]:
    """Strips of all cells and the places where they were looked for, or the strip of one cell; where each lies."""
    out.mkdir(parents=True, exist_ok=True)
    strips, places = [], []
    for one in held.cells:
        if cell in (None, one.number + 1):
            strips.append(_strip_path(out, one))
            _keep(strips[-1], strip_png(_strip(held, one)))
    for search in held.searches if cell is None else ():
        path = out / f"place-{search.number + 1}.png"
        _keep(path, search_png(held, search))
        places.append(_searched(search) | {"picture": str(path)})
    return {"strips": [str(path) for path in strips], "places": places}


def _keep(path: Path, content: bytes) -> None:
    with whole_file(path) as part:
        part.write_bytes(content)


def _strip_path(folder: Path, cell: RecordedCell) -> Path:
    return folder / f"cell-{cell.number + 1}.png"


def _strip(held: CellRecord, cell: RecordedCell) -> Strip:
    return Strip(
        f"Cell {cell.number + 1}",
        held.kinds,
        held.places_mm,
        cell.decisions,
        cell.declared,
        cell.belief,
        cell.stopped_by,
    )


def _tell(held: CellRecord, folder: Path, cell: int | None = None) -> None:
    table = Table(box=SIMPLE_HEAD)
    for column in ("cell", "declared", "belief", "lights", "LED s", "strip"):
        table.add_column(column, justify="left" if column in ("declared", "lights", "strip") else "right")
    shown = [one for one in held.cells if cell in (None, one.number + 1)]
    for one in shown:
        lights = ", ".join(decision.name for decision in one.decisions if decision.look is not None)
        spent = f"{one.decisions[-1].light_led_s:.3g}" if one.decisions else "0"
        ending = one.declared or one.stopped_by or "nothing"
        table.add_row(str(one.number + 1), ending, f"{one.belief:.2f}", lights, spent, _strip_path(folder, one).name)
    console = Console()
    for search in held.searches if cell is None else ():
        console.print(told_of(search, held.cells), soft_wrap=True, markup=False, highlight=False)
    console.print(table)
    console.print(f"Strips and recording: {folder}", soft_wrap=True, markup=False, highlight=False)


def _plain(one: CellRun) -> dict[str, Any]:
    return {
        "declared": one.declared,
        "belief": one.belief,
        "captures": one.captures,
        "light_led_s": one.light_led_s,
        "time_s": one.time_s,
        "xy_um": one.place.xy_um,
        "centre_px": one.place.centre_px,
        "lights": _lights(one.decisions),
    }


def _recorded(one: RecordedCell) -> dict[str, Any]:
    beliefs = [decision.belief_after for decision in one.decisions]
    facts = {"cell": one.number + 1, "declared": one.declared, "belief": one.belief, "beliefs": beliefs}
    return facts | {"lights": _lights(one.decisions), "stopped_by": one.stopped_by}


def _searched(search: RecordedSearch) -> dict[str, Any]:
    return {
        "xy_um": search.frame.xy_um,
        "light": search.light,
        "light_led_s": search.light_led_s,
        "cells_px": search.cells_px,
    }


def _lights(decisions: Sequence[Any]) -> list[str]:
    return [decision.name for decision in decisions if decision.look is not None]
