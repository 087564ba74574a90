"""From a configuration to a policy for single cells, with figures on patients that nobody learned from."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.choose import best_policy, best_sequences, fit_stops
from lsm.agent.adaptive.evaluate import Measure, Outcome, Trial, try_policy
from lsm.agent.adaptive.light import lamps_of_stack, named_lights
from lsm.agent.adaptive.policies.checkpoint import save_policy
from lsm.agent.adaptive.policies.fixed import RandomLight
from lsm.agent.adaptive.policies.ppo import CellPpo, Progress
from lsm.agent.adaptive.policies.protocol import Policy
from lsm.agent.adaptive.policies.rollouts import Collector
from lsm.agent.adaptive.source import CellSource
from lsm.agent.adaptive.training.config import CellTrainingConfig
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.agent.adaptive.worldfile import save_world
from lsm.commit import source_commit
from lsm.sensing.cells import CellStack
from lsm.sensing.clock import Clock
from lsm.sensing.progress import Journal, Reporter, Silent, Stage
from lsm.stats.paired import resampled_interval
from lsm.wholefile import write_whole

POLICY, WORLD, CONFIG, FIGURES, CURVE = (
    "policy.safetensors",
    "world.safetensors",
    "config.json",
    "figures.json",
    "training.jsonl",
)
"""What a folder of a policy for single cells holds."""

SEQUENCE: Final = 3
BEAM: Final = 4
CHOSEN, JUDGED = 1, 2
"""What noise is for: to choose policies on, and to judge them by."""


@dataclass(frozen=True, eq=False)
class CellTrials:
    """Worlds with the cells to learn on and the cells to judge by; lights and reader are the same."""

    learn: AdaptiveWorld
    judge: AdaptiveWorld
    config: CellTrainingConfig

    @classmethod
    def of(cls, cells: CellStack, config: CellTrainingConfig) -> "CellTrials":
        """The reader is fitted, and exposures set, on patients that neither of the two sees. Raises as build_world."""
        known, learn, judge = (cells.where(np.isin(cells.patient, names)) for names in config.split(cells.patient))
        lamps = lamps_of_stack(cells)
        duty = named_lights(lamps, config.lights, seed=config.seed)
        world = build_world(
            learn,
            lamps,
            learn_from=known,
            duty=duty,
            names=light_names(config, duty),
            config=config.episode,
            camera=config.rig.camera,
            budget=config.photons,
            seed=config.seed,
        )
        return cls(world, replace(world, source=CellSource(judge)), config)

    def trial(self, world: AdaptiveWorld, purpose: int, *, repeats: int = 1, noise: int = 0) -> Trial:
        """Every cell of a world, `repeats` times, with noise of its own for each purpose and number."""
        rows = torch.arange(len(world.source.stack))
        words = np.random.SeedSequence([self.config.seed, purpose, noise]).generate_state(1, np.uint64)
        return Trial(BatchAdaptiveEnv(world), rows, repeats, int(words[0] >> np.uint64(2)))


def light_names(config: CellTrainingConfig, duty: Float[np.ndarray, "pattern lamp"]) -> tuple[str, ...]:
    """A name for each pattern; a signed light is two of them, what is added and what is subtracted."""
    names = []
    for kind in config.lights:
        names += [f"{kind} (+)", f"{kind} (-)"] if kind in ("PC ring", "PC +/-") else [str(kind)]
    return tuple(names) if len(names) == len(duty) else tuple(f"light {number}" for number in range(len(duty)))


def train_cells(
    config: CellTrainingConfig,
    trials: CellTrials,
    *,
    checkpoint: Path,
    progress: Reporter | None = None,
    collector: Collector | None = None,
    clock: Clock | None = None,
) -> CellPpo:
    """The training brought to its end, from its checkpoint where there is one.

    collector: of episodes, in place of this process. clock: told of the time before the checkpoint. Beside that lies
    the curve, one JSON object per update. Raises as `CellPpo.load`.
    """
    ppo = CellPpo(BatchAdaptiveEnv(trials.learn), config.ppo, seed=config.seed, collector=collector, clock=clock)
    if checkpoint.is_file():
        ppo.load(checkpoint)
    curve = _Curve(curve_of(checkpoint), ppo.update)
    with (progress or Silent()).stage("policy", config.ppo.updates) as stage:
        for _ in range(ppo.update):
            stage.advance()
        if isinstance(stage, Journal):
            stage.begin(ppo.update)
        while ppo.update < config.ppo.updates:
            report = ppo.train_once()
            curve.add(report)
            _tell(stage, report)
            if ppo.update % config.checkpoint_every == 0 or ppo.update == config.ppo.updates:
                curve.write()
                ppo.save(checkpoint)
    ppo.network.eval()
    return ppo


def curve_of(checkpoint: Path) -> Path:
    """Where the curve of a training lies."""
    return checkpoint.with_suffix(".jsonl")


def judge(policy: Policy, trials: CellTrials, *, noise: int = 0) -> list[dict[str, Any]]:
    """The policy on the held-out patients, then others that were chosen on the patients it learned on.

    Each row: means, `cost_low` and `cost_high` (95 %, patients resampled), and of the others `worse_by`, how much more
    they cost than the policy at the same cells, with its interval. noise: on the held-out cells, 0 as in a training.
    """
    learn = trials.trial(trials.learn, CHOSEN)
    held_out = trials.trial(trials.judge, JUDGED, repeats=trials.config.repeats, noise=noise)
    ours = try_policy(policy, held_out)
    rows = [row_of(ours, trials.config.seed)]
    for other in _others(learn, trials.config.seed):
        outcome = try_policy(other, held_out)
        low, high = _interval(outcome.per_cell("cost") - ours.per_cell("cost"), ours.patient, trials.config.seed)
        worse = {"worse_by": outcome.mean("cost") - ours.mean("cost"), "worse_low": low, "worse_high": high}
        rows.append(row_of(outcome, trials.config.seed) | worse)
    return rows


def row_of(outcome: Outcome, seed: int) -> dict[str, Any]:
    """Means of one policy as a JSON object, with intervals of cost and accuracy."""
    row: dict[str, Any] = outcome.plain()
    measures: dict[str, Measure] = {"cost": "cost", "accuracy": "correct"}
    for name, measure in measures.items():
        row[f"{name}_low"], row[f"{name}_high"] = _interval(outcome.per_cell(measure), outcome.patient, seed)
    return row


def save_trained(folder: Path, ppo: CellPpo, trials: CellTrials, facts: dict[str, Any], curve: Path) -> None:
    """Write policy, world, configuration, figures and curve into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_policy(folder / POLICY, ppo.network, trials.learn)
    save_world(folder / WORLD, trials.learn)
    write_whole(folder / CONFIG, trials.config.model_dump_json(indent=1) + "\n")
    write_whole(folder / FIGURES, json.dumps(facts | {"commit": source_commit()}, indent=1) + "\n")
    if curve.is_file():
        write_whole(folder / CURVE, curve.read_text(encoding="utf-8"))


def _others(learn: Trial, seed: int) -> list[Policy]:
    rules = learn.env.rules
    most = min(SEQUENCE, rules.budget.captures, rules.n_patterns * rules.repeats)
    sequences = best_sequences(learn, most, beam=BEAM)
    fixed, _ = best_policy(sequences, learn)
    stopping, _ = best_policy([fit_stops(learn, sequence.patterns) for sequence in sequences], learn)
    random = RandomLight(rules, min(2, rules.budget.captures), torch.Generator().manual_seed(seed))
    return [fixed, stopping, random]


def _interval(values: Float[np.ndarray, " cell"], patient: np.ndarray, seed: int) -> tuple[float, float]:
    # of one training: both seeds are the same, so that only patients are resampled
    return resampled_interval(np.stack([values, values]), patient, rng=np.random.default_rng([seed, 2]))


def _tell(stage: Stage, report: Progress) -> None:
    stage.advance(-report.reward)
    if isinstance(stage, Journal):
        values = {"reward": report.reward, "correct": report.correct, "captures": report.captures}
        stage.values(report.update, values | {"entropy": report.entropy})


class _Curve:
    """One line per update, as far as the checkpoint goes."""

    def __init__(self, path: Path, update: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._lines = lines[:update]

    def add(self, report: Progress) -> None:
        self._lines.append(json.dumps(report._asdict()))

    def write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, "\n".join(self._lines) + "\n")
