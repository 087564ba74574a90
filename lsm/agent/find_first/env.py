"""Thousands of searches for the first infected cell at once, over tables of films.

Observation (float32): for every field of the grid, in its order, these entries.

| entry | meaning | unit |
|---|---|---|
| 0 | visited | 0 or 1 |
| 1 | red cells read there, 0 before the visit | 1 is `cells_scale` cells |
| 2 | suspicious cells there, all refuted by a closer look | count / 4 |
| 3, 4, 5 | entry 1 of all fields times exp(-d^2 / 2 l^2), l = 1.5, 3, 6 fields | log(1 + sum) |
| 6 | red cells expected there from those read at visited fields near it | log of entry 1's unit |
| 7 | the same from a straight line along x through all visited fields | log of entry 1's unit |
| 8 | distance from the stage | share of the grid's diagonal |
| 9 | distance from the nearest margin in y | share of half the height |
| 10 | distance from the nearer end in x | share of half the width |
| 11 | fields visited so far | share of the grid |

Action: the index of the field to go to; every field that was not visited is allowed.
A step: the stage goes there, the field is read, every suspicious cell is looked at closer. A closer look never errs:
it stands for a strong objective or a person, and costs time. The search ends when it confirms an infected cell, or when
the budget of fields is used up.
Reward: minus `reward_per_field` for the field and `reward_per_mm` for the way to it.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.find_first.films import FilmTables
from lsm.agent.find_first.rules import FindFirstRules
from lsm.agent.trainable import Trainable
from lsm.errors import WrongFormat

N_ENTRIES = 12
VISITED, READ = 0, 1
REACHES = (1.5, 3.0, 6.0)
PRIOR_FIELDS = 0.5
"""Weight of an ordinary field in what is expected elsewhere, against one visited field near by."""


class Seen(NamedTuple):
    """What a policy may know: observation and allowed actions."""

    observation: Float[Tensor, "search entry"]
    allowed: Bool[Tensor, "search field"]


class Step(NamedTuple):
    """What a step answers: the new view, the reward, and which searches are over."""

    view: Seen
    reward: Float[Tensor, " search"]
    done: Bool[Tensor, " search"]


@dataclass(frozen=True, eq=False)
class FindState:
    """What n searches did: read and suspects per field are 0 where `visited` is False. looks: closer looks."""

    field: Int[Tensor, " search"]
    visited: Bool[Tensor, "search field"]
    read: Float[Tensor, "search field"]
    suspects: Float[Tensor, "search field"]
    fields: Int[Tensor, " search"]
    captures: Int[Tensor, " search"]
    looks: Int[Tensor, " search"]
    travel_um: Float[Tensor, " search"]
    time_s: Float[Tensor, " search"]
    found: Bool[Tensor, " search"]


class FindFirstEnv(Trainable):
    """n searches over `tables`, in step; deterministic from the generator given to `reset`.

    The stage starts at field 0, which is not read yet. Searches that are over stay as they are and earn nothing.
    in_vain: no search ever finds anything, and each goes on to the end of its budget; its rewards are multiplied by
    `reached`, the probability that a search of this film would have come so far. Their sum is the expectation of the
    ordinary sum over the luck of single cells, whose noise it does not have. Policies see no difference.
    Raises WrongFormat for tables of another grid.
    """

    def __init__(self, tables: FilmTables, rules: FindFirstRules, *, in_vain: bool = False) -> None:
        if tables.read.shape[1] != rules.n_fields:
            raise WrongFormat(
                f"Films of {tables.read.shape[1]} fields do not fit a grid of {rules.n_fields}.",
                hint="draw the films with the grid of the rules",
            )
        self.rules, self.n_films = rules, tables.n_films
        hits = tables.hits
        left = (
            (tables.read - hits, tables.suspects - hits, 0 * hits) if in_vain else (tables.read, tables.suspects, hits)
        )
        self._read, self._suspects, self._hits = (torch.from_numpy(each).float() for each in left)
        self._miss = torch.from_numpy(1 - tables.chance) if in_vain else torch.ones(1, 1).double().expand(hits.shape)
        self._maps = _Maps(rules)

    def reset(
        self, n: int, generator: torch.Generator | None = None, *, films: Int[Tensor, " search"] | None = None
    ) -> Seen:
        """Start n searches on random films, or on those named."""
        self.film = torch.randint(self.n_films, (n,), generator=generator) if films is None else films
        self.state = _start(self.rules, n)
        self.reached = torch.ones(n, dtype=torch.float64)
        self.done = torch.zeros(n, dtype=torch.bool)
        self.view = self._maps.view(self.state)
        return self.view

    def step(self, action: Int[Tensor, " search"]) -> Step:
        """Visit one allowed field per search; the actions of searches that are over are ignored."""
        going, before = ~self.done, self.state
        action = torch.where(going, action, before.field)
        hit = (self._hits[self.film, action] > 0) & going
        after = _visit(before, action, self._read[self.film, action], self._suspects[self.film, action], going, self)
        after = replace(after, found=before.found | hit)
        travel_mm = (after.travel_um - before.travel_um) / 1000
        reward = -(self.rules.reward_per_field * going + self.rules.reward_per_mm * travel_mm)
        reward = reward * self.reached
        self.reached = self.reached * torch.where(going, self._miss[self.film, action], 1.0)
        self.state, self.done = after, self.done | hit | (after.fields >= self.rules.budget)
        self.view = self._maps.view(after)
        return Step(self.view, reward.float(), self.done)

    def narrow(self, rows: Bool[Tensor, " search"]) -> Seen:
        """Go on with these searches alone."""
        self.film, self.done, self.reached = self.film[rows], self.done[rows], self.reached[rows]
        self.state = FindState(*(getattr(self.state, each.name)[rows] for each in fields(FindState)))
        self.view = Seen(*(part[rows] for part in self.view))
        return self.view

    @property
    def error(self) -> Float[Tensor, " search"]:
        """Fields visited, which a search is to keep few."""
        visited: Float[Tensor, " search"] = self.state.fields.double()
        return visited

    def travel_um(self, start: Int[Tensor, " search"], end: Int[Tensor, " search"]) -> Float[Tensor, " search"]:
        """Way of the stage between fields."""
        return self._maps.distance_um[start, end]


def _start(rules: FindFirstRules, n: int) -> FindState:
    count, amount = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.float64)
    empty, flag = torch.zeros(n, rules.n_fields), torch.zeros(n, dtype=torch.bool)
    return FindState(count, empty.bool(), empty, empty, count, count, count, amount, amount, flag)


def _visit(
    state: FindState,
    field: Int[Tensor, " search"],
    read: Float[Tensor, " search"],
    suspects: Float[Tensor, " search"],
    going: Bool[Tensor, " search"],
    env: FindFirstEnv,
) -> FindState:
    """State after one field each, where `going`."""
    rules, here = env.rules, field[:, None]
    way_um = env.travel_um(state.field, field)
    looks = (suspects * going).long()
    time_s = rules.capture_s + rules.settle_s + way_um / 1000 / rules.stage_mm_per_s + rules.confirm_s * looks

    def put(table: Tensor, values: Tensor) -> Tensor:
        held = table.gather(1, here)[:, 0]
        return table.scatter(1, here, torch.where(going, values, held)[:, None])

    return replace(
        state,
        field=field,
        visited=put(state.visited, torch.ones_like(going)),
        read=put(state.read, read),
        suspects=put(state.suspects, suspects),
        fields=state.fields + going,
        captures=state.captures + going * rules.captures,
        looks=state.looks + looks,
        travel_um=state.travel_um + way_um * going,
        time_s=state.time_s + time_s * going,
    )


class _Maps:
    """From states to observations, with what depends on the grid alone kept."""

    def __init__(self, rules: FindFirstRules) -> None:
        self._rules = rules
        self.distance_um = rules.distances_um()
        steps = (self.distance_um / rules.grid.pitch_um).float()
        self._near = [torch.exp(-0.5 * (steps / reach) ** 2) for reach in REACHES]
        columns, rows = rules.grid.columns, rules.grid.rows
        index = torch.arange(rules.n_fields)
        self._x = (index % columns - (columns - 1) / 2) / max(1.0, (columns - 1) / 2)
        y = (index // columns - (rows - 1) / 2) / max(1.0, (rows - 1) / 2)
        self._margins = torch.stack([1 - y.abs(), 1 - self._x.abs()])
        self._diagonal_um = float(self.distance_um.max()) or 1.0

    def view(self, state: FindState) -> Seen:
        """Observation and allowed fields; see the module."""
        visited = state.visited.float()
        read = state.read / self._rules.cells_scale
        around = [torch.log1p(read @ near) for near in self._near]
        n = len(read)
        entries = [
            visited,
            read,
            state.suspects / 4,
            *around,
            self._expected(visited, read),
            self._line(visited, read),
            (self.distance_um[state.field] / self._diagonal_um).float(),
            self._margins[0].expand(n, -1),
            self._margins[1].expand(n, -1),
            visited.mean(1, keepdim=True).expand(-1, visited.shape[1]),
        ]
        return Seen(torch.stack(entries, 2).flatten(1), ~state.visited)

    def _expected(self, visited: Tensor, read: Tensor) -> Float[Tensor, "search field"]:
        """Logarithm of the cells expected near visited fields, drawn towards 0 far from them."""
        level = torch.log(read.clamp_min(0.02)) * visited
        weight = visited @ self._near[1]
        return (level @ self._near[1]) / (weight + PRIOR_FIELDS)

    def _line(self, visited: Tensor, read: Tensor) -> Float[Tensor, "search field"]:
        """The same from a ridge line along x."""
        level = torch.log(read.clamp_min(0.02)) * visited
        slope = (level @ self._x) / (visited @ self._x**2 + PRIOR_FIELDS)
        return slope[:, None] * self._x
