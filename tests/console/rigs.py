"""Consoles to test: over the real firmware and painted images, served by a real server on a free port."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from lsm.console.app import Console
from lsm.console.client import ConsoleClient
from lsm.console.serve import ConsoleOptions, console_for, listen, server_of
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig
from lsm_sim.board import Board
from lsm_sim.rig import SimulatedMicroscope

START_S = 60.0


@dataclass(frozen=True)
class Served:
    """A console that is being served, and the board behind it."""

    console: Console
    server: uvicorn.Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def scope(self) -> Interlock:
        return self.console.owner.scope

    @property
    def board(self) -> Board:
        simulated = self.scope.microscope
        assert isinstance(simulated, SimulatedMicroscope)
        return simulated.native_board

    def client(self, **settings: Any) -> ConsoleClient:
        return ConsoleClient(self.url, **settings)


def rig_config(**options: Any) -> RigConfig:
    """The shipped simulated rig with other options of its simulator."""
    rig = RigConfig.from_file(find_rig("simulated"))
    assert rig.simulator is not None
    simulator = rig.simulator.model_copy(update={"options": rig.simulator.options | options})
    return rig.model_copy(update={"simulator": simulator})


@contextmanager
def served(
    folder: Path,
    *,
    token: str | None = None,
    rig: RigConfig | None = None,
    scope: Interlock | None = None,
    calibrations: Path | None = None,
    **simulation: Any,
) -> Iterator[Served]:
    """A console on a free port, over `scope` or a simulated rig of its own."""
    calibrations = calibrations or folder / "calibration"
    options = ConsoleOptions(folder=folder, port=0, token=token, calibrations=calibrations)
    config = rig or rig_config()
    simulation = {"seed": options.seed} | simulation
    scope = scope or connect(config, **simulation)
    listening = listen(options.host, options.port)
    console = console_for(scope, config, options, **simulation)
    server = server_of(console)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    try:
        yield Served(console, server, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(START_S)
        listening.close()


def ask(here: Served, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and content of a raw request; an underscore in a header's name stands for a dash."""
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def until(condition: Any, within_s: float = 60.0) -> None:
    """Wait for a condition; fail after a time that only a hang needs."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
