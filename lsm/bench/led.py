"""How fast an LED board shows a pattern, and how many bytes that takes, beside illuminate text on the same board."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from lsm.bench.machine import Machine, this_machine
from lsm.errors import IlluminatorError
from lsm.illum import LedBoard, Pattern
from lsm.led import LedBoardClient

SHOWS = 300
TEXT_SHOWS = 15
QUICK_SHOWS = 20
LINE_BYTES = 2000  # the longest text line that our board takes; illuminate boards take less
HOLD_MS = 2000.0
LATENCY_PROMISE_MS = 2.0
BYTES_PROMISE = 1.05


@dataclass(frozen=True)
class Row:
    """One kind of pattern. information: bytes that it holds at its number of bits per LED.

    sent, received: bytes on the wire for one show(). text_sent and text_median_ms: the same light as illuminate
    text, in lines of up to 2000 bytes; None where text cannot say it.
    """

    light: str
    bits: int
    information: int
    sent: int
    received: int
    median_ms: float
    p99_ms: float
    text_sent: int | None
    text_median_ms: float | None


@dataclass(frozen=True)
class LedComparison:
    """leds: of the board. rows: one for each kind of pattern."""

    machine: Machine
    board: str
    leds: int
    seed: int
    rows: tuple[Row, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_led(
    client: LedBoardClient,
    *,
    quick: bool = False,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda name: None,
) -> LedComparison:
    """Time show() for patterns of 1, 8 and 24 bits and a single LED, and the same lights as text.

    quick: few repetitions. on_step: told what is measured next.
    Raises IlluminatorError when a light is not the one asked for.
    """
    rng = np.random.default_rng(seed)
    makers = {"single LED": (24, _single), "on/off, one colour": (1, _on_off), "grey, one colour": (8, _grey)}
    makers |= {"all colours": (24, _colours)}
    rows = []
    for name, (bits, make) in makers.items():
        on_step(name)
        patterns = [make(client.board, rng) for _ in range(QUICK_SHOWS if quick else SHOWS)]
        shown_ms, sent, received = _time_binary(client, patterns)
        text: tuple[float, int] | tuple[None, None] = (None, None)
        if bits != 24:
            on_step(f"{name}, as text")
            text = _time_text(client, patterns[: 2 if quick else TEXT_SHOWS])
        information = 5 if name == "single LED" else -(-client.board.n_leds * bits // 8)
        rows.append(
            Row(
                name,
                bits,
                information,
                sent,
                received,
                float(np.median(shown_ms)),
                float(np.quantile(shown_ms, 0.99)),
                text[1],
                text[0],
            )
        )
    device = str(client.properties["device_name"])
    return LedComparison(this_machine(), device, client.board.n_leds, seed, tuple(rows))


def show_led(comparison: LedComparison) -> Group:
    """Tables for a terminal."""
    table = Table(title=f"{comparison.board}, {comparison.leds} LEDs: from show() to latched and acknowledged")
    for column in ("pattern", "bits", "median ms", "99 % ms", "bytes sent", "of information"):
        table.add_column(column, justify="left" if column == "pattern" else "right")
    beside = Table(title="The same light as illuminate text on the same board, relative to the above")
    for column in ("pattern", "bytes", "time"):
        beside.add_column(column, justify="left" if column == "pattern" else "right")
    for row in comparison.rows:
        share = f"{row.sent / row.information:.3f}x"
        times = (f"{row.median_ms:.2f}", f"{row.p99_ms:.2f}")
        table.add_row(row.light, str(row.bits), *times, str(row.sent), share)
        if row.text_sent is not None and row.text_median_ms is not None:
            beside.add_row(row.light, f"{row.text_sent / row.sent:.1f}x", f"{row.text_median_ms / row.median_ms:.1f}x")
    return Group(table, "", beside, "", _promises(comparison))


def _promises(comparison: LedComparison) -> str:
    grey = next(row for row in comparison.rows if row.bits == 8)
    fast = "kept" if grey.median_ms <= LATENCY_PROMISE_MS else "MISSED"
    lean = "kept" if grey.sent <= BYTES_PROMISE * grey.information else "MISSED"
    return (
        f"Promised for a grey pattern: {LATENCY_PROMISE_MS:g} ms median ({fast}), "
        f"{BYTES_PROMISE:g}x the information ({lean})."
    )


def _time_binary(client: LedBoardClient, patterns: list[Pattern]) -> tuple[list[float], int, int]:
    """Milliseconds of each show, and the most bytes that one sent and received."""
    times_ms: list[float] = []
    sent: list[int] = []
    received: list[int] = []
    client.show(patterns[0], hold_ms=HOLD_MS)
    for pattern in patterns:
        levels = pattern.levels
        before = client.traffic
        began = time.perf_counter()
        shown = client.show(pattern, hold_ms=HOLD_MS)
        times_ms.append((time.perf_counter() - began) * 1000)
        sent.append(client.traffic[0] - before[0])
        received.append(client.traffic[1] - before[1])
        if not np.array_equal(shown.levels, levels):
            raise IlluminatorError(f"'{pattern.name}' was not shown as asked.", hint="lower the pattern's current")
    return times_ms, max(sent), max(received)


def _time_text(client: LedBoardClient, patterns: list[Pattern]) -> tuple[float, int]:
    """Median milliseconds, and the most bytes sent, without a read-back; the watchdog must have expired first."""
    client.dark()
    time.sleep(client.hello.watchdog_ms / 1000 + 0.3)
    times_ms: list[float] = []
    sent: list[int] = []
    for pattern in patterns:
        before = client.traffic[0]
        began = time.perf_counter()
        for command in text_commands(pattern):
            if (answer := client.text(command)).startswith("ERROR"):
                raise IlluminatorError(f"The board answered '{answer}' to text.", hint="update its firmware")
        times_ms.append((time.perf_counter() - began) * 1000)
        sent.append(client.traffic[0] - before)
    client.text("ac.1")
    client.text("x")
    return float(np.median(times_ms)), max(sent)


def text_commands(pattern: Pattern) -> list[str]:
    """A pattern as illuminate text: for each colour its `sc` and the LEDs' `l`, added up with `ac.0`."""
    levels = pattern.levels
    colours = np.unique(levels[levels.any(axis=1)], axis=0)
    commands = ["ac.0", "x", "sb.255"]
    for colour in colours:
        commands.append("sc." + ".".join(map(str, colour)))
        leds = [f".{led}" for led in np.flatnonzero((levels == colour).all(axis=1))]
        text = "l"
        for led in leds:
            if len(text) + len(led) > LINE_BYTES:
                commands.append(text)
                text = "l"
            text += led
        commands.append(text)
    return commands


def _single(board: LedBoard, rng: np.random.Generator) -> Pattern:
    duty = np.zeros((board.n_leds, board.n_colours))
    duty[rng.integers(board.n_leds)] = rng.integers(1, 256, board.n_colours) / 255
    return Pattern.of(board, duty, name="single LED")


def _on_off(board: LedBoard, rng: np.random.Generator) -> Pattern:
    return Pattern.of_colour(board, (rng.random(board.n_leds) < 0.3) * (200 / 255), name="on/off")


def _grey(board: LedBoard, rng: np.random.Generator) -> Pattern:
    return Pattern.of_colour(board, rng.integers(0, 200, board.n_leds) / 255, name="grey")


def _colours(board: LedBoard, rng: np.random.Generator) -> Pattern:
    return Pattern.of(board, rng.integers(0, 60, (board.n_leds, board.n_colours)) / 255, name="colours")
