"""All trainings of the experiment, and the tables made of them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from lsm.experiments.arrays import read_arrays
from lsm.experiments.jobs import Job, finish
from lsm.experiments.kim2020.config import KimConfig, Objective
from lsm.experiments.kim2020.figure import ArmPicture
from lsm.experiments.kim2020.training import Training, open_crops, open_optics, train_arm
from lsm.samples import Grey
from lsm.sensing.progress import Reporter
from lsm.stats.paired import accuracy, paired_difference, verdict

Votes = Bool[np.ndarray, "seed cell"]
SHOWN = 3
"""Cells of each kind in the picture."""


class Study:
    """What every arm's networks said of every cell, each only of patients whom it had not met."""

    def __init__(self, config: KimConfig, crops: Path, folder: Path) -> None:
        self.config = config
        self.crops = open_crops(crops, config.cells)
        self._crops_path = crops
        self._folder = folder
        self._rows: dict[str, Mapping[str, Any]] = {}

    def run(self, workers: int, progress: Reporter) -> None:
        """Train what has no row yet, objective by objective and within it seed by seed.

        Raises LsmError naming the first training that failed.
        """
        config = self.config
        jobs = [
            Job(training.key, train_arm, training.model_dump(mode="json"), ("out",))
            for objective in config.objectives
            for seed in self._seeds()
            for grey in config.greys
            for arm in objective.arms
            for training in (self._training(grey, objective, arm, seed, fold) for fold in range(config.folds))
        ]
        self._rows = finish(jobs, self._folder / "table.jsonl", workers=workers, progress=progress)

    def tables(self) -> dict[str, Any]:
        """For each grey model the arms and their differences."""
        return {
            "greys": {grey: self._table(grey) for grey in self.config.greys},
            "seeds": self.config.seeds,
            "folds": self.config.folds,
            "cells": len(self.crops),
            "patients": len(np.unique(self.crops.patient)),
            "trainings": {
                key: {name: value for name, value in row.items() if name != "kept"} for key, row in self._rows.items()
            },
        }

    def pictures(self) -> list[ArmPicture]:
        """Light, pupil and images of the first seed and fold, arms of the first objective and grey model."""
        config = self.config
        objective, infected = config.objectives[0], self.crops.infected
        shown = np.concatenate([np.flatnonzero(infected)[:SHOWN], np.flatnonzero(~infected)[:SHOWN]])
        pictures = []
        for arm in objective.arms:
            training = self._training(config.greys[0], objective, arm, config.first_seed, 0)
            optics, kept = open_optics(training), self._kept(training)
            pictures.append(
                ArmPicture(
                    name=arm,
                    directions=optics.board.directions[:, :2],
                    na=objective.na,
                    duties=kept["duties"],
                    pupil=kept["pupil"],
                    axis_na=kept["axis_na"],
                    cells=optics.seen(shown, kept),
                )
            )
        return pictures

    def _seeds(self) -> range:
        return range(self.config.first_seed, self.config.first_seed + self.config.seeds)

    def _training(self, grey: Grey, objective: Objective, arm: str, seed: int, fold: int) -> Training:
        # what a training does not depend on is left out, so that more seeds or objectives go on from the same table
        whole = self.config.model_dump(exclude={"greys", "objectives", "seeds", "first_seed"})
        if arm in ("nothing", "LEDs"):
            del whole["pupil"]
        plain = objective.model_dump(exclude={"arms"})
        return Training.from_table(
            {
                "config": whole,
                "grey": grey,
                "objective": plain,
                "arm": arm,
                "seed": seed,
                "fold": fold,
                "crops": self._crops_path,
                "out": self._folder / "kept",
            }
        )

    def _kept(self, training: Training) -> dict[str, np.ndarray]:
        return read_arrays(training.out / self._rows[training.key]["kept"])

    def _table(self, grey: Grey) -> dict[str, Any]:
        config = self.config
        right: dict[str, Votes] = {}
        arms: dict[str, dict[str, Any]] = {}
        unit: dict[str, float] = {}
        for objective in config.objectives:
            for arm in objective.arms:
                trainings = [
                    [self._training(grey, objective, arm, seed, fold) for fold in range(config.folds)]
                    for seed in self._seeds()
                ]
                name = trainings[0][0].name
                right[name] = self._right(trainings)
                rows = [self._rows[training.key] for folds in trainings for training in folds]
                mean = {key: float(np.mean([row[key] for row in rows])) for key in _COSTS}
                unit = unit or mean
                estimate = asdict(accuracy(right[name], self.crops.patient, rng=np.random.default_rng(0)))
                arms[name] = {
                    **{key: round(float(value), 4) for key, value in estimate.items()},
                    "exposure_time": round(mean["exposure"] / unit["exposure"], 3),
                    "emitted_light": round(mean["light"] / unit["light"], 3),
                    "signal_e": round(mean["signal_e"], 1),
                    "dark_field_share": round(mean["dark_field_share"], 3),
                    "pupil_passes": round(mean["passed"], 3),
                    "cpu_s": round(float(np.median([row["cpu_s"] for row in rows])), 1),
                }
        return {"arms": arms, "differences": [self._difference(right, *pair) for pair in _pairs(config)]}

    def _right(self, trainings: list[list[Training]]) -> Votes:
        right = np.zeros((len(trainings), len(self.crops)), dtype=bool)
        for place, folds in enumerate(trainings):
            for training in folds:
                kept = self._kept(training)
                right[place, kept["rows"]] = (kept["odds"] > 0) == self.crops.infected[kept["rows"]]
        return right

    def _difference(self, right: Mapping[str, Votes], better: str, than: str) -> dict[str, Any]:
        found = paired_difference(right[better], right[than], self.crops.patient, rng=np.random.default_rng(0))
        points = [round(100 * value, 2) for value in (found.difference, found.low, found.high)]
        return {"of": better, "minus": than, "points": points, "verdict": verdict(found.low, found.high)}


_COSTS = ("exposure", "light", "signal_e", "dark_field_share", "passed")


def _pairs(config: KimConfig) -> list[tuple[str, str]]:
    """What is compared: both with each alone, all with nothing, and all with the references."""
    first, *others = config.objectives
    names = {arm: f"{arm} at NA {first.na:.2f}" for arm in first.arms}
    within = [("both", "LEDs"), ("both", "pupil"), ("both", "nothing"), ("LEDs", "nothing"), ("pupil", "nothing")]
    pairs = [(names[a], names[b]) for a, b in within if a in names and b in names]
    for other in others:
        if "nothing" in other.arms:
            pairs += [(name, f"nothing at NA {other.na:.2f}") for name in reversed(names.values())]
    return pairs
