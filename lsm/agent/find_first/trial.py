"""How many fields policies visit until the first infected cell is confirmed, film by film."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.agent.find_first.env import FindFirstEnv, FindState
from lsm.agent.find_first.films import FilmTables
from lsm.agent.find_first.rules import FindFirstRules
from lsm.agent.find_first.scans import OrderedScan
from lsm.agent.policy import Policy

PerFilm = Float[np.ndarray, " film"]
RESAMPLES = 2000
FORGET = 1e-3
"""A search that would have come so far with a smaller probability is not followed any more."""


@dataclass(frozen=True, eq=False)
class FindOutcome:
    """What searches of the same films take, per film, in expectation over the luck of single cells.

    fields: visited, the one with the find included. looks: closer looks. found: probability of a find.
    still_going: of all films together, the probability that a search has found nothing after so many fields [visit].
    """

    policy: str
    fields: PerFilm
    looks: PerFilm
    travel_um: PerFilm
    time_s: PerFilm
    found: PerFilm
    still_going: Float[np.ndarray, " visit"]

    def quantile(self, share: float) -> int:
        """Fields within which this share of all searches is over."""
        over = np.flatnonzero(self.still_going <= 1 - share)
        return int(over[0]) + 1 if len(over) else len(self.still_going)


@dataclass(frozen=True)
class Ratio:
    """Mean fields of a reference over those of a policy on the same films, with a 95 % bootstrap interval."""

    ratio: float
    low: float
    high: float


def try_search(policy: Policy, tables: FilmTables, rules: FindFirstRules) -> FindOutcome:
    """One search on every film. An OrderedScan gives the same without its steps being taken one by one."""
    if isinstance(policy, OrderedScan):
        return _try_scan(policy, tables, rules)
    return step_search(policy, tables, rules)


def step_search(policy: Policy, tables: FilmTables, rules: FindFirstRules) -> FindOutcome:
    """`try_search` through the environment for every policy."""
    env = FindFirstEnv(tables, rules, in_vain=True)
    tally = _Tally(tables, rules)
    seen = env.reset(tables.n_films, films=torch.arange(tables.n_films))
    memory = policy.start(tables.n_films)
    while len(env.film):
        choice = policy.act(seen.observation, seen.allowed, memory)
        before, reached = env.state, env.reached
        memory, (seen, _, done) = choice.memory, env.step(choice.action)
        tally.add(env.film, reached, before, env.state, env.reached)
        going = ~done & (env.reached > FORGET)
        if not bool(going.all()):
            seen, memory = env.narrow(going), memory[going]
    return tally.outcome(policy.name)


def _try_scan(scan: OrderedScan, tables: FilmTables, rules: FindFirstRules) -> FindOutcome:
    order = scan.start(tables.n_films).argsort(1)[:, : rules.budget].numpy()
    stage = np.concatenate([np.zeros((len(order), 1), dtype=np.int64), order], axis=1)
    way_um = rules.distances_um().numpy()[stage[:, :-1], stage[:, 1:]]
    past = np.cumprod(1 - np.take_along_axis(tables.chance, order, 1), axis=1)
    reached = np.concatenate([np.ones((len(order), 1)), past[:, :-1]], axis=1)
    followed = reached > FORGET
    followed[:, 0] = True
    reached, past = reached * followed, past * followed
    found = (reached - past).sum(axis=1)
    looks = (reached * np.take_along_axis(tables.suspects - tables.hits, order, 1)).sum(axis=1) + found
    fields, travel_um = reached.sum(axis=1), (reached * way_um).sum(axis=1)
    time_s = fields * (rules.capture_s + rules.settle_s) + travel_um / 1000 / rules.stage_mm_per_s
    time_s = time_s + rules.confirm_s * looks
    return FindOutcome(scan.name, fields, looks, travel_um, time_s, found, past.mean(axis=0))


class _Tally:
    """Sums over the steps of searches in vain."""

    def __init__(self, tables: FilmTables, rules: FindFirstRules) -> None:
        self._tables, self._rules = tables, rules
        self._sums = np.zeros((4, tables.n_films))
        self._reached = np.ones(tables.n_films)
        self._going = np.zeros(rules.budget)

    def add(self, film: Tensor, reached: Tensor, before: FindState, after: FindState, left: Tensor) -> None:
        """One step on these films; searches come to it with probability `reached`, past it with `left`."""
        found = (reached - left).numpy()
        steps = (after.fields - before.fields, after.looks - before.looks, after.travel_um - before.travel_um)
        index = film.numpy()
        for row, step in enumerate((*steps, after.time_s - before.time_s)):
            self._sums[row, index] += (reached * step).numpy()
        # the look that confirms is not among those in vain
        self._sums[1, index] += found
        self._sums[3, index] += self._rules.confirm_s * found
        self._reached[index] = left.numpy()
        self._going[int(after.fields[0]) - 1] = left.sum() / self._tables.n_films

    def outcome(self, policy: str) -> FindOutcome:
        """What they took."""
        fields, looks, travel_um, time_s = self._sums
        return FindOutcome(policy, fields, looks, travel_um, time_s, 1 - self._reached, self._going)


def ratio_of_means(reference: PerFilm, other: Float[np.ndarray, "seed film"], *, seed: int) -> Ratio:
    """How many times as much the reference takes, in the mean over films.

    other: of every seed of a policy; one row where it has none. Films and seeds are resampled.
    """
    rng = np.random.default_rng(seed)
    n_seeds, n_films = other.shape
    drawn = []
    for _ in range(RESAMPLES):
        films = rng.integers(n_films, size=n_films)
        seeds = rng.integers(n_seeds, size=n_seeds)
        drawn.append(reference[films].mean() / other[np.ix_(seeds, films)].mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Ratio(float(reference.mean() / other.mean()), float(low), float(high))
