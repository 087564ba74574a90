"""`lsm led` and `lsm bench led`, as a newcomer types them."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lsm.cli.app import app
from lsm.errors import FileMissing, IlluminatorError, InputError
from lsm.illum import LedBoard, single_led
from lsm.led import LedBoardClient, SequencePlan, SerialTransport
from lsm.led._constants import PROTOCOL_VERSION, Command
from lsm.led.protocol import encode_request
from lsm.led.watch import Watcher
from lsm.scope import find_rig
from lsm_sim.board import NativeBoard, dark_delay_s, read_led_frames
from lsm_sim.illuminate_board import EmulatedBoard
from lsm_sim.illuminate_firmware import Lamps
from lsm_sim.illuminate_v1 import FirmwareV1
from lsm_sim.illuminate_v2 import FirmwareV2

pytestmark = pytest.mark.firmware

GRID = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
RGB = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0, name="bought")
WHITE = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0, name="bought", wavelengths_um=(0.55,))
WATCHDOG_S = 2.0
MARGIN_S = 0.5  # the board looks at its clock every few milliseconds; a loaded machine lets it wait


@pytest.fixture
def native(tmp_path: Path) -> Iterator[NativeBoard]:
    with NativeBoard(run_dir=tmp_path) as board:
        yield board


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["led", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> InputError | IlluminatorError:
    error = CliRunner().invoke(app, ["led", *words]).exception
    assert isinstance(error, InputError | IlluminatorError), error
    assert error.hint
    return error


def test_info_tells_what_the_board_is():
    facts = json.loads(run("info", "simulated", "--json"))
    assert facts["leds"] == 169
    assert facts["watchdog_ms"] == 2000
    assert facts["limit_ma"] < facts["ceiling_ma"]
    assert facts["damaged_frames"] == 0
    readable = run("info", "simulated")
    assert "sequence memory" in readable
    assert f"{facts['sequence_bytes']} bytes" in readable


@pytest.mark.parametrize("geometry", [RGB, WHITE], ids=["rgb", "one-colour"])
@pytest.mark.parametrize(("firmware", "dialect"), [(FirmwareV1, "v1"), (FirmwareV2, "v2")])
def test_a_board_with_illuminate(firmware: type[FirmwareV1 | FirmwareV2], dialect: str, geometry: LedBoard):
    with EmulatedBoard(firmware(Lamps(geometry))) as emulated:
        facts = json.loads(run("info", emulated.port, "--json"))
        assert facts["firmware"] == f"illuminate {dialect}"
        assert (facts["leds"], facts["colours"]) == (25, geometry.n_colours)
        shown = json.loads(run("show", emulated.port, "led", "--led", "7", "--seconds", "0", "--json"))
        assert (shown["leds_lit"], shown["strongest_level"]) == (1, 64)
        assert np.flatnonzero(emulated.ever_lit()).tolist() == [7]


def test_a_board_of_one_colour_has_no_choice():
    with EmulatedBoard(FirmwareV2(Lamps(WHITE))) as emulated:
        assert "one colour" in refused("show", emulated.port, "led", "--colour", "red").message


@pytest.mark.parametrize(
    ("light", "lit"), [("bright-field", 9), ("dark-field", 160), ("led", 1), ("dpc-left", 3), ("dark", 0)]
)
def test_show_lights_what_it_says(light: str, lit: int):
    words = ["show", "simulated", light, "--seconds", "0.1", "--level", "40", "--json"]
    assert json.loads(run(*words))["leds_lit"] == lit


def test_a_light_is_moderate_unless_it_is_asked_for_more():
    assert json.loads(run("show", "simulated", "--seconds", "0", "--json"))["strongest_level"] == 64


def test_show_says_when_the_current_limit_dimmed_it():
    text = run("show", "simulated", "dark-field", "--colour", "white", "--level", "255", "--seconds", "0")
    assert "scaled down by the board's current limit" in text


def test_a_sequence_runs_by_the_boards_clock():
    facts = json.loads(run("sequence", "simulated", "--leds", "0-4,9", "--period-ms", "50", "--rounds", "3", "--json"))
    # a step that a loaded machine brings more than 50 ms late makes the next one missed
    assert facts.pop("missed_edges") <= 2
    assert facts == {
        "patterns": 6,
        "bits_per_led": 1,
        "shown": 18,
        "lost_pulses": 0,
        "limited_to": 1.0,
        "ended": "done",
    }


def test_a_sequence_without_triggers_ends_by_its_longest_time():
    facts = json.loads(run("sequence", "simulated", "--period-ms", "0", "--longest", "0.2", "--json"))
    assert (facts["shown"], facts["ended"]) == (0, "fault")


def test_a_sequence_that_something_else_ends_is_an_error(native: NativeBoard):
    def put_out() -> None:
        with open(os.open(native.port, os.O_WRONLY | os.O_NOCTTY), "wb") as line:
            line.write(b"x\n")

    intruder = threading.Timer(1.0, put_out)
    intruder.start()
    error = refused("sequence", native.port, "--period-ms", "0", "--longest", "10")
    intruder.join()
    assert isinstance(error, IlluminatorError)
    assert "--longest" not in error.message
    assert "reset" in error.hint


def test_watch_shows_the_board():
    assert "trigger edges missed" in run("watch", "simulated", "--seconds", "0.1")


def test_watch_leaves_a_stepping_sequence_alone(native: NativeBoard):
    transport = native.open_transport()
    client = LedBoardClient(transport, GRID)
    client.sequences.load([single_led(GRID, led) for led in (3, 4)])
    client.sequences.arm(SequencePlan(rounds=0, period_us=50_000, longest_s=30.0))
    transport.close()  # as a program that dies: nothing puts the light out
    before = len(np.unique(_steps_in(native, 0.3)))
    table = run("watch", native.port, "--seconds", "0.6")
    assert _cell(table, "LEDs lit") == "1"
    assert _cell(table, "sequence").split(",")[0] in ("exposing", "updating")
    assert int(_cell(table, "patterns shown")) > before
    assert native.lit().any()
    assert set(_steps_in(native, 0.3)) == {3, 4}


def test_watching_feeds_no_watchdog(native: NativeBoard):
    watcher, transport = Watcher.on_port(native.port)
    frames = [
        encode_request(0, Command.HELLO, bytes([PROTOCOL_VERSION])),
        encode_request(1, Command.FB_FILL, struct.pack("<HHBBB", 0, 9, 0, 40, 0)),
        encode_request(2, Command.SHOW),
    ]
    transport.write(b"".join(frames))
    while transport.read(0.1):
        pass
    lit_ns = max(t_ns for t_ns, levels in read_led_frames(native.frames_path) if levels.any())
    seen = []
    while time.monotonic_ns() - lit_ns < (WATCHDOG_S + MARGIN_S) * 1e9:
        seen.append(watcher.look())
        time.sleep(0.1)
    transport.close()
    assert seen[0] is not None
    np.testing.assert_array_equal(np.flatnonzero(seen[0].levels.any(axis=1)), range(9))
    assert seen[-1] is not None
    assert not seen[-1].levels.any()
    assert WATCHDOG_S - MARGIN_S < dark_delay_s(native.frames_path, lit_ns) < WATCHDOG_S + MARGIN_S


@pytest.mark.parametrize("firmware", [FirmwareV1, FirmwareV2], ids=["v1", "v2"])
def test_watch_leaves_an_illuminate_board_lit(firmware: type[FirmwareV1 | FirmwareV2]):
    with EmulatedBoard(firmware(Lamps(RGB))) as emulated:
        line = SerialTransport(emulated.port)
        line.write(b"l.3.4\n")
        assert line.read(1.0)
        line.close()
        assert _cell(run("watch", emulated.port, "--seconds", "0.1"), "LEDs lit") == "2"
        assert np.flatnonzero(emulated.lit().any(axis=1)).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--trigger-out 7", "the board has 2 trigger outputs"),
        ("--period-ms 0 --trigger-in 2", "the board has 2 trigger inputs"),
        ("--period-ms inf", "--period-ms inf"),
        ("--period-ms 0.0001", "--period-ms 0.0001"),
        ("--period-ms nan", "--period-ms nan"),
        ("--period-ms -5", "--period-ms -5"),
        ("--settle-ms inf", "--settle-ms inf"),
        ("--settle-ms 100", "--settle-ms 100"),
        ("--longest nan", "--longest nan"),
        ("--na -1", "--na -1"),
        ("--leds 9-3", "backwards"),
        ("--leds 1-2-5", "'1-2-5'"),
        ("--leds 0,0,1", "LED 0 more than once"),
        ("--leds 1,x", "'x'"),
        ("--leds 999", "LED 999"),
        ("--colour mauve", "mauve"),
    ],
)
def test_a_sequence_that_cannot_be_is_refused(words: str, said: str):
    error = refused("sequence", "simulated", *words.split())
    assert isinstance(error, InputError)
    assert said in error.message
    assert "SequencePlan" not in error.hint


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("nowhere", FileMissing, "no port and no rig"),
        ("nowhere.toml", FileMissing, "no port and no rig"),
        ("/dev/ttyNONE", FileMissing, "does not exist"),
        ("folder", FileMissing, "is a folder"),
        ("file", FileMissing, "no serial port"),
        ("", InputError, "is empty"),
        (" ", InputError, "is empty"),
    ],
)
def test_a_place_that_is_none_is_explained(
    where: str, error: type[InputError], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    found = refused("info", where)
    assert isinstance(found, error)
    assert said in found.message


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_shipped_rig_wins_over_what_lies_here(make: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    make(Path("simulated"))
    assert json.loads(run("info", "simulated", "--json"))["leds"] == 169


def test_a_rig_file_names_port_and_rate(native: NativeBoard, tmp_path: Path):
    text = find_rig("simulated").read_text(encoding="utf-8").split("[simulator]")[0]
    rig = tmp_path / "bench.toml"
    rig.write_text(f'{text}\n[led]\nport = "{native.port}"\n', encoding="utf-8")
    assert json.loads(run("info", str(rig), "--baud", "1000000", "--json"))["leds"] == 169
    assert "patterns shown" in run("watch", str(rig), "--seconds", "0.1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["led", "show", "simulated", "--seconds", "60"], "the light is off."),
        (["led", "watch", "simulated"], "as it was"),
    ],
)
def test_an_interrupted_command_says_what_is_true(words: list[str], said: str):
    command = [sys.executable, "-m", "lsm.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # the board is open
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=30)[0]
    assert first
    assert process.returncode == 130, told
    assert said in told
    assert "recorded" not in told


def test_the_benchmark_measures_what_it_says(tmp_path: Path):
    out = tmp_path / "led.json"
    result = CliRunner().invoke(app, ["bench", "led", "--quick", "--json", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = {row["light"]: row for row in json.loads(out.read_text())["rows"]}
    grey = rows["grey, one colour"]
    assert grey["information"] == 1024
    assert 1024 < grey["sent"] <= 1.05 * 1024
    assert grey["text_sent"] > grey["sent"]


def _cell(table: str, name: str) -> str:
    row = next(line for line in table.splitlines() if name in line)
    return row.split("│")[2].strip()


def _steps_in(native: NativeBoard, seconds: float) -> list[int]:
    """The LEDs that were seen on, one after the other."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen += np.flatnonzero(native.lit().any(axis=1)).tolist()
        time.sleep(0.01)
    return seen
