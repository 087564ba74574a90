"""`lsm diagnose review`: an operator's answers, and what they change."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lsm.cli import _show
from lsm.diagnose.compare import percent
from lsm.diagnose.scan_report.facts import VerdictFacts
from lsm.diagnose.slide import review as review_scan
from lsm.stats import OperatorAccuracy


def review(
    folder: Annotated[Path, typer.Argument(help="Folder of a scan that has ended.")],
    answers: Annotated[Path, typer.Option(help="answers.json, as report.html saves it.")],
    sensitivity: Annotated[float, typer.Option(help="Of the operator, on infected cells; 1: never wrong.")] = 1.0,
    specificity: Annotated[float, typer.Option(help="Of the operator, on other cells; 1: never wrong.")] = 1.0,
    rig: Annotated[str | None, typer.Option(help="Where the rig file is now, if it was moved.")] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Apply an operator's answers to a scan, and show how the verdict changed; both are kept.

    The answers come from the review in report.html. They go into review.json, review.pdf and review.html; the scan's
    own report stays as it is. Cells without an answer keep their scores.

    Example: lsm diagnose review out/A-17 --answers answers.json
    """
    result = review_scan(folder, answers, OperatorAccuracy(sensitivity, specificity), rig=rig)
    if as_json:
        told = {name: said.model_dump(mode="json") for name, said in _named(result.before, result.after)}
        typer.echo(json.dumps(told | {"report": str(result.report)}))
        return
    console = Console()
    for name, said in _named(result.before, result.after):
        estimate = said.estimate
        console.print(
            f"{name.capitalize() + ':':8} [bold]{said.outcome.value}[/], {percent(estimate.prevalence)} "
            f"({percent(estimate.low)} to {percent(estimate.high)}). {escape(said.reason)}",
            highlight=False,
        )
    console.print(f"Report:  {result.report}", soft_wrap=True, highlight=False, markup=False)


def _named(before: VerdictFacts, after: VerdictFacts) -> tuple[tuple[str, VerdictFacts], ...]:
    return ("before", before), ("after", after)
