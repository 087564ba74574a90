"""A host that dies in the middle leaves the sample dark and its frames safe."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from lsm.record import open_record
from lsm_sim.board import read_led_frames

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(180)]

WATCHDOG_S = 2.0
# exposures hold the light a little longer, and a loaded machine schedules the board's process late
MARGIN_S = 1.0


def _frames(record: Path) -> int:
    try:
        with h5py.File(record, "r", swmr=True) as file:
            return int(file["frames"].shape[0])
    except (OSError, KeyError):
        return 0


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, int, int]:
    """Folder of a demonstration that was killed, the frames it had then, and the moment of death in ns."""
    folder = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-m", "lsm.cli", "demo", "--captures", "24", "--out", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while _frames(folder / "record.h5") < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        frames = _frames(folder / "record.h5")
        assert process.poll() is None, "the demonstration ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        return folder, frames, time.monotonic_ns()


def test_leds_are_dark_within_the_watchdog_time_and_the_record_opens(killed: tuple[Path, int, int]):
    folder, frames, death_ns = killed
    time.sleep(WATCHDOG_S + MARGIN_S)
    when_ns, levels = read_led_frames(folder / "board" / "frames.bin")[-1]
    assert not levels.any()
    assert when_ns <= death_ns + (WATCHDOG_S + MARGIN_S) * 1e9
    with open_record(folder / "record.h5") as recording:
        assert not recording.complete
        assert recording.n_frames >= frames >= 3
        assert all(frame.image.any() for frame in recording.frames())
        assert all(decision["run"] for decision in recording.decisions())
