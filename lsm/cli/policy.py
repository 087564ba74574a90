"""`lsm policy`: try a policy for single cells, run it on a microscope, and look at what it did."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import Progress

from lsm.agent.adaptive import BatchAdaptiveEnv
from lsm.agent.adaptive.cells_run import MADE_BY, CellsResult, CellsRunConfig, resume_cells, run_cells
from lsm.agent.adaptive.evaluate import Outcome, Trial, try_policy
from lsm.agent.adaptive.record import RECORD
from lsm.agent.adaptive.recorded import read_cells_record
from lsm.agent.adaptive.run import CellRun
from lsm.agent.adaptive.training import CellTrials, PolicyFolder, judge, labelled_cells, row_of
from lsm.cli import _show
from lsm.cli._policy_cells import HELD_OUT, light_names_of, tell_rows
from lsm.cli._policy_tell import draw, plain_cell, plain_run, tell
from lsm.errors import InputError
from lsm.sensing.cells.cellfile import read_cells
from lsm.sensing.progress import RichReporter
from lsm.threads import threads

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
        str | None,
        typer.Argument(help="Rig file (TOML), a shipped one such as simulated, 'twin', or a measured LED stack."),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Folder that 'lsm train-policy cells' wrote.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an interrupted run, to go on after its last frame.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for recording, decisions and strips.")] = None,
    cells: Annotated[
        int | None, typer.Option(min=1, help="At most so many cells at each place.", show_default="5")
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(help="Stage position X,Y in um; repeatable. Default: where it is."),
    ] = None,
    focus: Annotated[float | None, typer.Option(help="Focus in um; default: where it is.")] = None,
    middle: Annotated[
        bool, typer.Option("--middle", help="One cell a place, in the middle of the frame; search for none.")
    ] = False,
    finder: Annotated[
        str | None,
        typer.Option(help="Model whose finder looks for cells in bright field.", show_default="procedural"),
    ] = None,
    as_measured: Annotated[
        bool,
        typer.Option(
            "--as-measured", help="Measured stack: no fresh noise. A light taken twice is then the same frame twice."
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Sample and noise of what is simulated, noise of a stack.", show_default="1"),
    ] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Look at cells on a microscope with a policy: it chooses each light, stops, and says what the cell is.

    At each place cells are found in one bright-field frame. That frame, every other that the policy asks for and every
    decision, with its probabilities and the belief before and after, is on the disk before the next light; the places
    and a strip of each cell are drawn. A policy that was trained for another rig is refused. On a measured stack
    (`lsm record stack`, with many --darks) frames get the noise of one capture.

    An interrupted run goes on with --resume: its frames are read, not taken again, and it decides as it would have.

    Research use only, not a diagnosis.

    Example: lsm policy run simulated --policy out/policies/cells --out out/cells-1
    """
    given = {"cells": cells, "places_um": _places(place), "z_um": focus, "finder": finder, "seed": seed}
    given |= {"middle": middle or None, "as_measured": as_measured or None}
    settings = {name: value for name, value in given.items() if value is not None}
    with _show.progress(quiet=as_json) as bars:
        if resume is not None:
            _refuse_new_settings(settings if out is None else settings | {"out": out})
            with _told_how_to_go_on(resume):
                done = resume_cells(resume, rig=rig, policy=policy, on_cell=_Bar(bars))
        else:
            if rig is None or policy is None:
                raise InputError("A new run needs a rig and a policy.", hint="lsm policy run RIG --policy FOLDER")
            table = {"rig": rig, "policy": policy, **settings}
            folder = out or Path("out") / f"cells-{Path(rig).stem}"
            with _told_how_to_go_on(folder):
                done = run_cells(CellsRunConfig.from_table(table, source=MADE_BY), folder, on_cell=_Bar(bars))
    _tell_run(done, as_json=as_json)


def _tell_run(done: CellsResult, *, as_json: bool) -> None:
    held = read_cells_record(done.folder)
    drawn = draw(held, done.folder)
    if as_json:
        facts = {"folder": str(done.folder), "resumed_after": done.resumed_after}
        typer.echo(json.dumps(facts | {"cells": [plain_run(one) for one in done.runs]} | drawn))
        return
    if done.resumed_after:
        Console().print(f"Resumed after {done.resumed_after} recorded frames.")
    tell(held, done.folder)


class _Bar:
    """The cells that were looked at, of those that are known."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._task = bars, bars.add_task("cells", total=None, loss="")

    def __call__(self, runs: Sequence[CellRun], total: int) -> None:
        self._bars.update(self._task, total=total, completed=len(runs))


@contextmanager
def _told_how_to_go_on(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (folder / RECORD).is_file():
            command = shlex.join(["lsm", "policy", "run", "--resume", str(folder)])
            Console(stderr=True).print(f"Go on with: {command}", soft_wrap=True, highlight=False, markup=False)
        raise


def _refuse_new_settings(settings: Mapping[str, Any]) -> None:
    options = {"places_um": "place", "z_um": "focus", "as_measured": "as-measured"}
    if settings:
        named = ", ".join(f"--{options.get(name, name)}" for name in settings)
        raise InputError(
            f"--resume goes on with the recorded settings, {named} cannot change them.",
            hint="leave them out, or start a new run",
        )


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
    drawn = draw(held, out or record, cell)
    if as_json:
        facts = [plain_cell(one) for one in held.cells if cell in (None, one.number + 1)]
        typer.echo(json.dumps({"policy": held.policy, "cells": facts} | drawn))
        return
    tell(held, out or record, cell)


def _places(texts: list[str] | None) -> tuple[tuple[float, float], ...] | None:
    return tuple(_place(text) for text in texts) if texts else None


def _place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"The place '{text}' is not X,Y.", hint="such as --place 1150,690") from None
    return x, y
