"""`lsm led`: the LED board alone, on the bench."""

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lsm.cli import _show
from lsm.cli._led_input import check_pin, designed_light, leds_named, opened, own_board, planned, rig_behind
from lsm.cli._light import FULL, Light, named_pattern, tinted
from lsm.devices import Illuminator, Shown
from lsm.errors import IlluminatorError, InputError
from lsm.illum import LedBoard, Pattern, single_led
from lsm.led import Edge, IlluminateClient, LedBoardClient, SequenceState, SequenceStatus, When
from lsm.led.watch import Sight, Watcher
from lsm.scope import open_light

RUNNING = (SequenceState.ARMED, SequenceState.UPDATING, SequenceState.EXPOSING)
KEEP_ALIVE_S = 0.5
MODERATE = 64

app = typer.Typer(
    help="Try an LED board on the bench: what it is, a light, a triggered sequence.", no_args_is_help=True
)

Where = Annotated[
    str,
    typer.Argument(help="Serial port (COM5, /dev/ttyACM0), tcp:HOST:PORT, rig file, or a shipped rig: simulated."),
]
Baud = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="115200, then 1000000 where that is silent; a rig file's own",
        help="Rate of a UART, also of one behind a USB plug (Arduino Mega, ESP32); native USB has none.",
    ),
]
Na = Annotated[float, typer.Option(help="Numerical aperture of bright-field, dark-field, dpc; outer one of annulus.")]
Colour = Annotated[
    str, typer.Option(show_default="green, or the only one", help="red, green, blue or white, where there is a choice.")
]
Level = Annotated[
    int, typer.Option(min=1, max=FULL, help="Drive of each LED, 1 to 255; the default is moderate, a quarter.")
]


@app.callback()
def _group() -> None:
    pass


@app.command()
def info(where: Where, baud: Baud = None, as_json: _show.AsJson = False) -> None:
    """Say what board this is: firmware, LEDs, current limits, memory, and whether anything went wrong.

    The board is dark afterwards.

    Example: lsm led info simulated
    """
    with opened(where, baud=baud) as board:
        facts = _facts(board)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table(title=f"LED board on {where}", title_justify="left", show_header=False)
    for name, value in _readable(facts).items():
        table.add_row(name, str(value))
    Console().print(table)


@app.command()
def show(
    where: Where,
    light: Annotated[Light | None, typer.Argument(help="What to light.", show_default="bright-field")] = None,
    pattern: Annotated[
        Path | None, typer.Option(help="Light file to show as it was designed, such as 'lsm design' writes.")
    ] = None,
    capture: Annotated[
        int | None, typer.Option(min=0, show_default="0", help="Which capture of --pattern, from 0.")
    ] = None,
    na: Na = 0.1,
    na_min: Annotated[float, typer.Option(help="Inner numerical aperture of the annulus.")] = 0.0,
    led: Annotated[int, typer.Option(help="Which LED, for `led`.")] = 0,
    colour: Colour = "",
    level: Annotated[
        int | None,
        typer.Option(min=1, max=FULL, show_default="64", help="Drive of each LED, 1 to 255; 64 is moderate."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long; then the board goes dark.")] = 5.0,
    baud: Baud = None,
    as_json: _show.AsJson = False,
) -> None:
    """Light a pattern for some seconds and say what the board reads back as lit. Ctrl-C ends it, dark.

    Example: lsm led show simulated dark-field --na 0.1 --colour blue --seconds 1
    """
    designed = designed_light(pattern, capture, light=light, level=level, colour=colour)
    with opened(where, baud=baud) as board:
        if designed is None:
            named = light or Light.BRIGHT_FIELD
            asked = named_pattern(
                board.board, named, na=na, na_min=na_min, led=led, colour=colour, level=level or MODERATE
            )
            told: dict[str, Any] = {"light": named.value}
        else:
            asked, told = designed.pattern(board.board), designed.facts
        shown = board.show(asked, hold_ms=2000.0)
        facts = told | _lit(board, shown)
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            Console().print(_sentence(facts), soft_wrap=True, highlight=False)
        _hold(board, shown, seconds)


@app.command()
def sequence(
    where: Where,
    leds: Annotated[str, typer.Option(help="LEDs to step through, as 0-24 or 3,7,9; default: all inside --na.")] = "",
    na: Annotated[float, typer.Option(help="Without --leds, step through the LEDs inside this aperture.")] = 0.1,
    colour: Colour = "",
    level: Level = MODERATE,
    rounds: Annotated[int, typer.Option(min=0, max=65535, help="How often; 0 until Ctrl-C or --longest.")] = 1,
    period_ms: Annotated[float, typer.Option(help="A step so often, from 0.001; 0 waits for trigger edges.")] = 100.0,
    trigger_in: Annotated[int, typer.Option(min=0, help="Input pin whose edges step, with --period-ms 0.")] = 0,
    edge: Annotated[Edge, typer.Option(help="Which of its edges.")] = Edge.RISING,
    trigger_out: Annotated[int, typer.Option(min=0, help="Output pin with a pulse at each settled pattern.")] = 0,
    settle_ms: Annotated[float, typer.Option(help="From latched LEDs to that pulse; less than the period.")] = 0.0,
    longest: Annotated[float, typer.Option(help="Seconds, to 3600, after which it is dark in any case.")] = 60.0,
    baud: Baud = None,
    as_json: _show.AsJson = False,
) -> None:
    """Store one pattern per LED on the board and step through them by its clock or by a camera's trigger.

    Tells how many patterns were shown, how many trigger edges came too early, and
    how many pulses of the trigger output the next step cut off.

    Example: lsm led sequence simulated --leds 0-24 --period-ms 20
    """
    plan = planned(rounds=rounds, period_ms=period_ms, settle_ms=settle_ms, longest_s=longest)
    with opened(where, baud=baud) as opened_board:
        board = own_board(opened_board, where)
        patterns = _one_by_one(board.board, leds, na, colour, level)
        _set_up_pins(board, trigger_in if period_ms == 0 else None, edge, trigger_out)
        bits = board.sequences.load(patterns)
        armed = board.sequences.arm(plan)
        status = _followed(board, len(patterns) * rounds, quiet=as_json)
    facts = {
        "patterns": len(patterns),
        "bits_per_led": bits,
        "shown": status.steps,
        "missed_edges": status.missed,
        "lost_pulses": status.lost_pulses,
        "limited_to": round(armed.scale_q16 / 65536, 3),
        "ended": SequenceState(status.state).name.lower(),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    ended = "all rounds are over" if status.state == SequenceState.DONE else f"--longest {longest:g} s is over"
    Console().print(
        f"{status.steps} patterns shown ({len(patterns)} stored, {bits} bit per LED), "
        f"{status.missed} trigger edges missed, {status.lost_pulses} output pulses lost; dark: {ended}.",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def watch(
    where: Where,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long; 0 until Ctrl-C.")] = 0.0,
    baud: Baud = None,
) -> None:
    """Show what the board says of itself, twice a second, without changing what it does.

    It asks in text only. That does not put the light out and does not feed
    the watchdog: the light of a program that has died goes out on time, and a
    stored sequence steps on. Only a light made by text commands, which goes
    out after a minute without any, is kept on by watching.

    A serial port has one program at a time, so the one that made the light has
    ended. A board that restarts when its port is opened (Arduino Mega, ESP32)
    is dark from then on, and `simulated` is always a new, dark board.

    Example: lsm led watch simulated --seconds 1
    """
    began = time.monotonic()
    with ExitStack() as stack:
        watcher = _watcher(where, baud, stack)
        live = stack.enter_context(Live(_table(watcher.look()), auto_refresh=False))
        while seconds == 0 or time.monotonic() - began < seconds:
            time.sleep(KEEP_ALIVE_S)
            live.update(_table(watcher.look()), refresh=True)


def _watcher(where: str, baud: int | None, stack: ExitStack) -> Watcher:
    rig = rig_behind(where, baud=baud)
    if rig is None or rig.simulator is None:
        place, rate = (where, baud) if rig is None else (rig.led.port, rig.led.baud)
        watcher, transport = Watcher.on_port(place, baud=rate)
        stack.callback(transport.close)
        return watcher
    board = stack.enter_context(own_board(open_light(rig), where))
    said = f"'{where}' is a new board of its own: it is dark, and nothing else can light it."
    Console(stderr=True).print(said, soft_wrap=True)
    return Watcher(board.text, board.board, own=True, name=where)


def _one_by_one(board: LedBoard, leds: str, na: float, colour: str, level: int) -> list[Pattern]:
    chosen = leds_named(leds, board) if leds else np.flatnonzero(board.na <= na).tolist()
    if not chosen:
        raise InputError(
            f"No LED of the board lies inside --na {na:g}.",
            hint=f"they reach from {board.na.min():.3f} to {board.na.max():.3f}; or name some with --leds",
        )
    return [tinted(board, single_led(board, led, colour=0), colour, level) for led in chosen]


def _set_up_pins(board: LedBoardClient, trigger_in: int | None, edge: Edge, trigger_out: int) -> None:
    if trigger_in is not None:
        check_pin(board, "--trigger-in", trigger_in, "trigger_input_count")
    check_pin(board, "--trigger-out", trigger_out, "trigger_output_count")
    if trigger_in is not None:
        board.sequences.trigger_in(trigger_in, edge)
    board.sequences.trigger_out(trigger_out, When.PATTERN)


def _followed(board: LedBoardClient, total: int, *, quiet: bool) -> SequenceStatus:
    """How the sequence ended. Raises IlluminatorError where something else has ended it."""
    control = board.sequences
    with _show.progress(quiet=quiet) as bars:
        task = bars.add_task("patterns shown", total=total or None, loss="")
        while (status := control.status()).state in RUNNING:
            bars.update(task, completed=status.steps)
            time.sleep(0.05)
        bars.update(task, completed=status.steps)
    if status.state not in (SequenceState.DONE, SequenceState.FAULT):
        raise IlluminatorError(
            f"The sequence was ended from outside; the board now counts {status.steps} patterns shown.",
            hint="the board was reset, or something else sent it a command; it is dark",
        )
    return status


def _facts(board: Illuminator) -> dict[str, Any]:
    geometry = board.board
    facts: dict[str, Any] = {
        "leds": geometry.n_leds,
        "colours": geometry.n_colours,
        "na_min": round(float(geometry.na.min()), 4),
        "na_max": round(float(geometry.na.max()), 4),
    }
    if isinstance(board, IlluminateClient):
        return {"firmware": f"illuminate {board.dialect}", **facts, "properties": board.properties}
    if not isinstance(board, LedBoardClient):
        return facts
    hello, status, properties = board.hello, board.status(), board.properties
    return {
        "device": properties["device_name"],
        "firmware": f"lsm {properties['lsm']['firmware']}",
        "protocol": hello.version,
        **facts,
        "limit_ma": hello.limit_ma,
        "ceiling_ma": hello.ceiling_ma,
        "watchdog_ms": hello.watchdog_ms,
        "watchdog_ceiling_ms": hello.watchdog_ceiling_ms,
        "frame_channels": hello.frame_channels,
        "max_frame_bytes": hello.max_frame,
        "receive_window_bytes": hello.rx_window,
        "sequence_bytes": hello.sequence_bytes,
        "trigger_inputs": int(properties["trigger_input_count"]),
        "trigger_outputs": int(properties["trigger_output_count"]),
        "put_out_by_silence": status.dark_by_watchdog,
        "damaged_frames": status.damaged_frames,
    }


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    rows = {
        "firmware": facts.get("firmware", "unknown"),
        "LEDs": f"{facts['leds']}, colours: {facts['colours']}",
        "NA": f"{facts['na_min']:.3f} to {facts['na_max']:.3f}",
    }
    if "properties" in facts:
        return rows | {"properties": json.dumps(facts["properties"])}
    if "device" not in facts:
        return rows
    on_off = facts["sequence_bytes"] // -(-facts["leds"] // 8)
    return {
        "device": facts["device"],
        **rows,
        "protocol": facts["protocol"],
        "current limit": f"{facts['limit_ma']} mA, at most {facts['ceiling_ma']} mA",
        "watchdog": f"dark after {facts['watchdog_ms'] / 1000:g} s of silence",
        "frame": f"{facts['frame_channels']} levels per LED, requests up to {facts['max_frame_bytes']} bytes",
        "sequence memory": f"{facts['sequence_bytes']} bytes: {on_off} on/off patterns",
        "trigger pins": f"{facts['trigger_inputs']} in, {facts['trigger_outputs']} out",
        "put out by silence": f"{facts['put_out_by_silence']} times since power-on",
        "damaged frames": facts["damaged_frames"],
    }


def _table(sight: Sight | None) -> Table:
    table = Table(show_header=False)
    if sight is None:
        table.add_row("board", "silent")
        return table
    unknown = "not told while its patterns step"
    levels, sequence, state = sight.levels, sight.sequence, sight.state
    rows: dict[str, Any] = {
        "LEDs lit": unknown if levels is None else int(levels.any(axis=1).sum()),
        "strongest level": unknown if levels is None else int(levels.max()),
    }
    if sequence is not None and state is not None:
        rows |= {
            "sequence": f"{state.name.lower()}, {sequence['patterns']} patterns stored",
            "patterns shown": sequence["steps"],
            "trigger edges missed": sequence["missed"],
        }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


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
    designed = f", designed for {facts['exposure_ms']:g} ms" if "exposure_ms" in facts else ""
    subtracted = " and subtracted" if facts.get("sign") == -1 else ""
    return (
        f"{facts['light']}{designed}{subtracted}: {facts['leds_lit']} LEDs lit at up to level "
        f"{facts['strongest_level']}{current}{limited}."
    )


def _hold(board: Illuminator, shown: Shown, seconds: float) -> None:
    """Asking keeps the board's watchdog fed."""
    end = time.monotonic() + seconds
    while (rest_s := end - time.monotonic()) > 0:
        time.sleep(min(rest_s, KEEP_ALIVE_S))
        if not board.still_lit(shown):
            raise IlluminatorError("The light went out before its time.", hint="another program or a reset put it out")
