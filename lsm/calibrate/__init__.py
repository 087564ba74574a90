"""What a rig is really like, measured with its own images.

`focus`, `two_led` and `stage` answer one question each; `steps` and `session` go through all of a calibration and leave
a `lsm.calibration.Calibration`, and `gap` tells how well a twin with it predicts the rig.
"""

from lsm.calibrate.focus import FocusFound, FocusSearch, depth_of_field_um, focus_pattern, sharpness_focus
from lsm.calibrate.sharpness import MEASURES
from lsm.calibrate.stage import StageAffine, StageMoves, measure_stage
from lsm.calibrate.two_led import TwoLedFocus, opposite_leds, two_led_focus

__all__ = [
    "MEASURES",
    "FocusFound",
    "FocusSearch",
    "StageAffine",
    "StageMoves",
    "TwoLedFocus",
    "depth_of_field_um",
    "focus_pattern",
    "measure_stage",
    "opposite_leds",
    "sharpness_focus",
    "two_led_focus",
]
