"""Thousands of searches at once over slide tables; the same rules as one search on a microscope."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import SearchRules
from lsm.agent.state import Reading, SearchState, View, after_action, merged, start, view
from lsm.agent.tables import SlideTables
from lsm.agent.trainable import Trainable


class Step(NamedTuple):
    """What a step answers: the new view, the reward in nats, and which searches are over."""

    view: View
    reward: Float[Tensor, " search"]
    done: Bool[Tensor, " search"]


class BatchSlideEnv(Trainable):
    """n searches over `tables`, in step; deterministic from the generator given to `reset`.

    Every search runs on one slide, drawn at random and flipped at random in x and y, which the reader does
    not notice and which multiplies the slides by four; `reset(slides=..., flips=...)` fixes both.
    Searches that are over stay as they are and earn nothing until the next reset.

    Reward, with e(p) = min(|log((p + e0) / (truth + e0))|, cap): after every step the decrease of e, or
    without shaping -e at the end; before any cell was read e is `cap`. From it the costs of `rules.costs`
    are taken: per capture, per LED-second of light, per mm of travel, per second.
    """

    def __init__(self, tables: SlideTables, model: EvidenceModel, rules: SearchRules) -> None:
        tables.require(rules)
        self.rules, self.model = rules, model
        self.n_slides = tables.n_slides
        self._hists = torch.from_numpy(tables.hists.astype(np.int16))
        self._quality = torch.from_numpy(tables.quality.astype(np.float32))
        self._truth = torch.from_numpy(tables.truth.astype(np.float64))
        grid = torch.arange(rules.grid.n_fields).reshape(rules.grid.rows, rules.grid.columns)
        flips: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
        self._flips = torch.stack([grid.flip(axes).flatten() for axes in flips])

    def reset(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        slides: Int[Tensor, " search"] | None = None,
        flips: Int[Tensor, " search"] | None = None,
    ) -> View:
        """Start n searches on random slides and flips, or on those named (flip 0 leaves the slide as it is)."""
        if slides is None:
            slides = torch.randint(self.n_slides, (n,), generator=generator)
            flips = torch.randint(self.n_flips, (n,), generator=generator)
        self.slide, self._flip = slides, torch.zeros_like(slides) if flips is None else flips
        self.state = start(self.rules, n)
        self.done = torch.zeros(n, dtype=torch.bool)
        self._error = torch.full((n,), self.rules.reward.cap, dtype=torch.float64)
        self.view = view(self.state, self.rules, self.model)
        return self.view

    def restart(self, rows: Bool[Tensor, " search"], slides: Int[Tensor, " search"]) -> View:
        """Begin the searches in `rows` anew on their slides, as they lie; the others and their slides stay."""
        self.slide = torch.where(rows, slides, self.slide)
        self._flip = torch.where(rows, 0, self._flip)
        self.state = merged(rows, start(self.rules, len(rows)), self.state)
        self.done = self.done & ~rows
        self._error = torch.where(rows, self.rules.reward.cap, self._error)
        self.view = view(self.state, self.rules, self.model)
        return self.view

    def step(self, action: Int[Tensor, " search"], hold: Bool[Tensor, " search"] | None = None) -> Step:
        """Take one allowed action per search; the actions of searches that are over are ignored.

        hold: searches that stay as they are and are paid nothing.
        """
        idle = self.done if hold is None else self.done | hold
        action = torch.where(idle, self.rules.stop, action)
        after = after_action(self.state, action, self._read(action), self.rules)
        if hold is not None:
            after = merged(hold, self.state, after)
        seen = view(after, self.rules, self.model)
        done = self.done | ((action == self.rules.stop) & ~idle)
        reward = self._reward(after, seen, done, idle) * ~idle
        self.state, self.view, self.done = after, seen, done
        return Step(seen, reward.float(), done)

    @property
    def n_flips(self) -> int:
        """Ways to flip a slide; 0 is the slide as it is."""
        return len(self._flips)

    @property
    def error(self) -> Float[Tensor, " search"]:
        """The punished error in nats of the present estimates."""
        return self._error

    def _read(self, action: Int[Tensor, " search"]) -> Reading:
        capture = action < self.rules.n_patterns
        mask = self.state.mask_here | (capture.long() << torch.where(capture, action, 0))
        place = self._flips[self._flip, self.state.field]
        return Reading(self._hists[self.slide, place, mask].float(), self._quality[self.slide, place, mask])

    def _reward(
        self, after: SearchState, seen: View, done: Bool[Tensor, " search"], idle: Bool[Tensor, " search"]
    ) -> Float[Tensor, " search"]:
        settings = self.rules.reward
        error = log_error(seen.prevalence, self._truth[self.slide], self.rules)
        gain = self._error - error if settings.shaped else -error * done
        self._error = torch.where(idle, self._error, error)
        return gain - step_cost(self.state, after, self.rules)


def log_error(
    prevalence: Float[Tensor, " search"], truth: Float[Tensor, " search"], rules: SearchRules
) -> Float[Tensor, " search"]:
    """The punished error in nats."""
    floor, cap = rules.reward.floor, rules.reward.cap
    return torch.log((prevalence + floor) / (truth + floor)).abs().clamp_max(cap)


def step_cost(before: SearchState, after: SearchState, rules: SearchRules) -> Float[Tensor, " search"]:
    """Cost in nats of what happened between two states."""
    costs = rules.costs
    return (
        costs.per_capture * (after.captures - before.captures)
        + costs.per_light * (after.light_dose - before.light_dose) / 1000
        + costs.per_mm * (after.travel_um - before.travel_um) / 1000
        + costs.per_s * (after.time_s - before.time_s)
    )
