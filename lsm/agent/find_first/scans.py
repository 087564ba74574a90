"""Orders of fields that nothing read can change: what a planned or learned search has to beat, and what bounds it."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lsm.agent.find_first.films import FilmTables
from lsm.agent.find_first.rules import FindFirstRules
from lsm.agent.policy import Allowed, Choice, Memory, Observation
from lsm.agent.rules import ScanGrid
from lsm.errors import ConfigError


class OrderedScan:
    """Fields in a given order; `order` is one for all searches, or one for each.

    Raises ConfigError for an order that is no permutation of the fields.
    """

    def __init__(self, order: Int[Tensor, "... field"], *, name: str) -> None:
        n_fields = order.shape[-1]
        if not torch.equal(order.sort(-1).values, torch.arange(n_fields).expand_as(order)):
            raise ConfigError(f"The order of '{name}' misses or repeats fields.", hint="name every field once")
        self.name = name
        self._rank = order.argsort(-1).float()

    def start(self, n: int) -> Memory:
        return self._rank.expand(n, -1)

    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        n_fields = allowed.shape[1]
        action = torch.where(allowed, memory, float(n_fields)).argmin(1)
        certain = torch.nn.functional.one_hot(action, n_fields).float()
        return Choice(action, certain, torch.zeros(len(allowed)), memory)


def serpentine(grid: ScanGrid) -> OrderedScan:
    """Row after row from field 0, every second one backwards."""
    return OrderedScan(torch.tensor(grid.serpentine()), name="serpentine")


def coarse_first(grid: ScanGrid) -> OrderedScan:
    """Fields spread evenly over the grid, ever finer: a Halton sequence (Halton, Numer. Math. 2, 84 (1960))."""
    order: dict[int, None] = {}
    index = 1
    while len(order) < grid.n_fields:
        row, column = int(_radical_inverse(index, 3) * grid.rows), int(_radical_inverse(index, 2) * grid.columns)
        order.setdefault(row * grid.columns + column)
        index += 1
    return OrderedScan(torch.tensor(list(order)), name="coarse first")


def at_random(rules: FindFirstRules, n: int, generator: torch.Generator) -> OrderedScan:
    """An own random order for each of n searches."""
    return OrderedScan(torch.rand(n, rules.n_fields, generator=generator).argsort(1), name="random")


def with_the_map(tables: FilmTables) -> OrderedScan:
    """An order for each film by its true chances: no policy can know it, and none can beat it by more than luck."""
    best = np.argsort(-tables.chance, axis=1, kind="stable")
    return OrderedScan(torch.from_numpy(best.copy()), name="told the map")


def _radical_inverse(index: int, base: int) -> float:
    value, place = 0.0, 1.0
    while index:
        place /= base
        index, digit = divmod(index, base)
        value += digit * place
    return value
