"""`lsm led`: the LED board alone, on the bench."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lsm.cli import _show
from lsm.devices import Illuminator, Shown
from lsm.errors import FileMissing, IlluminatorError, InputError
from lsm.illum import LedBoard, Pattern, annulus, bright_field, dark, dark_field, half_disc, single_led
from lsm.led import Edge, IlluminateClient, LedBoardClient, SequencePlan, SequenceState, When, find_board
from lsm.scope import RigConfig, find_rig, open_light

COLOURS = {"red": (0,), "green": (1,), "blue": (2,), "white": (0, 1, 2)}
RUNNING = (SequenceState.ARMED, SequenceState.UPDATING, SequenceState.EXPOSING)
KEEP_ALIVE_S = 0.5
FULL = 255

app = typer.Typer(
    help="Try an LED board on the bench: what it is, a light, a triggered sequence.", no_args_is_help=True
)

Where = Annotated[
    str,
    typer.Argument(help="Serial port (COM5, /dev/ttyACM0), tcp:HOST:PORT, rig file, or a shipped rig: simulated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]
Na = Annotated[float, typer.Option(help="Numerical aperture of bright-field, dark-field and dpc.")]
Colour = Annotated[str, typer.Option(help="red, green, blue or white.")]
Level = Annotated[int, typer.Option(min=1, max=FULL, help="Drive of each LED, 1 to 255.")]


class Light(StrEnum):
    """What `lsm led show` lights."""

    BRIGHT_FIELD = "bright-field"
    DARK_FIELD = "dark-field"
    ANNULUS = "annulus"
    DPC_LEFT = "dpc-left"
    DPC_RIGHT = "dpc-right"
    DPC_TOP = "dpc-top"
    DPC_BOTTOM = "dpc-bottom"
    LED = "led"
    DARK = "dark"


@app.callback()
def _group() -> None:
    pass


@app.command()
def info(where: Where, as_json: AsJson = False) -> None:
    """Say what board this is: firmware, LEDs, current limits, memory, and whether anything went wrong.

    The board is dark afterwards.

    Example: lsm led info simulated
    """
    with _opened(where) as board:
        facts = _facts(board)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table(title=f"LED board on {where}", title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    Console().print(table)


@app.command()
def show(
    where: Where,
    light: Annotated[Light, typer.Argument(help="What to light.")] = Light.BRIGHT_FIELD,
    na: Na = 0.1,
    na_min: Annotated[float, typer.Option(help="Inner numerical aperture of the annulus.")] = 0.0,
    led: Annotated[int, typer.Option(help="Which LED, for `led`.")] = 0,
    colour: Colour = "green",
    level: Level = FULL,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long; then the board goes dark.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Light a pattern for some seconds and say what the board reads back as lit. Ctrl-C ends it, dark.

    Example: lsm led show simulated dark-field --na 0.1 --colour blue --seconds 1
    """
    with _opened(where) as board:
        pattern = _tinted(board.board, _pattern(board.board, light, na, na_min, led), colour, level)
        shown = board.show(pattern, hold_ms=2000.0)
        facts = {"light": light.value, **_lit(board, shown)}
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            Console().print(_sentence(facts), soft_wrap=True, highlight=False)
        _hold(board, shown, seconds)


@app.command()
def sequence(
    where: Where,
    leds: Annotated[str, typer.Option(help="LEDs to step through, as 0-24 or 3,7,9; default: all inside --na.")] = "",
    na: Na = 0.1,
    colour: Colour = "green",
    level: Level = FULL,
    rounds: Annotated[int, typer.Option(min=0, help="How often; 0 until Ctrl-C or --longest.")] = 1,
    period_ms: Annotated[float, typer.Option(min=0.0, help="A step so often; 0 waits for trigger edges.")] = 100.0,
    trigger_in: Annotated[int, typer.Option(min=0, help="Input pin whose edges step, with --period-ms 0.")] = 0,
    edge: Annotated[Edge, typer.Option(help="Which of its edges.")] = Edge.RISING,
    trigger_out: Annotated[int, typer.Option(min=0, help="Output pin with a pulse at each settled pattern.")] = 0,
    settle_ms: Annotated[float, typer.Option(min=0.0, help="From latched LEDs to that pulse.")] = 0.0,
    longest: Annotated[float, typer.Option(min=0.001, help="Seconds after which it is dark in any case.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Store one pattern per LED on the board and step through them by its clock or by a camera's trigger.

    Tells how many patterns were shown and how many trigger edges came too early.

    Example: lsm led sequence simulated --leds 0-24 --period-ms 20
    """
    with _opened(where) as board:
        if not isinstance(board, LedBoardClient):
            raise InputError(f"The board on {where} cannot store checked sequences.", hint="it runs illuminate")
        chosen = _numbers(leds, board.board) if leds else np.flatnonzero(board.board.na <= na).tolist()
        patterns = [_tinted(board.board, single_led(board.board, i), colour, level) for i in chosen]
        control = board.sequences
        if period_ms == 0:
            control.trigger_in(trigger_in, edge)
        control.trigger_out(trigger_out, When.PATTERN)
        bits = control.load(patterns)
        plan = SequencePlan(
            rounds=rounds, period_us=round(period_ms * 1000), settle_us=round(settle_ms * 1000), longest_s=longest
        )
        armed = control.arm(plan)
        total = len(patterns) * rounds
        with _show.progress(quiet=as_json) as bars:
            task = bars.add_task("patterns shown", total=total or None, loss="")
            while (status := control.status()).state in RUNNING:
                bars.update(task, completed=status.steps)
                time.sleep(0.05)
            bars.update(task, completed=status.steps)
    facts = {
        "patterns": len(patterns),
        "bits_per_led": bits,
        "shown": status.steps,
        "missed_edges": status.missed,
        "limited_to": round(armed.scale_q16 / 65536, 3),
        "ended": SequenceState(status.state).name.lower(),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    ended = "all rounds are over" if status.state == SequenceState.DONE else f"--longest {longest:g} s is over"
    Console().print(
        f"{status.steps} patterns shown ({len(patterns)} stored, {bits} bit per LED), "
        f"{status.missed} trigger edges missed; dark: {ended}.",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def watch(
    where: Where,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long; 0 until Ctrl-C.")] = 0.0,
) -> None:
    """Show what the board says of itself, twice a second, while something else steps or resets it.

    The board is dark at first, and lights only what a trigger or its text commands make it.

    Example: lsm led watch simulated --seconds 1
    """
    began = time.monotonic()
    with _opened(where) as board, Live(_table(board), auto_refresh=False) as live:
        while seconds == 0 or time.monotonic() - began < seconds:
            time.sleep(KEEP_ALIVE_S)
            live.update(_table(board), refresh=True)


def _opened(where: str) -> Any:
    """A board that closes itself, from a rig or a port."""
    if where.endswith(".toml") or not (where.startswith("tcp:") or "/" in where or _is_port(where)):
        try:
            rig = find_rig(where)
        except FileMissing as error:
            raise FileMissing(
                f"'{where}' is no port and no rig.",
                hint="give a serial port (COM5, /dev/ttyACM0), tcp:HOST:PORT, a rig file, or: simulated",
            ) from error
        return open_light(RigConfig.from_file(rig))
    return find_board(where)


def _is_port(where: str) -> bool:
    return where.upper().startswith("COM") or Path(where).exists()


def _facts(board: Illuminator) -> dict[str, Any]:
    geometry = board.board
    facts: dict[str, Any] = {"LEDs": geometry.n_leds, "NA": f"{geometry.na.min():.3f} to {geometry.na.max():.3f}"}
    if isinstance(board, IlluminateClient):
        return {"firmware": f"illuminate {board.dialect}", **facts, "properties": board.properties}
    if not isinstance(board, LedBoardClient):
        return facts
    hello, status, properties = board.hello, board.status(), board.properties
    return {
        "device": properties["device_name"],
        "firmware": f"lsm {properties['interface_version']}, protocol {hello.version}",
        **facts,
        "current limit": f"{hello.limit_ma} mA, at most {hello.ceiling_ma} mA",
        "watchdog": f"dark after {hello.watchdog_ms / 1000:g} s of silence",
        "frame": f"{hello.frame_channels} levels per LED, requests up to {hello.max_frame} bytes",
        "sequence memory": f"{hello.sequence_bytes} bytes: {hello.sequence_bytes * 8 // hello.n_leds} on/off patterns",
        "trigger pins": f"{properties['trigger_input_count']} in, {properties['trigger_output_count']} out",
        "put out by silence": f"{status.dark_by_watchdog} times since power-on",
        "damaged frames": status.damaged_frames,
    }


def _table(board: Illuminator) -> Table:
    table = Table(show_header=False)
    if isinstance(board, LedBoardClient):
        status, running = board.status(), board.sequences.status()
        levels = board.latched()
        rows = {
            "LEDs lit": int(levels.any(axis=1).sum()),
            "strongest level": int(levels.max()),
            "current": f"{status.current_ma} of {status.limit_ma} mA",
            "LED frames since power-on": status.latch,
            "sequence": SequenceState(running.state).name.lower(),
            "pattern on": "none" if running.index is None else running.index,
            "patterns shown": running.steps,
            "trigger edges missed": running.missed,
            "put out by silence": status.dark_by_watchdog,
            "damaged frames": status.damaged_frames,
        }
    else:
        rows = {"LEDs": board.board.n_leds}
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _pattern(board: LedBoard, light: Light, na: float, na_min: float, led: int) -> Pattern:
    def half(degrees: float) -> Pattern:
        return half_disc(board, na=na, angle_rad=np.radians(degrees))

    choices = {
        Light.BRIGHT_FIELD: lambda: bright_field(board, na=na),
        Light.DARK_FIELD: lambda: dark_field(board, na=na),
        Light.ANNULUS: lambda: annulus(board, na_min=na_min, na_max=na),
        Light.DPC_RIGHT: lambda: half(0),
        Light.DPC_TOP: lambda: half(90),
        Light.DPC_LEFT: lambda: half(180),
        Light.DPC_BOTTOM: lambda: half(270),
        Light.LED: lambda: single_led(board, led),
        Light.DARK: lambda: dark(board),
    }
    return choices[light]()


def _tinted(board: LedBoard, pattern: Pattern, colour: str, level: int) -> Pattern:
    if colour not in COLOURS:
        raise InputError(f"There is no colour '{colour}'.", hint=f"choose {', '.join(COLOURS)}")
    duty = np.zeros_like(pattern.duty)
    duty[:, COLOURS[colour]] = pattern.duty.max(axis=1, keepdims=True) * level / FULL
    return Pattern.of(board, duty, name=pattern.name)


def _numbers(text: str, board: LedBoard) -> list[int]:
    try:
        parts = [part.split("-") for part in text.split(",")]
        chosen = [i for part in parts for i in range(int(part[0]), int(part[-1]) + 1)]
    except ValueError as error:
        raise InputError(f"--leds '{text}' is no list of LEDs.", hint="write 0-24 or 3,7,9") from error
    if not chosen or max(chosen) >= board.n_leds:
        raise InputError(f"--leds '{text}' does not fit the board.", hint=f"its LEDs are 0 to {board.n_leds - 1}")
    return chosen


def _lit(board: Illuminator, shown: Shown) -> dict[str, Any]:
    facts = {
        "leds_lit": int(shown.levels.any(axis=1).sum()),
        "strongest_level": int(shown.levels.max()),
        "limited": shown.limited,
    }
    if isinstance(board, LedBoardClient):
        facts["current_ma"] = board.status().current_ma
    return facts


def _sentence(facts: dict[str, Any]) -> str:
    current = f", {facts['current_ma']} mA" if "current_ma" in facts else ""
    limited = " (scaled down by the board's current limit)" if facts["limited"] else ""
    return (
        f"{facts['light']}: {facts['leds_lit']} LEDs lit at up to level {facts['strongest_level']}{current}{limited}."
    )


def _hold(board: Illuminator, shown: Shown, seconds: float) -> None:
    """Asking keeps the board's watchdog fed."""
    end = time.monotonic() + seconds
    while (rest_s := end - time.monotonic()) > 0:
        time.sleep(min(rest_s, KEEP_ALIVE_S))
        if not board.still_lit(shown):
            raise IlluminatorError("The light went out before its time.", hint="another program or a reset put it out")
