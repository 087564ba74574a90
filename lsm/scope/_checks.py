"""Checks of the light alone, and of a core's devices."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from lsm.devices import Illuminator
from lsm.errors import DeviceError
from lsm.illum import single_led
from lsm.scope._watchdog import Watchdog
from lsm.scope.mm_light import MmLight
from lsm.scope.rig import RigConfig

Level = Literal["ok", "warning", "wrong"]
REPEATS = 5
MARGIN_S = 0.3
TYPES = {
    2: "camera",
    3: "shutter",
    4: "state",
    5: "focus or stage",
    6: "XY stage",
    7: "serial port",
    8: "generic",
    9: "autofocus",
    10: "core",
    14: "SLM",
    15: "hub",
    16: "galvo",
}
ROLES = {
    "camera": "get_camera_device",
    "stage": "get_xy_stage_device",
    "focus": "get_focus_device",
    "shutter": "get_shutter_device",
    "autofocus": "get_auto_focus_device",
}
LABELS = {"camera": "camera", "xy_stage": "stage", "focus": "focus", "shutter": "shutter", "autofocus": "autofocus"}


@dataclass(frozen=True)
class Finding:
    """One sentence about one part of the rig, and what to do."""

    level: Level
    about: str
    text: str
    hint: str = ""


@runtime_checkable
class Notes(Protocol):
    """Where checks write what they find."""

    devices: list[dict[str, Any]]
    latency_ms: dict[str, float]
    facts: dict[str, Any]

    def add(self, level: Level, about: str, text: str, hint: str = "") -> None: ...


def check_light(light: Illuminator, rig: RigConfig, notes: Notes, *, watchdog: bool = True) -> None:
    """What the board is, how long it takes, and whether it goes dark when nobody speaks to it (not without
    `watchdog`). Ends dark.

    Raises what the light raises.
    """
    from lsm.led import IlluminateClient, LedBoardClient

    board = light.board
    if isinstance(light, LedBoardClient):
        hello = light.hello
        firmware = light.properties["lsm"]["firmware"]
        notes.facts["light"] = {"firmware": firmware, "protocol": hello.version, "leds": board.n_leds}
        notes.add(
            "ok", "light", f"is a board of {board.n_leds} LEDs, firmware lsm {firmware}, protocol {hello.version}."
        )
    elif isinstance(light, IlluminateClient):
        notes.facts["light"] = {"firmware": f"illuminate {light.dialect}", "leds": board.n_leds}
        notes.add("ok", "light", f"is a board of {board.n_leds} LEDs with illuminate {light.dialect}.")
    else:
        notes.facts["light"] = {"firmware": "", "leds": board.n_leds}
        notes.add("ok", "light", f"is '{rig.led.micro_manager.device or type(light).__name__}', {board.n_leds} LEDs.")
    axis = single_led(board, int(np.argmin(board.na)))
    took_ms = []
    for _ in range(REPEATS):
        began_ns = time.monotonic_ns()
        light.show(axis, hold_ms=0.0)
        took_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    notes.latency_ms["show a pattern"] = statistics.median(took_ms)
    if not isinstance(light, LedBoardClient):
        _tell_no_watchdog(light, notes)
    elif watchdog:
        shown = light.show(axis, hold_ms=0.0)
        time.sleep(light.hello.watchdog_ms / 1000 + MARGIN_S)
        _tell_watchdog(notes, went_dark=not light.still_lit(shown), after_s=light.hello.watchdog_ms / 1000)
    light.dark()


def _tell_watchdog(notes: Notes, *, went_dark: bool, after_s: float) -> None:
    notes.facts["goes_dark_alone"] = went_dark
    if went_dark:
        notes.add("ok", "watchdog", f"puts the LEDs out after {after_s:g} s of silence.")
    else:
        notes.add(
            "wrong",
            "watchdog",
            f"The LEDs are still on after {after_s:g} s of silence: a program that dies leaves them lit.",
            "update the board's firmware, and switch the board off by hand until then",
        )


def _tell_no_watchdog(light: Illuminator, notes: Notes) -> None:
    notes.facts["goes_dark_alone"] = False
    notes.add(
        "warning",
        "watchdog",
        "This board has none: when the program is killed or the computer hangs, the LEDs stay lit.",
        "switch the board's supply off when you leave; a board with this project's firmware goes dark by itself",
    )
    if isinstance(light, MmLight) and not light.reads_back:
        notes.add(
            "warning",
            "light",
            "An SLM cannot be read back: frames say what light was sent, not what was on.",
            "use --leds now and then to see that every LED works",
        )


def check_devices(core: Any, rig: RigConfig, notes: Notes) -> bool:
    """List the devices and their roles, and compare them with the rig; True where all that it names are there.

    Raises DeviceError for a core that does not answer.
    """
    watchdog = Watchdog()

    def ask(work: Callable[[], Any]) -> Any:
        return watchdog.call(work, what="Micro-Manager", within_s=rig.timeouts_s.stage, error=DeviceError)

    try:
        version, interface = ask(lambda: (str(core.get_version_info()), str(core.get_api_version_info())))
        notes.facts["micro_manager"] = {"core": version, "interface": interface, "backend": rig.backend}
        notes.add("ok", "Micro-Manager", f"{version}; {interface}.")
        roles = {name: str(ask(getattr(core, method))) for name, method in ROLES.items()}
        notes.facts["roles"] = roles
        notes.devices.extend(ask(lambda: devices_of(core, roles)))
        return _check_labels(rig, roles, notes)
    finally:
        watchdog.close()


def devices_of(core: Any, roles: dict[str, str]) -> list[dict[str, Any]]:
    """A row for each device of the core: what it is, its role, and the settings that it had when it was loaded."""
    rows = []
    for label in (str(each) for each in core.get_loaded_devices() if str(each) != "Core"):
        names = [str(each) for each in core.get_device_property_names(label)]
        fixed = [name for name in names if core.is_property_pre_init(label, name)]
        rows.append(
            {
                "label": label,
                "library": str(core.get_device_library(label)),
                "name": str(core.get_device_name(label)),
                "description": (str(core.get_device_description(label)).splitlines() or [""])[0],
                "kind": TYPES.get(int(core.get_device_type(label)), "other"),
                "role": ", ".join(role for role, device in roles.items() if device == label),
                "busy": bool(core.device_busy(label)),
                "loaded_with": {name: str(core.get_property(label, name)) for name in fixed},
            }
        )
    return rows


def _check_labels(rig: RigConfig, roles: dict[str, str], notes: Notes) -> bool:
    known = [row["label"] for row in notes.devices]
    right = True
    for key, role in LABELS.items():
        label = getattr(rig.devices, key)
        if label and label not in known:
            right = False
            notes.add(
                "wrong",
                "devices",
                f"devices.{key} = '{label}' is not among Micro-Manager's devices.",
                f"they are: {', '.join(known)}",
            )
        roles[role] = label or roles[role]
    if not roles["camera"]:
        right = False
        notes.add(
            "wrong",
            "devices",
            "Micro-Manager's configuration has no camera of that role.",
            "add 'Property,Core,Camera,LABEL' to the .cfg file, or set devices.camera in the rig file",
        )
    for role, text in (("stage", "no XY stage: fields cannot be changed"), ("focus", "no focus drive")):
        if not roles[role]:
            notes.add("warning", "devices", f"The rig has {text}.", "")
    for row in notes.devices:
        if row["busy"]:
            notes.add(
                "warning",
                "devices",
                f"'{row['label']}' says that it is busy though nothing was asked of it.",
                "wait for it, or reset it; a device that is busy for ever lets every move fail",
            )
    return right
