"""What a policy achieves and spends on cells that nobody trained on, cell by cell."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.policies.protocol import Policy
from lsm.agent.adaptive.reader import log_belief
from lsm.agent.adaptive.rules import HEALTHY, INFECTED, REFER
from lsm.errors import InputError

Measure = Literal["correct", "log_score", "captures", "light_led_s", "time_s", "cost"]
PerCell = Float[np.ndarray, "repeat cell"]


@dataclass(frozen=True, eq=False)
class Trial:
    """Cells to try policies on: each `repeats` times, with noise that is the same for every policy.

    rows: of the environment's source. Thresholds and patterns are chosen on a trial of training cells, figures
    come from one of other patients; nothing here can tell the two apart.
    """

    env: BatchAdaptiveEnv
    rows: Int[Tensor, " cell"]
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.rows) == 0 or self.repeats < 1:
            raise InputError(
                f"{len(self.rows)} cells tried {self.repeats} times are no trial.", hint="give at least one cell, once"
            )

    @classmethod
    def of_patients(cls, env: BatchAdaptiveEnv, patients: np.ndarray, *, repeats: int = 1, seed: int = 0) -> "Trial":
        """A trial on all cells of these patients."""
        rows = np.flatnonzero(np.isin(env.world.source.stack.patient, patients))
        return cls(env, torch.from_numpy(rows), repeats, seed)

    @property
    def patient(self) -> np.ndarray:
        """The patient of each cell."""
        return np.asarray(self.env.world.source.stack.patient[self.rows.cpu().numpy()])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one policy did at each cell of a trial, each time it met it.

    declared: index into DECLARATIONS, -1 where an episode was cut off. correct: declared what the cell is; a cell
    that was referred is not correct. log_score: ln of the final belief in the truth, nats. cost: what the
    environment charged in all, in units of one missed infection. infected, patient: of each cell.
    """

    policy: str
    declared: Int[np.ndarray, "repeat cell"]
    correct: Bool[np.ndarray, "repeat cell"]
    log_score: PerCell
    captures: PerCell
    light_led_s: PerCell
    time_s: PerCell
    cost: PerCell
    infected: Bool[np.ndarray, " cell"]
    patient: np.ndarray

    def per_cell(self, measure: Measure) -> Float[np.ndarray, " cell"]:
        """Mean over the times that each cell was met."""
        values: Float[np.ndarray, " cell"] = np.asarray(getattr(self, measure), dtype=np.float64).mean(axis=0)
        return values

    def mean(self, measure: Measure) -> float:
        """Mean over all cells."""
        return float(self.per_cell(measure).mean())

    def plain(self) -> dict[str, float | str]:
        """Means as a JSON object; sensitivity and specificity count referred cells as wrong."""
        return {
            "policy": self.policy,
            "accuracy": self.mean("correct"),
            "sensitivity": float(self.correct[:, self.infected].mean()),
            "specificity": float(self.correct[:, ~self.infected].mean()),
            "referred": float((self.declared == REFER).mean()),
            "log_score": self.mean("log_score"),
            "captures": self.mean("captures"),
            "light_led_s": self.mean("light_led_s"),
            "time_s": self.mean("time_s"),
            "cost": self.mean("cost"),
        }


def try_policy(policy: Policy, trial: Trial) -> Outcome:
    """Outcome of a policy at every cell of the trial.

    Place k of the batch has the seed `trial.seed` + k whatever the policy, so that two policies which take the same
    captures see the same frames.
    """
    env = trial.env
    rows = trial.rows.repeat(trial.repeats)
    view = env.reset(len(rows), trial.seed, rows=rows)
    memory = policy.start(len(rows))
    paid = torch.zeros(len(rows), dtype=torch.float64, device=env.row.device)
    while not bool(env.done.all()):
        choice = policy.act(view, memory)
        memory = choice.memory
        step = env.step(choice.action)
        view = step.view
        paid += step.reward
    state, infected = env.state, env.infected
    correct = torch.where(infected, state.declared == INFECTED, state.declared == HEALTHY)
    score = log_belief(torch.where(infected, state.log_odds, -state.log_odds))
    columns = {
        "declared": state.declared,
        "correct": correct,
        "log_score": score,
        "captures": state.captures.double(),
        "light_led_s": state.light_led_s,
        "time_s": state.time_s,
        "cost": -paid,
    }
    tables = {name: column.cpu().numpy().reshape(trial.repeats, -1) for name, column in columns.items()}
    cells = len(trial.rows)
    return Outcome(policy=policy.name, infected=infected[:cells].cpu().numpy(), patient=trial.patient, **tables)
