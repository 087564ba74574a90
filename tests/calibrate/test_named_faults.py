"""What is wrong with a rig is said in words by the step that sees it."""

import numpy as np
import pytest

from calibrate.test_leds_and_light import CAMERA, EXACT, NOMINAL, SIDE_UM, rig
from lsm.calibrate.leds import LedSearch
from lsm.calibrate.steps import NAMED, Bench, Outcome
from lsm.calibration import Calibration, FocusFacts
from lsm.devices import Microscope
from lsm.errors import CalibrationFailed
from lsm.samples.diffuser import Diffuser
from lsm_sim.hidden import Hidden

DEAD = (0, 9, 24, 30, 45)
FOCUS = FocusFacts(z_um=EXACT, tilt_um_per_mm=(EXACT, EXACT), curvature_um_per_mm2=EXACT)
BEFORE = Calibration(rig="small", rig_digest="", date="", commit="", camera=CAMERA, focus=FOCUS)


def outcome(step: str, microscope: Microscope) -> Outcome:
    """Of one step on a computed microscope, with windows as small as they may be: only words are asked for here."""
    bench = Bench(
        microscope,
        NOMINAL,
        na=0.1,
        pixel_um=1.2,
        limits_ms=(0.05, 400.0),
        z_um=(-150.0, 150.0),
        so_far=BEFORE,
        leds=LedSearch(window_px=32, margin_px=8, epochs=10),
    )
    return NAMED[step].run(bench)


@pytest.mark.parametrize(("mirror", "axis"), [("columns", "columns run against"), ("rows", "rows run against")])
def test_a_flipped_camera_axis_is_named(mirror: str, axis: str):
    (finding,) = outcome("stage", rig(Hidden.model_validate({"mirror": mirror}))).findings
    assert "mirrored" in finding
    assert axis in finding


def test_a_board_that_is_rotated_and_has_dead_leds_is_said_to():
    findings = outcome("leds", rig(Hidden(rotation_deg=90.0, dead_leds=DEAD))).findings
    assert "5 LEDs are dead: 0, 9, 24, 30, 45" in findings
    (turned,) = [finding for finding in findings if "rotated" in finding]
    # the fit is as short as it may be; a turn of 10 degrees is named
    assert float(turned.split()[-2]) == pytest.approx(90.0, abs=2.0)
    assert len(findings) == 2


def test_dead_leds_are_named_on_a_diffuser_too():
    hidden = Hidden.drawn(np.random.default_rng(2)).model_copy(update={"dead_leds": DEAD})
    assert outcome("light", rig(hidden, Diffuser((SIDE_UM, SIDE_UM)))).findings == (
        "5 LEDs are dead: 0, 9, 24, 30, 45",
    )


@pytest.mark.parametrize("step", ["camera", "leds"])
def test_a_blocked_light_path_is_named(step: str):
    with pytest.raises(CalibrationFailed, match="light path is blocked") as failed:
        outcome(step, rig(Hidden(blocked=True)))
    assert "shutter" in failed.value.hint


def test_a_rig_that_is_as_described_has_no_finding():
    assert outcome("stage", rig(Hidden())).findings == ()
