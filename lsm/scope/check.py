"""Find out whether a rig is what its file says, and tell in plain words what is wrong."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from lsm.devices import Frame, Illuminator, Microscope, Observe
from lsm.errors import CameraError, LsmError
from lsm.illum import Pattern, dark, single_led
from lsm.safety import Interlock
from lsm.scope._adapters import explain_adapters
from lsm.scope._checks import Finding, Level, check_devices, check_light
from lsm.scope.connect import assemble, connect, open_devices, open_light
from lsm.scope.light_check import check_leds
from lsm.scope.mm_light import open_mm_light
from lsm.scope.rig import RigConfig

T = TypeVar("T")

__all__ = ["Finding", "Level", "Report", "check_rig"]

XY_STEP_UM = 10.0
Z_STEP_UM = 5.0
REPEATS = 5
SEEN_SIGMA = 5.0
LONGEST_LINE = 400
FULL_SHARE = 0.001
"""Of pixels at the largest value, above which an image is saturated."""


@dataclass
class Report:
    """What a check has found. devices: one row per device. latency_ms: median times. facts: about light and frames."""

    rig: str
    findings: list[Finding] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    latency_ms: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        return any(each.level == "wrong" for each in self.findings)

    def add(self, level: Level, about: str, text: str, hint: str = "") -> None:
        self.findings.append(Finding(level, about, text, hint))

    def attempt(self, about: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None where it fails, which is a finding then."""
        try:
            return work()
        except LsmError as error:
            self.add("wrong", about, _short(error.message), error.hint)
            return None


def check_rig(
    rig: RigConfig,
    *,
    exposure_ms: float = 20.0,
    move: bool = True,
    leds: bool = False,
    watchdog: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> Report:
    """Connect to every device of a rig, try each, and report; nothing is raised for a device that is wrong.

    Stage and focus move by at most 10 um and back, and not at all without `move` or outside the rig's limits.
    leds: one image per LED as well, see lsm.scope.light_check. progress: called after each of these.
    watchdog: be silent until the LED board must have gone dark, where it has a watchdog.
    """
    report = Report(rig.name)
    with ExitStack() as stack:
        find = _simulated if rig.simulator is not None else _real
        scope = find(rig, report, stack, watchdog)
        if scope is not None:
            _check_microscope(scope, rig, report, exposure_ms=exposure_ms, move=move)
            if leds:
                report.attempt("LEDs", lambda: _check_leds(scope, report, exposure_ms, progress))
    return report


def _simulated(rig: RigConfig, report: Report, stack: ExitStack, watchdog: bool) -> Interlock | None:
    """The simulator makes light and core itself, so the light is looked at alone first."""
    from pycromanager import Core

    with ExitStack() as alone:
        _tried_light(lambda: open_light(rig), rig, report, alone, watchdog)
    scope = report.attempt("devices", lambda: connect(rig))
    if scope is not None:
        stack.callback(scope.close)
        report.attempt("devices", lambda: check_devices(Core(), rig, report))
    return scope


def _real(rig: RigConfig, report: Report, stack: ExitStack, watchdog: bool) -> Interlock | None:
    light: Illuminator | None = None
    if not rig.led.in_micro_manager:
        light = _tried_light(lambda: open_light(rig), rig, report, stack, watchdog)
    opened = report.attempt("devices", lambda: open_devices(rig))
    if opened is None:
        if rig.backend == "python":
            for text, hint in explain_adapters(rig):
                report.add("wrong", "adapters", text, hint)
        return None
    core, release = opened
    stack.callback(release)
    right = report.attempt("devices", lambda: check_devices(core, rig, report))
    if rig.led.in_micro_manager:
        light = _tried_light(
            lambda: open_mm_light(core, rig.led, within_s=rig.timeouts_s.stage), rig, report, stack, watchdog
        )
    if not right or light is None:
        return None
    microscope = report.attempt("microscope", lambda: assemble(rig, core, light, release))
    if microscope is None:
        return None
    stack.callback(microscope.close)
    return Interlock(microscope, rig.limits)


def _tried_light(
    open_it: Callable[[], Illuminator], rig: RigConfig, report: Report, stack: ExitStack, watchdog: bool
) -> Illuminator | None:
    light = report.attempt("light", open_it)
    if light is None:
        if "refused HELLO: version" in report.findings[-1].text:
            report.add(
                "wrong",
                "light",
                "The board's firmware speaks another version of the protocol than this program.",
                "flash the firmware that came with this program, or install the program that came with the firmware",
            )
        return None
    stack.callback(light.close)
    opened = light
    report.attempt("light", lambda: check_light(opened, rig, report, watchdog=watchdog))
    return light


def _check_microscope(scope: Interlock, rig: RigConfig, report: Report, *, exposure_ms: float, move: bool) -> None:
    board = scope.board
    low, high = rig.limits.exposure_ms
    asked_ms, exposure_ms = exposure_ms, min(max(exposure_ms, low), high)
    if exposure_ms != asked_ms:
        report.add(
            "warning",
            "exposure",
            f"of {asked_ms:g} ms is outside the rig's limits.exposure_ms = [{low:g}, {high:g}]; {exposure_ms:g} ms "
            "was used.",
            "give another --exposure-ms, or correct the limits in the rig file",
        )
    unlit, axis = dark(board), single_led(board, int(np.argmin(board.na)))
    first = report.attempt("camera", lambda: scope.observe(Observe(unlit, exposure_ms)))
    if first is None:
        return
    report.add("ok", "camera", f"gives {first.image.shape[0]} x {first.image.shape[1]} pixels.")
    _check_exposures(scope, unlit, report, (low, exposure_ms, min(10 * exposure_ms, high)))
    lit = report.attempt("light", lambda: scope.observe(Observe(axis, exposure_ms)))
    if lit is not None:
        _compare(first, lit, report, rig.camera.saturated_adu)
    inside = _check_place(first, rig, report)
    _measure(scope, axis, exposure_ms, report)
    if not move:
        report.add("ok", "stage", "was not moved, as you asked.")
    elif inside:
        for axis_name in ("x", "y", "z"):
            _check_axis(scope, axis_name, first, rig, report)


def _check_exposures(scope: Microscope, unlit: Pattern, report: Report, exposures_ms: tuple[float, ...]) -> None:
    wrong = []
    for exposure_ms in dict.fromkeys(exposures_ms):
        try:
            scope.observe(Observe(unlit, exposure_ms))
        except CameraError as error:
            wrong.append(error)
            report.add("wrong", "exposure", error.message, error.hint)
    if not wrong:
        listed = ", ".join(f"{each:g}" for each in dict.fromkeys(exposures_ms))
        report.add("ok", "exposure", f"is taken over by the camera at {listed} ms.")


def _compare(unlit: Frame, lit: Frame, report: Report, saturated_adu: float | None) -> None:
    means = unlit.image.mean(dtype=np.float64), lit.image.mean(dtype=np.float64)
    errors = [image.std(dtype=np.float64) / np.sqrt(image.size) for image in (unlit.image, lit.image)]
    lit_leds = [int(frame.shown.levels.any(axis=1).sum()) for frame in (unlit, lit)]
    report.facts["frames"] = {
        "dark_adu": float(means[0]),
        "dark_lit_leds": lit_leds[0],
        "one_led_adu": float(means[1]),
        "one_led_lit_leds": lit_leds[1],
    }
    led = int(np.flatnonzero(lit.shown.levels.any(axis=1))[0])
    if means[1] - means[0] > SEEN_SIGMA * float(np.hypot(*errors)):
        report.add("ok", "light", f"LED {led} is seen: {means[0]:.1f} ADU in the dark, {means[1]:.1f} ADU with it.")
    else:
        report.add(
            "warning",
            "light",
            f"LED {led} makes no difference to the image: {means[0]:.1f} ADU in the dark, {means[1]:.1f} ADU with it.",
            "check light path and focus, or give a longer --exposure-ms; Micro-Manager's DemoCamera sees no light",
        )
    top = int(lit.image.max())
    full = top if top in (255, 4095, 16383, 65535) else np.inf
    if (lit.image >= min(full, saturated_adu or np.inf)).mean() > FULL_SHARE:
        report.add(
            "warning", "light", f"The image under one LED is saturated at {top} ADU.", "give a shorter --exposure-ms"
        )


def _check_place(frame: Frame, rig: RigConfig, report: Report) -> bool:
    places = dict(zip(("x_um", "y_um", "z_um"), (*frame.xy_um, frame.z_um), strict=True))
    # an axis without a device reads 0, which says nothing
    places = {name: place for name, place in places.items() if _has(report, "focus" if name == "z_um" else "stage")}
    report.facts["place_um"] = places
    outside = False
    for name, place in places.items():
        low, high = getattr(rig.limits, name)
        if not low <= place <= high:
            outside = True
            report.add(
                "wrong",
                "limits",
                f"The {'focus' if name == 'z_um' else 'stage'} is at {name[0]} = {place:.1f} um, outside the rig's "
                f"limits.{name} = [{low:g}, {high:g}]; nothing was moved.",
                "home the stage, move it there by hand, or correct the limits in the rig file",
            )
    if places and not outside:
        text = ", ".join(f"{name[0]} = {place + 0.0:.1f}" for name, place in places.items())
        report.add("ok", "limits", f"hold {text} um, where stage and focus are now.")
    return not outside


def _has(report: Report, role: str) -> bool:
    """Also where the roles could not be read."""
    return bool(report.facts.get("roles", {}).get(role, "unknown"))


def _measure(scope: Microscope, pattern: Pattern, exposure_ms: float, report: Report) -> None:
    whole, inside = [], []
    for _ in range(REPEATS):
        began_ns = time.monotonic_ns()
        frame = report.attempt("latency", lambda: scope.observe(Observe(pattern, exposure_ms)))
        if frame is None:
            return
        whole.append((time.monotonic_ns() - began_ns) / 1e6)
        inside.append((frame.ended_ns - frame.started_ns) / 1e6)
    report.latency_ms[f"snap, exposure of {exposure_ms:g} ms"] = statistics.median(inside)
    report.latency_ms[f"observe, exposure of {exposure_ms:g} ms"] = statistics.median(whole)


def _check_axis(scope: Microscope, name: str, first: Frame, rig: RigConfig, report: Report) -> None:
    """There and back, and how far from where it began it says to be then."""
    index = "xyz".index(name)
    start = (*first.xy_um, first.z_um)
    low, high = getattr(rig.limits, f"{name}_um")
    longest_um = Z_STEP_UM if name == "z" else XY_STEP_UM
    room_up, room_down = high - start[index], start[index] - low
    step_um = min(longest_um, room_up) if room_up >= room_down else -min(longest_um, room_down)
    about = "focus" if name == "z" else "stage"
    if not _has(report, about):
        return
    if abs(step_um) <= 0:
        report.add("warning", about, f"{name} has no room to move inside the rig's limits.", "widen the limits")
        return
    exposure_ms = rig.limits.exposure_ms[0]

    def to(place_um: float) -> tuple[float, float]:
        wanted = [*start]
        wanted[index] = place_um
        request = Observe(
            dark(scope.board),
            exposure_ms,
            None if name == "z" else (wanted[0], wanted[1]),
            wanted[2] if name == "z" else None,
        )
        began_ns = time.monotonic_ns()
        frame = scope.observe(request)
        return (*frame.xy_um, frame.z_um)[index], (time.monotonic_ns() - began_ns) / 1e6

    there = report.attempt(about, lambda: to(start[index] + step_um))
    back = report.attempt(about, lambda: to(start[index]))
    if there is None or back is None:
        return
    report.latency_ms[f"observe, {name} moved by {abs(step_um):g} um"] = statistics.median((there[1], back[1]))
    report.add(
        "ok",
        about,
        f"{name} moved by {step_um:+.1f} um and says {there[0] - start[index]:+.2f} um, "
        f"then {back[0] - start[index]:+.2f} um back at its start.",
    )


def _short(text: str) -> str:
    """One line: Micro-Manager's messages hold several, and some repeat themselves."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..."


def _check_leds(scope: Microscope, report: Report, exposure_ms: float, progress: Callable[[], None]) -> None:
    low, high = scope.limits.exposure_ms if isinstance(scope, Interlock) else (exposure_ms / 100, exposure_ms)
    found = check_leds(scope, exposure_ms=min(max(exposure_ms, low), high), shortest_ms=low, progress=progress)
    report.facts["leds"] = {
        "dead": list(found.dead),
        "stuck": list(found.stuck),
        "unclear": list(found.unclear),
        "signal_adu": [round(float(each), 2) for each in found.signal_adu],
        "dark_adu": found.dark_adu,
    }

    def listed(leds: tuple[int, ...]) -> str:
        places = [f"{led} at ({x:g}, {y:g}) mm" for led in leds for x, y, _ in [scope.board.positions_mm[led]]]
        return "; ".join(places[:8]) + ("; ..." if len(places) > 8 else "")

    if found.dead:
        report.add("wrong", "LEDs", f"{len(found.dead)} give no light: {listed(found.dead)}.", "replace them")
    if found.stuck:
        report.add("wrong", "LEDs", f"{len(found.stuck)} never go out: {listed(found.stuck)}.", "check their drivers")
    if found.stray:
        report.add(
            "wrong",
            "LEDs",
            f"Dark images hold {found.dark_adu:.1f} ADU of light that no LED of the board gives.",
            "cover the microscope; or another lamp is on",
        )
    if found.unclear:
        report.add(
            "warning",
            "LEDs",
            f"{len(found.unclear)} of {scope.board.n_leds} are too dark to tell.",
            "give a longer --exposure-ms",
        )
    if found.sound:
        report.add("ok", "LEDs", f"{scope.board.n_leds - len(found.unclear)} of {scope.board.n_leds} work.")
