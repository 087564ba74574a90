"""`lsm data`: which data sets are there, stacks of single cells made from them, annotations converted and checked."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsm.cli import _show
from lsm.cli._data_annotations import (
    To,
    Wishes,
    check_paths,
    convert_annotations,
    refuse_unread,
    target,
    tell_checked,
)
from lsm.cli._data_sets import DATA_SETS, data_folder, found_at
from lsm.cli._data_sources import Kind, Wanted, convert_source
from lsm.errors import InputError
from lsm.record.stacks import StackCamera
from lsm.sensing.cells import CellStack, CellStackConfig, read_cells
from lsm.sensing.progress import RichReporter
from lsm.vision.data import Severity

app = typer.Typer(help="Find data sets, check them, and convert them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_sets(as_json: _show.AsJson = False) -> None:
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


STACK, MEASURED, PHANTOMS, ANNOTATIONS = "Simulated light", "Measured light", "Phantoms", "Annotations"
"""Panels of the help."""

Images = Annotated[
    Path | None,
    typer.Option(help="Folder of the images, if not beside the annotations.", rich_help_panel=ANNOTATIONS),
]
Categories = Annotated[
    str,
    typer.Option(
        help="Names to use, in order, such as RBC,WBC; for files of numbers their names.", rich_help_panel=ANNOTATIONS
    ),
]
Category = Annotated[
    str | None,
    typer.Option(
        help="Name for objects that have none, as in points and instance labels.",
        show_default="object",
        rich_help_panel=ANNOTATIONS,
    ),
]
SidePx = Annotated[
    float | None, typer.Option(help="Points: side of an object's box, in pixels.", rich_help_panel=ANNOTATIONS)
]


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="File or folder of a data set, or 'phantom'.")],
    out: Annotated[Path, typer.Argument(help="New file: HDF5 for a stack, JSON for annotations.")],
    kind: Annotated[Kind, typer.Option(help="What SOURCE is, where its contents do not tell.")] = Kind.AUTO,
    to: Annotated[
        To | None, typer.Option(help="Write annotations in this format.", show_default="coco where OUT is .json")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Mend or leave out what is wrong, and tell it.", rich_help_panel=ANNOTATIONS),
    ] = False,
    images: Images = None,
    categories: Categories = "",
    category: Category = None,
    side_px: SidePx = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with the light and optics to simulate (CellStackConfig).", rich_help_panel=STACK),
    ] = None,
    na: Annotated[
        float | None, typer.Option(help="Numerical aperture; over the configuration's.", rich_help_panel=STACK)
    ] = None,
    camera_pixel_um: Annotated[
        float | None, typer.Option(help="Camera pixel at the sample; the same.", rich_help_panel=STACK)
    ] = None,
    sample_pixel_um: Annotated[
        float | None, typer.Option(help="Pixel of the simulated sample; the same.", rich_help_panel=STACK)
    ] = None,
    sample_px: Annotated[
        int | None, typer.Option(help="Side of the simulated sample; the same.", rich_help_panel=STACK)
    ] = None,
    colours: Annotated[
        str, typer.Option(help="Channels of the board, such as 0,1,2 (red, green, blue).", rich_help_panel=STACK)
    ] = "",
    grey: Annotated[
        str | None, typer.Option(help="What grey levels mean: own or fixed; the same.", rich_help_panel=STACK)
    ] = None,
    variants: Annotated[int | None, typer.Option(help="Rows for each cell; the same.", rich_help_panel=STACK)] = None,
    seed: Annotated[int | None, typer.Option(help="Of all draws; the same.", rich_help_panel=STACK)] = None,
    board: Annotated[
        Path | None, typer.Option(help="LED positions, CSV with x_mm,y_mm,z_mm.", rich_help_panel=MEASURED)
    ] = None,
    central: Annotated[
        bool,
        typer.Option("--central", help="The paper's arrays: keep the LED on the axis.", rich_help_panel=MEASURED),
    ] = False,
    cells: Annotated[
        str, typer.Option(help="BSCCM: numbers of cells, such as 0-99,120.", rich_help_panel=MEASURED)
    ] = "",
    offset_adu: Annotated[
        float | None, typer.Option(help="BSCCM: dark signal of its camera.", rich_help_panel=MEASURED)
    ] = None,
    saturated_adu: Annotated[
        float | None, typer.Option(help="BSCCM: where its camera saturates.", rich_help_panel=MEASURED)
    ] = None,
    centres: Annotated[
        Path | None,
        typer.Option(
            help="Recovered slide: CSV with x_um,y_um of the pieces from its middle.", rich_help_panel=MEASURED
        ),
    ] = None,
    smears: Annotated[int, typer.Option(min=1, help="How many smears.", rich_help_panel=PHANTOMS)] = 8,
    per_smear: Annotated[int, typer.Option(min=1, help="Cells of each smear.", rich_help_panel=PHANTOMS)] = 100,
    as_json: _show.AsJson = False,
) -> None:
    """Make a stack of single cells, or annotations in another format.

    A stack has one image per cell and lamp. Cell crops (NIH), phantoms and slides that lsm recover found are imaged
    by simulated optics; the published one-LED images of malaria cells and BSCCM were measured. The file says which
    it is.

    Annotations (COCO, Pascal VOC, LabelMe, BBBC041, Keras R-CNN, points, instance labels) are written as COCO or
    Keras R-CNN; images stay where they are. The options of a panel are read for what its name says.

    Example: lsm data convert phantom cells.h5 --smears 2 --per-smear 20

    Example: lsm data convert BCCD cells.json --to coco --repair
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
    wishes = Wishes(kind, repair, images, categories, category, side_px)
    format_ = target(out, to)
    if format_ is not None:
        lit = {f"--{key.replace('_', '-')}": value is not None for key, value in changes.items()}
        given = {"--config": config is not None} | lit | wanted.options()
        refuse_unread(given, "annotations", "leave it out, or give OUT another ending than .json for a stack")
        convert_annotations(Path(source), out, format_, wishes, as_json=as_json)
        return
    refuse_unread(wishes.options(), "a stack of cells", "leave it out, or say --to coco or --to keras-rcnn")
    with _show.progress(quiet=as_json) as bars:
        convert_source(source, kind, wanted, out, RichReporter(bars))
    _tell(out, read_cells(out), as_json=as_json)


@app.command("check")
def check_sets(
    paths: Annotated[list[Path], typer.Argument(help="Annotations; the parts of a split one after the other.")],
    kind: Annotated[Kind, typer.Option(help="What they are, where their contents do not tell.")] = Kind.AUTO,
    block: Annotated[
        int | None, typer.Option(min=1, help="Take so many neighbouring numbers in names as one group.")
    ] = None,
    blocks: Annotated[int | None, typer.Option(min=1, hidden=True, help="The same as --block.")] = None,
    images: Images = None,
    categories: Categories = "",
    category: Category = None,
    side_px: SidePx = None,
    as_json: _show.AsJson = False,
) -> None:
    """Say what is wrong with annotated images, in each set and between the parts of a split.

    Finds boxes that are empty or outside, objects marked twice or of no known category, damaged images, one picture
    twice or in two parts, even encoded anew, groups in two parts, and names that tell the label. Nothing is changed.
    The exit status is 1 where there are errors.

    Example: lsm data check train.json val.json
    """
    wishes = Wishes(kind, True, images, categories, category, side_px)
    with _show.progress(quiet=as_json) as bars:
        result = check_paths(paths, wishes, block or blocks, RichReporter(bars))
    tell_checked(result, paths, as_json=as_json)
    if result.number(Severity.ERROR):
        raise typer.Exit(1)


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
