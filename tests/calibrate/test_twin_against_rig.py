"""The gap between twin and rig: no light is cut off on the way to it, and it is kept with its calibration."""

from collections import Counter
from pathlib import Path

import numpy as np

from calibrate.test_leds_and_light import CAMERA, rig
from lsm.calibrate.gap import Gap, PatternGap
from lsm.calibrate.report import keep_gap, kept_gap, told_gap
from lsm.calibrate.survey import CLEAR, brightest, survey_leds
from lsm.calibration import Calibration
from lsm.devices import Frame, Microscope, Observe
from lsm.illum import single_led
from lsm_sim.hidden import Hidden

FULL_E = 2500.0
# a twelve-bit camera of one electron per digit is full here
CUT_E = 4000.0
BEFORE = Calibration(rig="small", rig_digest="", date="", commit="", camera=CAMERA)
GAP = Gap(
    patterns=(PatternGap("bright field", 2500.0, 0.01, 0.015), PatternGap("random 1", 300.0, 0.02, 0.03)),
    rms=0.015,
    interval=(0.01, 0.02),
    with_noise=0.022,
    with_noise_interval=(0.016, 0.028),
)


class Counted:
    """A microscope that counts the frames of each pattern."""

    def __init__(self, microscope: Microscope) -> None:
        self.board, self.close, self._microscope = microscope.board, microscope.close, microscope
        self.frames: Counter[str] = Counter()

    def observe(self, request: Observe) -> Frame:
        self.frames[request.pattern.name] += 1
        return self._microscope.observe(request)


def test_no_exposure_of_a_survey_cuts_off_the_spots_of_dark_field():
    found = survey_leds(rig(Hidden(shift_mm=(0.3, 0.2))), CAMERA, bright_ms=10.0, dark_ms=400.0, full_e=FULL_E)
    most_e = np.array([brightest(image) for image in found.images_e])
    assert float(most_e.max()) < CUT_E
    # and yet each LED has as much light as that allows: those far out have the longest exposure
    assert set(np.round(found.exposures_ms, 6)) <= set(np.round(np.geomspace(10.0, 400.0, 4), 6))
    assert float(found.exposures_ms.max()) == 400.0
    assert float(found.exposures_ms.min()) == 10.0


def test_images_of_little_light_are_means_of_more_frames():
    counted, dead = Counted(rig(Hidden(dead_leds=(0,)))), 0
    found = survey_leds(counted, CAMERA, bright_ms=10.0, dark_ms=40.0, full_e=FULL_E)
    # one of each LED is a trial, of the bright field's exposure
    frames = np.array([counted.frames[single_led(counted.board, led).name] - 1 for led in range(counted.board.n_leds)])
    relative = (found.images_e.mean(axis=(1, 2)) + CAMERA.read_noise_e.value**2) / found.images_e.mean(axis=(1, 2)) ** 2
    faint = relative > 2.0 / CLEAR**2
    faint[dead] = False
    assert faint.any()
    # how many is told by the trial, whose mean light has noise of its own: a tenth at the least
    assert (relative[faint] / frames[faint] < 1.3 / CLEAR**2).all()
    assert frames[dead] == 1


def test_a_gap_is_kept_for_the_calibration_that_it_is_of(tmp_path: Path):
    assert kept_gap(tmp_path, BEFORE) is None
    keep_gap(tmp_path, BEFORE, GAP)
    assert kept_gap(tmp_path, BEFORE) == GAP
    assert kept_gap(tmp_path, BEFORE.model_copy(update={"findings": ("leds: measured again",)})) is None


def test_a_gap_is_told_with_its_interval_and_with_the_noise():
    told = dict(told_gap(GAP))
    assert told["rms error of withheld patterns"] == "1.50 % of the mean (95 %: 1.00 to 2.00 %)"
    assert told["with the noise of 16 frames"] == "2.20 % of the mean (95 %: 1.60 to 2.80 %)"
    assert told["worst pattern"] == "random 1, 2.00 %"
