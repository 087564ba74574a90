"""One slide read by every arm. What the slide is made of is not told to who reads it: a scan gets a microscope."""

import zlib
from collections.abc import Mapping
from math import isfinite
from time import process_time
from types import MappingProxyType
from typing import Any

from lsm.agent.pipeline import design_of
from lsm.agent.results import MaskBinCounts
from lsm.config import Config
from lsm.devices import Microscope
from lsm.diagnose import Outcome, VerdictRules
from lsm.diagnose.scan import ScanConfig, ScanKit, StoppingRule, scan_slide
from lsm.diagnose.scan.kit import scan_kit
from lsm.diagnose.scan.verdict import judge_scan
from lsm.errors import CalibrationFailed
from lsm.experiments.panel.config import Arm
from lsm.experiments.panel.scope import SlideOptics, rig_over_film
from lsm.experiments.panel.slides import PanelSlide
from lsm.sensing import Bundle
from lsm.threads import threads

NOTHING: Mapping[str, Any] = MappingProxyType(
    {
        "outcome": Outcome.UNUSABLE.value,
        "per_ul": None,
        "cells": 0,
        "fields": 0,
        "faulty": 0,
        "captures": 0,
        "time_s": 0.0,
        "light_dose": 0.0,
        "ending": "no focus was found",
        "called": None,
        "called_of_all": None,
    }
)
"""Of a slide that could not be focused; the time of the attempt is not known."""


class ReadJob(Config):
    """One slide and its readers. models: digest of each model, so that another one is another job."""

    slide: PanelSlide
    arms: dict[str, Arm]
    model: str
    models: dict[str, str]
    rig: str
    film_um: tuple[float, float]
    scan: ScanConfig
    verdict: VerdictRules

    def kit(self, arm: Arm, *, whole: bool = False) -> ScanKit:
        """What a scan by this arm needs; whole: it ends with the last field. Raises ModelMismatch, ConfigError."""
        # who is asked how many does not stop at whether there are any
        decide = self.scan.decide and self.slide.part == "detection" and not whole
        scan = self.scan.model_copy(update={"light": arm.light, "decide": decide})
        bundle = Bundle.named(arm.model or self.model)
        return scan_kit(bundle, rig_over_film(self.rig, self.film_um), scan, self.verdict)

    def noise(self, name: str) -> int:
        """The seed of the noise in a scan of that name."""
        return zlib.crc32(f"{self.slide.seed} {name}".encode())


def read_slide(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """What each arm says of the slide, by its name; a function of lsm.experiments.jobs.

    called_of_all: of a slide without parasites, what a further scan of all fields calls suspicious. Scans that end
    where a rule decides end early at the extremes, and would tell a variation between slides that is not there.
    """
    job = ReadJob.from_table(arguments)
    average = design_of(Bundle.named(job.model)).smear
    smear = job.slide.smear(average, job.film_um)
    found: dict[str, Any] = {}
    optics: dict[str, SlideOptics] = {}
    with threads(1):
        # the arm with most patterns first: what it renders the others find ready
        for name, arm in sorted(job.arms.items(), key=lambda item: item[1].light != "learned"):
            began, kit = process_time(), job.kit(arm)
            twin = design_of(Bundle.named(arm.model or job.model)).rig
            kept = (len(kit.plan) + 50) * len(kit.codebook)
            shared = optics.setdefault(twin.digest(), SlideOptics.of(job.slide, smear, twin, kept=kept))
            found[name] = _reading(shared.microscope(job.noise(name)), kit, job.verdict)
            found[name]["cpu_s"] = round(process_time() - began, 2)
            if job.slide.per_ul == 0:
                again = shared.microscope(job.noise(f"{name}, all fields"))
                whole = _reading(again, job.kit(arm, whole=True), job.verdict)
                found[name]["called_of_all"] = whole["called"]
    return {name: found[name] for name in job.arms}


def _reading(microscope: Microscope, kit: ScanKit, rules: VerdictRules) -> dict[str, Any]:
    try:
        result = scan_slide(microscope, kit)
    except CalibrationFailed as failure:
        return dict(NOTHING) | {"reason": str(failure), "planned": len(kit.plan)}
    verdict, run = judge_scan(result, rules, kit.rule), result.run
    usable = verdict.outcome is not Outcome.UNUSABLE
    return {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "per_ul": [verdict.per_ul, verdict.per_ul_low, verdict.per_ul_high] if usable else None,
        "cells": run.red_cells,
        "fields": len(run.visits),
        "planned": result.planned,
        "faulty": sum(bool(visit.fault) for visit in run.visits),
        "captures": run.captures,
        "time_s": round(run.time_s, 3),
        "light_dose": round(run.light_dose, 1),
        "ending": result.ending.value,
        "called": _called(run.counts, kit.rule),
        "called_of_all": None,
    }


def _called(counts: MaskBinCounts, rule: StoppingRule) -> dict[str, Any]:
    """Cells that the rule counts as suspicious, and what it expects of that from the calibration slides.

    least_per_ul: the density that it tells from none in any number of cells; None where it tells none.
    """
    terms = rule.terms(counts)
    return {
        "cells": int(counts.sum()),
        "called": int(counts[:, terms.first_bin :].sum()),
        "expected_found": terms.errors.sensitivity.mean,
        "expected_false": terms.errors.false_positives.mean,
        "least_per_ul": terms.least_per_ul if isfinite(terms.least_per_ul) else None,
    }
