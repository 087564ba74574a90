"""What one training of a study stands on: its split, its book of lights, its reader and its environments."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Int

from lsm.agent.adaptive import (
    AdaptiveConfig,
    AdaptiveWorld,
    BatchAdaptiveEnv,
    Capture,
    CellSource,
    LightBook,
    Meter,
    Reading,
)
from lsm.agent.adaptive.choose import best_sequences, best_single
from lsm.agent.adaptive.evaluate import Trial
from lsm.agent.adaptive.readers import SetReader, train_set_reader, turned_stack
from lsm.agent.adaptive.readers.training import set_aside
from lsm.experiments.chaware2020.config import Prices, StudyConfig
from lsm.experiments.chaware2020.lights import learned_lights, standard_lights
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.folds import check_disjoint, patient_folds
from lsm.sensing.cells.light import Lamps

CHOOSE_SEED, TEST_SEED = 1_000_000, 2_000_000
"""Of the noise: cells on which is chosen, and tested ones."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Rows of the stack: `learn` for reader and learned lights, `aside` for calibration, policies and every choice,
    `test` for figures. No patient is in two of them.
    """

    config: StudyConfig
    stack: CellStack
    lamps: Lamps
    learn: Int[np.ndarray, " learn"]
    aside: Int[np.ndarray, " aside"]
    test: Int[np.ndarray, " test"]
    meter: Meter
    book: LightBook
    reader: SetReader
    seed: int

    @classmethod
    def make(cls, config: StudyConfig, stack: CellStack, lamps: Lamps, *, seed: int, fold: int) -> "Bench":
        """The bench of one fold: lights and reader are trained here."""
        parts = patient_folds(stack.patient, config.folds, seed)
        test = np.flatnonzero(parts == fold)
        learn, aside = set_aside(stack, np.flatnonzero(parts != fold), config.aside, seed)
        for some, others in ((learn, aside), (learn, test), (aside, test)):
            rows = np.arange(len(stack))
            check_disjoint(stack.patient, np.isin(rows, some), np.isin(rows, others))
        drawn = 1_000_003 * seed + fold
        standard = {name: duty for name, duty in standard_lights(lamps).items() if name not in config.left_out}
        lights = standard | learned_lights(stack, learn, lamps, config, drawn)
        meter = Meter.of(stack.where(learn), lamps, config.budget, config.camera, captures=config.captures)
        book = meter.book(np.stack(list(lights.values())), list(lights))
        reader = train_set_reader(
            stack,
            learn,
            lamps,
            book,
            config.reader.model_copy(update={"captures": config.captures, "turned": config.turned}),
            camera=config.camera,
            flux_e_per_ms=config.budget.flux_e_per_ms,
            seed=drawn,
            check=aside,
        )
        return cls(config, stack, lamps, learn, aside, test, meter, book, reader, drawn)

    def world(self, cells: CellStack, rules: AdaptiveConfig) -> AdaptiveWorld:
        """Episodes at these cells."""
        return AdaptiveWorld(
            CellSource(cells),
            self.book,
            self.reader,
            irradiance=self.lamps.irradiance.astype(np.float32),
            config=rules,
            camera=self.config.camera,
            flux_e_per_ms=self.config.budget.flux_e_per_ms,
        )

    @cached_property
    def tested(self) -> Trial:
        """The trial of which figures come; every policy meets the same noise. Looking is free in it."""
        env = BatchAdaptiveEnv(self.world(self.stack.where(self.test), self.config.rules()))
        return Trial(env, torch.arange(len(self.test)), self.config.repeats, TEST_SEED)

    def choosing(self, prices: Prices | None = None) -> Trial:
        """A trial on cells set aside, at these prices."""
        plain = prices and prices.model_copy(update={"log_score": 0.0})
        env = BatchAdaptiveEnv(self.world(self._aside, self.config.rules(plain)))
        wanted = min(self.config.choose_cells, len(self.aside))
        rows = np.linspace(0, len(self.aside) - 1, wanted).round().astype(np.int64)
        return Trial(env, torch.from_numpy(rows), 1, CHOOSE_SEED)

    def training(self, prices: Prices) -> BatchAdaptiveEnv:
        """Where a policy learns: cells set aside, turned where the study says so."""
        cells = self._turned if self.config.turned else self._aside
        return BatchAdaptiveEnv(self.world(cells, self.config.rules(prices)))

    def free(self, cells: CellStack, prices: Prices) -> AdaptiveWorld:
        """Episodes with free weights, for the differentiable policy, which has a reading of its own."""
        few = self.config.glimpse_captures
        return replace(
            self.world(cells, self.config.rules(prices)),
            light=self.meter,
            reader=_Mute(),
            config=self.config.rules(prices, captures=few),
        )

    @cached_property
    def single(self) -> tuple[int, ...]:
        """The pattern that alone scores best on cells set aside."""
        return best_single(self.choosing(), 1, by="log_score").patterns

    @cached_property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """The sequence of each length that scores best on cells set aside."""
        found = best_sequences(self.choosing(), self.config.captures, by="log_score", beam=self.config.beam)
        return tuple(each.patterns for each in found)

    @cached_property
    def _aside(self) -> CellStack:
        return self.stack.where(self.aside)

    @cached_property
    def _turned(self) -> CellStack:
        return turned_stack(self._aside, self.lamps)


class _Mute:
    """A reader that says nothing."""

    n_features = 1
    n_units = 1
    digest = "says nothing"

    def read(self, capture: Capture, memory: Float32[torch.Tensor, "episode unit"]) -> Reading:
        """No evidence, whatever was captured."""
        return Reading(memory[:, 0].double(), memory, memory)
