"""Calibrates simulated rigs that are not as their files say, and tells how far from the truth it ends.

    python -m lsm_sim.calibration_campaign --rigs 20 --out campaign --json calibration.json

Every seed is another rig: board, brightness, camera, pixel, stage and focus are drawn anew (`Hidden.drawn`), and the
calibration sees images alone. Every fourth is mirrored, has its board turned by 90 degrees, or five dead LEDs; one
more, after them, has a blocked light path. The twin of a calibrated rig predicts withheld patterns (`--patterns`)
and is held against the rig. One rig takes one to two minutes of one core; `--steps camera,stage --patterns 0` seconds.

In `--out` every rig has a folder with its calibration, evidence and figures; a campaign that was ended goes on there.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from lsm.calibrate.leds import LedSearch
from lsm.calibrate.report import WITHHELD, predict_and_compare
from lsm.calibrate.session import Session
from lsm.calibrate.slides import opener
from lsm.calibrate.steps import STEPS, TURNED_DEG
from lsm.calibration import Calibration, Measured
from lsm.commit import source_commit
from lsm.errors import CalibrationFailed, InputError
from lsm.scope import RigConfig, find_rig
from lsm.wholefile import write_whole
from lsm_sim._figures import tell
from lsm_sim.hidden import Hidden

COVERED_SIGMAS = 2.0
FAULTS = 4
PROMISED = {
    "gain_e_per_adu": ("share", 0.03),
    "read_noise_e": ("share", 0.10),
    "pixel_um": ("share", 0.003),
    "angle_deg": ("error", 0.1),
    "backlash_x_um": ("error", 0.5),
    "backlash_y_um": ("error", 0.5),
    "position_mm": ("largest", 0.2),
    "brightness": ("largest", 0.02),
}
GAP = 0.02
"""Of each value what is looked at (the error, its share of the truth, or the largest of many), and its limit."""
COVERED = (0.90, 0.99)
"""Between which the share of truths within two stated standard uncertainties is to lie."""


def random_rig(
    seed: int, *, blocked: bool = False, side: int | None = None
) -> tuple[RigConfig, Hidden, dict[str, Any]]:
    """The shipped simulated rig with hidden truths, those truths, and its camera and stage.

    side: rows and columns of a smaller board, for trials.
    """
    rng = np.random.default_rng([seed, 10])
    hidden = Hidden.drawn(rng)
    gain, read_e, offset = float(rng.uniform(0.8, 3.5)), float(rng.uniform(2.0, 8.0)), float(rng.uniform(40, 120))
    camera = {"gain_e_per_adu": gain, "read_noise_e": read_e, "offset_adu": offset}
    stage = {"xy": {"backlash_um": float(rng.uniform(0.0, 8.0))}}
    rig = _with_board(RigConfig.from_file(find_rig("simulated")), side)
    n_leds = rig.led.board.nominal().n_leds
    hidden = with_fault(hidden, seed, rng, n_leds).model_copy(update={"blocked": blocked})
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


def _with_board(rig: RigConfig, side: int | None) -> RigConfig:
    if side is None:
        return rig
    board = rig.led.board.model_copy(update={"rows": side, "columns": side})
    return rig.model_copy(update={"led": rig.led.model_copy(update={"board": board})})


def with_fault(hidden: Hidden, seed: int, rng: np.random.Generator, n_leds: int) -> Hidden:
    """Every fourth rig is mirrored, every fourth has its board turned by 90 degrees, every fourth five dead LEDs."""
    kind = seed % FAULTS
    if kind == 1:
        return hidden.model_copy(update={"mirror": str(rng.choice(["columns", "rows"]))})
    if kind == 2:
        return hidden.model_copy(update={"rotation_deg": hidden.rotation_deg + 90.0})
    if kind == 3:
        dead = tuple(sorted(int(led) for led in rng.choice(n_leds, 5, replace=False)))
        return hidden.model_copy(update={"dead_leds": dead})
    return hidden


def one_rig(
    seed: int,
    steps: Sequence[str],
    window_px: int,
    folder: Path,
    *,
    patterns: int = 0,
    blocked: bool = False,
    side: int | None = None,
) -> dict[str, Any]:
    """What the calibration of one rig came to, against its truth; the calibration and its evidence go to `folder`.

    patterns: random ones that its twin is to predict, with four fixed ones; 0 for none. side: see random_rig.
    """
    rig, hidden, truth = random_rig(seed, blocked=blocked, side=side)
    began = time.process_time()
    search = LedSearch(window_px=window_px, seed=seed)
    session = Session(rig, folder, opener(rig, seed), leds=search)
    stopped, gap = "", None
    try:
        found = session.run(steps)
        if patterns:
            gap = _gap(session, found, search, seed, patterns)
    except CalibrationFailed as error:
        # a device that failed says nothing of the calibration: the campaign ends there, and goes on when called again
        found, stopped = session.so_far(), error.message
    return {
        "seed": seed,
        "commit": source_commit(),
        "stopped": stopped,
        "findings": list(found.findings),
        "hidden": hidden.model_dump(mode="json", include={"mirror", "rotation_deg", "dead_leds", "blocked"}),
        "cpu_s": round(time.process_time() - began),
        "off": _off(found, rig, hidden, truth),
        "gap": gap,
    }


def kept(row: Path, settings: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures in that file, measured where it is not there. Raises InputError for those of other settings."""
    if row.is_file():
        table: dict[str, Any] = json.loads(row.read_text(encoding="utf-8"))
        if table.pop("settings") != settings:
            raise InputError(f"{row} was measured with other settings.", hint="name another folder with --out")
        return table
    table = measure()
    write_whole(row, json.dumps({"settings": settings, **table}, indent=1) + "\n")
    return table


def _gap(session: Session, found: Calibration, search: LedSearch, seed: int, patterns: int) -> dict[str, Any]:
    """What the twin with this calibration says of withheld patterns, against the rig."""
    calibrated = session.rig.calibrated(session.path)
    with opener(calibrated, seed)("cells") as microscope:
        gap = predict_and_compare(microscope, calibrated, found, search, n=patterns)
    return {
        "rms": _short(gap.rms),
        "interval": [_short(end) for end in gap.interval],
        "with_noise": _short(gap.with_noise),
        "patterns": {
            each.name: [_short(each.mean_e), _short(each.rms), _short(each.with_noise)] for each in gap.patterns
        },
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
        off["position_mm"] = {
            "rms": _short(_rms(apart)),
            "largest": _short(float(apart.max())),
            "within_0.2": _share(apart <= 0.2),
        }
        sigma = np.array(found.leds.sigma_mm)[alive]
        off["place_along_board_mm"] = _many(away[:, :2].ravel(), np.repeat(sigma, 2))
        off["distance_mm"] = {
            "error": _short(float(away[:, 2].mean())),
            "sigma": _short(found.leds.sigma_distance_mm),
        }
        gain = np.array(found.leds.brightness)[alive] / hidden.brightness(nominal.n_leds)[alive]
        off["brightness"] = _many(gain / np.median(gain) - 1, np.array(found.leds.sigma_brightness)[alive])
    return off


def _against(found: Measured, truth: float) -> dict[str, float]:
    return {"error": _short(found.value - truth), "truth": _short(truth), "sigma": _short(found.sigma)}


def _many(errors: np.ndarray, sigma: np.ndarray) -> dict[str, float]:
    covered = np.abs(errors) <= COVERED_SIGMAS * sigma
    return {"rms": _short(_rms(errors)), "largest": _short(float(np.abs(errors).max())), "covered": _share(covered)}


def _rms(values: np.ndarray) -> float:
    return math.sqrt(float((values**2).mean()))


def _share(true: np.ndarray) -> float:
    return _short(float(true.mean()))


def coverage(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Share of truths within two stated standard uncertainties: of rigs for single values, else of all their LEDs."""
    names = sorted({name for row in rows for name, off in row["off"].items() if {"sigma", "covered"} & set(off)})
    table = {}
    for name in names:
        offs = [row["off"][name] for row in rows if name in row["off"]]
        shares = [_covered(off) for off in offs]
        table[name] = round(sum(shares) / len(shares), 3)
    return table


def promises(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each promised value its limit, the worst of all rigs, and how many rigs keep to it."""
    table = {}
    for name, (kind, limit) in PROMISED.items():
        worst = [_missed(row["off"][name], kind) for row in rows if name in row["off"]]
        if worst:
            kept = sum(each <= limit for each in worst)
            table[name] = {"limit": limit, "worst": _short(max(worst)), "kept": kept, "rigs": len(worst)}
    return table


def gaps(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean gap of the rigs' twins with its interval of 95 % (Student's t over rigs), the worst, and how many keep."""
    found = [row["gap"] for row in rows if row["gap"] is not None]
    if len(found) < 2:
        return {}
    table: dict[str, Any] = {"limit": GAP, "rigs": len(found)}
    for name in ("rms", "with_noise"):
        each = np.array([gap[name] for gap in found])
        half = float(stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1)) / math.sqrt(len(each))
        ends = [_short(float(each.mean()) - half), _short(float(each.mean()) + half)]
        table[name] = {"mean": _short(float(each.mean())), "interval": ends, "worst": _short(float(each.max()))}
        table[name]["kept"] = int((each <= GAP).sum())
    return table


def named(row: dict[str, Any], steps: Sequence[str]) -> dict[str, bool]:
    """Of each fault of the rig that these steps can see whether a finding, or the error that stopped it, says so."""
    hidden, said = row["hidden"], " ".join([*row["findings"], row["stopped"]])
    if hidden["blocked"]:
        return {"light path is blocked": "light path is blocked" in said}
    dead = hidden["dead_leds"]
    has = {
        "mirrored": bool(hidden["mirror"]) and "stage" in steps,
        "rotated": abs(hidden["rotation_deg"]) > TURNED_DEG and "leds" in steps,
        f"{len(dead)} LEDs are dead: {', '.join(map(str, dead))}": bool(dead) and bool({"light", "leds"} & set(steps)),
    }
    return {words: words in said for words, there in has.items() if there}


def _missed(off: dict[str, float], kind: str) -> float:
    return abs(off["error"] / off["truth"]) if kind == "share" else abs(off[kind])


def _covered(off: dict[str, float]) -> float:
    """Of many values the share, of one 0 or 1."""
    return off["covered"] if "covered" in off else float(abs(off["error"]) <= COVERED_SIGMAS * off["sigma"])


def _short(value: float) -> float:
    """Three digits are enough for a table."""
    return float(f"{value:.3g}")


def main(arguments: list[str]) -> int:
    """Run the campaign, print and write its figures."""
    parser = argparse.ArgumentParser(description="How far from the truth calibrations of simulated rigs end.")
    parser.add_argument("--rigs", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--steps", default=",".join(step.name for step in STEPS), help="which, by comma")
    parser.add_argument("--window-px", type=int, default=80, help="side of the windows in which LEDs are fitted")
    parser.add_argument("--patterns", type=int, default=WITHHELD, help="random ones to predict, 0 for no gap")
    parser.add_argument("--side", type=int, help="rows and columns of a smaller board, for trials")
    parser.add_argument("--out", type=Path, help="folder in which the campaign goes on; none: kept nowhere")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    steps = options.steps.split(",")
    if options.patterns and not {"camera", "focus", "leds"} <= set(steps):
        parser.error("a gap needs the steps camera, focus and leds: --patterns 0 leaves it out")
    with tempfile.TemporaryDirectory(prefix="lsm-calibration-") as folder:
        rows = _rows(options, steps, options.out or Path(folder))
    command = f"python -m lsm_sim.calibration_campaign --rigs {options.rigs} --steps {options.steps}"
    figures = {
        "command": f"{command} --first {options.first} --window-px {options.window_px} --patterns {options.patterns}",
        "commit": sorted({row["commit"] for row in rows}),
        "cpu_s": sum(row["cpu_s"] for row in rows),
        "promises": promises(rows),
        "gap": gaps(rows),
        "covered_wanted": COVERED,
        "coverage": coverage(rows),
        "faults_not_named": [row["seed"] for row in rows if not all(row["named"].values())],
        "rigs": rows,
    }
    tell(figures, options.json)
    return 0


def _rows(options: argparse.Namespace, steps: list[str], folder: Path) -> list[dict[str, Any]]:
    """Of every rig, the last of which is blocked."""
    rows = []
    for seed in range(options.first, options.first + options.rigs + 1):
        blocked = seed == options.first + options.rigs
        names = ("window_px", "patterns", "side")
        settings = {"steps": steps, "blocked": blocked} | {name: getattr(options, name) for name in names}
        own = folder / (f"rig-{seed}-blocked" if blocked else f"rig-{seed}")

        def measure(seed: int = seed, blocked: bool = blocked, own: Path = own) -> dict[str, Any]:
            kind = {"patterns": options.patterns, "blocked": blocked, "side": options.side}
            return one_rig(seed, steps, options.window_px, own, **kind)

        row = kept(own / "row.json", settings, measure)
        row["named"] = named(row, steps)
        rows.append(row)
        gap = row["gap"] and row["gap"]["rms"]
        print(
            f"rig {seed}: {row['cpu_s']} s, gap {gap}, {row['findings']} {row['stopped']}", file=sys.stderr, flush=True
        )
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
