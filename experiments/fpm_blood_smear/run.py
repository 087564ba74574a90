"""Recover a measured blood smear and predict LEDs it has not seen; find LEDs that were moved.

    LSM_DATA=... python experiments/fpm_blood_smear/run.py splits   # 10 minutes on two cores; the picture too
    LSM_DATA=... python experiments/fpm_blood_smear/run.py moved    # the board off as a whole: 5 minutes a colour
    LSM_DATA=... python experiments/fpm_blood_smear/run.py moved-leds    # each LED off by itself: half an hour
    LSM_DATA=... python experiments/fpm_blood_smear/run.py quick    # only the reported split: 2 minutes

Writes into results.json what it found and, of the splits, picture.png beside itself.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from data import Slide, by_band, every_fifth, load
from picture import draw

from lsm.illum import LedBoard
from lsm.optics.recover import RecoverConfig, Recovered, correlation, recover

HERE = Path(__file__).parent
SEED = 0
# settings were chosen with offset 0; this one is reported, the others are the check
REPORTED_OFFSET = 2
MOVED_MM = 1.0
RIGID = ("board shifted", "board rotated", "board further away")


def predict_unseen(slide: Slide, offset: int) -> tuple[dict[str, object], Recovered]:
    """Figures for one split, and the recovery without the withheld images."""
    fitted, held = every_fifth(slide.na, offset)
    started = time.monotonic()
    found = recover(
        slide.images[fitted],
        slide.board,
        slide.system,
        leds=torch.from_numpy(fitted),
        defocus_um=slide.defocus_um,
        config=RecoverConfig(seed=SEED),
    )
    seconds = time.monotonic() - started
    predicted, measured = found.predict(torch.from_numpy(held)), slide.images[held]
    light = correlation(predicted, measured)
    stored = correlation(predicted.clamp_min(0) ** 0.75, measured**0.75)
    figures = {
        "offset": offset,
        "withheld": len(held),
        "correlation": by_band(light, slide.na[held]),
        "correlation_of_stored_values": by_band(stored, slide.na[held]),
        "noise_ceiling": by_band(slide.noise_ceiling()[held], slide.na[held]),
        "worst": round(float(light.min()), 3),
        "worst_na": round(float(slide.na[held][light.argmin()]), 4),
        "fitted_correlation": by_band(found.correlation, slide.na[fitted]),
        "seconds": round(seconds),
        **{key: round(value, 4) for key, value in found.summary().items()},
    }
    return figures, found


def moved(board: LedBoard, how: str, generator: np.random.Generator) -> LedBoard:
    """The board with its LEDs wrong by 1 mm."""
    positions = board.positions_mm.copy()
    xy = positions[:, :2]
    if how == "board shifted":
        xy += [0.8 * MOVED_MM, 0.6 * MOVED_MM]
    elif how == "board rotated":
        angle = MOVED_MM / np.sqrt((xy**2).sum(1).mean())
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        positions[:, :2] = xy @ turn.T
    elif how == "board further away":
        positions[:, 2] -= MOVED_MM
    else:
        xy += generator.normal(0, MOVED_MM / np.sqrt(2), xy.shape)
    return replace(board, positions_mm=positions)


def apart_mm(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance between LEDs, both brought along their rays to the described distance: only directions act."""
    there = [positions[:, :2] * (90.88 / -positions[:, 2:]) for positions in (first, second)]
    return np.linalg.norm(there[0] - there[1], axis=1)


def spread(distance: np.ndarray) -> dict[str, float]:
    """Median and more of distances in mm."""
    return {
        "median_mm": round(float(np.median(distance)), 3),
        "rms_mm": round(float(np.sqrt((distance**2).mean())), 3),
        "p95_mm": round(float(np.quantile(distance, 0.95)), 3),
        "max_mm": round(float(distance.max()), 3),
    }


def find_moved(
    images: torch.Tensor, slide: Slide, truth_mm: np.ndarray, wrong: LedBoard, config: RecoverConfig
) -> dict[str, object]:
    """How far LEDs are from `truth_mm` before and after a recovery that starts from the wrong board."""
    found = recover(images, wrong, slide.system, defocus_um=slide.defocus_um, config=config)
    before, after = apart_mm(wrong.positions_mm, truth_mm), apart_mm(found.positions_mm, truth_mm)
    inner = slide.na < 0.2
    return {"before": spread(before), "after": spread(after), "after_below_na_0.2": spread(after[inner])}


def find_all_moved(slide: Slide, hows: tuple[str, ...], config: RecoverConfig) -> dict[str, object]:
    """Moved LEDs of the measured stack (truth: recovered alike without a move), of a simulated one (truth: known)."""
    known = recover(slide.images, slide.board, slide.system, defocus_um=slide.defocus_um, config=config)
    generator = np.random.default_rng(SEED)
    table: dict[str, object] = {}
    for how in hows:
        wrong = moved(slide.board, how, generator)
        table[how] = find_moved(slide.images, slide, known.positions_mm, wrong, config)
        print(slide.colour, how, table[how], flush=True)
    simulated = known.predict(torch.arange(slide.board.n_leds))
    wrong = moved(known.board, hows[0], generator)
    table[f"simulated, {hows[0]}"] = find_moved(simulated, slide, known.positions_mm, wrong, config)
    print(slide.colour, "simulated", table[f"simulated, {hows[0]}"], flush=True)
    return table


def machine() -> dict[str, object]:
    """Where and with what the figures were made."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE)  # noqa: S607
    return {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "seed": SEED,
    }


def main() -> None:
    """Do the part that the command line asks for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("part", choices=("splits", "moved", "moved-leds", "quick"))
    words.add_argument("--colours", nargs="+", default=["red", "green"])
    words.add_argument("--out", type=Path, default=HERE)
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    shown = {}
    for colour in given.colours:
        slide = load(colour)
        if given.part == "moved":
            config = RecoverConfig(seed=SEED, board_error_mm=1.5 * MOVED_MM)
            _keep(given.out, f"{colour}, moved board", find_all_moved(slide, RIGID, config))
            continue
        if given.part == "moved-leds":
            config = RecoverConfig(seed=SEED, position_error_mm=1.5 * MOVED_MM)
            _keep(given.out, f"{colour}, moved LEDs", find_all_moved(slide, ("every LED at random",), config))
            continue
        for offset in (REPORTED_OFFSET,) if given.part == "quick" else (REPORTED_OFFSET, 0, 1, 3, 4):
            figures, found = predict_unseen(slide, offset)
            print(colour, json.dumps(figures), flush=True)
            _keep(given.out, f"{colour}, withheld from place {offset}", figures)
            if offset == REPORTED_OFFSET:
                shown[colour] = (slide, found, every_fifth(slide.na, offset)[1])
    if len(shown) == 2:
        draw(shown, given.out / "picture.png")


def _keep(folder: Path, key: str, found: dict[str, object]) -> None:
    """Add to what results.json holds already."""
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    results = dict(sorted((results | {key: found | {"run": machine()}}).items()))
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
