"""Entry point: builds the commands and turns an lsm error into one sentence and an exit status."""

import inspect
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape

from lsm import __version__
from lsm.cli.bench import app as bench_app
from lsm.cli.calibrate import app as calibrate_app
from lsm.cli.data import app as data_app
from lsm.cli.demo import demo
from lsm.cli.design import design
from lsm.cli.diagnose import diagnose
from lsm.cli.experiment import app as experiment_app
from lsm.cli.led import app as led_app
from lsm.cli.policy import app as policy_app
from lsm.cli.record import app as record_app
from lsm.cli.recover import recover
from lsm.cli.scope import app as scope_app
from lsm.cli.search import search
from lsm.cli.simulate import simulate
from lsm.cli.torture import torture
from lsm.cli.train_policy import train_policy
from lsm.cli.vision import app as vision_app
from lsm.errors import LsmError

INTERRUPTED = 130
LIGHTLESS = ("data", "design", "experiment", "train-policy", "simulate", "recover", "search", "vision")

app = typer.Typer(
    name="lsm",
    help="Controller for learned-sensing microscopes: light, stage and verdict, on real or simulated hardware.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo)
app.command("diagnose")(diagnose)
app.command("design")(design)
app.command("search")(search)
app.command("train-policy")(train_policy)
app.command("simulate")(simulate)
app.command("recover")(recover)
app.command("torture")(torture)
app.add_typer(bench_app, name="bench")
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(data_app, name="data")
app.add_typer(experiment_app, name="experiment")
app.add_typer(led_app, name="led")
app.add_typer(policy_app, name="policy")
app.add_typer(record_app, name="record")
app.add_typer(scope_app, name="scope")
app.add_typer(vision_app, name="vision")


def _fill(group: typer.Typer) -> None:
    """Let paragraphs of help fill the terminal; Typer would break lines where the source does."""
    for command in group.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for each in group.registered_groups:
        if each.typer_instance is not None:
            _fill(each.typer_instance)


_fill(app)


def _version(value: bool | None) -> None:
    if value:
        typer.echo(f"lsm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool | None = typer.Option(None, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 the input was wrong, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A stop request unwinds like Ctrl-C, so that the light goes off and files are closed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(words, standalone_mode=True)
    except LsmError as error:
        _tell(error, as_json="--json" in words)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            Console(stderr=True).print(_farewell(words), soft_wrap=True, highlight=False)
        raise


def _farewell(words: Sequence[str]) -> str:
    command, *rest = [*words, ""]
    if command == "led" and "watch" in rest[:1]:
        return "Interrupted: the board was only watched, its light is as it was."
    lit_part = {"record": "stack", "policy": "run"}.get(command)
    if command in LIGHTLESS or (lit_part is not None and lit_part not in rest[:1]):
        return "Interrupted."
    kept = ", what was recorded is kept" if command in ("demo", "diagnose", "policy") else ""
    return f"Interrupted: the light is off{kept}."


def _interrupt(signal_number: int, stack: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(error: LsmError, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
    console = Console(stderr=True, no_color="NO_COLOR" in os.environ)
    console.print(f"[bold red]Error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]Hint:[/] {escape(error.hint)}", highlight=False, soft_wrap=True)
