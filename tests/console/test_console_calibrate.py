"""The guided calibration over the console's interface: the command's own session, file and refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calibrate.test_twin_against_rig import GAP
from console.rigs import Served, ask, rig_config, served, until
from lsm.calibrate.leds import LedSearch
from lsm.calibrate.report import keep_gap
from lsm.calibrate.session import Session
from lsm.calibrate.slides import opener
from lsm.calibration import Calibration
from lsm.console.access import LEASE_S
from lsm.console.client import ConsoleRefused
from lsm.errors import Halted

pytestmark = pytest.mark.firmware

# only the lights that are asked for are computed, and firmware without sanitizers: as in the tests of the command
OPTIONS: dict[str, Any] = {"camera": {"gain_e_per_adu": 2.2, "read_noise_e": 4.1, "offset_adu": 31.0}, "colours": ()}
RIG = rig_config(**OPTIONS, sanitize=False, exposure_takes_time=True)
PATIENT_S = 300.0
SEED = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """What `lsm calibrate run` finds; before the console, since a process has one Micro-Manager core at a time."""
    return Session(RIG, tmp_path_factory.mktemp("command"), opener(RIG, SEED), leds=LedSearch(seed=SEED)).run(
        ["camera"]
    )


@pytest.fixture(scope="module")
def here(folder: Path, commands: Calibration) -> Iterator[Served]:
    with served(folder, rig=RIG) as console:
        yield console


@pytest.fixture(autouse=True)
def _at_rest(here: Served) -> Iterator[None]:
    yield
    client = here.client()
    client.take_control(force=True)
    client.cancel_measurement()
    until(lambda: here.console.state.now.calibration.status in ("open", "closed"), PATIENT_S)
    until(lambda: here.console.state.now.machine.doing in ("idle", "stopped"), PATIENT_S)
    client.release()
    client.leave_calibration()
    client.drop_control()


def step(here: Served, name: str) -> Any:
    return next(each for each in here.console.state.now.calibration.steps if each.name == name)


def measured(here: Served) -> None:
    """It has come to its end, and the owner's thread is free."""
    until(lambda: here.console.state.now.calibration.status == "open", PATIENT_S)
    until(lambda: here.console.state.now.machine.doing != "running", PATIENT_S)


def test_it_measures_what_the_command_measures(here: Served, folder: Path, commands: Calibration):
    with here.client() as client:
        told = client.open_calibration()["calibration"]
        assert told["step"] == "camera"
        assert {each["status"] for each in told["steps"]} == {"missing"}
        client.measure("camera")
        measured(here)
        told = client.state()["calibration"]
    camera = told["steps"][0]
    assert camera["status"] == "measured"
    assert " +- " in dict(camera["values"])["gain_e_per_adu"]
    assert told["captures"] > 10
    file = folder / "calibration" / "simulated" / "calibration.json"
    found = Calibration.read(file)
    assert (told["file"], told["file_digest"]) == (str(file), found.digest())
    assert found.model_copy(update={"date": commands.date}) == commands
    assert ask(here, "GET", "/api/calibration/calibration.json")[1] == file.read_bytes()
    assert b"Calibration of rig" in ask(here, "GET", "/api/calibration/report.html")[1]
    assert ask(here, "GET", "/api/calibration/evidence/camera.png")[1].startswith(b"\x89PNG")
    assert ask(here, "GET", "/api/calibration/evidence/stage.png")[0] == 404
    assert ask(here, "GET", "/api/calibration/camera.npz")[0] == 404


def test_a_step_that_lacks_another_is_refused_with_the_reason_and_leaves_the_file(here: Served):
    with here.client() as client:
        told = client.open_calibration()["calibration"]
        # what was measured before is there, with its picture
        assert told["steps"][0]["status"] == "measured"
        assert told["steps"][0]["picture"] == 1
        assert told["step"] == "stage"
        client.measure("leds")
        measured(here)
        after = client.state()["calibration"]
        leds = next(each for each in after["steps"] if each["name"] == "leds")
        assert leds["status"] == "refused"
        assert "after camera and focus" in leds["said"]["message"]
        assert "run the steps" in leds["said"]["hint"]
        assert after["file_digest"] == told["file_digest"]


def test_the_twin_is_compared_last_and_refused_before_it_has_what_it_needs(here: Served):
    with here.client() as client:
        assert [each["name"] for each in client.open_calibration()["calibration"]["steps"]][-1] == "twin"
        client.measure("twin")
        measured(here)
        twin = client.state()["calibration"]["steps"][-1]
        assert twin["status"] == "refused"
        assert "needs camera, focus and LEDs" in twin["said"]["message"]


def test_a_gap_is_shown_with_the_calibration_it_is_of_and_forgotten_with_it(here: Served, folder: Path):
    place = folder / "calibration" / "simulated"
    keep_gap(place, Calibration.read(place / "calibration.json"), GAP)
    with here.client() as client:
        twin = client.open_calibration()["calibration"]["steps"][-1]
        assert twin["status"] == "measured"
        assert dict(twin["values"])["patterns"] == "2"
        assert ask(here, "GET", "/api/calibration/evidence/twin.png")[1].startswith(b"\x89PNG")
        # measured again on another second: another calibration
        client.measure("camera")
        measured(here)
        assert step(here, "camera").status == "measured"
        assert step(here, "twin").status == "missing"


def test_who_asks_for_the_state_still_steers_after_a_long_step(here: Served):
    with here.client() as client:
        here.console.lease._heard_s -= LEASE_S - 1.0
        client.state()
        # two seconds later the lease would have run out
        here.console.lease._heard_s -= 2.0
        here.console.lease.expire()
        client.open_calibration()


def test_a_stop_is_dark_holds_and_leaves_the_file(here: Served):
    with here.client() as client:
        digest = client.open_calibration()["calibration"]["file_digest"]
        client.measure("camera")
        until(lambda: here.console.state.now.calibration.captures >= 2, PATIENT_S)
        here.client().stop()
        measured(here)
        assert not here.board.lit().any()
        assert step(here, "camera").status == "stopped"
        client.measure("camera")
        until(lambda: here.console.state.now.calibration.status == "open", PATIENT_S)
        assert "stop" in step(here, "camera").said.message.lower()
        with pytest.raises(Halted):
            client.leave_calibration()
        client.release()
        state = client.state()
        assert state["calibration"]["file_digest"] == digest
        assert state["machine"]["doing"] == "idle"


def test_a_measurement_is_cancelled_before_its_next_capture(here: Served):
    with here.client() as client:
        client.open_calibration()
        client.measure("camera")
        until(lambda: here.console.state.now.calibration.captures >= 2, PATIENT_S)
        with pytest.raises(ConsoleRefused, match="A run is on"):
            client.move(z_um=1.0)
        with pytest.raises(ConsoleRefused, match="being measured"):
            client.measure("stage")
        client.cancel_measurement()
        measured(here)
        assert step(here, "camera").status == "stopped"
        assert "keeps what it had" in step(here, "camera").said.hint
        assert client.snap()["machine"]["doing"] == "idle"


def test_one_steers_it_and_it_makes_way_for_no_run(here: Served):
    with here.client() as client:
        with pytest.raises(ConsoleRefused, match="not open"):
            client.measure("camera")
        client.open_calibration()
        with pytest.raises(ConsoleRefused, match="being calibrated"):
            client.start_run(search="scan", columns=1, rows=1)
        other = here.client()
        for asked in (other.open_calibration, other.leave_calibration, other.cancel_measurement):
            with pytest.raises(ConsoleRefused, match="steers"):
                asked()
        assert client.leave_calibration()["calibration"]["status"] == "closed"
        client.light(preset="bright field")
        assert client.snap()["light"]["shown"]
