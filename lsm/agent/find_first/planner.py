"""Bayesian search: where a cell would likely be found, given all places where none was."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.agent.find_first.env import N_ENTRIES, READ, VISITED
from lsm.agent.find_first.films import FilmConfig, field_centres
from lsm.agent.find_first.rates import ReaderRates
from lsm.agent.find_first.rules import FindFirstRules
from lsm.agent.policy import Allowed, Choice, Memory, Observation
from lsm.errors import ConfigError
from lsm.samples.film import infected_fractions

DENSITY_SPREAD = 0.3
"""Standard deviation of the log number of cells in a field about its profile, as the planner believes it."""


class BayesPlanner:
    """Goes where the posterior probability of a find is highest.

    Its belief is a set of imagined films, drawn alike from `beliefs`: where infection gathers, how strongly, over which
    distance, on which side the thick end lies. Each is weighted by how well it explains the numbers of cells read so
    far and that none of them was a find: exp(-(expected finds among the cells read)). It takes one field ahead, which
    for a place that does not move and looks that never err differs little from the best plan (Stone, Theory of Optimal
    Search, 1975). All its numbers come from the observation.
    per_second: divide the probability of a find by the time that field would take, moves included.
    Raises ConfigError when beliefs are missing or are of another grid.
    """

    def __init__(
        self,
        beliefs: Sequence[FilmConfig],
        rates: ReaderRates,
        rules: FindFirstRules,
        *,
        films: int,
        seed: int,
        per_second: bool = False,
        name: str = "planner",
    ) -> None:
        if not beliefs or any(belief.grid != rules.grid for belief in beliefs):
            raise ConfigError(
                "A planner needs beliefs about films of its own grid.", hint="give at least one FilmConfig"
            )
        self.name, self._rules, self._per_second = name, rules, per_second
        rng = np.random.default_rng(seed)
        rows = [_imagined(belief, rates, rules, rng) for belief in beliefs for _ in range(-(-films // len(beliefs)))]
        per_cell, cells = (torch.from_numpy(np.stack(part)).float() for part in zip(*rows, strict=True))
        self._per_cell = per_cell
        self._find = 1 - torch.exp(-per_cell * cells)
        self._level = torch.log((cells / rules.cells_scale).clamp_min(0.02))
        self._seconds = rules.capture_s + rules.settle_s + rules.distances_um() / 1000 / rules.stage_mm_per_s

    def start(self, n: int) -> Memory:
        return torch.full((n, 1), -1.0)

    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        entries = observation.reshape(len(observation), -1, N_ENTRIES)
        belief = self.belief(entries[..., VISITED], entries[..., READ])
        gain = belief @ self._find
        if self._per_second:
            gain = gain / self._seconds[memory[:, 0].long().clamp_min(0)].float()
        action = torch.where(allowed, gain, -1.0).argmax(1)
        certain = torch.nn.functional.one_hot(action, allowed.shape[1]).float()
        return Choice(action, certain, torch.zeros(len(allowed)), action[:, None].float())

    def belief(
        self, visited: Float[Tensor, "search field"], read: Float[Tensor, "search field"]
    ) -> Float[Tensor, "search film"]:
        """Weight of every imagined film after reading so many cells (in `cells_scale`) at the visited fields."""
        in_vain = (read * visited) @ self._per_cell.T * self._rules.cells_scale
        level = torch.log(read.clamp_min(0.02)) * visited
        # sum over visited fields of (level - expected)^2, without the part that all films share
        misfit = visited @ (self._level**2).T - 2 * level @ self._level.T
        weight: Float[Tensor, "search film"] = torch.softmax(-in_vain - misfit / (2 * DENSITY_SPREAD**2), 1)
        return weight


def _imagined(
    config: FilmConfig, rates: ReaderRates, rules: FindFirstRules, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One film: expected finds per red cell of every field, and red cells expected there."""
    thick_first = bool(rng.random() < 0.5)
    per_mm2 = config.nominal_per_mm2(thick_first=thick_first)
    cells = per_mm2 * (rules.grid.pitch_um * 1e-3) ** 2
    fraction = infected_fractions(
        field_centres(config.grid),
        config.along_of(thick_first=thick_first),
        cells,
        height_um=config.grid.extent_um[1],
        parasitaemia=config.parasitaemia,
        config=config.infection,
        rng=rng,
    )
    _, sensitivity, _ = rates.at(per_mm2)
    return fraction * sensitivity, cells
