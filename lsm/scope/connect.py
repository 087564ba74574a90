"""From a rig to a microscope."""

from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import entry_points
from typing import Any

from lsm.devices import Illuminator, Microscope
from lsm.errors import ConfigError
from lsm.safety import Interlock, refuse_focus_lock
from lsm.scope._java import open_java_core
from lsm.scope._pymmcore import close_core, open_core
from lsm.scope.micromanager import MicroManagerMicroscope
from lsm.scope.mm_light import open_mm_light
from lsm.scope.rig import RigConfig

RIGS_GROUP = "lsm.rigs"
BOARDS_GROUP = "lsm.boards"


def connect(rig: RigConfig, *, illuminator: Illuminator | None = None, **simulation: Any) -> Interlock:
    """The rig's microscope behind its limits; also a context manager that closes it.

    illuminator: the light source; None opens the one that the rig names.
    simulation: passed to the rig's simulator (for the simulated rig: sample, seed and more, see lsm_sim.rig).

    Raises ConfigError for a rig that cannot work, FileMissing, PortBusy, DeviceError.
    """
    if rig.simulator is not None:
        return Interlock(_simulated(rig, rig.simulator.entry, simulation), rig.limits)
    if simulation:
        raise ConfigError(
            f"Rig '{rig.name}' is not simulated, yet was given {', '.join(sorted(simulation))}.",
            hint="only a rig with a [simulator] table takes a sample or a seed",
        )
    return Interlock(open_microscope(rig, illuminator), rig.limits)


def open_microscope(rig: RigConfig, illuminator: Illuminator | None = None) -> MicroManagerMicroscope:
    """The microscope of the rig's Micro-Manager configuration, lit by `illuminator`, without limits.

    illuminator: None opens the light that the rig names; the one given belongs to the microscope from here on: it is
    closed with it, and when this fails.
    """
    with ExitStack() as undo:
        light = illuminator if illuminator is not None or rig.led.in_micro_manager else _open_board(rig)
        if light is not None:
            undo.callback(light.close)
        core, release = open_devices(rig)
        undo.callback(release)
        microscope = assemble(rig, core, light, release)
        undo.pop_all()
        return microscope


def assemble(
    rig: RigConfig, core: Any, illuminator: Illuminator | None, release: Callable[[], None]
) -> MicroManagerMicroscope:
    """The microscope over devices that are open; they are the caller's where this fails.
    Raises ConfigError while a continuous focus would move the focus past the limits.

    illuminator: None for a light that is one of the devices. release: called when the microscope is closed.
    """
    refuse_focus_lock(core)
    with ExitStack() as undo:
        light = illuminator
        if light is None:
            light = open_mm_light(core, rig.led, within_s=rig.timeouts_s.stage)
            undo.callback(light.close)
        microscope = MicroManagerMicroscope(core, light, rig, on_close=release)
        undo.pop_all()
        return microscope


def open_light(rig: RigConfig) -> Illuminator:
    """The rig's LED board alone, real or simulated; it is dark. Raises as connect does."""
    if rig.simulator is not None:
        board: Illuminator = _simulator(rig, BOARDS_GROUP, rig.simulator.entry)(rig)
        return board
    if not rig.led.in_micro_manager:
        return _open_board(rig)
    with ExitStack() as undo:
        core, release = open_devices(rig)
        undo.callback(release)
        light = open_mm_light(core, rig.led, within_s=rig.timeouts_s.stage, on_close=release)
        undo.pop_all()
        return light


def open_devices(rig: RigConfig) -> tuple[Any, Callable[[], None]]:
    """The core with the devices of a rig that is not simulated, and what lets go of it. Raises as connect does."""
    if rig.backend == "java":
        remote = open_java_core(rig.java)
        return remote, remote.close
    if rig.cfg is None:
        raise ConfigError(f"Rig '{rig.name}' names no 'cfg'.", hint="give Micro-Manager's configuration file")
    core = open_core(rig.cfg, adapters=rig.micro_manager)
    return core, lambda: close_core(core)


def _simulated(rig: RigConfig, entry: str, simulation: dict[str, Any]) -> Microscope:
    microscope: Microscope = _simulator(rig, RIGS_GROUP, entry)(rig, **simulation)
    return microscope


def _simulator(rig: RigConfig, group: str, entry: str) -> Any:
    found = entry_points(group=group, name=entry)
    if not found:
        known = ", ".join(sorted(entry_points(group=group).names)) or "none"
        raise ConfigError(f"Rig '{rig.name}' names the unknown simulator '{entry}'.", hint=f"installed: {known}")
    return next(iter(found)).load()


def _open_board(rig: RigConfig) -> Illuminator:
    if not rig.led.port:
        raise ConfigError(f"Rig '{rig.name}' names no LED port.", hint="set led.port, for example COM5 or /dev/ttyACM0")
    from lsm.led import IlluminateClient, LedBoardClient, open_port

    transport = open_port(rig.led.port, baud=rig.led.baud)
    if rig.led.kind == "illuminate":
        return IlluminateClient(transport, rig.led.board.build())
    board = rig.led.board
    return LedBoardClient(
        transport, board.build(), limit_ma=rig.led.limit_ma, pose_tolerance_mm=board.pose_tolerance_mm
    )
