"""The steps of a calibration in their order: what each needs on the stage, and what it adds to the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from lsm.calibrate.camera import camera_facts, measure_dark, measure_transfer
from lsm.calibrate.field import measure_flat, measure_focus_field
from lsm.calibrate.focus import FocusSearch, depth_of_field_um
from lsm.calibrate.leds import LedSearch, measure_leds
from lsm.calibrate.light import measure_light
from lsm.calibrate.mounting import Upright, measure_backlash, stage_facts
from lsm.calibrate.stage import StageMoves, measure_stage
from lsm.calibrate.survey import board_turn, survey_leds
from lsm.calibration import Calibration, Orientation
from lsm.config import Config
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed, InputError
from lsm.illum import LedBoard, bright_field, dark
from lsm.optics import ImagingSystem

Slide: TypeAlias = Literal["cells", "clear", "diffuser"]
Tell: TypeAlias = Callable[[int, int], None]

# a board or camera turned by more is said to be turned, an axis of the pixel off by more to be off
TURNED_DEG, PIXEL_OFF = 10.0, 0.01
BRIGHT_AIM_E = 2500.0
# of that under one LED alone, whose coherent image has spots two and a half times as bright as its mean
SINGLE_SHARE = 0.4
# depths of field out of focus, at which an LED's angle moves its image by some pixels
AWAY_DEPTHS = 2.0


@dataclass(frozen=True)
class Bench:
    """What a step works with: the microscope as it is, what the rig file says, and what was measured before.

    nominal: the board as described. limits_ms, z_um: allowed exposures and focus. backlash_um: how far beyond a place
    the stage goes to approach it from one side.
    """

    microscope: Microscope
    nominal: LedBoard
    na: float
    pixel_um: float
    limits_ms: tuple[float, float]
    z_um: tuple[float, float]
    so_far: Calibration
    colour: int = 1
    backlash_um: float = 20.0
    leds: LedSearch = field(default_factory=LedSearch)
    tell: Tell = lambda done, of: None

    @property
    def orientation(self) -> Orientation:
        """Of the camera, upright where it was not measured."""
        return self.so_far.stage.orientation if self.so_far.stage is not None else Orientation()

    @property
    def upright(self) -> Upright:
        """The microscope with its images turned upright."""
        return Upright(self.microscope, self.orientation)

    @property
    def true_pixel_um(self) -> float:
        """Camera pixel at the sample, as measured where it was."""
        return self.so_far.stage.pixel_um.value if self.so_far.stage is not None else self.pixel_um

    def bright_ms(self) -> float:
        """The exposure at which the bright field fills the camera well."""
        camera = self.so_far.camera
        if camera is None:
            raise InputError("The camera has not been calibrated yet.", hint="run the step 'camera' first")
        pattern = bright_field(self.nominal, na=self.na, colour=self.colour)
        trial_ms = self.limits_ms[0]
        while True:
            image = self.microscope.observe(Observe(pattern, trial_ms)).image
            electrons = (float(image.mean()) - camera.offset_adu.value) * camera.gain_e_per_adu.value
            if electrons > BRIGHT_AIM_E / 8 or 2 * trial_ms > self.limits_ms[1]:
                wanted_ms = trial_ms * BRIGHT_AIM_E / max(electrons, 1.0)
                return float(np.clip(wanted_ms, *self.limits_ms))
            trial_ms *= 2

    def single_ms(self, board: LedBoard) -> float:
        """The exposure at which one LED of the bright field fills the camera well, its spots too."""
        in_bright_field = max(1, int((board.na <= self.na).sum()))
        return min(SINGLE_SHARE * self.bright_ms() * in_bright_field, self.limits_ms[1])


@dataclass(frozen=True)
class Outcome:
    """What a step found: the part of the calibration, what is not as the rig file says, and the evidence to plot."""

    facts: Config
    findings: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step. name: also the part of the calibration that it fills. slide, put: what has to be on the stage."""

    name: str
    title: str
    slide: Slide
    put: str
    run: Callable[[Bench], Outcome]


def _camera(bench: Bench) -> Outcome:
    pattern = bright_field(bench.nominal, na=bench.na, colour=bench.colour)
    found = measure_dark(bench.microscope, exposure_ms=bench.limits_ms[0])
    transfer = measure_transfer(bench.microscope, pattern, found, limits_ms=bench.limits_ms)
    facts = camera_facts(found, transfer)
    evidence = {
        "mean_adu": transfer.mean_adu,
        "variance_adu2": transfer.variance_adu2,
        "exposures_ms": transfer.exposures_ms,
        "dark_adu": found.mean_adu,
    }
    hot = (f"{len(facts.hot_pixels)} pixels are hot",) if facts.hot_pixels else ()
    return Outcome(facts, hot, evidence)


def _stage(bench: Bench) -> Outcome:
    pattern = bright_field(bench.nominal, na=bench.na, colour=bench.colour)
    exposure_ms = bench.bright_ms()
    moves = StageMoves(pixel_um=bench.pixel_um, backlash_um=bench.backlash_um)
    affine = measure_stage(bench.microscope, pattern, moves, exposure_ms=exposure_ms)
    backlash = measure_backlash(bench.microscope, pattern, moves, affine.um_per_px, exposure_ms=exposure_ms)
    facts = stage_facts(affine, backlash)
    findings = [_mounted(facts.orientation)] if not facts.orientation.upright else []
    off = facts.pixel_um.value / bench.pixel_um - 1
    if abs(off) > PIXEL_OFF:
        findings.append(f"the pixel at the sample is {100 * off:+.1f} % off the rig file's {bench.pixel_um:.4f} um")
    image = bench.microscope.observe(Observe(pattern, exposure_ms)).image
    return Outcome(facts, tuple(findings), {"image": image, "backlash_um": backlash.seen_um})


def _focus(bench: Bench) -> Outcome:
    low_um, high_um = bench.z_um
    back_um = min(bench.backlash_um, 0.1 * (high_um - low_um))
    search = FocusSearch.of_objective((low_um + back_um, high_um), na=bench.na, backlash_um=back_um)
    # dark field gives a fiftieth of the light
    exposure_ms = min(bench.limits_ms[1], 5 * bench.bright_ms())
    found = measure_focus_field(
        bench.upright, search, na=bench.na, pixel_um=bench.true_pixel_um, exposure_ms=exposure_ms
    )
    seen = np.array(found.found.seen)
    return Outcome(found.facts, (), {"seen_um": seen, "z_um": found.z_um, "sigma_um": found.sigma_um})


def _light(bench: Bench) -> Outcome:
    camera = bench.so_far.camera
    if camera is None:
        raise InputError("The LEDs' light is measured after the camera.", hint="run the step 'camera' first")
    found = measure_light(
        bench.microscope, camera, limits_ms=bench.limits_ms, pixel_um=bench.true_pixel_um, on_led=bench.tell
    )
    findings = (_dead(found.facts.dead),) if found.facts.dead else ()
    evidence = {"rate_e_per_ms": found.rate_e_per_ms, "positions_mm": bench.nominal.positions_mm}
    return Outcome(found.facts, findings, evidence)


def _leds(bench: Bench) -> Outcome:
    camera, focus = bench.so_far.camera, bench.so_far.focus
    if camera is None or focus is None:
        raise InputError("LEDs are found after camera and focus.", hint="run the steps 'camera' and 'focus' first")
    bright_ms, dark_ms = bench.single_ms(bench.nominal), bench.limits_ms[1]
    focus_um = focus.z_um.value
    upright = bench.upright
    upright.observe(Observe(dark(bench.nominal), bright_ms, z_um=focus_um))
    survey = survey_leds(upright, camera, bright_ms=bright_ms, dark_ms=dark_ms, full_e=BRIGHT_AIM_E, on_led=bench.tell)
    away_um = AWAY_DEPTHS * depth_of_field_um(bench.na)
    turn = board_turn(
        upright,
        survey,
        exposure_ms=bright_ms,
        pixel_um=bench.true_pixel_um,
        focus_um=focus_um,
        away_um=away_um if focus_um + away_um <= bench.z_um[1] else -away_um,
    )
    stage = bench.so_far.stage
    sigma_pixel = stage.pixel_um.sigma / stage.pixel_um.value if stage is not None else PIXEL_OFF
    system = ImagingSystem(
        na=bench.na,
        wavelength_um=bench.nominal.wavelengths_um[bench.colour],
        camera_pixel_um=bench.true_pixel_um,
        sample_pixel_um=bench.true_pixel_um / 4,
    )
    light = bench.so_far.light
    if light is not None:
        survey = replace(survey, dead=tuple(sorted({*survey.dead, *light.dead})))
    found = measure_leds(survey, turn, bench.nominal, system, bench.leds, light=light, sigma_pixel=sigma_pixel)
    findings = [_dead(survey.dead)] if survey.dead else []
    if turn.mirrored:
        findings.append("the LED board is mirrored: its columns run the other way round than described")
    if abs(found.facts.rotation_deg.value) > TURNED_DEG:
        findings.append(f"the LED board is rotated by {found.facts.rotation_deg.value:.1f} deg")
    evidence = {
        "rate_e_per_ms": survey.rate_e_per_ms,
        "positions_mm": np.array(found.facts.positions_mm),
        "nominal_mm": bench.nominal.positions_mm,
        "windows_mm": found.positions_mm,
        "brightness": np.array(found.facts.brightness),
        "correlation": found.correlation,
    }
    return Outcome(found.facts, tuple(findings), evidence)


def _flat(bench: Bench) -> Outcome:
    camera = bench.so_far.camera
    if camera is None:
        raise InputError("The empty field is measured after the camera.", hint="run the step 'camera' first")
    pattern = bright_field(bench.nominal, na=bench.na, colour=bench.colour)
    found = measure_flat(bench.upright, pattern, camera, exposure_ms=bench.bright_ms())
    return Outcome(found.facts, (), {"relative": found.relative})


def _dead(leds: tuple[int, ...]) -> str:
    return f"{len(leds)} LEDs are dead: {', '.join(map(str, leds))}"


def _mounted(orientation: Orientation) -> str:
    if orientation.transpose:
        return "the camera is turned by a quarter, or its axes are exchanged"
    if orientation.flip_columns and orientation.flip_rows:
        return "the camera is turned upside down: both axes of the image are reversed"
    axis = "columns run against the stage's x" if orientation.flip_columns else "rows run against the stage's y"
    return f"the camera's image is mirrored: its {axis}"


CELLS = "Put a thin sample with many cells on the stage and focus on it."
STEPS = (
    Step("camera", "Dark signal, read noise and gain of the camera", "cells", CELLS, _camera),
    Step("stage", "Pixel size, orientation of the camera and play of the stage", "cells", CELLS, _stage),
    Step("focus", "Focus, tilt and field curvature", "cells", CELLS, _focus),
    Step("light", "Light of each LED", "diffuser", "Put a diffuser on the stage: opal or ground glass.", _light),
    Step("leds", "Places and brightness of the LEDs", "cells", CELLS, _leds),
    Step("flat", "Evenness of the empty field", "clear", "Move to clear glass, or put a clean slide on.", _flat),
)
"""In the order in which they need each other."""

NAMED: Mapping[str, Step] = MappingProxyType({step.name: step for step in STEPS})


def with_outcome(before: Calibration, step: Step, outcome: Outcome) -> Calibration:
    """The calibration with what a step found, in place of what it found before."""
    kept = tuple(line for line in before.findings if not line.startswith(f"{step.name}: "))
    new = tuple(f"{step.name}: {finding}" for finding in outcome.findings)
    return before.model_copy(update={step.name: outcome.facts, "findings": (*kept, *new)})


def failed(step: Step, error: CalibrationFailed) -> CalibrationFailed:
    """The same error, with the step that it stopped."""
    return CalibrationFailed(f"Step '{step.name}': {error.message}", hint=error.hint)
