"""Slow, vanishing and hostile clients around a run that goes on, over the real firmware and computed fields.

The console has a token, which some of them know. What the run took is compared, in the end, with what it takes when
nobody else is there. With LSM_FUZZ_REQUESTS=10000 as many requests are made from the description.
"""

import base64
import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from console.fuzzed import OTHERS_DRAW, fuzz
from console.rigs import Served, ask, rig_config, served, until
from console.watched import Watched
from lsm.console.sockets import MOST_CLIENTS, TOO_MANY
from lsm.console.wire import MOST_CONNECTIONS
from lsm.record import open_record
from lsm_sim.board import read_led_frames

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(3600), pytest.mark.filterwarnings(OTHERS_DRAW)]

TOKEN = "a token of the tests"  # noqa: S105 - of no other console
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
IMPATIENCE_S = 3.0
"""Instead of 20 s, so that the tests need not wait so long."""
PATIENT_S = 300.0
"""A loaded machine computes fields slowly; only a hang needs so long."""
# no verdict ends it
FIELDS = {"columns": 10, "rows": 6, "decide": False}
ENDED = ("stopped", "done")
ENOUGH_BYTES = 64_000_000
"""Far more than a system keeps for a reader who does not come: 10 MB."""


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched(rig_config())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """What such a run takes when nobody else is there; before the other, as a process has one Micro-Manager core."""
    alone = Watched(rig_config())
    with served(tmp_path_factory.mktemp("alone"), rig=rig_config(), renderer=alone) as quiet, quiet.client() as client:
        name = client.start_run(search="scan", **FIELDS)
        until(lambda: quiet.console.state.now.run.status in ENDED, PATIENT_S)
        frames = frames_of(quiet, name)
    assert alone.outside == []
    return frames


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, watched: Watched, undisturbed: list[tuple[Any, ...]]
) -> Iterator[Served]:
    # slow moves, so that the run lasts
    rig = rig_config(exposure_takes_time=True, move_ms=1000.0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("wire.REQUEST_S", "wire.TAKES_S", "serve.PING_S", "sockets.SEND_S"):
            patch.setattr(f"lsm.console.{name}", IMPATIENCE_S)
        with served(tmp_path_factory.mktemp("runs"), token=TOKEN, rig=rig, renderer=watched) as console:
            yield console


@pytest.fixture(scope="module")
def first_run(here: Served) -> str:
    """The name of the run around which all this happens."""
    return begin(here)


@pytest.fixture(autouse=True)
def _goes_on(here: Served, first_run: str) -> Iterator[None]:
    """A run is on when a test begins, takes further captures when it has ended, and met no fault."""
    state = here.console.state
    if state.now.run.status not in ("running", "paused"):
        begin(here)
    yield
    run = state.now.run
    until(lambda: state.now.run.captures > run.captures or state.now.run.status != "running", PATIENT_S)
    assert state.now.run.status in ("running", "done")
    assert [line for line in state.now.log.lines if line.kind == "fault"] == []


def begin(here: Served) -> str:
    client = here.client(token=TOKEN)
    client.take_control(force=True)
    name = client.start_run(search="scan", **FIELDS)
    client.drop_control()
    # until it begins the state tells of the run before
    until(lambda: here.console.state.now.run.name == name, PATIENT_S)
    until(lambda: here.console.state.now.run.captures > 0 or ended(here), PATIENT_S)
    assert not ended(here), here.console.state.now.log.lines
    return name


def ended(here: Served) -> bool:
    return here.console.state.now.run.status not in ("running", "paused")


def dial(here: Served, *said: bytes) -> socket.socket:
    """A raw connection on which this was said."""
    raw = socket.create_connection(("127.0.0.1", here.port), timeout=PATIENT_S)
    for words in said:
        raw.sendall(words)
    return raw


def head(method: str, path: str, *lines: str) -> bytes:
    known = f"Authorization: {KNOWN['Authorization']}"
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", known, *lines, "", "")).encode("latin-1")


def dial_socket(here: Served, path: str) -> socket.socket:
    """A raw WebSocket, opened by hand: nobody answers its pings."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    raw = dial(here, head("GET", path, *upgrade))
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def said(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client, masked with zeros (RFC 6455, section 5.2)."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def is_let_go(raw: socket.socket) -> bool:
    """Whether the console ends it; what it still sends is thrown away."""
    with suppress(ConnectionError):
        while raw.recv(1 << 20):
            pass
    raw.close()
    return True


def close_code(talk: ClientConnection) -> int | None:
    """With what the console closes it, after whatever it says before."""
    with suppress(ConnectionClosed):
        for _ in itertools.count():
            talk.recv(timeout=PATIENT_S)
    return talk.close_code


def connections(here: Served) -> int:
    return len(here.server.server_state.connections)


def test_half_said_requests_are_let_go_and_keep_nobody_out(here: Served):
    many = [dial(here, b"POST /api/stop HTTP/1.1\r\nHost:") for _ in range(MOST_CONNECTIONS + 20)]
    many += [dial(here, head("POST", "/api/control", "Content-Length: 1000"), b"{") for _ in range(5)]
    assert here.client(token=TOKEN).state()["run"]["status"] == "running"
    assert connections(here) <= MOST_CONNECTIONS + 1
    assert all(is_let_go(raw) for raw in many)
    until(lambda: connections(here) == 0, PATIENT_S)


def test_what_is_too_large_is_refused(here: Served):
    megabyte = b"x" * 1_000_000
    for path in ("/api/frames", "/api/events"):
        with open_socket(f"ws://127.0.0.1:{here.port}{path}", additional_headers=KNOWN, max_size=None) as talk:
            talk.send(megabyte.decode())
            assert close_code(talk) == 1009
    chunk = f"{len(megabyte):x}\r\n".encode() + megabyte + b"\r\n"
    in_pieces = head("POST", "/api/control", "Transfer-Encoding: chunked", "Content-Type: application/json")
    assert status_of(here, in_pieces, chunk * 3) in (b"HTTP/1.1 413", b"")
    much_to_say = head("GET", "/api/state", f"X-LSM-Control: {megabyte.decode()}")
    assert status_of(here, much_to_say) in (b"HTTP/1.1 400", b"")
    assert ask(here, "POST", "/api/control", 2 * megabyte, **KNOWN)[0] == 413


def status_of(here: Served, *said: bytes) -> bytes:
    """How the answer begins; nothing where the connection was broken off before all was said."""
    raw = dial(here)
    try:
        for words in said:
            raw.sendall(words)
        return raw.recv(12)
    except ConnectionError:
        return b""
    finally:
        raw.close()


def test_wrong_tokens_and_foreign_pages_reach_nothing(here: Served):
    described = json.loads(ask(here, "GET", "/api/openapi.json", **KNOWN)[1])
    foreign = KNOWN | {"Origin": "http://evil.example"}
    for path, methods in described["paths"].items():
        for method in methods:
            wrong = ask(here, method.upper(), path, b"{}", Authorization="Bearer another", Content_Type="text/plain")
            assert wrong[0] == (401 if path != "/api/login" else 422)
            if method != "get":
                assert ask(here, method.upper(), path, b"{}", **foreign)[0] == 403
    for headers in ({}, {"Authorization": "Bearer another"}, {"Cookie": "lsm_console=another"}, foreign):
        with pytest.raises(InvalidStatus):
            open_socket(f"ws://127.0.0.1:{here.port}/api/frames", additional_headers=headers)
    assert not here.scope.halted


def test_clients_that_never_read_are_let_go_and_others_see_every_frame(here: Served):
    deaf = [dial_socket(here, path) for path in ("/api/frames", "/api/events") for _ in range(5)]
    for raw in deaf:
        # as if it had seen many frames
        raw.sendall(said(1, b"n") * 50)
    with open_socket(f"ws://127.0.0.1:{here.port}/api/frames", additional_headers=KNOWN, max_size=None) as good:
        numbers = []
        while len(numbers) < 3:
            numbers.append(frame_number(good.recv(timeout=PATIENT_S)))
            good.send("n")
    assert numbers == sorted(set(numbers))
    until(lambda: connections(here) == 0, PATIENT_S)
    assert all(is_let_go(raw) for raw in deaf)


def frame_number(message: str | bytes) -> int:
    assert isinstance(message, bytes)
    (length,) = struct.unpack_from("<I", message)
    return int(json.loads(message[4 : 4 + length])["number"])


def test_one_who_asks_for_answers_and_takes_none_is_let_go(here: Served):
    raw, pings = dial_socket(here, "/api/events"), said(9, b"p" * 125) * 1000
    sent = 0
    with suppress(ConnectionError):
        while sent < ENOUGH_BYTES:
            raw.sendall(pings)
            sent += len(pings)
    raw.close()
    assert sent < ENOUGH_BYTES


def test_clients_that_vanish_leave_nothing_behind(here: Served):
    for path in ("/api/frames", "/api/events", "/api/frame.jpg") * 10:
        raw = dial(here, head("GET", path)) if path.endswith("jpg") else dial_socket(here, path)
        # closed with a reset, as by a machine that was switched off and on again
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    until(lambda: here.console.state.now.control.watching == 0 and connections(here) == 0, PATIENT_S)
    assert here.console.pictures.viewers == 0


def test_more_clients_than_are_served_are_turned_away(here: Served):
    with ExitStack() as stack:
        url = f"ws://127.0.0.1:{here.port}/api/events"
        talks = [stack.enter_context(open_socket(url, additional_headers=KNOWN)) for _ in range(MOST_CLIENTS + 3)]
        for talk in talks[MOST_CLIENTS:]:
            assert close_code(talk) == TOO_MANY
        assert json.loads(talks[0].recv(timeout=PATIENT_S))["run"]["status"] == "running"
        assert here.client(token=TOKEN).state()["run"]["status"] == "running"


DEEP = b"[" * 100_000
NONSENSE: list[tuple[str, str, bytes | None, dict[str, str]]] = [
    ("POST", "/api/control", b'{"name": "\\ud800"}', {}),
    ("POST", "/api/control", b'{"\\ud800": 1}', {}),
    ("POST", "/api/control", b"\xff\xfe", {}),
    ("POST", "/api/control", DEEP, {}),
    ("POST", "/api/control", b'{"name": ' + DEEP + b"}", {}),
    ("POST", "/api/move", b'{"x_um": NaN, "y_um": Infinity}', {}),
    ("POST", "/api/move", b'{"x_um": 1e999, "y_um": ' + b"9" * 5000 + b"}", {}),
    ("PUT", "/api/light", b'{"leds": [' + b"1," * 400_000 + b"1]}", {}),
    ("POST", "/api/runs", b'{"columns": 10000, "rows": 10000}', {}),
    ("GET", "/api/state", None, {"Content_Length": "9" * 5000}),
    ("GET", "/page/%00", None, {}),
    ("GET", "/page/" + "a" * 5000, None, {}),
    ("GET", "/api/runs/%00/report.html", None, {}),
    ("GET", "/api/run/steps/99999999999999999999.jpg", None, {}),
    ("DELETE", "/api/stop", None, {}),
    ("POST", "/api/stop", None, {"Origin": "http://["}),
    ("POST", "/api/stop", None, {"Origin": "null"}),
]


@pytest.mark.parametrize(("method", "path", "body", "headers"), NONSENSE)
def test_nonsense_is_refused_in_words(
    here: Served, method: str, path: str, body: bytes | None, headers: dict[str, str]
):
    key = here.console.lease.take("nonsense", force=True)
    json_type = {"Content_Type": "application/json"} if body else {}
    status, content = ask(here, method, path, body, **KNOWN, X_LSM_Control=key, **json_type, **headers)
    here.console.lease.drop(key)
    assert 400 <= status < 500
    if not content.startswith(b"Invalid HTTP"):
        assert set(json.loads(content)) == {"error", "message", "hint"}
        # what was sent is not sent back
        assert len(content) < 2000


def test_requests_made_from_the_description_without_control_reach_nothing(here: Served, watched: Watched):
    """All but a stop, which everybody may press who knows the token."""

    def without_control(case: Any) -> None:
        case.headers.pop("x-lsm-control", None)

    answered = fuzz(here, token=TOKEN, leave_out=("POST /api/stop",), prepare=without_control)
    assert answered[423] > 0
    assert not here.scope.halted


def test_the_run_has_taken_what_it_takes_when_nobody_else_is_there(
    here: Served, watched: Watched, first_run: str, undisturbed: list[tuple[Any, ...]]
):
    run = here.console.state
    until(lambda: run.now.run.name != first_run or run.now.run.status in ENDED, PATIENT_S)
    disturbed = frames_of(here, first_run)
    both = min(len(disturbed), len(undisturbed))
    assert both > 3
    assert disturbed[:both] == undisturbed[:both]
    assert watched.outside == []
    if run.now.run.status in ENDED:
        begin(here)


def frames_of(here: Served, name: str) -> list[tuple[Any, ...]]:
    """What a run took: pixels, place and light of each frame, and for what; up to the first that was taken twice.

    On a loaded machine the board's watchdog may put a light out; the noise of all later frames is another then.
    """
    with open_record(here.console.runs.path(name) / "record.h5") as recording:
        taken = zip(recording.frames(), recording.decisions(), strict=True)
        return [
            (frame.image.tobytes(), frame.xy_um, frame.z_um, frame.shown.levels.tobytes(), decision["action"])
            for frame, decision in itertools.takewhile(lambda each: each[0].metadata["attempts"] == "1", taken)
        ]


def test_a_stop_gets_through_the_crowd(here: Served, watched: Watched):
    many = [dial(here, b"GET / HTTP/1.1\r\n") for _ in range(MOST_CONNECTIONS + 20)]
    deaf = [dial_socket(here, "/api/frames") for _ in range(5)]
    pressed_ns = time.monotonic_ns()
    here.client(token=TOKEN).stop()
    frames = read_led_frames(here.board.frames_path)
    assert not frames[-1][1].any()
    until(lambda: here.console.state.now.run.status == "stopped", PATIENT_S)
    after_ns = next(t_ns for t_ns, levels in frames if t_ns > pressed_ns and not levels.any())
    assert not any(levels.any() for t_ns, levels in read_led_frames(here.board.frames_path) if t_ns > after_ns)
    for raw in (*many, *deaf):
        raw.close()
    assert watched.outside == []
    client = here.client(token=TOKEN)
    client.take_control(force=True)
    client.release()
    client.drop_control()
    begin(here)
