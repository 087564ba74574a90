"""`lsm search`: many designs, one table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsm import __version__
from lsm.cli import _show
from lsm.experiments.jobs import JobTable, Row
from lsm.experiments.jobs.ranking import Ranked, rank, write_results
from lsm.experiments.jobs.search import SearchConfig, executor_of, option_value, plan
from lsm.sensing.progress import RichReporter


def search(
    config: Annotated[str, typer.Argument(help="TOML file of the search, or a shipped one: cells.")],
    out: Annotated[Path | None, typer.Option(help="Folder of table and results; default out/search/NAME.")] = None,
    executor: Annotated[str | None, typer.Option(help="Where runs go: serial, processes, ray.")] = None,
    workers: Annotated[int | None, typer.Option(help="Runs at once, each with one core.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster, host:port; default: one of this machine.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Another value of a field of the base: light.bits=1. Repeatable.")
    ] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Run every design of a search with every seed and rank them: results.csv and results.json.

    Given again after an interruption, it runs only what is missing or failed.

    Example: lsm search cells --executor processes --workers 2
    """
    file = _show.config_file("search", config)
    settings = SearchConfig.from_file(file, executor=executor, workers=workers, address=address)
    planned = plan(settings, file.parent, dict(map(option_value, changes or [])))
    runner = executor_of(settings)
    folder = out or Path("out/search") / settings.name
    with JobTable(folder / "table.jsonl") as table, _show.progress(quiet=as_json) as bars:
        rows = runner.run(planned.jobs, table, RichReporter(bars))
        ranked = rank(planned.designs, table.rows, settings)
        write_results(folder, ranked, rows, settings, {"lsm": __version__})
    failed = [row for row in rows if row.result is None]
    if as_json:
        designs = [vars(each) for each in ranked]
        facts = {"folder": str(folder), "score": settings.score, "runs": len(rows), "failed": len(failed)}
        typer.echo(json.dumps(facts | {"designs": designs}))
    else:
        _tell(ranked, settings, folder, failed)
    if failed:
        raise typer.Exit(1)


def _tell(ranked: Sequence[Ranked], settings: SearchConfig, folder: Path, failed: Sequence[Row]) -> None:
    console = Console()
    names = list(ranked[0].settings)
    last = [name.rsplit(".", 1)[-1] for name in names]
    heads = [short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)]
    table = Table("", *heads, settings.score, "95 %", "seeds", "s per run")
    for place, each in enumerate(ranked, 1):
        # Student's interval is symmetric
        interval = "-" if each.low is None or each.score is None else f"± {each.score - each.low:.2g}"
        figures = [_figure(each.score), interval, str(each.seeds), _figure(each.seconds)]
        table.add_row(str(place), *(_figure(each.settings[name]) for name in names), *figures)
    console.print(table)
    console.print(f"Results: {folder / 'results.csv'}, {folder / 'results.json'}", soft_wrap=True, markup=False)
    if failed:
        first = f"{failed[0].key}: {failed[0].error}"
        again = f"{len(failed)} runs failed; the same command tries them again. The first: {first}"
        Console(stderr=True).print(again, soft_wrap=True, markup=False, highlight=False)


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
