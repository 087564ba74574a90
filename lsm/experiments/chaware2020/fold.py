"""One fold of one seed of a study, as a job: plain values in, a row of plain values out, arrays in a file."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from lsm.agent.adaptive.evaluate import Outcome
from lsm.agent.adaptive.readers import save_reader
from lsm.commit import source_commit
from lsm.config import Config
from lsm.experiments.arrays import read_arrays, write_arrays
from lsm.experiments.chaware2020.arms import all_arms
from lsm.experiments.chaware2020.bench import Bench
from lsm.experiments.chaware2020.cells import open_study
from lsm.experiments.chaware2020.config import StudyConfig

KEPT = ("declared", "correct", "log_score", "captures", "light_led_s", "time_s", "cost")
SEPARATOR = " | "


class FoldJob(Config):
    """One fold. cache, out: folders of computed cells and of what is kept."""

    study: str
    config: StudyConfig
    seed: Annotated[int, Ge(0)]
    fold: Annotated[int, Ge(0)]
    cache: Path
    out: Path

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        return f"{self.study} / seed {self.seed} / fold {self.fold}"


def run_fold(arguments: dict[str, Any]) -> dict[str, Any]:
    """What was chosen and trained, and how long it took; what every policy did is in the file that it names.

    arguments: the table of a FoldJob. Raises as its parts do.
    """
    job = FoldJob.from_table(arguments, source="a job of chaware2020")
    torch.set_num_threads(1)
    stack, lamps = open_study(job.config, job.cache)
    clock = time.process_time()
    bench = Bench.make(job.config, stack, lamps, seed=job.seed, fold=job.fold)
    seconds = {"lights and reader": round(time.process_time() - clock, 1)}
    arrays: dict[str, np.ndarray] = {
        "rows": bench.test,
        "infected": stack.infected[bench.test],
        "patient": stack.patient[bench.test].astype(str),
    }
    told: dict[str, dict[str, Any]] = {}
    heard: list[tuple[str, float]] = []
    for arm, setting, outcome, facts in all_arms(bench, lambda part: heard.append((part, time.process_time()))):
        told.setdefault(arm, {})[setting] = facts
        arrays |= {SEPARATOR.join((arm, setting, name)): np.asarray(getattr(outcome, name)) for name in KEPT}
    ends = [*(begin for _, begin in heard[1:]), time.process_time()]
    seconds |= {part.replace("_", " "): round(end - begin, 1) for (part, begin), end in zip(heard, ends, strict=True)}
    name = hashlib.sha256(f"{job.key} {job.config.digest()}".encode()).hexdigest()[:16]
    write_arrays(job.out / f"{name}.npz", arrays)
    save_reader(job.out / f"{name}.safetensors", bench.reader, {"job": job.key})
    return {
        "kept": f"{name}.npz",
        "reader": f"{name}.safetensors",
        "cells": {"learn": len(bench.learn), "aside": len(bench.aside), "test": len(bench.test)},
        "lights": list(bench.book.names),
        "exposures_ms": [round(float(each), 2) for each in bench.book.exposure_ms],
        "told": told,
        "cpu_s": seconds,
        "commit": source_commit(),
    }


def outcomes_of(folds: Sequence[Path]) -> Mapping[str, Mapping[str, Outcome]]:
    """What each arm did at each setting, at the cells of all folds of one seed, in the order of the rows."""
    held = [read_arrays(path) for path in folds]
    order = np.argsort(np.concatenate([each["rows"] for each in held]), kind="stable")
    infected, patient = (np.concatenate([each[name] for each in held])[order] for name in ("infected", "patient"))
    found: dict[str, dict[str, Outcome]] = {}
    for key in held[0]:
        if not key.endswith(SEPARATOR + KEPT[0]):
            continue
        arm, setting, _ = key.split(SEPARATOR)
        columns = {
            name: np.concatenate([each[SEPARATOR.join((arm, setting, name))] for each in held], axis=1)[:, order]
            for name in KEPT
        }
        found.setdefault(arm, {})[setting] = Outcome(policy=arm, infected=infected, patient=patient, **columns)
    return found
