"""`lsm diagnose`: one slide on one rig, from the first light to the verdict."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from lsm.cli import _show
from lsm.config import shipped_config
from lsm.diagnose.scan.config import FocusWay, Light
from lsm.diagnose.slide import DiagnoseConfig, DiagnoseResult, resume
from lsm.diagnose.slide import diagnose as diagnose_slide
from lsm.errors import InputError

DEFAULT_CONFIG = shipped_config("diagnose.toml")


def diagnose(
    rig: Annotated[
        str | None, typer.Argument(help="Rig file (TOML), or the name of a shipped one; default: simulated.")
    ] = None,
    resume_folder: Annotated[
        Path | None, typer.Option("--resume", help="Folder of an interrupted run, to go on after its last frame.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model, or the name of a shipped one.")] = None,
    slide: Annotated[
        str | None, typer.Option(help="Name of the slide; scans it whole, unless --search is given.")
    ] = None,
    light: Annotated[
        Light | None, typer.Option(help="Of a scan: one pattern, all of the model, or as many as a field is worth.")
    ] = None,
    focus: Annotated[FocusWay | None, typer.Option(help="Of a scan: how it is focused.")] = None,
    fields: Annotated[int | None, typer.Option(min=1, help="Of a scan: at most so many.")] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Of a scan: columns and rows; default: all that the rig reaches.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, max=0.5, help="Of a scan: share of a field that neighbours have in common.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            help="'scan': the whole slide; 'agent': the model's policy; 'bright field': a fixed search to compare with."
        ),
    ] = None,
    captures: Annotated[
        int | None, typer.Option(help="Budget of a search; default: what the policy was trained for.")
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            help="Of a scan: parasites per microlitre that a negative slide has fewer than; "
            "default: what the model tells from none."
        ),
    ] = None,
    corner: Annotated[
        tuple[float, float] | None, typer.Option(help="Stage x and y of the region's corner, in um.")
    ] = None,
    z: Annotated[float | None, typer.Option(help="Focus in um; default: where it is.")] = None,
    seed: Annotated[int | None, typer.Option(help="Slide, stage and noise of a simulated rig.")] = None,
    out: Annotated[Path | None, typer.Option(help="New or empty folder for record.h5 and report.html.")] = None,
    config: Annotated[
        Path, typer.Option(help="TOML file; options win over it.", show_default="the shipped one")
    ] = DEFAULT_CONFIG,
    as_json: _show.AsJson = False,
) -> None:
    """Scan or search the slide on a rig, record every frame before the next decision, and report a verdict.

    With --slide the whole slide is scanned until a verdict is reached or the fields end; without it the model's policy
    searches the region that it was trained for. An interrupted run goes on with --resume: it makes the decisions that
    it would have made.

    Example: lsm diagnose simulated --slide A-17 --size 4 3 --out out/A-17
    """
    folder = resume_folder or out or _new_name()
    with _show.progress(quiet=as_json) as bars, _told_how_to_go_on(folder, rig):
        if resume_folder is not None:
            given = {"model": model, "search": search, "captures": captures, "corner": corner, "z": z, "seed": seed}
            given |= {"slide": slide, "light": light, "focus": focus, "fields": fields, "size": size}
            _refuse_new_settings(given | {"overlap": overlap, "target": target, "out": out})
            result = resume(folder, rig=rig, on_step=_Bar(bars))
        else:
            settings = DiagnoseConfig.from_file(
                config,
                rig=rig,
                model=model,
                search=search or (None if slide is None else "scan"),
                slide=slide,
                captures=captures,
                corner_um=corner,
                z_um=z,
                seed=seed,
            )
            if captures is not None and settings.search == "scan":
                raise InputError("--captures is the budget of a search.", hint="a scan ends after so many --fields")
            settings = _with_scan(
                settings, light=light, focus=focus, fields=fields, size=size, overlap=overlap, target=target
            )
            result = diagnose_slide(settings, folder, on_step=_Bar(bars))
    if as_json:
        typer.echo(json.dumps(_plain(result)))
        return
    _print(result)


def _with_scan(
    settings: DiagnoseConfig,
    *,
    light: Light | None,
    focus: FocusWay | None,
    fields: int | None,
    size: tuple[int, int] | None,
    overlap: float | None,
    target: float | None,
) -> DiagnoseConfig:
    """The settings with the options of a scan. Raises InputError for such options without one, ConfigError."""
    columns, rows = size or (None, None)
    region: dict[str, Any] = {"columns": columns, "rows": rows, "fields": fields, "overlap": overlap}
    region = {key: value for key, value in region.items() if value is not None}
    if settings.search != "scan":
        if light or focus or region or target is not None:
            raise InputError(
                "--light, --focus, --fields, --size, --overlap and --target are options of a scan.",
                hint="name the slide with --slide, or add --search scan",
            )
        return settings
    if settings.corner_um is not None:
        region["corner_um"] = settings.corner_um
    table = settings.model_dump()
    scan = table["scan"]
    scan["region"] |= region
    scan["light"] = light or scan["light"]
    scan["focus"]["way"] = focus or scan["focus"]["way"]
    if target is not None:
        table["verdict"]["target_per_ul"] = target
    return DiagnoseConfig.from_table(table, source="the options")


class _Bar:
    """The captures of a search, or the fields of a scan with what is known so far."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: Any = None

    def __call__(self, taken: int, most: int, decision: dict[str, Any]) -> None:
        if self._task is None:
            self._task = self._bars.add_task("", total=most, loss="")
        low, high = 100 * decision["prevalence_low"], 100 * decision["prevalence_high"]
        text = f"{100 * decision['prevalence']:.2f} % ({low:.2f} to {high:.2f})"
        if "suspicious" in decision:
            text = known_line(decision)
        self._bars.update(self._task, completed=taken, description=text)


def known_line(known: dict[str, Any]) -> str:
    """What a scan knows after a field, in one line."""
    parts = [
        f"{known['cells']:,} cells",
        f"{known['suspicious']:,} suspicious",
        f"{known['per_ul']:,.0f}/µl ({known['per_ul_low']:,.0f} to {known['per_ul_high']:,.0f})",
        f"{known['light_dose'] / 1000:.1f} LED s",
    ]
    faulty = known["field"] + 1 - known["good"]
    return ", ".join([*parts, f"{faulty} faulty ({known['fault'] or 'before'})"] if faulty else parts)


@contextmanager
def _told_how_to_go_on(folder: Path, rig: str | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (folder / "record.h5").is_file():
            command = shlex.join(["lsm", "diagnose", *([rig] if rig else []), "--resume", str(folder)])
            Console(stderr=True).print(f"Go on with: {command}", soft_wrap=True, highlight=False, markup=False)
        raise


def _new_name() -> Path:
    return Path("out") / f"diagnose-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _refuse_new_settings(given: dict[str, Any]) -> None:
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if named:
        raise InputError(
            f"--resume goes on with the recorded settings, {', '.join(named)} cannot change them.",
            hint="leave them out, or start a new run",
        )


def _print(result: DiagnoseResult) -> None:
    run, estimate, console = result.run, result.run.estimate, Console()
    if result.resumed_after:
        console.print(f"Resumed after {result.resumed_after} recorded frames.")
    console.print(
        f"Infected: [bold]{estimate.prevalence:.2%}[/] of {estimate.cells} red cells "
        f"({estimate.low:.2%} to {estimate.high:.2%}). Captures: {run.captures}, of fields: {len(run.visits)}.",
        highlight=False,
    )
    console.print(
        f"Verdict:  [bold]{result.verdict.outcome.value}[/]. {escape(result.verdict.reason)}", highlight=False
    )
    if result.scan is not None:
        verdict = result.verdict
        console.print(
            f"Density:  [bold]{verdict.per_ul:,.0f}/µl[/] ({verdict.per_ul_low:,.0f} to {verdict.per_ul_high:,.0f}); "
            f"{verdict.convention}. The interval holds {verdict.interval.value}. "
            "Stages are not told apart by this model.",
            highlight=False,
        )
        console.print(f"Cells:    {result.cells}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Report:   {result.report}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Record:   {result.record}", soft_wrap=True, highlight=False, markup=False)


def _plain(result: DiagnoseResult) -> dict[str, Any]:
    run, estimate = result.run, result.run.estimate
    return {
        "slide": result.slide,
        "verdict": result.verdict.outcome.value,
        "reason": result.verdict.reason,
        "prevalence": estimate.prevalence,
        "interval": [estimate.low, estimate.high],
        "cells": estimate.cells,
        "captures": run.captures,
        "fields": len(run.visits),
        "light_dose_led_ms": run.light_dose,
        "resumed_after": result.resumed_after,
        "report": str(result.report),
        "record": str(result.record),
        "per_ul": result.verdict.per_ul,
        "per_ul_interval": [result.verdict.per_ul_low, result.verdict.per_ul_high],
        "convention": result.verdict.convention,
        "more_fields": result.verdict.more_fields,
        "interval_holds": result.verdict.interval.value,
        "interval_open": result.verdict.interval_open,
        "faulty_fields": sum(bool(visit.fault) for visit in run.visits),
        "cells_file": None if result.cells is None else str(result.cells),
    }
