"""What `lsm policy run` and `show` draw and say of a record at cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lsm.agent.adaptive.overview import search_png, told_of
from lsm.agent.adaptive.recorded import CellRecord, RecordedCell, RecordedSearch
from lsm.agent.adaptive.run import CellRun
from lsm.agent.adaptive.strip import Strip, strip_png
from lsm.wholefile import whole_file


def draw(held: CellRecord, out: Path, cell: int | None = None) -> dict[str, Any]:
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


def tell(held: CellRecord, folder: Path, cell: int | None = None) -> None:
    """Where cells were found, and what was declared of each; or of one cell."""
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


def plain_run(one: CellRun) -> dict[str, Any]:
    """One cell as it was just looked at, for JSON."""
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


def plain_cell(one: RecordedCell) -> dict[str, Any]:
    """One recorded cell, for JSON."""
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
