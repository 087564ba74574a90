"""Focuses the computed microscope in many ways on many smears and tells how far from the truth it ends.

    python -m lsm_sim.focus_campaign --seeds 20 --json focus.json

Every seed is another smear at another start, with a stage and a focus drive that have play, repeat badly and drift.
The truth is where the thin sample lies; a method is judged by the focus it returns.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsm.calibrate import (
    MEASURES,
    FocusFound,
    FocusSearch,
    TwoLedFocus,
    depth_of_field_um,
    focus_pattern,
    sharpness_focus,
    two_led_focus,
)
from lsm.devices import Microscope
from lsm.errors import CalibrationFailed
from lsm.illum import bright_field, dark_field
from lsm.optics.stage import AxisErrors, StageErrors
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import Twin, TwinConfig
from lsm_sim._figures import tell

STAGE = StageErrors(
    xy=AxisErrors(repeatability_um=0.5, backlash_um=5.0),
    z=AxisErrors(repeatability_um=0.3, backlash_um=4.0),
    z_drift_um_per_min=0.05,
    move_ms=50.0,
)
BACKLASH_UM = 6.0
# of the twin; its drift in a run is a tenth of a micrometre
TRUE_FOCUS_UM = 0.0
HALF_RANGE_UM = 150.0
# the range searched, and what is expected, lie so far off at most
OFF_UM = 40.0
BRIGHT_MS, DARK_MS, SINGLE_MS = 10.0, 30.0, 40.0

Way = Callable[[Microscope, float], FocusFound]


@dataclass(frozen=True)
class Outcome:
    """What one way came to. errors_um: found minus true focus, of each seed that did not fail."""

    errors_um: list[float]
    sigmas_um: list[float]
    frames: list[int]
    doses_led_ms: list[float]
    failed: int

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        facts: dict[str, Any] = {"runs": len(self.errors_um) + self.failed, "failed": self.failed}
        if not self.errors_um:
            return facts
        errors_um = np.array(self.errors_um)
        return facts | {
            "bias_um": round(float(errors_um.mean()), 2),
            "sd_um": round(float(errors_um.std()), 2),
            "largest_error_um": round(float(np.abs(errors_um).max()), 2),
            "told_sigma_um": round(float(np.median(self.sigmas_um)), 2),
            "frames": round(float(np.mean(self.frames)), 1),
            "dose_led_ms": round(float(np.mean(self.doses_led_ms)), 1),
        }


def campaign(seeds: int, *, config: TwinConfig | None = None) -> dict[str, Outcome]:
    """What every way came to over these many smears."""
    config = (config or TwinConfig()).model_copy(update={"stage": STAGE})
    found: dict[str, list[FocusFound | None]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 3])
        side_um = 2.5 * config.system.field_um
        smear = ProceduralSmear(SmearConfig(width_um=side_um, height_um=side_um), seed)
        off_um = float(rng.uniform(-OFF_UM, OFF_UM))
        for name, way in _ways(config).items():
            twin = Twin(smear, config, seed)
            try:
                found.setdefault(name, []).append(way(twin, off_um))
            except CalibrationFailed:
                found.setdefault(name, []).append(None)
    return {name: _outcome(answers) for name, answers in found.items()}


def _outcome(answers: list[FocusFound | None]) -> Outcome:
    told = [answer for answer in answers if answer is not None]
    return Outcome(
        errors_um=[focus.z_um - TRUE_FOCUS_UM for focus in told],
        sigmas_um=[focus.sigma_um for focus in told],
        frames=[focus.frames for focus in told],
        doses_led_ms=[focus.dose_led_ms for focus in told],
        failed=len(answers) - len(told),
    )


def _ways(config: TwinConfig) -> Mapping[str, Way]:
    na, pixel_um = config.system.na, config.system.camera_pixel_um

    def two_leds(microscope: Microscope, off_um: float) -> FocusFound:
        how = TwoLedFocus.of_objective((-200.0, 200.0), na=na, pixel_um=pixel_um, backlash_um=BACKLASH_UM)
        return two_led_focus(microscope, how, na=na, exposure_ms=SINGLE_MS, expected_um=off_um)

    return {"two LEDs": two_leds, **dict(_sharpness_ways(na))}


def _sharpness_ways(na: float) -> Iterator[tuple[str, Way]]:
    lights = {
        "bright field": (lambda board: bright_field(board, na=na), BRIGHT_MS),
        "dark field to 1.5 NA": (lambda board: dark_field(board, na=na, na_max=1.5 * na), DARK_MS),
        "dark field to 2 NA": (lambda board: focus_pattern(board, na=na), DARK_MS),
    }
    for light, (pattern, exposure_ms) in lights.items():
        for measure in sorted(MEASURES):

            def look(
                microscope: Microscope,
                off_um: float,
                pattern: Any = pattern,
                exposure_ms: float = exposure_ms,
                measure: str = measure,
            ) -> FocusFound:
                span_um = (off_um - HALF_RANGE_UM, off_um + HALF_RANGE_UM)
                search = FocusSearch.of_objective(span_um, na=na, backlash_um=BACKLASH_UM)
                search = search.model_copy(update={"measure": measure})
                return sharpness_focus(microscope, pattern(microscope.board), search, exposure_ms=exposure_ms)

            yield f"{light}, {measure}", look


def main(arguments: list[str]) -> int:
    """Run the campaign, print and write its figures."""
    parser = argparse.ArgumentParser(description="How far from the truth autofocus ends, on computed smears.")
    parser.add_argument("--seeds", type=int, default=20, help="smears")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    outcomes = campaign(options.seeds)
    config = TwinConfig()
    result = {
        "command": f"python -m lsm_sim.focus_campaign --seeds {options.seeds}",
        "depth_of_field_um": depth_of_field_um(config.system.na, config.system.wavelength_um),
        "stage": STAGE.model_dump(mode="json"),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "ways": {name: outcome.plain() for name, outcome in outcomes.items()},
    }
    tell(result, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
