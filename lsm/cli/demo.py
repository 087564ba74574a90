"""`lsm demo`: the whole loop on one simulated slide."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from lsm.cli import _show
from lsm.config import shipped_config
from lsm.diagnose import comparison_table
from lsm.diagnose.compare import ComparisonRow
from lsm.diagnose.demo import DemoConfig, DemoResult, run_demo

DEFAULT_CONFIG = shipped_config("demo.toml")


def demo(
    seed: Annotated[int | None, typer.Option(help="Seed of slide, stage and noise.")] = None,
    cells: Annotated[
        Path | None,
        typer.Option(help="Make the slide of real cell images: the NIH crops (.npz) or a folder of them."),
    ] = None,
    parasitaemia: Annotated[
        float | None, typer.Option(help="Expected infected fraction of the slide's red cells, 0 to 1.")
    ] = None,
    captures: Annotated[int | None, typer.Option(help="Budget of the agent; default: what it was trained for.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model, or the name of a shipped one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="New or empty folder for report.html, record.h5 and the board's log.")
    ] = None,
    config: Annotated[
        Path, typer.Option(help="TOML file; options win over it.", show_default="the shipped one")
    ] = DEFAULT_CONFIG,
    as_json: _show.AsJson = False,
) -> None:
    """Let the agent search a blood smear on a simulated microscope, and compare it with a bright-field scan.

    The LED board's firmware, its protocol, Micro-Manager's core, the networks and the recording are the real ones;
    the sample, the optics, the camera's sensor and the stage are computed.

    Example: lsm demo --seed 3 --out out/demo-3
    """
    settings = DemoConfig.from_file(config, seed=seed, parasitaemia=parasitaemia, captures=captures, model=model)
    folder = out or Path("out") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with _show.progress(quiet=as_json) as bars:
        result = run_demo(settings, folder, cells=cells, on_step=_Bars(bars))
    if as_json:
        typer.echo(json.dumps(_plain(result, settings)))
        return
    console = Console()
    console.print(comparison_table(result.rows))
    console.print(f"Verdict: [bold]{result.verdict.outcome.value}[/]. {result.verdict.reason}")
    console.print(f"Report:  {result.report}", soft_wrap=True, markup=False)
    console.print(f"Record:  {result.record}", soft_wrap=True, markup=False)


class _Bars:
    """One bar per policy, with the estimate as it settles."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, policy: str, taken: int, most: int, decision: dict[str, Any]) -> None:
        if policy not in self._tasks:
            self._tasks[policy] = self._bars.add_task(policy, total=most, loss="")
        low, high = 100 * decision["prevalence_low"], 100 * decision["prevalence_high"]
        text = f"{policy}: {100 * decision['prevalence']:.2f} % ({low:.2f} to {high:.2f})"
        self._bars.update(self._tasks[policy], completed=taken, description=text)


def _plain(result: DemoResult, settings: DemoConfig) -> dict[str, Any]:
    return {
        "seed": settings.seed,
        "verdict": result.verdict.outcome.value,
        "reason": result.verdict.reason,
        "runs": [_row(row) for row in result.rows],
        "report": str(result.report),
        "record": str(result.record),
        "seconds": round(result.seconds, 1),
    }


def _row(row: ComparisonRow) -> dict[str, Any]:
    plain: dict[str, Any] = asdict(row)
    return plain
