"""`lsm demo`: a small simulated slide, diagnosed in bright field and in learned light."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from lsm.cli import _show
from lsm.cli.diagnose import known_line
from lsm.config import shipped_config
from lsm.diagnose import comparison_table
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
    size: Annotated[tuple[int, int] | None, typer.Option(help="Columns and rows of fields; default: 4 3.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model, or the name of a shipped one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="New or empty folder for reports, recordings and the board's log.")
    ] = None,
    config: Annotated[
        Path, typer.Option(help="TOML file; options win over it.", show_default="the shipped one")
    ] = DEFAULT_CONFIG,
    as_json: _show.AsJson = False,
) -> None:
    """Diagnose a small blood smear on a simulated microscope: in bright field alone, and in learned light.

    The LED board's firmware, its protocol, Micro-Manager's core, the networks, the statistics and the recording are
    the real ones; the sample, the optics, the camera's sensor and the stage are computed.

    Example: lsm demo --seed 3 --out out/demo-3
    """
    columns, rows = size or (None, None)
    settings = DemoConfig.from_file(
        config, seed=seed, parasitaemia=parasitaemia, columns=columns, rows=rows, model=model
    )
    folder = out or Path("out") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with _show.progress(quiet=as_json) as bars:
        result = run_demo(settings, folder, cells=cells, on_step=_Bars(bars))
    if as_json:
        typer.echo(json.dumps(_plain(result, settings)))
        return
    _print(result, Console())


class _Bars:
    """One bar per scan, with what is known so far."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, light: str, fields: int, most: int, known: dict[str, Any]) -> None:
        if light not in self._tasks:
            self._tasks[light] = self._bars.add_task(light, total=most, loss="")
        self._bars.update(self._tasks[light], completed=fields, description=f"{light}: {known_line(known)}")


def _print(result: DemoResult, console: Console) -> None:
    console.print(comparison_table(result.rows))
    verdict, alone = result.learned.verdict, result.bright.verdict
    console.print(f"Verdict: [bold]{verdict.outcome.value}[/]. {escape(verdict.reason)}", highlight=False)
    console.print(f"In bright field alone: {alone.outcome.value}. {escape(alone.reason)}", highlight=False)
    console.print(
        f"Density: [bold]{verdict.per_ul:,.0f}/µl[/] ({verdict.per_ul_low:,.0f} to {verdict.per_ul_high:,.0f}); "
        f"{verdict.convention}.",
        highlight=False,
    )
    page = result.learned.report
    paths = {
        "Report:": f"{page}",
        "Beside:": f"{result.bright.report} (bright field alone)",
        "Record:": f"{result.learned.record}",
        "Review:": f"lsm diagnose review {page.parent} --answers answers.json (which the report saves)",
    }
    for label, told in paths.items():
        console.print(f"{label:8} {told}", soft_wrap=True, highlight=False, markup=False)


def _plain(result: DemoResult, settings: DemoConfig) -> dict[str, Any]:
    return {
        "seed": settings.seed,
        "verdict": result.learned.verdict.outcome.value,
        "reason": result.learned.verdict.reason,
        "runs": [asdict(row) for row in result.rows],
        "report": str(result.learned.report),
        "record": str(result.learned.record),
        "beside": str(result.bright.report),
        "seconds": round(result.seconds, 1),
    }
