"""All trainings of the experiment, and the tables made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from lsm.errors import InputError
from lsm.experiments.arrays import read_arrays
from lsm.experiments.ferreira2023.config import FerreiraConfig, Task
from lsm.experiments.ferreira2023.data import data_folder, open_crops
from lsm.experiments.ferreira2023.training import Training, train_arm
from lsm.experiments.jobs import Job, finish
from lsm.sensing.progress import Reporter
from lsm.stats.paired import accuracy, paired_difference, resampled_interval, verdict
from lsm.vision.classify import ClassScores, CountScores, CropSet, score_classes, score_counts


@dataclass(frozen=True, eq=False)
class Said:
    """What an arm's networks say of every crop, each network only of groups that it had not met.

    probability [seed, crop, category], count [seed, crop]; None where the task has none.
    """

    probability: Float[np.ndarray, "seed crop category"] | None
    count: Float[np.ndarray, "seed crop"] | None


class Study:
    """The trainings of all tasks. Raises FileMissing without the data."""

    def __init__(self, config: FerreiraConfig, folder: Path) -> None:
        self.config = config
        self._folder = folder
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._data = {name: data_folder(task.crops) for name, task in config.tasks.items()}
        self.crops: dict[str, CropSet] = {}
        self._named: dict[tuple[str, str], ClassScores] = {}

    def run(self, workers: int, progress: Reporter) -> None:
        """Make the crops and train what has no row yet, seed by seed. Raises LsmError naming what failed."""
        config = self.config
        with progress.stage("cutting crops", len(config.tasks)) as stage:
            for name, task in config.tasks.items():
                # once, before several workers ask for it at the same time
                self.crops[name] = open_crops(task.crops, self._data[name], self._folder / "crops")
                stage.advance()
        jobs = [
            Job(training.key, train_arm, training.model_dump(mode="json"), ("cache", "out"))
            for seed in self._seeds()
            for name, task in config.tasks.items()
            for arm in task.arms
            for training in self._trainings(name, arm, seed)
        ]
        self._rows = finish(jobs, self._folder / "table.jsonl", workers=workers, progress=progress)

    def tables(self) -> dict[str, Any]:
        """For each task its data, its arms and their differences."""
        return {"tasks": {name: self._table(name, task) for name, task in self.config.tasks.items()}}

    def said(self, name: str, arm: str) -> Said:
        """What this arm's networks say of the task's crops."""
        crops = self.crops[name]
        n_seeds, n = self.config.seeds, len(crops)
        probability = np.full((n_seeds, n, len(crops.categories)), np.nan)
        count = np.full((n_seeds, n), np.nan)
        for place, seed in enumerate(self._seeds()):
            for training in self._trainings(name, arm, seed):
                held = read_arrays(training.out / self._rows[training.key]["kept"])
                if crops.category is not None:
                    probability[place, held["rows"]] = held["probability"]
                if crops.count is not None:
                    count[place, held["rows"]] = held["count"]
        return Said(probability if crops.category is not None else None, count if crops.count is not None else None)

    def named(self, name: str, arm: str) -> ClassScores:
        """Scores of the classes, with the probabilities of all seeds averaged. Raises InputError without classes."""
        crops, said = self.crops[name], self.said(name, arm).probability
        if said is None or crops.category is None:
            raise InputError(f"The task '{name}' has no classes.", hint="ask for its counts")
        if (name, arm) not in self._named:
            # a thousand draws of many classes take seconds, and tables and picture both ask
            found = score_classes(said.mean(axis=0), crops.category, crops.categories, crops.units())
            self._named[name, arm] = found
        return self._named[name, arm]

    def _seeds(self) -> range:
        return range(self.config.first_seed, self.config.first_seed + self.config.seeds)

    def _trainings(self, name: str, arm: str, seed: int) -> list[Training]:
        task = self.config.tasks[name]
        shared: dict[str, Any] = {
            "name": name,
            # which other arms there are makes no difference to this one
            "task": task.model_copy(update={"arms": (arm,)}),
            "arm": self.config.arms[arm],
            "seed": seed,
            "data": self._data[name],
            "cache": self._folder / "crops",
            "out": self._folder / "kept",
        }
        return [Training(**shared, fold=fold) for fold in range(task.folds)]

    def _table(self, name: str, task: Task) -> dict[str, Any]:
        crops = self.crops[name]
        said = {arm: self.said(name, arm) for arm in task.arms}
        table: dict[str, Any] = {
            "data": crops.origin,
            "crops": len(crops),
            "groups": len(np.unique(crops.group)),
            "folds": task.folds,
            "seeds": self.config.seeds,
        }
        if crops.category is not None:
            table["classes"] = crops.numbers()
        if crops.count is not None:
            table["objects"] = _about(crops.count)
        table["arms"] = {arm: self._arm(name, arm, said[arm]) for arm in task.arms}
        table["differences"] = [
            found for pair in _pairs(task.arms) for found in _differences(crops, said[pair[0]], said[pair[1]], pair)
        ]
        return table

    def _arm(self, name: str, arm: str, said: Said) -> dict[str, Any]:
        crops = self.crops[name]
        rows = [self._rows[each.key] for seed in self._seeds() for each in self._trainings(name, arm, seed)]
        found: dict[str, Any] = {"cpu_s": round(float(np.median([row["cpu_s"] for row in rows])), 1)}
        right = _right(said, crops)
        if right is not None:
            estimate = asdict(accuracy(right, crops.group, rng=np.random.default_rng(0)))
            found |= {key: round(float(value), 4) for key, value in estimate.items()}
            found |= _means(_class_scores(said, crops), ("precision", "recall", "f1"))
            together = self.named(name, arm).model_dump(mode="json", exclude={"classes": {"__all__": {"roc"}}})
            found["together"] = together
        off = _off(said, crops)
        if off is not None:
            counted = _count_scores(said, crops)
            low, high = resampled_interval(off, crops.group, rng=np.random.default_rng(0))
            found |= _means(counted, ("mae", "mse", "r2", "r", "percent"))
            found |= {"mae_low": round(low, 4), "mae_high": round(high, 4)}
            found["mae_seed_sd"] = round(float(np.std([one.mae for one in counted], ddof=1)), 4)
        return found


def _class_scores(said: Said, crops: CropSet) -> list[ClassScores]:
    """Of each seed."""
    if said.probability is None or crops.category is None:
        return []
    category, units = crops.category, crops.units()
    return [score_classes(each, category, crops.categories, units, draws=0) for each in said.probability]


def _count_scores(said: Said, crops: CropSet) -> list[CountScores]:
    """Of each seed."""
    if said.count is None or crops.count is None:
        return []
    return [score_counts(each, crops.count) for each in said.count]


def _means(scores: Sequence[ClassScores | CountScores], names: tuple[str, ...]) -> dict[str, float | None]:
    """Over the seeds: what one network comes to."""
    found: dict[str, float | None] = {}
    for name in names:
        values = [getattr(each, name) for each in scores]
        # a figure that one seed does not have is not there for all
        found[name] = None if None in values else round(float(np.mean(values)), 4)
    return found


def _about(count: Float[np.ndarray, " crop"]) -> dict[str, float]:
    """What the counts are like; mae_of_mean: of always saying their mean."""
    return {
        "total": float(count.sum()),
        "mean": round(float(count.mean()), 2),
        "sd": round(float(count.std()), 2),
        "most": float(count.max()),
        "mae_of_mean": round(float(np.abs(count - count.mean()).mean()), 3),
    }


def _pairs(arms: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each other arm against the first, and the fourth and fifth against the third."""
    pairs = [(arm, arms[0]) for arm in arms[1:]]
    return pairs + [(arm, arms[2]) for arm in arms[3:]]


def _differences(crops: CropSet, one: Said, other: Said, names: tuple[str, str]) -> list[dict[str, Any]]:
    found = []
    pair = {"of": names[0], "minus": names[1]}
    right = _right(one, crops), _right(other, crops)
    if right[0] is not None and right[1] is not None:
        told = paired_difference(right[0], right[1], crops.group, rng=np.random.default_rng(0))
        by = [round(100 * value, 2) for value in (told.difference, told.low, told.high)]
        found.append(pair | {"in": "points of accuracy", "by": by, "verdict": verdict(by[1], by[2])})
    off = _off(one, crops), _off(other, crops)
    if off[0] is not None and off[1] is not None:
        apart = off[0] - off[1]
        low, high = resampled_interval(apart, crops.group, rng=np.random.default_rng(0))
        by = [round(value, 3) for value in (float(apart.mean()), low, high)]
        # a smaller error is better
        found.append(pair | {"in": "objects of MAE", "by": by, "verdict": verdict(-by[2], -by[1])})
    return found


def _right(said: Said, crops: CropSet) -> Bool[np.ndarray, "seed crop"] | None:
    """Which crops were named rightly."""
    if said.probability is None or crops.category is None:
        return None
    right: Bool[np.ndarray, "seed crop"] = said.probability.argmax(axis=2) == crops.category
    return right


def _off(said: Said, crops: CropSet) -> Float[np.ndarray, "seed crop"] | None:
    """By how many objects each count is wrong."""
    return None if said.count is None or crops.count is None else np.abs(said.count - crops.count)
