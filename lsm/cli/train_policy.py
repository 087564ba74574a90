"""`lsm train-policy`: learn where to look, under which light, and when to stop."""

import json
import tomllib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lsm.agent.adaptive.training import KIND, CellTrainingConfig
from lsm.agent.pipeline import run_policy_pipeline
from lsm.agent.train import TrainPolicyConfig
from lsm.cli import _show
from lsm.cli._policy_cells import CellTraining, train_for_cells
from lsm.errors import InputError
from lsm.heap import keep_freed
from lsm.sensing import Bundle
from lsm.sensing.clock import Clock
from lsm.sensing.progress import RichReporter


def train_policy(
    config: Annotated[
        str, typer.Argument(help="TOML file, or a shipped one: default searches slides, cells looks at single cells.")
    ] = "default",
    model: Annotated[
        str | None,
        typer.Option(help="Slides: folder of a model, or the name of a shipped one.", show_default="procedural"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the model with its policy, or the policy.")] = None,
    cells: Annotated[
        Path | None, typer.Option(help="NIH cell crops, for what is made from them; default: from LSM_DATA.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for computed cells, tables and checkpoints.")] = Path("out/cache"),
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the training.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Single cells: folder for TensorBoard, reward and captures update by update.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Single cells: collect episodes on the Ray cluster at HOST:PORT, or 'local' for one here."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Workers on the cluster, one core each.")] = 2,
    as_json: _show.AsJson = False,
) -> None:
    """Train a policy and judge it on what it was not trained on: slides, or the cells of held-out patients.

    The policy of a slide moves over it and belongs to a model. The policy of a single cell chooses its light capture
    by capture and declares what the cell is; it has a folder of its own, for `lsm policy`.

    On a cluster the parts of a rollout (`parts` of the configuration's ppo) are collected side by side; the policy is
    the same as without one.

    An interrupted training goes on from its last checkpoint when the same command is given again.

    Example: lsm train-policy --model out/models/procedural --out out/models/procedural-policy

    Example: lsm train-policy cells --out out/policies/cells
    """
    keep_freed()
    file = _show.config_file("policy", config)
    if _kind(file) == KIND:
        if model is not None:
            raise InputError("A policy for single cells has no model.", hint="leave --model out")
        asked = CellTraining(out, cells, cache, tensorboard, cluster, workers, as_json)
        train_for_cells(CellTrainingConfig.from_file(file, seed=seed), asked)
        return
    if tensorboard is not None:
        raise InputError("The training on slides writes nothing for TensorBoard.", hint="leave --tensorboard out")
    if cluster is not None:
        raise InputError("The training on slides runs on one machine.", hint="leave --cluster out")
    clock = Clock()
    settings = TrainPolicyConfig.from_file(file, seed=seed)
    bundle = Bundle.named(model or "procedural")
    folder = _show.new_folder(out or Path("out/models") / f"{bundle.card.name}-policy")
    with _show.progress(quiet=as_json) as bars:
        extended = run_policy_pipeline(
            settings, bundle, cache=cache, cells=cells or _show.nih_cells(), progress=RichReporter(bars), clock=clock
        )
    extended.save(folder)
    _tell(extended, folder, clock.wall_s, as_json=as_json)


def _kind(file: Path) -> object:
    """What `kind` says; whatever is wrong with the file is told by the configuration itself."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")).get("kind")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None


def _tell(bundle: Bundle, folder: Path, seconds: float, *, as_json: bool) -> None:
    figures = bundle.card.figures["policy"]
    if as_json:
        typer.echo(json.dumps({"model": str(folder), "figures": figures, "seconds": round(seconds)}))
        return
    rows = figures["held_out"] if isinstance(figures, dict) else []
    table = Table(title="Held-out slides at the same budget; error is |ln((estimate + e0) / (truth + e0))|")
    for column in ("policy", "error", "95 %", "better than agent by", "95 %", "captures", "light, LED s", "time, s"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for row in rows if isinstance(rows, list) else []:
        table.add_row(*_cells(row))
    console = Console()
    console.print(table)
    console.print(f"Model: {folder} ({seconds:.0f} s)", soft_wrap=True, markup=False)


def _cells(row: object) -> tuple[str, ...]:
    held = row if isinstance(row, dict) else {}
    return (
        str(held["policy"]),
        f"{held['error']:.3f}",
        f"{held['error_low']:.3f} to {held['error_high']:.3f}",
        f"{held['gain']:+.3f}",
        f"{held['gain_low']:+.3f} to {held['gain_high']:+.3f}",
        f"{held['captures']:.1f}",
        f"{held['light_dose'] / 1000:.2f}",
        f"{held['time_s']:.1f}",
    )
