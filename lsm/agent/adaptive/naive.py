"""The default reader: one linear template per pattern, its score calibrated to evidence, evidence added up.

Sums are of whole numbers in float64 and so exact: a frame gives the same bytes in every batch.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.light import LightBook, Meter
from lsm.agent.adaptive.reader import STEPS_PER_NAT, Capture, Reading
from lsm.agent.adaptive.source import CellSource
from lsm.errors import InputError
from lsm.optics import Camera
from lsm.optics.exposures import expose_rows

FLOOR_ADU: Final = 12.0
"""Spread of a frame below which it is noise, not to be scaled up."""

TEMPLATE_LEVELS: Final = 2**15
EVIDENCE_CAP: Final = 4.0
"""Nats; what one capture can say at most."""

RIDGE: Final = 0.3
"""Of the mean variance of a pixel, added to every one."""

NEWTON_STEPS: Final = 25


@dataclass(frozen=True, eq=False)
class NaiveReader:
    """Adds calibrated log-likelihood ratios of single frames, as if captures of a cell were independent.

    templates: whole numbers that sum to 0 for each pattern. slope, offset: nats = slope * score + offset, where the
    score is the template's product with the frame in units of the frame's own spread. With one template every
    light is read by it. Frames after the first say less than that, so the belief is too sure.
    Features: the last frame's evidence in units of EVIDENCE_CAP, its mean and its spread as shares of `full_adu`.
    """

    templates: Float[Tensor, "pattern pixel"]
    slope: Float[Tensor, " pattern"]
    offset: Float[Tensor, " pattern"]
    full_adu: float

    @property
    def n_features(self) -> int:
        return 3

    @property
    def n_units(self) -> int:
        return 1

    @property
    def digest(self) -> str:
        parts = (self.templates, self.slope, self.offset, torch.tensor(self.full_adu))
        return hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in parts)).hexdigest()[:16]

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        pattern = capture.pattern.clamp_min(0) if len(self.templates) > 1 else torch.zeros_like(capture.pattern)
        score, mean, spread = scores(capture.frame, pattern, self.templates)
        nats = self.slope[pattern] * score + self.offset[pattern]
        # in steps of the belief's scale, so that their sums are exact
        evidence = (nats.clamp(-EVIDENCE_CAP, EVIDENCE_CAP) * STEPS_PER_NAT).round() / STEPS_PER_NAT
        total = memory[:, 0] + evidence.float()
        features = torch.stack([evidence / EVIDENCE_CAP, mean / self.full_adu, spread / self.full_adu], 1)
        return Reading(total, features.float(), total[:, None])

    def to(self, device: torch.device) -> "NaiveReader":
        """The same reader on another device."""
        templates, slope, offset = (part.to(device) for part in (self.templates, self.slope, self.offset))
        return NaiveReader(templates, slope, offset, self.full_adu)


def scores(
    frame: Int32[Tensor, "episode y x"], pattern: Int[Tensor, " episode"], templates: Float[Tensor, "pattern pixel"]
) -> tuple[Float[Tensor, " episode"], Float[Tensor, " episode"], Float[Tensor, " episode"]]:
    """Score, mean and spread of every frame under its pattern's template, float64."""
    flat = frame.flatten(1).double()
    pixels = flat.shape[1]
    total = flat.sum(1)
    mean = total / pixels
    # of whole numbers, so that nothing cancels
    spread = torch.sqrt((torch.linalg.vecdot(flat, flat) * pixels - total.square()).clamp_min(0)) / pixels
    product = torch.linalg.vecdot(flat, templates[pattern])
    return product / TEMPLATE_LEVELS / (spread + FLOOR_ADU), mean, spread


def fit_naive_reader(
    source: CellSource,
    light: LightBook | Meter,
    camera: Camera,
    per_duty_e_per_ms: Float32[Tensor, " lamp"],
    *,
    seed: int,
) -> NaiveReader:
    """A reader from all cells of `source`: templates from one half of the patients, calibration from the other.

    A meter stands for free weights, which get one template, learned in the light of all lamps.
    Raises InputError where one half has cells of one kind only.
    """
    duty = light.duty if isinstance(light, LightBook) else np.ones((1, source.stack.n_lamps), dtype=np.float32)
    exposures = (light if isinstance(light, LightBook) else light.book(duty)).exposure_ms
    learn, check = _halves(source, seed)
    templates, slopes, offsets = [], [], []
    for index, (lit, exposure_ms) in enumerate(zip(torch.from_numpy(duty), exposures.tolist(), strict=True)):
        frames = [
            _frames(source, rows, lit * per_duty_e_per_ms.cpu(), exposure_ms, camera, (seed, 2 * index + half))
            for half, rows in enumerate((learn, check))
        ]
        template = _template(frames[0], source.infected[learn])
        only = torch.zeros(len(check), dtype=torch.int64)
        slope, offset = _calibrated(scores(frames[1], only, template[None])[0], source.infected[check])
        templates.append(template)
        slopes.append(slope)
        offsets.append(offset)
    slope_of, offset_of = (torch.tensor(numbers, dtype=torch.float64) for numbers in (slopes, offsets))
    reader = NaiveReader(torch.stack(templates), slope_of, offset_of, float(2**camera.bits - 1))
    return reader.to(source.device)


def _halves(source: CellSource, seed: int) -> tuple[Int[Tensor, " learn"], Int[Tensor, " check"]]:
    names, member = np.unique(source.stack.patient, return_inverse=True)
    first = np.random.default_rng(seed).permutation(len(names))[: len(names) // 2]
    chosen = np.isin(member, first)
    halves = [torch.from_numpy(np.flatnonzero(half)) for half in (chosen, ~chosen)]
    for half in halves:
        labels = source.infected[half]
        if bool(labels.all()) or not bool(labels.any()):
            raise InputError(
                f"Half of the patients of {source.stack.source} have cells of one kind only.",
                hint="give more patients, or another seed",
            )
    return halves[0], halves[1]


def _frames(
    source: CellSource,
    rows: Int[Tensor, " row"],
    weights: Float32[Tensor, " lamp"],
    exposure_ms: float,
    camera: Camera,
    key: tuple[int, int],
) -> Int32[Tensor, "row y x"]:
    n = len(rows)
    rate = source.rate(rows.to(source.device), weights.to(source.device).expand(n, -1).contiguous()).cpu()
    return expose_rows(rate, torch.full((n,), exposure_ms), camera, torch.tensor([key] * n), torch.arange(n))


def _template(frames: Int32[Tensor, "row y x"], infected: Tensor) -> Float[Tensor, " pixel"]:
    """Ridge regression of the label on frames in units of their own spread, in whole numbers that sum to 0."""
    flat = frames.flatten(1).double()
    spread = flat.std(1, unbiased=False, keepdim=True) + FLOOR_ADU
    scaled = (flat - flat.mean(1, keepdim=True)) / spread
    centred = scaled - scaled.mean(0)
    sign = infected.cpu().double() * 2 - 1
    covariance = centred.T @ centred / len(flat)
    covariance += RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    weights = torch.linalg.solve(covariance, centred.T @ (sign - sign.mean()) / len(flat))
    weights = weights - weights.mean()
    whole = (weights / weights.abs().max().clamp_min(1e-12) * TEMPLATE_LEVELS).round()
    return _summing_to_zero(whole)


def _summing_to_zero(whole: Float[Tensor, " pixel"]) -> Float[Tensor, " pixel"]:
    """Rounding leaves at most half a unit per pixel, which is taken from as many pixels."""
    rest = int(whole.sum())
    step = torch.zeros_like(whole)
    step[: abs(rest)] = float(np.sign(rest))
    return whole - step


def _calibrated(score: Float[Tensor, " row"], infected: Tensor) -> tuple[float, float]:
    """Slope and offset of the log-likelihood ratio: logistic regression, the share of infected cells taken out."""
    truth = infected.cpu().double()
    scale = score.std().clamp_min(1e-9)
    inputs = torch.stack([score / scale, torch.ones_like(score)], 1)
    weights = torch.zeros(2, dtype=torch.float64)
    for slope, curvature in _newton(inputs, truth, weights):
        weights += torch.linalg.solve(curvature, slope)
    prior = torch.logit(truth.mean(), eps=1e-6)
    return float(weights[0] / scale), float(weights[1] - prior)


def _newton(
    inputs: Float[Tensor, "row 2"], truth: Float[Tensor, " row"], weights: Float[Tensor, " 2"]
) -> Iterator[tuple[Float[Tensor, " 2"], Float[Tensor, "2 2"]]]:
    """Slope and curvature of the penalised log-likelihood at the present weights, which the caller changes."""
    penalty = torch.eye(2, dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        chance = torch.sigmoid(inputs @ weights)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty
        yield inputs.T @ (truth - chance) - penalty @ weights, curvature
