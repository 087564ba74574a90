"""How well the twin of a calibrated rig predicts it: everything from the survey to the gap, on an open microscope."""

from collections.abc import Callable

import numpy as np

from lsm.calibrate.gap import FRAMES, Gap, measure_gap, twin_of_survey, withheld_patterns
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

WITHHELD = 12
"""Random patterns beside the four fixed ones."""


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

    microscope: of `rig`, which is calibrated by `found`; cells in view and in focus. The sample is recovered from one
    image per LED. search.seed: of the patterns too. tell: LEDs looked at, of how many.
    Raises InputError for a calibration without camera, focus or LEDs, and what the microscope raises.
    """
    if found.camera is None or found.leds is None or found.focus is None:
        raise InputError("The twin needs camera, focus and LEDs.", hint="measure them: lsm calibrate run")
    work = bench(rig, microscope, found, leds=search)
    board = rig.led.board.build()
    bright_ms = min(0.5 * work.bright_ms() * max(1, int((board.na <= work.na).sum())), work.limits_ms[1])
    upright = work.upright
    upright.observe(Observe(dark(upright.board), bright_ms, z_um=found.focus.z_um.value))
    survey = survey_leds(
        upright,
        found.camera,
        bright_ms=bright_ms,
        dark_ms=work.limits_ms[1],
        full_e=BRIGHT_AIM_E,
        frames=FRAMES,
        on_led=tell,
    )
    system = ImagingSystem(
        na=work.na,
        wavelength_um=board.wavelengths_um[work.colour],
        camera_pixel_um=work.true_pixel_um,
        sample_pixel_um=work.true_pixel_um / 4,
    )
    twin, defocus_um = twin_of_survey(survey, board, system, search)
    rng = np.random.default_rng(search.seed)
    return measure_gap(
        upright,
        twin,
        found.camera,
        withheld_patterns(board, na=work.na, colour=work.colour, rng=rng, n=n),
        defocus_um=defocus_um,
        dead=found.leds.dead,
        search=search,
        limits_ms=work.limits_ms,
        full_e=BRIGHT_AIM_E,
    )
