"""Thousands of cells at once, in step: the same pure functions as one cell in Gymnasium's environment."""

from copy import copy
from dataclasses import fields
from typing import Final, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Float32, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.actions import Lights, lights_of
from lsm.agent.adaptive.reader import Capture, probability
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.agent.adaptive.state import (
    NOTHING,
    Budgets,
    CellState,
    Decision,
    after_decision,
    after_reading,
    allowed_kinds,
    equal_budgets,
    facts,
    is_allowed,
    reward,
    start,
)
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError
from lsm.optics.exposures import expose_rows, philox

EPISODE: Final = 1
"""Third word of the counter where bits choose an episode's key and cell; 0 is noise."""

_WORD: Final = 0xFFFFFFFF
_PartT = TypeVar("_PartT", Budgets, CellState)


class View(NamedTuple):
    """What a policy may know: facts and allowed kinds of action (see state), the last frame in ADU, the belief.

    belief: probability of infection.
    """

    facts: Float32[Tensor, "episode fact"]
    allowed: Bool[Tensor, "episode kind"]
    frame: Int32[Tensor, "episode y x"]
    belief: Float[Tensor, " episode"]


def view_of(state: CellState, rules: AdaptiveRules) -> View:
    """What a policy may know of these cells."""
    return View(facts(state, rules), allowed_kinds(state, rules), state.frame, probability(state.log_odds))


class Step(NamedTuple):
    """What a step answers.

    reward: in units of one missed infection. terminated: declared. truncated: cut off by `steps_max`.
    refused: the action was not allowed; nothing was lit.
    """

    view: View
    reward: Float32[Tensor, " episode"]
    terminated: Bool[Tensor, " episode"]
    truncated: Bool[Tensor, " episode"]
    refused: Bool[Tensor, " episode"]


class _Start(NamedTuple):
    """Key, cell and state of episodes that begin."""

    key: Int[Tensor, "some 2"]
    row: Int[Tensor, " some"]
    state: CellState


class BatchAdaptiveEnv:
    """n episodes of `lsm/AdaptiveIllumination-v0` at once; see AdaptiveIlluminationEnv for what one is.

    Episode e of a place with seed s is the same wherever the place is in a batch, and in Gymnasium's environment.
    Places whose episode is over stay as they are and earn nothing until `renew` or `reset`.
    infected: the truth, which only rewards and scores may read. row: of the stack.
    """

    state: CellState
    view: View
    row: Int[Tensor, " episode"]
    infected: Bool[Tensor, " episode"]
    truncated: Bool[Tensor, " episode"]
    _key: Int[Tensor, "episode 2"]

    def __init__(self, world: AdaptiveWorld) -> None:
        self.world, self.rules = world, world.rules
        device = world.source.device
        self._light = lights_of(world.light, device)
        self._device = device
        self._seed = torch.zeros(0, dtype=torch.int64, device=device)

    def reset(
        self,
        n: int,
        seed: int | Int[Tensor, " episode"],
        *,
        rows: Int[Tensor, " episode"] | None = None,
        among: Int[Tensor, " some"] | None = None,
        budgets: Budgets | None = None,
    ) -> View:
        """Start the first episode at each of n places.

        seed: of the first place, the others have the following ones; or one for each. rows: the cells, in place of
        those drawn. among: cells to draw from, each as often, in place of all. budgets: in place of the rules'.
        """
        places = torch.arange(n, device=self._device)
        self._seed = places + seed if isinstance(seed, int) else seed.to(self._device)
        self._episode = torch.zeros_like(places)
        self._key, self.row, self.state = self._started(places, rows, among, budgets)
        self.truncated = torch.zeros(n, dtype=torch.bool, device=self._device)
        self.infected = self.world.source.infected[self.row]
        self.view = self._seen()
        return self.view

    def renew(
        self,
        which: Bool[Tensor, " episode"],
        *,
        rows: Int[Tensor, " episode"] | None = None,
        among: Int[Tensor, " some"] | None = None,
        budgets: Budgets | None = None,
    ) -> View:
        """Start the next episode at the places that are marked; the rest as for `reset`, given for all places."""
        places = which.nonzero()[:, 0]
        if len(places):
            self._episode = self._episode + which.long()
            fresh = self._started(places, rows, among, budgets)
            self._key = self._key.index_put((places,), fresh.key)
            self.row = self.row.index_put((places,), fresh.row)
            self.state = _put(self.state, places, fresh.state)
            self.truncated = self.truncated & ~which
            self.infected = self.world.source.infected[self.row]
            seen = view_of(fresh.state, self.rules)
            self.view = View(
                self.view.facts.index_put((places,), seen.facts),
                self.view.allowed.index_put((places,), seen.allowed),
                self.state.frame,
                self.view.belief.index_put((places,), seen.belief),
            )
        return self.view

    @torch.no_grad()
    def step(self, action: Int[Tensor, " episode"] | Float[Tensor, "episode number"]) -> Step:
        """Take one action at every place; those of episodes that are over are ignored. Raises WrongFormat."""
        if len(self._seed) == 0:
            raise InputError("The environment has no episodes yet.", hint="call reset() first")
        over = self.done
        decision = self._decide(action)
        allowed = is_allowed(self.state, decision, self.view.allowed, self.rules)
        before = self.state
        after = after_decision(before, decision, allowed & ~over, self.rules)
        rows = (after.captures > before.captures).nonzero()[:, 0]
        if len(rows):
            after = self._look(after, rows, decision)
        paid = torch.where(over, 0.0, reward(before, after, self.infected, allowed, self.rules))
        self.state = after
        self.truncated = self.truncated | ((after.steps >= self.rules.steps_max) & ~self.terminated & ~over)
        self.view = self._seen()
        return Step(self.view, paid.float(), self.terminated, self.truncated, ~allowed & ~over)

    def branched(self, times: int) -> "BatchAdaptiveEnv":
        """Another batch in which each place stands so many times in a row, as it is now; this one stays as it is."""
        names = ("_seed", "_episode", "_key", "row", "infected", "truncated")
        other = copy(self)
        for name in names:
            setattr(other, name, getattr(self, name).repeat_interleave(times, 0))
        other.state = _repeated(self.state, times)
        other.view = view_of(other.state, self.rules)
        return other

    @property
    def key(self) -> Int[Tensor, "episode 2"]:
        """Two 32-bit words for each episode, on which its noise depends; see `lsm.optics.exposures`."""
        return self._key

    @property
    def terminated(self) -> Bool[Tensor, " episode"]:
        """Where something was declared."""
        return self.state.declared > NOTHING

    @property
    def done(self) -> Bool[Tensor, " episode"]:
        """Where the episode is over."""
        return self.terminated | self.truncated

    def _started(
        self,
        places: Int[Tensor, " some"],
        rows: Int[Tensor, " episode"] | None,
        among: Int[Tensor, " cell"] | None,
        budgets: Budgets | None,
    ) -> "_Start":
        """The present episode of these places, at its beginning."""
        world, seed, episode = self.world, self._seed[places], self._episode[places]
        zero = torch.zeros_like(episode)
        counter = torch.stack([episode & _WORD, episode >> 32, zero + EPISODE, zero], 1)
        words = philox(counter, torch.stack([seed & _WORD, (seed >> 32) & _WORD], 1))
        if rows is not None:
            row = rows.to(self._device)[places]
        elif among is not None:
            row = among.to(self._device)[(words[:, 3] * len(among)) >> 32]
        else:
            row = world.source.drawn(words[:, 2], words[:, 3], self.rules.infected_share)
        held = (
            equal_budgets(self.rules.budget, len(places), self._device)
            if budgets is None
            else Budgets(budgets.captures[places], budgets.light_led_s[places], budgets.time_s[places])
        )
        reader = world.reader
        state = start(self.rules, held, n_features=reader.n_features, n_units=reader.n_units)
        return _Start(words[:, :2], row, state)

    def _decide(self, action: Tensor) -> Decision:
        if isinstance(self._light, Lights):
            return self._light.decide(action.to(self._device), self.rules)
        return self._light.decide(action.to(self._device), self.view.allowed, self.rules)

    def _look(self, state: CellState, rows: Int[Tensor, " some"], decision: Decision) -> CellState:
        """Expose and read the cells of these places."""
        world = self.world
        duty, exposure_ms = decision.duty[rows], decision.exposure_ms[rows]
        number = state.captures[rows] - 1
        rate = world.source.rate(self.row[rows], duty * world.per_duty_e_per_ms)
        frame = expose_rows(rate, exposure_ms, world.camera, self._key[rows], number)
        pattern = torch.full_like(number, NOTHING) if self.rules.free else decision.kind[rows]
        capture = Capture(frame, pattern, duty, exposure_ms, number)
        reading = world.reader.read(capture, state.memory[rows])
        return after_reading(state, rows, capture, reading, self.rules)

    def _seen(self) -> View:
        return view_of(self.state, self.rules)


def _repeated(held: _PartT, times: int) -> _PartT:
    """Every row of a part so many times in a row."""
    parts = {}
    for field in fields(held):
        part = getattr(held, field.name)
        both = isinstance(part, Budgets)
        parts[field.name] = _repeated(part, times) if both else part.repeat_interleave(times, 0)
    return type(held)(**parts)


def _put(held: _PartT, places: Int[Tensor, " some"], fresh: _PartT) -> _PartT:
    """The held part with the fresh one at some places."""
    parts = {}
    for field in fields(held):
        old, new = getattr(held, field.name), getattr(fresh, field.name)
        both = isinstance(old, Budgets)
        parts[field.name] = _put(old, places, new) if both else old.index_put((places,), new)
    return type(held)(**parts)
