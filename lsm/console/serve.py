"""Connecting a rig and serving its console."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from lsm.calibrate.session import DEFAULT_OUT
from lsm.console.app import Console, build_app
from lsm.console.calibrating import Calibrating
from lsm.console.facts import RigFacts
from lsm.console.owner import Owner
from lsm.console.pictures import Pictures
from lsm.console.runs import Runs
from lsm.console.state import StateBoard
from lsm.console.wire import Http, Socket
from lsm.errors import ConfigError, ModelMismatch
from lsm.illum import Pattern
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle

START_MS = 10.0
MAX_MESSAGE = 4096
PING_S = 10.0


@dataclass(frozen=True)
class ConsoleOptions:
    """rig, model, seed: as in DiagnoseConfig. folder: for runs. token: needed for any host but this computer.

    calibrations: the rig's folder of that name is there, as with `lsm calibrate run`.
    """

    rig: str = "simulated"
    model: str = "procedural"
    seed: int = 1
    folder: Path = Path("out") / "console"
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    calibrations: Path = DEFAULT_OUT


def is_loopback(host: str) -> bool:
    """Whether nobody but this computer can reach that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def console_for(scope: Interlock, rig: RigConfig, options: ConsoleOptions, **simulation: Any) -> Console:
    """The console of a microscope that is connected; it owns it from here on. Raises FileMissing for the model.

    simulation: with what a simulated rig was connected.
    """
    designed = designed_patterns(scope, options.model)
    facts = RigFacts.of(rig, scope.board, designed, file=options.rig, model=options.model)
    low_ms, high_ms = rig.limits.exposure_ms
    state, pictures = StateBoard(), Pictures(saturated_adu=facts.saturated_adu)
    owner = Owner(scope, state, pictures, exposure_ms=min(max(START_MS, low_ms), high_ms))
    runs = Runs(owner, options.folder, rig, named=options.rig, model=options.model, seed=options.seed)
    folder = options.calibrations / rig.name
    calibrating = Calibrating(owner, rig, folder, seed=options.seed, simulation=simulation)
    return Console(owner, runs, calibrating, facts, designed, token=options.token)


def designed_patterns(scope: Interlock, model: str) -> tuple[Pattern, ...]:
    """The model's patterns; none where it was designed for another board."""
    bundle = Bundle.named(model)
    try:
        return tuple(bundle.patterns(scope.board))
    except ModelMismatch:
        return ()


def serve(options: ConsoleOptions, *, on_ready: Callable[[str], object] = lambda url: None, **simulation: Any) -> None:
    """Serve until interrupted; the rig is closed then, and dark.

    on_ready: told the address, with the token where there is one. simulation: passed to a simulated rig.
    Raises ConfigError for an address that cannot be listened on, FileMissing for the model, and what connect raises.
    """
    options = with_token(options)
    rig = RigConfig.from_file(find_rig(options.rig))
    if rig.simulator is not None:
        simulation = {"seed": options.seed} | simulation
    with listen(options.host, options.port) as listening, connect(rig, **simulation) as scope:
        server = server_of(console_for(scope, rig, options, **simulation))
        on_ready(address(options, listening))
        server.run(sockets=[listening])


def with_token(options: ConsoleOptions) -> ConsoleOptions:
    """The same with a token where it is needed and none was given."""
    if options.token or is_loopback(options.host):
        return options
    return ConsoleOptions(**vars(options) | {"token": secrets.token_urlsafe(24)})


def server_of(console: Console) -> uvicorn.Server:
    """What serves it; run() ends when `should_exit` is set."""
    return uvicorn.Server(
        uvicorn.Config(
            build_app(console),
            http=Http,
            ws=Socket,
            ws_max_size=MAX_MESSAGE,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=2,
            server_header=False,
            proxy_headers=False,
            log_level="warning",
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"The console cannot listen on {host}:{port}: {error.strerror or error}.",
            hint="choose another --port, or end the program that listens there",
        ) from error
    listening.listen(128)
    return listening


def address(options: ConsoleOptions, listening: socket.socket) -> str:
    """What to open in a browser."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    secret = f"#token={options.token}" if options.token else ""
    return f"http://{host}:{listening.getsockname()[1]}/{secret}"
