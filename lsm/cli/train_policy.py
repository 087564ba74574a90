"""`lsm train-policy`: learn where to look, under which light, and when to stop."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lsm.agent.pipeline import run_policy_pipeline
from lsm.agent.train import TrainPolicyConfig
from lsm.cli import _show
from lsm.sensing import Bundle
from lsm.sensing.progress import RichReporter


def train_policy(
    config: Annotated[str, typer.Argument(help="TOML file, or the name of a shipped one.")] = "default",
    model: Annotated[str, typer.Option(help="Folder of a model, or the name of a shipped one.")] = "procedural",
    out: Annotated[Path | None, typer.Option(help="New folder for the model with its policy.")] = None,
    cells: Annotated[
        Path | None, typer.Option(help="NIH cell crops, for a model made from them; default: from LSM_DATA.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for slide tables and checkpoints.")] = Path("out/cache"),
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the training.")] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Train the search policy of a model on simulated slides, and judge it on held-out ones.

    An interrupted training goes on from its last checkpoint when the same command is given again.

    Example: lsm train-policy --model out/models/procedural --out out/models/procedural-policy
    """
    started = time.monotonic()
    settings = TrainPolicyConfig.from_file(_show.config_file("policy", config), seed=seed)
    bundle = Bundle.named(model)
    folder = _show.new_folder(out or Path("out/models") / f"{bundle.card.name}-policy")
    with _show.progress(quiet=as_json) as bars:
        extended = run_policy_pipeline(
            settings, bundle, cache=cache, cells=cells or _show.nih_cells(), progress=RichReporter(bars)
        )
    extended.save(folder)
    _tell(extended, folder, time.monotonic() - started, as_json=as_json)


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
