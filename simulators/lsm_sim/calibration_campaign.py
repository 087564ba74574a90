"""Calibrates simulated rigs that are not as their files say, and tells how far from the truth it ends.

    python -m lsm_sim.calibration_campaign --rigs 20 --json calibration.json

Every seed is another rig: board, brightness, camera, pixel, stage and focus are drawn anew (`Hidden.drawn`), and the
calibration sees images alone. One rig takes minutes of one core.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsm.calibrate.leds import LedSearch
from lsm.calibrate.session import Session
from lsm.calibrate.steps import STEPS
from lsm.calibration import Calibration, Measured
from lsm.cli._calibrate_run import opener
from lsm.commit import source_commit
from lsm.errors import LsmError
from lsm.scope import RigConfig, find_rig
from lsm_sim._figures import tell
from lsm_sim.hidden import Hidden

COVERED_SIGMAS = 2.0
FAULTS = 4


def random_rig(seed: int) -> tuple[RigConfig, Hidden, dict[str, Any]]:
    """The shipped simulated rig with hidden truths, those truths, and its camera and stage."""
    rng = np.random.default_rng([seed, 10])
    hidden = Hidden.drawn(rng)
    gain, read_e, offset = float(rng.uniform(0.8, 3.5)), float(rng.uniform(2.0, 8.0)), float(rng.uniform(40, 120))
    camera = {"gain_e_per_adu": gain, "read_noise_e": read_e, "offset_adu": offset}
    stage = {"xy": {"backlash_um": float(rng.uniform(0.0, 8.0))}}
    hidden = with_fault(hidden, seed, rng)
    rig = RigConfig.from_file(find_rig("simulated"))
    # what the file says of the camera is not to be believed
    camera_facts = rig.camera.model_copy(update=dict.fromkeys(("offset_adu", "gain_e_per_adu", "read_noise_e")))
    options = (rig.simulator.options if rig.simulator else {}) | {
        "camera": camera,
        "stage": stage,
        "hidden": hidden.model_dump(mode="json"),
        "colours": (),
        "sanitize": False,
    }
    simulator = rig.simulator and rig.simulator.model_copy(update={"options": options})
    return rig.model_copy(update={"camera": camera_facts, "simulator": simulator}), hidden, {**camera, **stage["xy"]}


def with_fault(hidden: Hidden, seed: int, rng: np.random.Generator) -> Hidden:
    """Every fourth rig is mirrored, every fourth has its board turned by 90 degrees, every fourth five dead LEDs."""
    kind = seed % FAULTS
    if kind == 1:
        return hidden.model_copy(update={"mirror": str(rng.choice(["columns", "rows"]))})
    if kind == 2:
        return hidden.model_copy(update={"rotation_deg": hidden.rotation_deg + 90.0})
    if kind == 3:
        dead = tuple(sorted(int(led) for led in rng.choice(169, 5, replace=False)))
        return hidden.model_copy(update={"dead_leds": dead})
    return hidden


def one_rig(seed: int, steps: Sequence[str], window_px: int) -> dict[str, Any]:
    """What the calibration of one rig came to, against its truth."""
    rig, hidden, truth = random_rig(seed)
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="lsm-calibration-") as folder:
        session = Session(rig, Path(folder), opener(rig, seed), leds=LedSearch(window_px=window_px, seed=seed))
        stopped = ""
        try:
            found = session.run(steps)
        except LsmError as error:
            found, stopped = session.so_far(), error.message
    return {
        "seed": seed,
        "stopped": stopped,
        "findings": list(found.findings),
        "hidden": {"mirror": hidden.mirror, "rotation_deg": hidden.rotation_deg, "dead_leds": hidden.dead_leds},
        "cpu_s": round(time.process_time() - began),
        "off": _off(found, rig, hidden, truth),
    }


def _off(found: Calibration, rig: RigConfig, hidden: Hidden, truth: dict[str, Any]) -> dict[str, Any]:
    """Error and stated standard uncertainty of each value."""
    off: dict[str, Any] = {}
    if found.camera is not None:
        for name in ("gain_e_per_adu", "read_noise_e", "offset_adu"):
            off[name] = _against(getattr(found.camera, name), truth[name])
    if found.stage is not None:
        off["pixel_um"] = _against(found.stage.pixel_um, rig.camera_pixel_um * hidden.pixel_factor)
        # mirrored images turn the other way: an upright one turns as the stage does
        off["angle_deg"] = _against(found.stage.angle_deg, hidden.stage_angle_deg)
        for axis, each in zip("xy", found.stage.backlash_um, strict=True):
            off[f"backlash_{axis}_um"] = _against(each, truth["backlash_um"])
    if found.focus is not None:
        off["focus_um"] = _against(found.focus.z_um, hidden.focus_um)
    nominal = rig.led.board.nominal()
    board, alive = hidden.board(nominal), np.setdiff1d(np.arange(nominal.n_leds), hidden.dead_leds)
    if found.light is not None:
        share = np.array(found.light.irradiance)[alive] / board.relative_irradiance[alive]
        off["irradiance"] = _many(share / np.median(share) - 1, np.array(found.light.sigma)[alive])
    if found.leds is not None:
        places = np.array(found.leds.positions_mm)[alive]
        away = places - board.positions_mm[alive]
        apart = np.linalg.norm(away, axis=1)
        off["position_mm"] = {"rms": _rms(apart), "largest": float(apart.max()), "within_0.2": _share(apart <= 0.2)}
        sigma = np.array(found.leds.sigma_mm)[alive]
        off["place_along_board_mm"] = _many(away[:, :2].ravel(), np.repeat(sigma, 2))
        off["distance_mm"] = {"error": float(away[:, 2].mean()), "sigma": found.leds.sigma_distance_mm}
        gain = np.array(found.leds.brightness)[alive] / hidden.brightness(nominal.n_leds)[alive]
        off["brightness"] = _many(gain / np.median(gain) - 1, np.array(found.leds.sigma_brightness)[alive])
    return off


def _against(found: Measured, truth: float) -> dict[str, float]:
    return {"error": found.value - truth, "truth": truth, "sigma": found.sigma}


def _many(errors: np.ndarray, sigma: np.ndarray) -> dict[str, float]:
    covered = np.abs(errors) <= COVERED_SIGMAS * sigma
    return {"rms": _rms(errors), "largest": float(np.abs(errors).max()), "covered": _share(covered)}


def _rms(values: np.ndarray) -> float:
    return math.sqrt(float((values**2).mean()))


def _share(true: np.ndarray) -> float:
    return float(true.mean())


def coverage(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Share of rigs whose truth lies within two stated standard uncertainties, for each single value."""
    names = sorted({name for row in rows for name, off in row["off"].items() if {"error", "sigma"} <= set(off)})
    table = {}
    for name in names:
        offs = [row["off"][name] for row in rows if name in row["off"]]
        table[name] = _share(np.array([abs(off["error"]) <= COVERED_SIGMAS * off["sigma"] for off in offs]))
    return table


def main(arguments: list[str]) -> int:
    """Run the campaign, print and write its figures."""
    parser = argparse.ArgumentParser(description="How far from the truth calibrations of simulated rigs end.")
    parser.add_argument("--rigs", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--steps", default=",".join(step.name for step in STEPS), help="which, by comma")
    parser.add_argument("--window-px", type=int, default=80, help="side of the windows in which LEDs are fitted")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    steps = options.steps.split(",")
    rows = []
    for seed in range(options.first, options.first + options.rigs):
        rows.append(one_rig(seed, steps, options.window_px))
        print(f"rig {seed}: {rows[-1]['cpu_s']} s, {rows[-1]['findings']} {rows[-1]['stopped']}", file=sys.stderr)
    command = f"python -m lsm_sim.calibration_campaign --rigs {options.rigs} --steps {options.steps}"
    tell({"command": command, "commit": source_commit(), "coverage": coverage(rows), "rigs": rows}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
