"""How well the twin of a calibrated rig predicts it: everything from the survey to the gap, on an open microscope."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lsm.calibrate.gap import FRAMES, SURVEY_FRAMES, Gap, PatternGap, measure_gap, twin_of_survey, withheld_patterns
from lsm.calibrate.leds import LedSearch
from lsm.calibrate.session import bench
from lsm.calibrate.steps import BRIGHT_AIM_E
from lsm.calibrate.survey import survey_leds
from lsm.calibration import Calibration
from lsm.devices import Microscope, Observe
from lsm.errors import InputError
from lsm.illum import dark
from lsm.optics import ImagingSystem
from lsm.scope import RigConfig
from lsm.wholefile import write_whole

WITHHELD = 12
"""Random patterns beside the four fixed ones."""
FILE = "twin.json"
"""The gap, beside the calibration that it is of."""


def predict_and_compare(
    microscope: Microscope,
    rig: RigConfig,
    found: Calibration,
    search: LedSearch,
    *,
    n: int = WITHHELD,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Gap:
    """The gap between rig and twin over `n` random patterns and four fixed ones, none of which any fit has seen.

    rig: calibrated by `found`. microscope: of it, calibrated or not; cells in view and in focus. The sample is
    recovered from one image per LED. search.seed: of the patterns too. tell: LEDs looked at, of how many.
    Raises InputError for a calibration without camera, focus or LEDs, and what the microscope raises.
    """
    if found.camera is None or found.leds is None or found.focus is None:
        raise InputError("The twin needs camera, focus and LEDs.", hint="measure them: lsm calibrate run")
    work = bench(rig, microscope, found, leds=search)
    board = rig.led.board.build()
    bright_ms = work.single_ms(board)
    upright = work.upright
    upright.observe(Observe(dark(upright.board), bright_ms, z_um=found.focus.z_um.value))
    survey = survey_leds(
        upright,
        found.camera,
        bright_ms=bright_ms,
        dark_ms=work.limits_ms[1],
        full_e=BRIGHT_AIM_E,
        frames=SURVEY_FRAMES,
        on_led=tell,
    )
    system = ImagingSystem(
        na=work.na,
        wavelength_um=board.wavelengths_um[work.colour],
        camera_pixel_um=work.true_pixel_um,
        sample_pixel_um=work.true_pixel_um / 4,
    )
    twin, defocus_um = twin_of_survey(survey, board, system, search)
    patterns = withheld_patterns(board, na=work.na, colour=work.colour, rng=np.random.default_rng(search.seed), n=n)
    return measure_gap(
        upright,
        twin,
        found.camera,
        [replace(pattern, board=microscope.board.digest) for pattern in patterns],
        defocus_um=defocus_um,
        dead=found.leds.dead,
        search=search,
        limits_ms=work.limits_ms,
        full_e=BRIGHT_AIM_E,
    )


def keep_gap(folder: Path, found: Calibration, gap: Gap) -> None:
    """Write the gap of this calibration to its folder."""
    write_whole(folder / FILE, json.dumps({"calibration": found.digest(), **asdict(gap)}, indent=1) + "\n")


def kept_gap(folder: Path, found: Calibration) -> Gap | None:
    """The gap in a folder; None where there is none of this calibration as it is now."""
    path = folder / FILE
    if not path.is_file():
        return None
    table = json.loads(path.read_text(encoding="utf-8"))
    if table.pop("calibration") != found.digest():
        return None
    patterns = tuple(PatternGap(**each) for each in table.pop("patterns"))
    ends: dict[str, Any] = {name: tuple(table.pop(name)) for name in ("interval", "with_noise_interval")}
    return Gap(patterns=patterns, **ends, **table)


def told_gap(gap: Gap) -> list[tuple[str, str]]:
    """Names and values of a gap, as `lsm.calibrate.pictures.told` has them of a step."""
    worst = max(gap.patterns, key=lambda each: each.rms)
    return [
        ("rms error of withheld patterns", _percents(gap.rms, gap.interval)),
        (f"with the noise of {FRAMES} frames", _percents(gap.with_noise, gap.with_noise_interval)),
        ("worst pattern", f"{worst.name}, {100 * worst.rms:.2f} %"),
        ("patterns", str(len(gap.patterns))),
    ]


def _percents(mean: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * mean:.2f} % of the mean (95 %: {100 * low:.2f} to {100 * high:.2f} %)"
