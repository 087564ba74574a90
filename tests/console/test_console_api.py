"""The console's interface over the real firmware: one owner, one controller, a stop that waits for nobody."""

import io
import json
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from console.rigs import Served, ask, rig_config, served, until
from lsm.console.app import EXPIRY_S
from lsm.console.client import ConsoleRefused
from lsm.errors import Halted, InputError, LimitExceeded
from lsm_sim.board import read_led_frames
from scope.painted import Painted

pytestmark = pytest.mark.firmware

DARK_WITHIN_S = 0.2
"""What an operator is promised."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rig = rig_config(exposure_takes_time=True)
    with served(tmp_path_factory.mktemp("runs"), rig=rig, renderer=Painted()) as console:
        yield console


@pytest.fixture(autouse=True)
def _at_rest(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test ends idle, released and with nobody in control."""
    yield
    if "here" in request.fixturenames:
        console: Served = request.getfixturevalue("here")
        client = console.client()
        client.take_control(force=True)
        client.release()
        client.camera(live=False, exposure_ms=10.0)
        client.drop_control()


def test_a_light_that_is_chosen_is_what_the_firmware_shows_in_the_next_frame(here: Served):
    with here.client() as client:
        asked = client.light(leds=[3, 84], brightness=0.5)["light"]["asked"]
        shown = client.snap()["light"]["shown"]
        logged = [levels for _, levels in read_led_frames(here.board.frames_path) if levels.any()][-1]
    assert asked == shown == [[3, 0, 128, 0], [84, 0, 128, 0]]
    assert logged[3].tolist() == logged[84].tolist() == [0, 128, 0]
    assert int((logged > 0).sum()) == 2


def test_what_the_limits_refuse_is_told_and_nothing_moves(here: Served):
    with here.client() as client:
        before = client.snap()["machine"]["xy_um"]
        with pytest.raises(LimitExceeded, match="x_um = 99999"):
            client.move(xy_um=(99_999.0, 0.0))
        with pytest.raises(LimitExceeded, match="exposure_ms"):
            client.camera(exposure_ms=1e6)
        with pytest.raises(InputError, match="no LED 169"):
            client.light(leds=[169])
        assert client.state()["machine"]["xy_um"] == before
        assert "99999" in client.state()["log"]["lines"][-2]["message"]


def test_one_steers_and_the_others_watch(here: Served):
    first, second = here.client(name="first"), here.client(name="second")
    with pytest.raises(ConsoleRefused, match="Nobody steers"):
        second.snap()
    first.take_control()
    with pytest.raises(ConsoleRefused, match="'first' steers"):
        second.take_control()
    with pytest.raises(ConsoleRefused, match="'first' steers"):
        second.move(z_um=1.0)
    assert second.state()["control"]["holder"] == "first"
    second.take_control(force=True)
    with pytest.raises(ConsoleRefused, match="'second' steers"):
        first.snap()
    second.snap()


@pytest.mark.parametrize("live", [False, True])
def test_a_stop_reaches_dark_in_mid_exposure_and_holds_until_it_is_released(here: Served, live: bool):
    with here.client() as client:
        client.light(preset="bright field")
        client.camera(exposure_ms=500.0)
        watcher = here.client()
        if live:
            client.camera(live=True)
        else:
            snapped = here.console.owner.submit("A frame", here.console.owner.look)
        until(lambda: here.board.lit().any())
        pressed_ns = time.monotonic_ns()
        watcher.stop()
        frames = read_led_frames(here.board.frames_path)
        assert not frames[-1][1].any()
        first_dark_ns = min(t_ns for t_ns, levels in frames if t_ns > pressed_ns and not levels.any())
        assert (first_dark_ns - pressed_ns) / 1e9 < DARK_WITHIN_S
        if not live:
            assert isinstance(snapped.exception(), Halted)
        assert watcher.state()["machine"]["doing"] == "stopped"
        assert not watcher.state()["machine"]["live"]
        with pytest.raises(Halted):
            client.move(z_um=0.0)
        count = len([levels for _, levels in read_led_frames(here.board.frames_path) if levels.any()])
        client.release()
        assert client.state()["machine"]["doing"] == "idle"
        assert count == len([levels for _, levels in read_led_frames(here.board.frames_path) if levels.any()])
        client.camera(exposure_ms=5.0)
        assert client.snap()["light"]["shown"]


def test_a_stop_that_hangs_in_a_device_holds_no_other(here: Served, monkeypatch: pytest.MonkeyPatch):
    halt, hung, gate = here.console.owner.halt, threading.Event(), threading.Event()

    def hangs_once() -> float:
        if not hung.is_set():
            hung.set()
            gate.wait(60.0)
        return halt()

    monkeypatch.setattr(here.console.owner, "halt", hangs_once)
    with here.client() as client, ThreadPoolExecutor(1) as other:
        first = other.submit(here.client().stop)
        assert hung.wait(30.0)
        here.client().stop()
        assert here.scope.halted
        assert not first.done()
        gate.set()
        first.result(30.0)
        client.release()


def test_nothing_begins_while_it_is_stopped_and_no_image_is_shown_inside_out(here: Served):
    with here.client() as client:
        client.stop()
        for begin in (client.start_run, client.acquire):
            with pytest.raises(ConsoleRefused, match="nothing begins"):
                begin(columns=1, rows=1)
        assert here.console.state.now.run.name == ""
        with pytest.raises(InputError, match="black has to lie below white"):
            client.call("PUT", "/api/contrast", {"window_adu": [500, 100]})
        with pytest.raises(InputError, match="give both columns and rows"):
            client.start_run(columns=1)


def test_a_live_view_that_nobody_sees_or_steers_ends(here: Served):
    client = here.client()
    client.take_control(force=True)
    client.light(preset="bright field")
    client.camera(live=True)
    time.sleep(2 * EXPIRY_S)  # as long as somebody steers it goes on
    assert here.console.state.now.machine.live
    client.drop_control()
    until(lambda: not here.console.state.now.machine.live, 10 * EXPIRY_S)
    assert "nobody looks" in here.console.state.now.log.lines[-1].message
    until(lambda: not here.board.lit().any())


def test_frames_are_pulled_and_the_newest_wins(here: Served):
    with here.client() as client, open_socket(f"ws://127.0.0.1:{here.port}/api/frames") as socket:
        client.light(preset="bright field")
        client.camera(live=True, exposure_ms=1.0)
        taken = [number(socket.recv(timeout=30)) for _ in range(2)]
        # two are unanswered: no more come, whatever the camera does
        made = here.console.pictures.current
        assert made is not None
        until(lambda: (here.console.pictures.current or made).number > made.number + 5)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
        socket.send("n")
        assert number(socket.recv(timeout=30)) > taken[-1] + 4


def test_frames_are_as_small_as_they_are_shown(here: Served):
    address = f"ws://127.0.0.1:{here.port}/api/frames?side_px="
    with here.client() as client:
        client.light(preset="bright field")
        client.snap()
        with open_socket(address + "64") as socket:
            small = socket.recv(timeout=30)
            rows, columns = parts(small)[0]["shape_px"]
            assert max(size_of(small)) <= max(rows, columns) / 2
            # a larger window on a rig at rest: the same frame comes once more; what is no size is an answer
            socket.send("99999")
            large = socket.recv(timeout=30)
            assert number(large) == number(small)
            assert size_of(large) == (columns, rows)
        for strange in ("0", "", "-7", "1e3", "9" * 400, "\N{DEVANAGARI DIGIT ONE}"):
            with open_socket(address + quote(strange)) as socket:
                assert number(socket.recv(timeout=30)) == number(small)
        assert Image.open(io.BytesIO(client.frame_jpeg())).size == (columns, rows)


def number(message: str | bytes) -> int:
    return int(parts(message)[0]["number"])


def size_of(message: str | bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(parts(message)[1])).size


def parts(message: str | bytes) -> tuple[dict[str, Any], bytes]:
    assert isinstance(message, bytes)
    (length,) = struct.unpack_from("<I", message)
    facts = json.loads(message[4 : 4 + length])
    assert sum(facts["histogram"]) > 0
    return facts, message[4 + length :]


def test_events_tell_first_everything_and_then_what_changed(here: Served):
    with here.client() as client, open_socket(f"ws://127.0.0.1:{here.port}/api/events") as socket:
        assert set(json.loads(socket.recv(timeout=30))) == {"machine", "light", "run", "calibration", "control", "log"}
        client.light(leds=[7])
        seen: dict[str, object] = {}
        while "light" not in seen:
            seen = json.loads(socket.recv(timeout=30))
        assert "log" not in seen


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_reach_nothing(here: Served, headers: dict[str, str]):
    status, _ = ask(here, "POST", "/api/stop", **headers)
    assert status == 403
    assert not here.scope.halted
    if "Origin" in headers:
        with pytest.raises(InvalidStatus):
            open_socket(f"ws://127.0.0.1:{here.port}/api/frames", origin="http://evil.example")  # type: ignore[arg-type]


def test_bodies_and_messages_that_are_too_large_are_refused(here: Served):
    assert ask(here, "POST", "/api/control", b"x" * 2_000_000)[0] == 413
    with open_socket(f"ws://127.0.0.1:{here.port}/api/events") as socket:
        socket.send("x" * 100_000)
        until(lambda: here.console.state.now.control.watching == 0)
    assert here.client().state()["machine"]["doing"] == "idle"


def test_paths_lead_nowhere_but_to_runs(here: Served):
    for path in ("/api/runs/../../etc/passwd", "/api/runs/%2e%2e/x", "/page/../app.py", "/api/runs/none/record.h5"):
        assert ask(here, "GET", path)[0] in (404, 422)


def test_the_interface_is_described(here: Served):
    described = json.loads(ask(here, "GET", "/api/openapi.json")[1])
    assert {"/api/stop", "/api/light", "/api/move", "/api/runs", "/api/state"} <= set(described["paths"])
    assert all("description" in each for path in described["paths"].values() for each in path.values())
