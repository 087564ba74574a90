"""How well policies search slides that none of them was trained on, at the same budget of captures."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from lsm.agent.baselines import FixedScan
from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.evidence import EvidenceModel
from lsm.agent.policy import Policy
from lsm.agent.rules import SearchRules
from lsm.agent.tables import SlideTables
from lsm.stats import ScoreCalibration

RESAMPLES = 2000
PerSlide = Float[np.ndarray, " slide"]


@dataclass(frozen=True, eq=False)
class Trial:
    """One set-up to be tried: readings of slides, their calibration, the rules."""

    tables: SlideTables
    calibration: ScoreCalibration
    rules: SearchRules

    def env(self) -> BatchSlideEnv:
        """The batched environment of this set-up."""
        return BatchSlideEnv(self.tables, EvidenceModel.of(self.calibration), self.rules)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Means per slide, over the four flips of the slide.

    error: |log((estimate + e0) / (truth + e0))| in nats, capped. reward: what the environment paid, in nats.
    captures, light_dose (LED ms), time_s, travel_um: of one search.
    """

    policy: str
    error: PerSlide
    reward: PerSlide
    captures: PerSlide
    light_dose: PerSlide
    time_s: PerSlide
    travel_um: PerSlide


@dataclass(frozen=True)
class Score:
    """An outcome as means over slides; each interval is a 95 % bootstrap over slides.

    gain: mean error of the reference minus this policy's, slide by slide; positive means better than it.
    """

    policy: str
    slides: int
    error: float
    error_low: float
    error_high: float
    reward: float
    captures: float
    light_dose: float
    time_s: float
    travel_um: float
    gain: float = 0.0
    gain_low: float = 0.0
    gain_high: float = 0.0

    def plain(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def try_policy(policy: Policy, trial: Trial) -> Outcome:
    """Search every slide of the trial once per flip with `policy`."""
    env = trial.env()
    slides = torch.arange(env.n_slides).repeat_interleave(env.n_flips)
    flips = torch.arange(env.n_flips).repeat(env.n_slides)
    seen = env.reset(len(slides), slides=slides, flips=flips)
    memory = policy.start(len(slides))
    reward = torch.zeros(len(slides))
    while not bool(env.done.all()):
        choice = policy.act(seen.observation, seen.allowed, memory)
        memory = choice.memory
        seen, paid, _ = env.step(choice.action)
        reward += paid
    state = env.state
    columns = (env.error, reward, state.captures, state.light_dose, state.time_s, state.travel_um)
    means = [column.double().reshape(env.n_slides, env.n_flips).mean(1).numpy() for column in columns]
    return Outcome(policy.name, *means)


def best_fixed_set(trial: Trial, sets: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The set of patterns whose fixed scan errs least on the slides of the trial (the training ones)."""
    errors = [float(try_policy(FixedScan(trial.rules, chosen), trial).error.mean()) for chosen in sets]
    return sets[int(np.argmin(errors))]


def score(outcome: Outcome, reference: Outcome | None = None, *, seed: int = 0) -> Score:
    """Summary of an outcome, with the gain over `reference` on the same slides."""
    rng = np.random.default_rng(seed)
    n = len(outcome.error)
    drawn = rng.integers(n, size=(RESAMPLES, n))
    low, high = _interval(outcome.error, drawn)
    gain = (0.0, 0.0, 0.0)
    if reference is not None:
        better = reference.error - outcome.error
        gain = (float(better.mean()), *_interval(better, drawn))
    return Score(
        policy=outcome.policy,
        slides=n,
        error=float(outcome.error.mean()),
        error_low=low,
        error_high=high,
        reward=float(outcome.reward.mean()),
        captures=float(outcome.captures.mean()),
        light_dose=float(outcome.light_dose.mean()),
        time_s=float(outcome.time_s.mean()),
        travel_um=float(outcome.travel_um.mean()),
        gain=gain[0],
        gain_low=gain[1],
        gain_high=gain[2],
    )


def _interval(values: PerSlide, drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
