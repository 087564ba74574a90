"""From a rig to a microscope."""

from contextlib import ExitStack
from importlib.metadata import entry_points
from typing import Any

from lsm.devices import Illuminator, Microscope
from lsm.errors import ConfigError
from lsm.safety import Interlock
from lsm.scope._pymmcore import close_core, open_core
from lsm.scope.micromanager import MicroManagerMicroscope
from lsm.scope.rig import RigConfig

RIGS_GROUP = "lsm.rigs"


def connect(rig: RigConfig, *, illuminator: Illuminator | None = None, **simulation: Any) -> Interlock:
    """The rig's microscope behind its limits; also a context manager that closes it.

    illuminator: the light source; None opens the rig's LED board on its serial port.
    simulation: passed to the rig's simulator (for the simulated rig: sample, seed and more, see lsm_sim.rig).

    Raises ConfigError for a rig that cannot work, FileMissing, PortBusy, DeviceError.
    """
    if rig.backend == "java":
        raise ConfigError(
            f"Rig '{rig.name}' asks for the Java backend, which lsm cannot drive yet.",
            hint="use backend = 'python', which loads the same .cfg file and adapters without Java",
        )
    if rig.simulator is not None:
        return Interlock(_simulated(rig, rig.simulator.entry, simulation), rig.limits)
    if simulation:
        raise ConfigError(
            f"Rig '{rig.name}' is not simulated, yet was given {', '.join(sorted(simulation))}.",
            hint="only a rig with a [simulator] table takes a sample or a seed",
        )
    return Interlock(open_microscope(rig, illuminator or _open_board(rig)), rig.limits)


def open_microscope(rig: RigConfig, illuminator: Illuminator) -> MicroManagerMicroscope:
    """The microscope of the rig's Micro-Manager configuration, lit by `illuminator`, without limits.

    The illuminator belongs to the microscope from here on: it is closed with it, and when this fails.
    """
    with ExitStack() as undo:
        undo.callback(illuminator.close)
        if rig.cfg is None:
            raise ConfigError(f"Rig '{rig.name}' names no 'cfg'.", hint="give Micro-Manager's configuration file")
        core = open_core(rig.cfg, adapters=rig.micro_manager)
        undo.callback(close_core, core)
        microscope = MicroManagerMicroscope(core, illuminator, rig, on_close=lambda: close_core(core))
        undo.pop_all()
        return microscope


def _simulated(rig: RigConfig, entry: str, simulation: dict[str, Any]) -> Microscope:
    found = entry_points(group=RIGS_GROUP, name=entry)
    if not found:
        known = ", ".join(sorted(entry_points(group=RIGS_GROUP).names)) or "none"
        raise ConfigError(f"Rig '{rig.name}' names the unknown simulator '{entry}'.", hint=f"installed: {known}")
    microscope: Microscope = next(iter(found)).load()(rig, **simulation)
    return microscope


def _open_board(rig: RigConfig) -> Illuminator:
    if not rig.led.port:
        raise ConfigError(f"Rig '{rig.name}' names no LED port.", hint="set led.port, for example COM5 or /dev/ttyACM0")
    from lsm.led import LedBoardClient, SerialTransport

    return LedBoardClient(SerialTransport(rig.led.port), rig.led.board.build(), limit_ma=rig.led.limit_ma)
