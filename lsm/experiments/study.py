"""Arms, seeds and folds of an experiment as jobs, and their rows as a table with intervals and claims."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from pydantic import Field

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.experiments.arrays import read_arrays
from lsm.experiments.cell_run import ON_THE_BOARD, CellDesign, CellJob, lamps_of, open_cells, run_cell
from lsm.experiments.jobs import Job
from lsm.experiments.light_used import light_used
from lsm.stats.paired import accuracy, paired_difference, verdict

Table = dict[str, Any]


BOARD = ", on the board"
"""Behind the name of an arm with learned light: as the project's firmware shows it, within its current limit."""


class Claim(Config):
    """That arm `better` names more cells rightly than the best of `than`; an arm may be named with BOARD behind it.

    asked: points of accuracy that the difference should reach; None asks for none.
    """

    text: str
    better: str
    than: tuple[str, ...]
    asked: float | None = None


class StudyConfig(Config):
    """Arms that differ in some keys, all with the same seeds and folds.

    design: what all arms share, a table of CellDesign. arms: name to the keys that differ, in dotted form
    ("light.kind" = "dark field"). seeds: partitions of the patients; every arm is trained once for each seed and fold.
    claims: comparisons to be printed as they come out.
    """

    design: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]]
    seeds: Annotated[int, Gt(1)] = 5
    first_seed: Annotated[int, Ge(0)] = 1
    claims: tuple[Claim, ...] = ()

    def design_of(self, arm: str) -> CellDesign:
        """The whole design of an arm. Raises ConfigError for a key that a design does not have."""
        table: dict[str, Any] = _copy(self.design)
        for dotted, value in self.arms[arm].items():
            place = table
            *path, last = dotted.split(".")
            for name in path:
                place = place.setdefault(name, {})
            place[last] = value
        return CellDesign.from_table(table, source=f"arm '{arm}'")


def _copy(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in table.items()}


def study_jobs(config: StudyConfig, *, crops: Path, cache: Path, out: Path) -> list[Job]:
    """One job per seed, arm and fold; whole rounds of all arms come first, so that a stopped run can be compared."""
    _check_claims(config)
    designs = {arm: config.design_of(arm) for arm in config.arms}
    jobs = []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for arm, design in designs.items():
            for fold in range(design.folds):
                job = CellJob(design=design, seed=seed, fold=fold, crops=crops, cache=cache, out=out)
                jobs.append(Job(job_key(arm, seed, fold), run_cell, job.model_dump(mode="json"), ("cache", "out")))
    return jobs


def job_key(arm: str, seed: int, fold: int) -> str:
    """The name of one training in the table."""
    return f"{arm} / seed {seed} / fold {fold}"


class Votes:
    """What every arm's networks said of every cell, each network only of patients whom it had not met."""

    def __init__(
        self, config: StudyConfig, rows: Mapping[str, Mapping[str, Any]], *, crops: Path, cache: Path, out: Path
    ) -> None:
        self.config = config
        self._found = rows
        self.crops, self.cache = crops, cache
        self._out = out

    def whole_seeds(self, arm: str) -> list[int]:
        """Seeds of which every fold is there."""
        folds = self.config.design_of(arm).folds
        seeds = range(self.config.first_seed, self.config.first_seed + self.config.seeds)
        return [seed for seed in seeds if all(job_key(arm, seed, fold) in self._found for fold in range(folds))]

    def rows(self, arm: str, seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """What each training of the arm returned."""
        folds = self.config.design_of(arm).folds
        return [self._found[job_key(arm, seed, fold)] for seed in seeds for fold in range(folds)]

    def source(self) -> str:
        """Which data, in words."""
        design = self.config.design_of(next(iter(self.config.arms)))
        return open_cells(self.crops, self.cache, design.stack, design.cells).source

    def truth(self, arm: str) -> tuple[Bool[np.ndarray, " row"], np.ndarray]:
        """(infected, patient) of every row."""
        design = self.config.design_of(arm)
        stack = open_cells(self.crops, self.cache, design.stack, design.cells)
        return stack.infected, stack.patient

    def odds(self, arm: str, seeds: Sequence[int]) -> Float[np.ndarray, "seed row"]:
        """Log-odds of every row under these seeds; of the light on the board where the name says so."""
        arm, name = arm.removesuffix(BOARD), ON_THE_BOARD if arm.endswith(BOARD) else "odds"
        infected, _ = self.truth(arm)
        found = np.full((len(seeds), len(infected)), np.nan)
        for place, seed in enumerate(seeds):
            for fold in range(self.config.design_of(arm).folds):
                held = self.held(arm, seed, fold)
                found[place, held["rows"]] = held[name]
        return found

    def held(self, arm: str, seed: int, fold: int) -> dict[str, np.ndarray]:
        """Odds and rows tested, weights and exposures of one training."""
        return read_arrays(self._out / str(self._found[job_key(arm, seed, fold)]["odds"]))

    def trainings(self, arm: str, seeds: Sequence[int]) -> list[dict[str, np.ndarray]]:
        """What `held` gives of every fold under these seeds."""
        return [self.held(arm, seed, fold) for seed in seeds for fold in range(self.config.design_of(arm).folds)]

    def correct(self, arm: str, seeds: Sequence[int]) -> Bool[np.ndarray, "seed row"]:
        """Which cells were named rightly."""
        infected, _ = self.truth(arm.removesuffix(BOARD))
        right: Bool[np.ndarray, "seed row"] = (self.odds(arm, seeds) > 0) == infected
        return right


def summarise(votes: Votes) -> Table:
    """Arms with accuracy, interval over seeds and patients, majority vote and light used; then the claims.

    What an arm's lights took in time is told for the default rig.
    """
    arms: dict[str, Table] = {}
    for arm in votes.config.arms:
        seeds = votes.whole_seeds(arm)
        if len(seeds) < 2:
            continue
        right = votes.correct(arm, seeds)
        found = accuracy(right, votes.truth(arm)[1], rng=np.random.default_rng(0))
        rows = votes.rows(arm, seeds)
        trainings = votes.trainings(arm, seeds)
        arms[arm] = {
            **{key: round(value, 4) for key, value in asdict(found).items()},
            "auc": round(float(np.mean([row["auc"] for row in rows])), 4),
            "dark_field_share": round(float(np.mean([row["dark_field_share"] for row in rows])), 3),
            **_compiled(rows, [len(held["rows"]) for held in trainings]),
            **_used(votes, arm, trainings),
            "seconds": round(float(np.median([row["seconds"] for row in rows])), 1),
            "seeds": len(seeds),
        }
    claims: list[Table] = [_judge(claim, votes, arms) for claim in votes.config.claims]
    return {"arms": dict(arms), "claims": claims}


def _compiled(rows: Sequence[Mapping[str, Any]], cells: Sequence[int]) -> Table:
    """Over all tested cells, as the accuracy is: folds of equally many patients hold different numbers of cells."""
    if not all("accuracy_compiled" in row for row in rows):
        return {}
    return {"accuracy_compiled": round(float(np.average([row["accuracy_compiled"] for row in rows], weights=cells)), 4)}


def _used(votes: Votes, arm: str, trainings: Sequence[Mapping[str, np.ndarray]]) -> Table:
    design = votes.config.design_of(arm)
    stack = open_cells(votes.crops, votes.cache, design.stack, design.cells)
    used = light_used(stack, lamps_of(stack, design.stack.na), trainings, flux_e_per_ms=design.budget.flux_e_per_ms)
    return {"budget_e": design.budget.electrons} | {name: float(f"{value:.4g}") for name, value in used.items()}


def _judge(claim: Claim, votes: Votes, arms: Mapping[str, Table]) -> Table:
    known = [arm for arm in claim.than if arm.removesuffix(BOARD) in arms]
    better = claim.better.removesuffix(BOARD)
    if better not in arms or not known:
        return {"claim": claim.text, "verdict": "not run"}
    # the rival with the best mean is the hardest one
    rival = max(known, key=lambda arm: float(str(arms[arm.removesuffix(BOARD)]["accuracy"])))
    seeds = [seed for seed in votes.whole_seeds(better) if seed in votes.whole_seeds(rival.removesuffix(BOARD))]
    found = paired_difference(
        votes.correct(claim.better, seeds),
        votes.correct(rival, seeds),
        votes.truth(better)[1],
        rng=np.random.default_rng(0),
    )
    table: Table = {
        "claim": claim.text,
        "better": claim.better,
        "than": rival,
        "points": [round(100 * value, 2) for value in (found.difference, found.low, found.high)],
        "verdict": verdict(found.low, found.high),
        "seeds": found.seeds,
        "patients": found.patients,
    }
    if claim.asked is not None:
        table |= {"asked_points": claim.asked, "reached": 100 * found.difference >= claim.asked}
    return table


def _check_claims(config: StudyConfig) -> None:
    for claim in config.claims:
        for arm in (claim.better, *claim.than):
            if arm.removesuffix(BOARD) not in config.arms:
                raise ConfigError(
                    f"The claim '{claim.text}' names the arm '{arm}'.", hint=f"arms are {', '.join(config.arms)}"
                )
