"""`lsm train-policy` for single cells, and the table that it and `lsm policy evaluate` end with."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lsm.agent.adaptive import AdaptiveWorld, LightBook
from lsm.agent.adaptive.policies import TrainedPolicy
from lsm.agent.adaptive.policies.cluster import OnCluster
from lsm.agent.adaptive.policies.rollouts import Collector
from lsm.agent.adaptive.training import (
    CellTrainingConfig,
    CellTrials,
    curve_of,
    judge,
    labelled_cells,
    save_trained,
    train_cells,
)
from lsm.cli import _show
from lsm.sensing.clock import Clock
from lsm.sensing.progress import Reporter, RichReporter
from lsm.sensing.tensorboard import TensorBoardReporter
from lsm.threads import threads

LOCAL = "local"
"""A cluster of this machine, for the time of the run."""
HELD_OUT = "On patients that nobody learned from"


@dataclass(frozen=True)
class CellTraining:
    """What was asked for on the command line."""

    out: Path | None
    crops: Path | None
    cache: Path
    tensorboard: Path | None
    cluster: str | None
    workers: int
    as_json: bool

    def collector(self, world: AdaptiveWorld) -> AbstractContextManager[Collector | None]:
        """Of episodes, where they are collected elsewhere."""
        if self.cluster is None:
            return nullcontext()
        return OnCluster(world, workers=self.workers, address=None if self.cluster == LOCAL else self.cluster)


def train_for_cells(config: CellTrainingConfig, asked: CellTraining) -> None:
    """Train, judge, write the folder and tell."""
    clock = Clock()
    folder = _show.new_folder(asked.out or Path("out/policies") / config.name)
    with _show.progress(quiet=asked.as_json) as bars, threads(1):
        reporter: Reporter = RichReporter(bars)
        if asked.tensorboard is not None:
            reporter = TensorBoardReporter(reporter, asked.tensorboard / f"{config.name}-{config.digest()[:8]}")
        cells = labelled_cells(config, asked.cache, crops=asked.crops or _show.nih_cells(), progress=reporter)
        trials = CellTrials.of(cells, config)
        checkpoint = asked.cache / f"cell-policy-{config.digest()}-{trials.learn.digest}.safetensors"
        with asked.collector(trials.learn) as collector:
            ppo = train_cells(
                config, trials, checkpoint=checkpoint, progress=reporter, collector=collector, clock=clock
            )
        rows = judge(TrainedPolicy(ppo.network), trials)
    facts = {
        "held_out": rows,
        "held_out_cells": len(trials.judge.source.stack),
        "held_out_patients": len(trials.judge.source.stack.patients()),
        "steps": ppo.steps,
        "seconds": round(clock.wall_s),
        "cpu_seconds": round(clock.cpu_s),
        "cores": os.cpu_count(),
    }
    save_trained(folder, ppo, trials, facts, curve_of(checkpoint))
    if asked.as_json:
        typer.echo(json.dumps({"policy": str(folder)} | facts))
        return
    tell_rows(rows, light_names_of(trials.learn))
    console = Console(markup=False)
    console.print(f"Policy: {folder} ({facts['seconds']} s)", soft_wrap=True, highlight=False)
    console.print(f"Next:   lsm policy run simulated --policy {folder}", soft_wrap=True, highlight=False)


def light_names_of(world: AdaptiveWorld) -> tuple[str, ...]:
    """Names of the lights in the order of their numbers."""
    light = world.light
    return light.names if isinstance(light, LightBook) else ()


def tell_rows(rows: Sequence[Mapping[str, Any]], lights: Sequence[str], where: str = HELD_OUT) -> None:
    """Policies, one a row, on which cells, and what the numbers in their names stand for."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 1, 0))
    heads = ("policy", "cost", "costs more by", "right", "referred", "captures", "LED s")
    for column in heads:
        table.add_column(column, justify="left" if column == "policy" else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    console.print(table)
    words = f"{where}; costs in missed infections, 95 % intervals over patients."
    console.print(words, highlight=False, markup=False)
    named = ", ".join(f"{number} {name}" for number, name in enumerate(lights))
    console.print(f"Lights: {named}.", highlight=False, markup=False)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    worse = ""
    if "worse_by" in row:
        worse = f"{row['worse_by']:+.3f}\n{row['worse_low']:+.3f} to {row['worse_high']:+.3f}"
    return (
        str(row["policy"]),
        f"{row['cost']:.3f}\n{row['cost_low']:.3f} to {row['cost_high']:.3f}",
        worse,
        f"{row['accuracy']:.1%}",
        f"{row['referred']:.1%}",
        f"{row['captures']:.2f}",
        f"{row['light_led_s']:.2f}",
    )
