"""From a model, a rig and a configuration to what a scan needs."""

import math
from collections.abc import Sequence

import numpy as np

from lsm.agent.codebook import Codebook
from lsm.diagnose.scan.config import Light, ScanConfig
from lsm.diagnose.scan.lights import FieldLight, FixedLight, WorthwhileLight
from lsm.diagnose.scan.loop import ScanKit
from lsm.diagnose.scan.plan import plan_scan
from lsm.diagnose.scan.rule import StoppingRule, SuspicionRule
from lsm.diagnose.verdict import VerdictRules
from lsm.diagnose.ways import refuse_other_optics
from lsm.errors import ModelMismatch
from lsm.scope import RigConfig
from lsm.sensing import Bundle
from lsm.stats import ScoreCalibration, best_first_bin, errors_above, limit_of_detection
from lsm.stats.thresholds import MaskWeights
from lsm.vision import FieldReader
from lsm.vision.look import FIGURE, TypicalFields
from lsm.vision.reader import SCAN

THRESHOLD_CELLS = 100_000
"""For which the threshold of suspicion is best: those of some 500 fields."""

HIGHEST_TARGET_PER_UL = 200_000.0
"""4 % of red cells: what no model tells from none below, is asked for here."""


def scan_kit(
    bundle: Bundle,
    rig: RigConfig,
    config: ScanConfig,
    rules: VerdictRules,
    *,
    z_um: float | None = None,
    rule: StoppingRule | None = None,
) -> ScanKit:
    """All that a scan of this rig with this model needs.

    rule: when to end; None is `suspicion_rule`. A model whose card does not say how its design's fields look is judged
    by physics and by the scan's own fields. Raises ModelMismatch for a rig that the model was not designed for,
    ConfigError for a region that cannot be.
    """
    refuse_other_optics(bundle, rig)
    bright = config.light == "bright field"
    codebook = Codebook.from_bundle(bundle, rig.led.board.build())
    calibration = scan_calibration(bundle, config.light)
    return ScanKit(
        config=config,
        plan=plan_scan(config.region, rig),
        reader=FieldReader(bundle, baseline=bright, scan=True),
        codebook=codebook,
        calibration=calibration,
        light=field_light(config.light, calibration, codebook.exposures_ms, settle_s=config.settle_s),
        rule=rule or suspicion_rule(config.light, calibration, rules),
        typical=TypicalFields.of_model(bundle) if FIGURE in bundle.card.figures else None,
        good_fields_min=rules.good_fields_min,
        camera_pixel_um=rig.camera_pixel_um,
        na=rig.objective.na,
        z_range_um=rig.limits.free_z_um,
        z_um=z_um,
    )


def scan_calibration(bundle: Bundle, light: Light) -> ScoreCalibration:
    """Scores of the calibration slides in the bins of a scan.

    Raises ModelMismatch for a model that was calibrated for policies alone.
    """
    part = f"{SCAN}_baseline_calibration" if light == "bright field" else f"{SCAN}_calibration"
    if not any(name.startswith(f"{part}.") for name in bundle.tensors):
        raise ModelMismatch(
            f"Model '{bundle.card.name}' is not calibrated for scans.",
            hint="calibrate it again: lsm design CONFIG --calibrate MODEL",
        )
    return ScoreCalibration.from_arrays(bundle.arrays(part))


def threshold_bin(light: Light, calibration: ScoreCalibration) -> int:
    """The score bin from which on cells are suspicious, by the calibration alone."""
    return best_first_bin(calibration, _usual_masks(light, calibration), THRESHOLD_CELLS)


def told_from_none(light: Light, calibration: ScoreCalibration, rules: VerdictRules) -> float:
    """The lowest density, in parasites per microlitre, that a scan of THRESHOLD_CELLS cells tells from none.

    By the calibration and the error rates of `rules`; rounded up to two digits, at most HIGHEST_TARGET_PER_UL.
    """
    errors = errors_above(calibration, _usual_masks(light, calibration), threshold_bin(light, calibration))
    lowest = limit_of_detection(
        THRESHOLD_CELLS, errors, alpha=rules.alpha, beta=rules.beta, red_cells_per_ul=rules.red_cells_per_ul
    ).per_ul
    if lowest >= HIGHEST_TARGET_PER_UL:
        return HIGHEST_TARGET_PER_UL
    step = 10.0 ** (math.floor(math.log10(lowest)) - 1)
    return math.ceil(lowest / step) * step


def suspicion_rule(light: Light, calibration: ScoreCalibration, rules: VerdictRules) -> SuspicionRule:
    """The sequential test of `rules` with the threshold that serves the model best under the light, and its target."""
    target = rules.target_per_ul or told_from_none(light, calibration, rules)
    return SuspicionRule(rules, calibration, threshold_bin(light, calibration), target)


def _usual_masks(light: Light, calibration: ScoreCalibration) -> MaskWeights:
    """Share of the cells per set of patterns; the agent's fields are thought to be half of them in bright field alone,
    half under all patterns.
    """
    weight: MaskWeights = np.zeros(len(calibration.infected))
    for mask in {"bright field": (1,), "learned": (-1,), "agent": (1, -1)}[light]:
        weight[mask] += 1
    return np.asarray(weight / weight.sum())


def field_light(
    light: Light, calibration: ScoreCalibration, exposures_ms: Sequence[float], *, settle_s: float
) -> FieldLight:
    """What fields are looked at with. exposures_ms: of the model's patterns. settle_s: of the stage, after a move."""
    if light == "bright field":
        return FixedLight("bright field scan")
    if light == "learned":
        return FixedLight("learned pattern scan", tuple(range(1, len(exposures_ms))))
    exposures_s = tuple(exposure_ms / 1000 for exposure_ms in exposures_ms)
    return WorthwhileLight(calibration, settle_s + exposures_s[0], exposures_s)
