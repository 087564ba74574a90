"""`lsm recover`: from measured images back to the sample."""

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from lsm.cli import _show
from lsm.errors import InputError
from lsm.optics.recover import RecoverConfig, Recovered
from lsm.optics.recover import recover as run_recovery
from lsm.optics.stackfile import read_stack

DEFAULT = RecoverConfig()


def recover(
    stack: Annotated[Path, typer.Argument(help="LED stack (HDF5): one image per LED, as lsm simulate writes.")],
    out: Annotated[Path, typer.Option(help="New HDF5 file for sample, pupil, LED positions and gains.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all images.")] = DEFAULT.epochs,
    board_error_mm: Annotated[
        float, typer.Option(min=0, max=5, help="How far the board may be off as a whole; above 0.3 is slower.")
    ] = DEFAULT.board_error_mm,
    position_error_mm: Annotated[
        float, typer.Option(min=0, max=5, help="How far single LEDs may be off it; above 0.3 is much slower.")
    ] = DEFAULT.position_error_mm,
    defocus_um: Annotated[float | None, typer.Option(help="Where to start; default: what the stack says.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the start and of the order of LEDs.")] = DEFAULT.seed,
    as_json: _show.AsJson = False,
) -> None:
    """Recover the sample, the pupil and the LEDs' positions and gains from one image per LED.

    The sample can be simulated again. An interrupted recovery goes on when the same command is given again.

    Example: lsm recover stack.h5 --out sample.h5
    """
    _check_target(out)
    measured = read_stack(stack)
    config = RecoverConfig.from_table(
        {
            "epochs": epochs,
            "board_error_mm": board_error_mm,
            "position_error_mm": position_error_mm,
            "seed": seed,
        },
        source="the command",
    )
    started = time.monotonic()
    with _show.progress(quiet=as_json) as bars:
        task = bars.add_task("recover", total=None, loss="")
        found = run_recovery(
            torch.from_numpy(measured.images),
            measured.board,
            measured.system,
            leds=torch.from_numpy(measured.leds),
            defocus_um=measured.defocus_um if defocus_um is None else defocus_um,
            config=config,
            progress=lambda done, total, loss: bars.update(task, completed=done, total=total, loss=f"loss {loss:.4f}"),
            checkpoint=out.with_suffix(".part"),
        )
    found.save(out)
    _tell(found, out, time.monotonic() - started, as_json=as_json)


def _check_target(out: Path) -> None:
    if out.exists():
        raise InputError(f"{out} exists.", hint="name another with --out; nothing was changed")
    if not out.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {out}.", hint="make the folder first")


def _tell(found: Recovered, out: Path, seconds: float, *, as_json: bool) -> None:
    facts = found.summary() | {"sample": str(out), "seconds": round(seconds)}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print(
        f"{found.leds.size} images, correlation with the model: median {facts['median_correlation']:.3f}, "
        f"worst {facts['worst_correlation']:.3f}."
    )
    console.print(f"Defocus {found.defocus_um:.1f} um, NA {facts['fitted_na']:.4f}.")
    console.print(f"Sample: {out} ({seconds:.0f} s)", soft_wrap=True, markup=False)
