"""Entry point: builds the commands and turns an lsm error into one sentence and an exit status."""

import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, cast

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from lsm import __version__
from lsm.errors import LsmError

INTERRUPTED = 130
LIGHTLESS = ("data", "design", "experiment", "panel", "train-policy", "simulate", "recover", "search", "vision")

COMMANDS: Final = {
    "demo": (
        "demo:demo",
        "Diagnose a small blood smear on a simulated microscope: in bright field alone, and in learned light.",
    ),
    "diagnose": (
        "diagnose:diagnose",
        "Scan or search the slide on a rig, record every frame before the next decision, and report a verdict.",
    ),
    "diagnose review": (
        "review:review",
        "Apply an operator's answers to a scan, and show how the verdict changed; both are kept.",
    ),
    "panel": (
        "panel:panel",
        "Read a virtual proficiency panel in the WHO's composition; score detection, counts and level with intervals.",
    ),
    "design": (
        "design:design",
        "Learn illumination patterns, classifier and cell finder together, calibrate them, and write a model.",
    ),
    "search": (
        "search:search",
        "Run every design of a search with every seed and rank them: results.csv and results.json.",
    ),
    "train-policy": (
        "train_policy:train_policy",
        "Train a policy and judge it on what it was not trained on: slides, or the cells of held-out patients.",
    ),
    "simulate": (
        "simulate:simulate",
        "Compute one image per LED of a sample, as a microscope with an LED board would take them.",
    ),
    "recover": (
        "recover:recover",
        "Recover the sample, the pupil and the LEDs' positions and gains from one image per LED.",
    ),
    "console": (
        "console:console",
        "See and steer a rig from a browser: live image, light, stage, runs, review, and STOP.",
    ),
    "torture": (
        "torture:torture",
        "Inject faults into a rig and count what came of each: recovered, stopped safely, silently wrong, or a hang.",
    ),
    "bench": ("bench:app", "Measure speed and memory on this machine, beside other programs."),
    "calibrate": (
        "calibrate:app",
        "Measure what a rig is really like, with its own images: all steps in order, or one of them.",
    ),
    "data": ("data:app", "Find data sets, check them, and convert them."),
    "experiment": (
        "experiment:app",
        "Repeat published experiments: light and pupil learned with the classifier, photon budgets, detectors.",
    ),
    "led": ("led:app", "Try an LED board on the bench: what it is, a light, a triggered sequence."),
    "policy": (
        "policy:app",
        "Policies for single cells: try them on cells, run them on a microscope, see what they did.",
    ),
    "record": ("record:app", "Look into a recording, check it, export it, or see it under another light."),
    "scan": (
        "scan:app",
        "Plans of captures that are fixed beforehand: for pymmcore-plus, from useq sequences, and on a rig.",
    ),
    "scope": ("scope:app", "Look after a rig: what it consists of, how fast it is, what is wrong."),
    "vision": ("vision:app", "Find, name and outline cells in your own images: train, score, search, draw."),
}
"""Of each command where it is, and the first sentence of its help; its module is read when it is used."""


class LazyGroup(TyperGroup):
    """Commands that are read when they are used: most need modules that take seconds to read."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if (pair := " ".join(args[:2])) in COMMANDS and len(args) > 1:
            return pair, loaded(pair), args[2:]
        name, known, rest = super().resolve_command(ctx, args)
        return name, known if name is None else loaded(name), rest


def loaded(name: str) -> TyperCommand | TyperGroup:
    """The command of that name, with everything that it needs."""
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(importlib.import_module(f"lsm.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        _fill(found)
        group = get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    _fill(alone)
    command = get_command(alone)
    return cast("TyperCommand", command)


def _fill(group: typer.Typer) -> None:
    """Let paragraphs of help fill the terminal; Typer would break lines where the source does."""
    for command in group.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for each in group.registered_groups:
        if each.typer_instance is not None:
            _fill(each.typer_instance)


app = typer.Typer(
    name="lsm",
    cls=LazyGroup,
    help="Controller for learned-sensing microscopes: light, stage and verdict, on real or simulated hardware.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


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
    lit_part = {"record": "stack", "policy": "run", "scan": "run"}.get(command)
    if command in LIGHTLESS or (lit_part is not None and lit_part not in rest[:1]):
        return "Interrupted."
    kept = ", what was recorded is kept" if command in ("demo", "diagnose", "policy", "scan") else ""
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
