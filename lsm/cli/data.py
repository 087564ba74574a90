"""`lsm data`: which data sets are there, and stacks of single cells made from them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsm.cli import _show
from lsm.cli._data_sets import DATA_SETS, data_folder, found_at
from lsm.cli._data_sources import Kind, Wanted, convert_source
from lsm.errors import InputError
from lsm.record.stacks import StackCamera
from lsm.sensing.cells import CellStack, CellStackConfig, read_cells
from lsm.sensing.progress import RichReporter

app = typer.Typer(help="Find data sets, and make stacks of single cells from them.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_sets(as_json: AsJson = False) -> None:
    """Say which data sets are in the folder that LSM_DATA names, and what each is good for.

    Example: lsm data list
    """
    folder = data_folder()
    rows = [
        {"name": one.name, "found": found_at(one, folder), "good_for": one.good_for, "from": one.origin}
        for one in DATA_SETS
    ]
    if as_json:
        typer.echo(json.dumps({"folder": None if folder is None else str(folder), "sets": rows}))
        return
    table = Table("set", "there", "good for")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(row["name"], "yes" if row["found"] else "no", f"{row['good_for']}\n({row['from']})")
    console = Console()
    console.print(table, markup=False, highlight=False)
    if folder is None:
        console.print("LSM_DATA does not name a folder; set it to where the data sets are.", highlight=False)
    else:
        console.print(f"Looked in {folder}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="File or folder of a data set, or 'phantom'.")],
    out: Annotated[Path, typer.Argument(help="New HDF5 file for the stack.")],
    kind: Annotated[Kind, typer.Option(help="What SOURCE is, where its contents do not tell.")] = Kind.AUTO,
    config: Annotated[
        Path | None, typer.Option(help="TOML with the light and optics to simulate (CellStackConfig).")
    ] = None,
    na: Annotated[float | None, typer.Option(help="Numerical aperture; over the configuration's.")] = None,
    camera_pixel_um: Annotated[float | None, typer.Option(help="Camera pixel at the sample; the same.")] = None,
    sample_pixel_um: Annotated[float | None, typer.Option(help="Pixel of the simulated sample; the same.")] = None,
    sample_px: Annotated[int | None, typer.Option(help="Side of the simulated sample; the same.")] = None,
    colours: Annotated[str, typer.Option(help="Channels of the board, such as 0,1,2 (red, green, blue).")] = "",
    grey: Annotated[str | None, typer.Option(help="What grey levels mean: own or fixed; the same.")] = None,
    variants: Annotated[int | None, typer.Option(help="Rows for each cell; the same.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all draws; the same.")] = None,
    board: Annotated[Path | None, typer.Option(help="Measured images: LED positions, CSV with x_mm,y_mm,z_mm.")] = None,
    central: Annotated[bool, typer.Option("--central", help="The paper's arrays: keep the LED on the axis.")] = False,
    cells: Annotated[str, typer.Option(help="BSCCM: numbers of cells, such as 0-99,120.")] = "",
    offset_adu: Annotated[float | None, typer.Option(help="BSCCM: dark signal of its camera.")] = None,
    saturated_adu: Annotated[float | None, typer.Option(help="BSCCM: where its camera saturates.")] = None,
    centres: Annotated[
        Path | None, typer.Option(help="Recovered slide: CSV with x_um,y_um of the pieces from its middle.")
    ] = None,
    smears: Annotated[int, typer.Option(min=1, help="Phantom: how many smears.")] = 8,
    per_smear: Annotated[int, typer.Option(min=1, help="Phantom: cells of each smear.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Make a stack of single cells, one image per cell and lamp, from any of the sources.

    Cell crops (NIH), phantoms and slides that lsm recover found are imaged by simulated optics; the published
    one-LED images of malaria cells and BSCCM were measured. The file says which it is.

    Example: lsm data convert phantom cells.h5 --smears 2 --per-smear 20
    """
    if out.exists():
        raise InputError(f"{out} exists.", hint="name another; nothing was changed")
    if not out.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {out}.", hint="make the folder first")
    changes = {
        "na": na,
        "camera_pixel_um": camera_pixel_um,
        "sample_pixel_um": sample_pixel_um,
        "sample_px": sample_px,
        "colours": _numbers(colours) or None,
        "grey": grey,
        "variants": variants,
        "seed": seed,
    }
    wanted = Wanted(
        config=_config(config, changes),
        board=board,
        central=central,
        cells=_numbers(cells),
        camera=StackCamera(offset_adu=offset_adu, saturated_adu=saturated_adu),
        centres=centres,
        smears=smears,
        per_smear=per_smear,
    )
    with _show.progress(quiet=as_json) as bars:
        convert_source(source, kind, wanted, out, RichReporter(bars))
    _tell(out, read_cells(out), as_json=as_json)


def _config(file: Path | None, changes: dict[str, Any]) -> CellStackConfig:
    given = {key: value for key, value in changes.items() if value is not None}
    if file is not None:
        return CellStackConfig.from_file(file, **given)
    return CellStackConfig.from_table(given, source="the command")


def _numbers(text: str) -> list[int]:
    """Numbers from text such as 0-99,120. Raises InputError."""
    found: list[int] = []
    try:
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            if not numbers:
                raise ValueError(part)
            found += numbers
    except ValueError as error:
        raise InputError(f"'{text}' is no list of numbers.", hint="write such as 0-99,120") from error
    return found


def _tell(out: Path, stack: CellStack, *, as_json: bool) -> None:
    rows, lamps, height, width = stack.shape
    facts = {
        "stack": str(out),
        "rows": rows,
        "lamps": lamps,
        "height_px": height,
        "width_px": width,
        "patients": len(stack.patients()),
        "infected": int(stack.infected.sum()) if stack.labelled else None,
        "source": stack.source,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    labels = f"{facts['infected']} infected" if stack.labelled else "without labels"
    console = Console()
    console.print(
        f"{rows} cells ({labels}, {facts['patients']} patients) under {lamps} lamps, {height} x {width} px.",
        highlight=False,
    )
    console.print(f"Data:  {stack.source}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Stack: {out}", soft_wrap=True, markup=False, highlight=False)
