"""`lsm console`: a rig in the browser."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsm.errors import ToolMissing


def console(
    rig: Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one.")] = "simulated",
    model: Annotated[str, typer.Option(help="Folder of a model, or the name of a shipped one.")] = "procedural",
    host: Annotated[str, typer.Option(help="Address to listen on; any but this computer's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 8765,
    token: Annotated[
        str | None, typer.Option(help="Default: a new one where it is needed.", envvar="LSM_TOKEN")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs that are started here.")] = Path("out") / "console",
    seed: Annotated[int, typer.Option(min=0, help="Slide, stage and noise of a simulated rig.")] = 1,
) -> None:
    """See and steer a rig from a browser: live image, light, stage, runs, review, and STOP.

    Connects to the rig and serves the page until it is interrupted; then the light is off and the rig is closed.
    One who opens the page steers, others watch. Programs do the same with lsm.console.ConsoleClient.

    Example: lsm console simulated
    """
    try:
        from lsm.console.serve import ConsoleOptions, serve
    except ModuleNotFoundError as error:
        raise ToolMissing(
            f"The console needs the package '{error.name}'.",
            hint="install learned-sensing-microscope[console]",
        ) from error
    screen = Console()

    def ready(url: str) -> None:
        screen.print(f"Console: {url}", soft_wrap=True, highlight=False, markup=False)
        screen.print("Ctrl-C ends it; the light goes off.", highlight=False)

    serve(ConsoleOptions(rig, model, seed, out, host, port, token), on_ready=ready)
