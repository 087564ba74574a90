"""Faults of camera, stage, focus, shutter, LEDs and clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from lsm.devices import Frame
from lsm.errors import DeviceError
from lsm.safety import Interlock
from lsm.scope import LightCheck, check_leds
from lsm_sim.device_faults import CameraFaults, DriveFaults, LightFaults, ShutterFaults
from lsm_sim.torture.bench import LIGHT_S, STEP_S, Bench, NotNoticedError
from lsm_sim.torture.tally import Trial

CAMERA_S = STEP_S
LOOK_MS, SHORTEST_MS = 40.0, 0.2
JUST_UM = 1e-6


def _camera(kind: str, make: Callable[[Bench], CameraFaults]) -> Callable[[Bench], Trial]:
    def run(bench: Bench) -> Trial:
        bench.observe(bench.request())
        bench.faults.camera = make(bench)
        place = bench.rng.random() < 0.5
        # the second capture shows what the first left behind
        return bench.trial(
            kind,
            lambda: bench.observe(bench.request(moved=place), bench.request(moved=False)),
            allowed_s=2 * CAMERA_S,
            note=str(bench.faults.camera),
        )

    return run


def _drive(kind: str, which: str, make: Callable[[Bench, float], DriveFaults]) -> Callable[[Bench], Trial]:
    """make: the faults, from the bench and a distance beyond the drive's tolerance with a random sign."""

    def run(bench: Bench) -> Trial:
        tolerance_um = bench.rig.tolerance_um.xy if which == "stage" else bench.rig.tolerance_um.z
        away_um = tolerance_um * float(bench.rng.uniform(2.5, 10.0) * bench.rng.choice([-1, 1]))
        faults = make(bench, away_um)
        setattr(bench.faults, which, faults)
        return bench.trial(kind, lambda: bench.observe(bench.request()), allowed_s=2 * STEP_S, note=str(faults))

    return run


def _shutter(kind: str, faults: ShutterFaults) -> Callable[[Bench], Trial]:
    def run(bench: Bench) -> Trial:
        bench.faults.shutter = replace(faults)

        def work() -> list[Frame]:
            if faults.lies:  # nothing that the shutter says can tell: the LEDs are looked at
                found = _look_at_leds(bench)
                if len(found.dead) + len(found.unclear) < bench.scope.board.n_leds:
                    raise NotNoticedError(f"some LEDs were seen: {_said(found)}")
                raise DeviceError("No LED gives light.", hint="is a shutter closed?")
            return bench.observe(bench.request())

        return bench.trial(kind, work, allowed_s=LIGHT_S if faults.lies else 2 * STEP_S, note=str(faults))

    return run


def _leds(kind: str, which: str) -> Callable[[Bench], Trial]:
    def run(bench: Bench) -> Trial:
        count = int(bench.rng.integers(1, 4))
        chosen = frozenset(int(led) for led in bench.rng.permutation(bench.scope.board.n_leds)[:count])
        bench.faults.light = LightFaults(**{which: chosen})

        def work() -> list[Frame]:
            found = _look_at_leds(bench)
            if found.sound or not chosen <= {*getattr(found, which), *found.unclear}:
                raise NotNoticedError(_said(found))
            raise DeviceError(f"LEDs {sorted(chosen)} are {which}.", hint="replace the board")

        return bench.trial(kind, work, allowed_s=LIGHT_S, note=f"{which}: {sorted(chosen)}")

    return run


def _look_at_leds(bench: Bench) -> LightCheck:
    return check_leds(bench.microscope, exposure_ms=LOOK_MS, shortest_ms=SHORTEST_MS)


def _said(check: LightCheck) -> str:
    return f"the check found dead {check.dead}, stuck {check.stuck}, unclear {check.unclear}, stray {check.stray}"


def _clock_jump(bench: Bench) -> Trial:
    jump_s = float(bench.rng.choice([-86_400.0, -3600.0, -1.0, 1.0, 3600.0, 86_400.0 * 365]))

    def work() -> list[Frame]:
        with _wall_clock() as jump:
            bench.faults.amid_exposure = lambda: jump(jump_s)
            frames = bench.observe(bench.request(), bench.request(moved=False))
        lasted_s = max((frame.ended_ns - frame.started_ns) / 1e9 for frame in frames)
        if not 0 <= lasted_s < LIGHT_S:
            raise ArithmeticError(f"an exposure of {lasted_s:g} s")
        return frames

    return bench.trial("clock jump", work, allowed_s=2 * STEP_S, note=f"{jump_s:g} s")


def _bad_request(bench: Bench) -> Trial:
    """A request that the rig's limits do not allow must leave everything as it is."""
    limits, rng = bench.rig.limits, bench.rng
    sound = bench.request()

    def outside(limit: tuple[float, float]) -> float:
        """Not a place at all, or one just beyond an end."""
        nowhere = rng.choice([np.nan, np.inf, -np.inf, 1e300])
        return float(rng.choice([nowhere, limit[0] - JUST_UM, limit[1] + JUST_UM]))

    bad = [
        replace(sound, xy_um=(outside(limits.x_um), 50.0)),
        replace(sound, xy_um=(50.0, outside(limits.y_um))),
        replace(sound, z_um=outside(limits.z_um)),
        replace(sound, exposure_ms=float(rng.choice([np.nan, np.inf, 0.0, -5.0, 1e9]))),
    ][rng.integers(4)]

    def work() -> list[Frame]:
        before = _state(bench)
        try:
            return [Interlock(bench.microscope, limits).observe(bad)]
        finally:
            if _state(bench) != before:
                raise NotNoticedError("something moved or shone")

    asked = f"{bad.xy_um}, {bad.z_um}, {bad.exposure_ms} ms"
    return bench.trial("request: NaN or out of range", work, allowed_s=STEP_S, note=asked)


def _state(bench: Bench) -> tuple[int, int, int]:
    return bench.world.moves, bench.world.exposures, bench.native.frames_path.stat().st_size


@contextmanager
def _wall_clock() -> Iterator[Callable[[float], None]]:
    """The wall clock of this process can be set; the monotonic clock cannot, as the system guarantees."""
    true_time, true_time_ns = time.time, time.time_ns
    offset_s = [0.0]
    time.time = lambda: true_time() + offset_s[0]
    time.time_ns = lambda: true_time_ns() + int(offset_s[0] * 1e9)
    try:
        yield lambda seconds: offset_s.__setitem__(0, seconds)
    finally:
        time.time, time.time_ns = true_time, true_time_ns


def _swings(bench: Bench, away_um: float) -> DriveFaults:
    return DriveFaults(swing_um=away_um, settle_s=float(bench.rng.uniform(0.005, 0.3)))


def _drives(name: str, which: str) -> dict[str, Callable[[Bench], Trial]]:
    hangs = ("move", "busy", "read")
    made: dict[str, Callable[[Bench, float], DriveFaults]] = {
        "stall": lambda bench, away_um: DriveFaults(stalls=True),
        "overshoot": lambda bench, away_um: DriveFaults(overshoot_um=away_um),
        "wrong position read back": lambda bench, away_um: DriveFaults(misread_um=away_um),
        "slow settling": _swings,
        "drift": lambda bench, away_um: DriveFaults(drift_um_per_s=away_um * float(bench.rng.uniform(0.1, 100))),
        "refuses": lambda bench, away_um: DriveFaults(raises=True),
        "hangs": lambda bench, away_um: DriveFaults(hangs=hangs[bench.rng.integers(3)]),  # type: ignore[arg-type]
        "late": lambda bench, away_um: DriveFaults(latency_s=float(bench.rng.uniform(0.0, 1.5 * STEP_S))),
    }
    return {f"{name}: {kind}": _drive(f"{name}: {kind}", which, make) for kind, make in made.items()}


CAMERA: dict[str, Callable[[Bench], CameraFaults]] = {
    "camera: timeout": lambda bench: CameraFaults(hangs=True),
    "camera: fails": lambda bench: CameraFaults(raises=True),
    "camera: dropped frame": lambda bench: CameraFaults(drops=int(bench.rng.integers(1, 4))),
    "camera: stale frame": lambda bench: CameraFaults(repeats=int(bench.rng.integers(1, 4))),
    "camera: lagging": lambda bench: CameraFaults(lags=True),
    "camera: wrong shape": lambda bench: CameraFaults(shape_px=(int(bench.rng.integers(1, 96)), 48)),
    "camera: wrong type": lambda bench: CameraFaults(dtype=str(np.array(["uint32", "float32"])[bench.rng.integers(2)])),
}
DEVICES: dict[str, Callable[[Bench], Trial]] = {
    **{kind: _camera(kind, make) for kind, make in CAMERA.items()},
    **_drives("stage", "stage"),
    **_drives("focus", "focus"),
    "LED dead": _leds("LED dead", "dead"),
    "LED stuck": _leds("LED stuck", "stuck"),
    "shutter stuck closed": _shutter("shutter stuck closed", ShutterFaults(stuck=False)),
    "shutter stuck closed, says open": _shutter(
        "shutter stuck closed, says open", ShutterFaults(stuck=False, lies=True)
    ),
    "shutter stuck open": _shutter("shutter stuck open", ShutterFaults(stuck=True)),
    "shutter hangs": _shutter("shutter hangs", ShutterFaults(hangs=True)),
    "clock jump": _clock_jump,
    "request: NaN or out of range": _bad_request,
}
