"""One policy over one slide on any microscope: observe, read, estimate, decide, until it stops."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from lsm.agent.codebook import Codebook
from lsm.agent.evidence import EvidenceModel
from lsm.agent.findings import QualityLimits, cell_findings, field_visit
from lsm.agent.policy import Choice, Policy
from lsm.agent.results import Decision, SlideRun
from lsm.agent.rules import SearchRules
from lsm.agent.search import Reads, SlideSearch
from lsm.agent.state import evidence
from lsm.devices import Frame, Microscope
from lsm.errors import ConfigError
from lsm.stats import PrevalenceEstimate, ScoreCalibration, estimate_prevalence

OnCapture = Callable[[Frame, dict[str, Any]], object]


@dataclass(frozen=True)
class SearchPlan:
    """What a run needs besides microscope and policy: all of one model and one rig.

    camera_pixel_um: size of an image pixel at the sample. z_um: focus for every capture; None leaves it.
    """

    reader: Reads
    codebook: Codebook
    rules: SearchRules
    calibration: ScoreCalibration
    camera_pixel_um: float
    z_um: float | None = None
    limits: QualityLimits = field(default_factory=QualityLimits)


def run_slide(
    microscope: Microscope, policy: Policy, plan: SearchPlan, *, on_capture: OnCapture | None = None
) -> SlideRun:
    """Search the slide on `microscope` with `policy` and return everything found.

    on_capture: called after every capture with the frame and the decision that led to it: action, its
    name, the probability of every action, the policy's value in nats, field, pattern, and the estimate
    with its interval after reading the frame. What it raises ends the run.
    The policy's own generator makes a run repeatable. Raises what the microscope raises, ModelMismatch, and
    ConfigError where images reach into the neighbouring fields, whose cells would count twice.
    """
    search = SlideSearch(
        microscope, plan.reader, plan.codebook, plan.rules, EvidenceModel.of(plan.calibration), z_um=plan.z_um
    )
    log = _RunLog(search, plan)
    memory = policy.start(1)
    action = -1
    while action != plan.rules.stop:
        choice = policy.act(search.view.observation, search.view.allowed, memory)
        memory, action = choice.memory, int(choice.action[0])
        place = search.field
        frame = search.act(action)
        if frame is not None:
            _check_tile(frame, plan)
        record = log.add(action, place, choice, frame)
        if frame is not None and on_capture is not None:
            on_capture(frame, record)
    return log.result(policy.name)


class _RunLog:
    """Collects decisions and visits while the search goes on."""

    def __init__(self, search: SlideSearch, plan: SearchPlan) -> None:
        self._search, self._plan = search, plan
        self._estimate = estimate_prevalence(self._counts(), plan.calibration)
        self._visits: dict[int, list[tuple[int, int]]] = {}
        self._decisions: list[Decision] = []
        self._captures, self._light_dose = 0, 0.0

    def add(self, action: int, place: int, choice: Choice, frame: Frame | None) -> dict[str, Any]:
        """Note one decision taken at field `place` and the frame it gave; returns it as plain values."""
        state, rules = self._search.state, self._plan.rules
        capture = None if frame is None else self._captures
        if frame is not None:
            self._light_dose += frame.light_dose
            self._visits.setdefault(place, []).append((self._captures, action))
            self._captures += 1
            self._estimate = estimate_prevalence(self._counts(), self._plan.calibration)
        visit = list(self._visits).index(place) if place in self._visits else len(self._visits) - 1
        probabilities = tuple(float(value) for value in choice.probabilities[0])
        time_s, light_dose = float(state.time_s[0]), self._light_dose
        self._decisions.append(Decision(action, visit, self._estimate, time_s, light_dose, capture, probabilities))
        return {
            "action": action,
            "action_name": rules.action_names[action],
            "probabilities": list(probabilities),
            "value": float(choice.value[0]),
            "field": place,
            "visit": visit,
            "pattern": None if frame is None else action,
            "time_s": time_s,
            "light_dose": light_dose,
            **_plain(self._estimate),
        }

    def result(self, policy: str) -> SlideRun:
        search, plan = self._search, self._plan
        centres = plan.rules.grid
        visits, cells = [], []
        for index, (place, taken) in enumerate(self._visits.items()):
            reading = search.readings[place]
            visits.append(field_visit(reading, centres.centre_um(place), taken, plan.limits))
            cells += cell_findings(reading, search.frames[place], visit=index, camera_pixel_um=plan.camera_pixel_um)
        return SlideRun(
            policy=policy,
            visits=tuple(visits),
            cells=tuple(cells),
            counts=self._counts(),
            captures=self._captures,
            light_dose=self._light_dose,
            time_s=float(search.state.time_s[0]),
            travel_um=float(search.state.travel_um[0]),
            extent_um=centres.extent_um,
            field_um=(centres.pitch_um, centres.pitch_um),
            estimate=self._estimate,
            action_names=plan.rules.action_names,
            decisions=tuple(self._decisions),
        )

    def _counts(self) -> Int[np.ndarray, "mask bin"]:
        counts: Int[np.ndarray, "mask bin"] = evidence(self._search.state, self._plan.rules)[0].numpy().astype(np.int64)
        return counts


def _check_tile(frame: Frame, plan: SearchPlan) -> None:
    width_um = max(frame.image.shape) * plan.camera_pixel_um
    pitch_um = plan.rules.grid.pitch_um
    if width_um > pitch_um + plan.camera_pixel_um:
        raise ConfigError(
            f"Images are {width_um:g} um wide, but the fields of the grid are only {pitch_um:g} um apart.",
            hint="set a smaller camera region, or train a policy with search.grid.pitch_um as wide as an image",
        )


def _plain(estimate: PrevalenceEstimate) -> dict[str, float]:
    return {
        "prevalence": estimate.prevalence,
        "prevalence_low": estimate.low,
        "prevalence_high": estimate.high,
        "cells": estimate.cells,
    }
