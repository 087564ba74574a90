"""`lsm bench`: how fast lsm is on this machine, beside other programs."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from lsm.bench import compare_led, compare_optics, show, show_led
from lsm.bench.agent import compare_agent, show_agent
from lsm.bench.cells import compare_cells, show_cells
from lsm.bench.console import compare_console, show_console
from lsm.bench.diagnose import compare_diagnose, show_diagnose
from lsm.bench.record import compare_record, show_record
from lsm.bench.report import compare_report, show_report
from lsm.bench.scope import compare_scope, show_scope
from lsm.bench.vision import compare_vision, show_vision
from lsm.cli import _show
from lsm.errors import InputError, ToolMissing
from lsm.led import LedBoardClient, find_board
from lsm.scope import RigConfig, find_rig, open_light

COLUMNS = 100

app = typer.Typer(help="Measure speed and memory on this machine, beside other programs.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measure speed and memory on this machine, beside other programs."""


JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")]
Quick = Annotated[bool, typer.Option(help="A sign of life in seconds; the figures are rough.")]


@app.command("optics")
def optics(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Compare the optics simulator with full-size torch, torchoptics, fpm-py and the FFT alone.

    Takes about six minutes. Run it on an idle machine: where others use the cores, it takes far longer.

    Example: lsm bench optics --json bench.json
    """
    _check(json_file)
    with _show.progress(quiet=False) as bars:
        task = bars.add_task("", total=None, loss="")

        def tell(text: str, begun: int, most: int) -> None:
            bars.update(task, description=text, completed=begun, total=most)

        comparison = compare_optics(quick=quick, on_step=tell)
        bars.update(task, description="done", completed=bars.tasks[task].total)
    _report(show(comparison), comparison.plain(), json_file)


@app.command("led")
def led(
    port: Annotated[
        str, typer.Option(help="Port of a real board; default: the firmware compiled for this computer.")
    ] = "",
    baud: Annotated[
        int | None, typer.Option(min=1, help="Rate of its UART; default: 115200, then 1000000 where that is silent.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the patterns.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Time patterns from show() to latched light, count their bytes, and compare with illuminate text.

    The simulated board has 32 x 32 LEDs and is compiled without sanitizers.

    Example: lsm bench led --quick
    """
    _check(json_file)
    with _board(port, baud) as board, _steps() as on_step:
        if not isinstance(board, LedBoardClient):
            raise InputError(f"The board on {port} runs illuminate.", hint="give one with this project's firmware")
        comparison = compare_led(board, quick=quick, seed=seed, on_step=on_step)
    _report(show_led(comparison), comparison.plain(), json_file)


@app.command("scope")
def scope(
    folder: Annotated[
        Path | None, typer.Option(help="Folder on the disk for durable frames; default: that of temporary files.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the patterns and of the sample.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Time observe() beyond the exposure, beside a bare Micro-Manager core and pycromanager's Acquisition.

    Takes about a minute. Run it on an idle machine.

    Example: lsm bench scope --quick
    """
    _check(json_file)
    if folder is not None and not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", hint="name one on the disk to be measured")
    with _steps() as on_step:
        comparison = compare_scope(quick=quick, seed=seed, folder=folder, on_step=on_step)
    _report(show_scope(comparison), comparison.plain(), json_file)


@app.command("record")
def record(
    folder: Annotated[
        Path | None, typer.Option(help="Folder on the disk to be measured; default: that of temporary files.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the frames' noise.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Count the durable frames a second that a recording takes, beside plain bytes on the same disk.

    Takes about a minute and 2 GB of space, which it gives back. Run it on an idle machine.

    Example: lsm bench record --quick
    """
    _check(json_file)
    place = folder or Path(tempfile.gettempdir())
    if not place.is_dir():
        raise InputError(f"There is no folder {place}.", hint="name one on the disk to be measured")
    with _steps() as on_step:
        comparison = compare_record(place, quick=quick, seed=seed, on_step=on_step)
    _report(show_record(comparison), comparison.plain(), json_file)


@app.command("cells")
def cells(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Time how a stack of 6,000 cells is built, read and learned from, beside ready-made images.

    Takes about three minutes and 1 GB of space, which it gives back. Run it on an idle machine.

    Example: lsm bench cells --quick
    """
    _check(json_file)
    with _steps() as on_step:
        comparison = compare_cells(quick=quick, on_step=on_step)
    _report(show_cells(comparison), comparison.plain(), json_file)


@app.command("agent")
def agent(
    seed: Annotated[int, typer.Option(help="Of the cells, of the episodes and of the actions.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Count the steps a second of adaptive illumination, in a batch and one by one, beside the memory's own speed.

    Takes about a minute. Run it on an idle machine.

    Example: lsm bench agent --quick
    """
    _check(json_file)
    with _steps() as on_step:
        comparison = compare_agent(quick=quick, seed=seed, on_step=on_step)
    _report(show_agent(comparison), comparison.plain(), json_file)


@app.command("vision")
def vision(
    model: Annotated[
        list[Path] | None, typer.Option(help="A trained grid detector, to be scored and timed on --data as well.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Annotated images that the given models have not seen.")] = None,
    seed: Annotated[int, typer.Option(help="Of the painted frames and of the detectors taught on them.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Count the cells a second that the live detector finds on one core, beside torch and torchvision's Faster R-CNN.

    Both forms are first taught on painted frames, so that what is timed finds cells. Takes about three minutes.

    Example: lsm bench vision --quick
    """
    _check(json_file)
    with _steps() as on_step:
        comparison = compare_vision(
            quick=quick,
            seed=seed,
            models=model or [],
            data=data,
            on_step=on_step,
        )
    _report(show_vision(comparison), comparison.plain(), json_file)


@app.command("diagnose")
def diagnose(
    seed: Annotated[int, typer.Option(help="Of the slide whose fields are repeated.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Count the cells a second of a scan, from frames in memory to the verdict, and its memory over two million.

    Takes about ten minutes. Run it on an idle machine.

    Example: lsm bench diagnose --quick
    """
    _check(json_file)
    with _steps() as on_step:
        comparison = compare_diagnose(quick=quick, seed=seed, on_step=on_step)
    _report(show_diagnose(comparison), comparison.plain(), json_file)


@app.command("report")
def report(
    seed: Annotated[int, typer.Option(help="Of the slide whose fields are repeated.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Time how the report of a scan of 500 fields opens in headless Chromium, and weigh it.

    Needs Debian's chromium and the package playwright, else only sizes are told. Takes about three minutes.

    Example: lsm bench report --quick
    """
    _check(json_file)
    with _steps() as on_step:
        comparison = compare_report(quick=quick, seed=seed, on_step=on_step)
    _report(show_report(comparison), comparison.plain(), json_file)


@app.command("console")
def console(
    minutes: Annotated[float, typer.Option(min=0.1, help="In all; memory is judged from 10 on.")] = 0.5,
    browsers: Annotated[
        bool, typer.Option(help="Pages in Chromium, where it is installed; else they only count.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the frames' noise.")] = 0,
    json_file: JsonFile = None,
    quick: Quick = False,
) -> None:
    """Count the frames a second that two pages show, and what they cost the control loop, in turns without them.

    Frames have 2048 x 2048 pixels and come 20 times a second. Run it on an idle machine.

    Example: lsm bench console --minutes 10 --json console.json
    """
    _check(json_file)
    with _steps() as on_step:
        try:
            comparison = compare_console(
                minutes=minutes,
                quick=quick,
                seed=seed,
                browsers=browsers,
                on_step=on_step,
            )
        except ModuleNotFoundError as error:
            raise ToolMissing(
                f"The console needs the package '{error.name}'.",
                hint="install learned-sensing-microscope[console]",
            ) from error
    _report(show_console(comparison), comparison.plain(), json_file)


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """Shows what is measured next, and that all is done."""
    with _show.progress(quiet=False) as bars:
        task = bars.add_task("", total=None, loss="")
        yield lambda name: bars.update(task, description=name)
        bars.update(task, description="done", completed=1, total=1)


def _board(port: str, baud: int | None) -> Any:
    if port:
        return find_board(port, baud=baud)
    rig = RigConfig.from_file(find_rig("simulated"))
    grid = rig.led.board.model_copy(update={"rows": 32, "columns": 32})
    simulator = rig.simulator and rig.simulator.model_copy(
        update={"options": {**rig.simulator.options, "sanitize": False}}
    )
    return open_light(
        rig.model_copy(update={"led": rig.led.model_copy(update={"board": grid}), "simulator": simulator})
    )


def _check(json_file: Path | None) -> None:
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {json_file}.", hint="nothing was measured; make the folder first")


def _report(tables: RenderableType, plain: dict[str, Any], json_file: Path | None) -> None:
    console = Console()
    console.width = min(COLUMNS, console.width) if console.is_terminal else COLUMNS
    console.print(tables, highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        console.print(f"Written: {json_file}", soft_wrap=True, markup=False)
