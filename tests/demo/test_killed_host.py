"""A host that dies in the middle leaves the sample dark and its frames safe."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from lsm.record import open_record
from lsm_sim.board import dark_delay_s, read_led_frames

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(180)]

RECORD = Path("bright-field") / "record.h5"
WATCHDOG_S = 2.0
# exposures hold the light a little longer, and a loaded machine schedules the board's process late
MARGIN_S = 1.0


def _frames(record: Path) -> int:
    try:
        with h5py.File(record, "r", swmr=True) as file:
            return int(file["frames"].shape[0])
    except (OSError, KeyError):
        return 0


@contextmanager
def _running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A demonstration in a process of its own that has recorded some frames of its first scan and goes on."""
    config = folder.with_suffix(".toml")
    config.write_text("decide = false\n", encoding="utf-8")
    command = ["demo", "--size", "10", "6", "--config", str(config), "--out", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-m", "lsm.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while _frames(folder / RECORD) < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "the demonstration ended before it could be stopped"
        yield process


def test_leds_are_dark_within_the_watchdog_time_and_the_record_opens(tmp_path: Path):
    folder = tmp_path / "killed"
    with _running(folder) as process:
        frames = _frames(folder / RECORD)
        process.send_signal(signal.SIGKILL)
        death_ns = time.monotonic_ns()
    time.sleep(WATCHDOG_S + MARGIN_S)
    log = folder / "board" / "frames.bin"
    assert not read_led_frames(log)[-1][1].any()
    assert dark_delay_s(log, death_ns) <= WATCHDOG_S + MARGIN_S
    with open_record(folder / RECORD) as recording:
        assert not recording.complete
        assert recording.n_frames >= frames >= 3
        assert all(frame.image.any() for frame in recording.frames())
        assert all(decision["action"] == "scan" for decision in recording.decisions())


@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_turns_the_light_off_and_closes_the_record(tmp_path: Path, request_to_stop: signal.Signals):
    folder = tmp_path / "stopped"
    with _running(folder) as process:
        process.send_signal(request_to_stop)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted: the light is off" in told
    assert "Traceback" not in told
    assert not read_led_frames(folder / "board" / "frames.bin")[-1][1].any()
    with h5py.File(folder / RECORD, "r") as file:
        assert file["frames"].shape[0] >= 3
