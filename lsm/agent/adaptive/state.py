"""The decision state at a cell: from what was captured so far to the observation and the allowed actions.

Every environment and every run uses these pure functions, for one cell or for thousands at once, so that a policy
sees the same numbers everywhere. None of them sums over cells or takes a transcendental function of a number that
differs between cells, so that a cell's bytes do not depend on its neighbours in a batch.

Facts (float32), with K patterns, or L lamps where weights are free, as U; F features of the reader:

| entries | meaning | unit, range |
|---|---|---|
| U | how often each pattern was captured, share of `repeats`; or duty of each lamp, mean over the budget | 0..1 |
| U | the last light: its pattern, one-hot; its duties | 0..1 |
| 1 | captures left | share of the budget |
| 1 | light left | share of the budget; 1 without a limit |
| 1 | time left | share of the budget; 1 without a limit |
| 1 | light emitted | share of `light_scale_led_s` |
| 1 | time used | share of `time_scale_s` |
| 1 | log-odds that the cell is infected | -1..1 is 16 nats |
| 1 | probability that the cell is infected | 0..1 |
| F | the reader's features of the last frame | about -1..1 |

Kinds of action: 0..K-1 capture with pattern k (0: capture with free weights), then declare infected, healthy, refer.
Not allowed: a capture beyond a budget, or with a pattern that was used `repeats` times; a declaration before
`captures_min` captures, unless no capture is allowed.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from jaxtyping import Bool, Float, Float32, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.reader import ODDS_LIMIT, Capture, Reading, in_nats, log_belief, odds_step, probability
from lsm.agent.adaptive.rules import DECLARATIONS, HEALTHY, INFECTED, REFER, AdaptiveRules, CellBudget

NOTHING: Final = -1
ROUNDING: Final = 1e-9
"""Relative; a budget that is used up to the last digit is not exceeded."""


@dataclass(frozen=True, eq=False)
class Budgets:
    """What each cell may use up; infinite where there is no limit."""

    captures: Int[Tensor, " episode"]
    light_led_s: Float[Tensor, " episode"]
    time_s: Float[Tensor, " episode"]


@dataclass(frozen=True, eq=False)
class CellState:
    """What was done and read so far at n cells.

    captures, steps: counts; steps holds refused actions too. used: how often each pattern was captured, or the
    duty of each lamp summed over captures. last_light: of the last capture, as `used`. log_odds: steps of the
    belief's scale (see reader). frame: ADU of the last capture, 0 before the first. features, memory: the reader's.
    declared: index into DECLARATIONS, or NOTHING.
    """

    budgets: Budgets
    captures: Int[Tensor, " episode"]
    steps: Int[Tensor, " episode"]
    used: Float32[Tensor, "episode use"]
    last_light: Float32[Tensor, "episode use"]
    light_led_s: Float[Tensor, " episode"]
    time_s: Float[Tensor, " episode"]
    log_odds: Int[Tensor, " episode"]
    frame: Int32[Tensor, "episode y x"]
    features: Float32[Tensor, "episode feature"]
    memory: Float32[Tensor, "episode unit"]
    declared: Int[Tensor, " episode"]


@dataclass(frozen=True, eq=False)
class Decision:
    """One action per cell, made plain.

    kind: see the module. duty, exposure_ms: the light of a capture. light_led_s, time_s: what that capture would
    use up; of a declaration they say nothing.
    """

    kind: Int[Tensor, " episode"]
    duty: Float32[Tensor, "episode lamp"]
    exposure_ms: Float[Tensor, " episode"]
    light_led_s: Float[Tensor, " episode"]
    time_s: Float[Tensor, " episode"]


def n_facts(rules: AdaptiveRules, n_features: int) -> int:
    """Entries of the facts."""
    return 2 * rules.n_uses + 7 + n_features


def equal_budgets(budget: CellBudget, n: int, device: torch.device | None = None) -> Budgets:
    """The same budget for each of n cells."""

    def amounts(limit: float | None) -> Float[Tensor, " episode"]:
        return torch.full((n,), torch.inf if limit is None else limit, dtype=torch.float64, device=device)

    captures = torch.full((n,), budget.captures, dtype=torch.int64, device=device)
    return Budgets(captures, amounts(budget.light_led_s), amounts(budget.time_s))


def start(rules: AdaptiveRules, budgets: Budgets, *, n_features: int, n_units: int) -> CellState:
    """Cells that nobody has looked at, believed to be infected as often as cells are."""
    n, device = len(budgets.captures), budgets.captures.device
    count = torch.zeros(n, dtype=torch.int64, device=device)
    amount = torch.zeros(n, dtype=torch.float64, device=device)
    uses = torch.zeros(n, rules.n_uses, device=device)
    prior = torch.logit(torch.tensor([rules.infected_share], dtype=torch.float64))
    return CellState(
        budgets=budgets,
        captures=count,
        steps=count,
        used=uses,
        last_light=uses,
        light_led_s=amount,
        time_s=amount,
        log_odds=odds_step(prior).to(device).expand(n),
        frame=torch.zeros(n, *rules.side_px, dtype=torch.int32, device=device),
        features=torch.zeros(n, n_features, device=device),
        memory=torch.zeros(n, n_units, device=device),
        declared=count + NOTHING,
    )


def allowed_kinds(state: CellState, rules: AdaptiveRules) -> Bool[Tensor, "episode kind"]:
    """True for every kind of action that the rules allow; at least one always is.

    Where weights are free, a capture is allowed as long as captures are left; whether its light fits the budgets
    is known once the weights are.
    """
    left = (state.captures < state.budgets.captures)[:, None]
    if rules.free:
        captures = left
    else:
        device = state.captures.device
        light = torch.tensor(rules.lights_led_s, dtype=torch.float64, device=device)
        time = torch.tensor(rules.exposures_ms, dtype=torch.float64, device=device) / 1000 + rules.costs.overhead_s
        captures = left & (state.used < rules.repeats) & _fits(state, light, time)
    enough = (state.captures >= rules.captures_min)[:, None] | ~captures.any(1, keepdim=True)
    return torch.cat([captures, enough.expand(-1, len(DECLARATIONS))], 1)


def is_allowed(
    state: CellState, decision: Decision, kinds: Bool[Tensor, "episode kind"], rules: AdaptiveRules
) -> Bool[Tensor, " episode"]:
    """Whether each decision may be carried out; free weights that shine on nothing or exceed a budget may not.

    kinds: what `allowed_kinds` says of this state.
    """
    allowed = kinds.gather(1, decision.kind[:, None])[:, 0]
    if not rules.free:
        return allowed
    fits = _fits(state, decision.light_led_s[:, None], decision.time_s[:, None])[:, 0]
    return allowed & ((fits & (decision.light_led_s > 0)) | (decision.kind >= rules.first_declaration))


def after_decision(
    state: CellState, decision: Decision, allowed: Bool[Tensor, " episode"], rules: AdaptiveRules
) -> CellState:
    """State after one decision each, before anything is read; one that is not allowed only counts as a step."""
    capture = allowed & (decision.kind < rules.first_declaration)
    declare = allowed & ~capture
    light = decision.duty if rules.free else _one_hot(decision.kind, rules.n_patterns)
    return replace(
        state,
        captures=state.captures + capture,
        steps=state.steps + 1,
        used=state.used + light * capture[:, None],
        last_light=torch.where(capture[:, None], light, state.last_light),
        light_led_s=state.light_led_s + torch.where(capture, decision.light_led_s, 0.0),
        time_s=state.time_s + torch.where(capture, decision.time_s, 0.0),
        declared=torch.where(declare, decision.kind - rules.first_declaration, state.declared),
    )


def after_reading(
    state: CellState, rows: Int[Tensor, " some"], capture: Capture, reading: Reading, rules: AdaptiveRules
) -> CellState:
    """State after the captures of these rows were read."""
    prior = torch.logit(torch.tensor(rules.infected_share, dtype=torch.float64)).item()
    where = (rows,)
    return replace(
        state,
        log_odds=state.log_odds.index_put(where, odds_step(reading.evidence.double() + prior)),
        frame=state.frame.index_put(where, capture.frame),
        features=state.features.index_put(where, reading.features),
        memory=state.memory.index_put(where, reading.memory),
    )


def facts(state: CellState, rules: AdaptiveRules) -> Float32[Tensor, "episode fact"]:
    """The table of the module."""
    budgets = state.budgets
    most = float(rules.budget.captures if rules.free else rules.repeats)
    numbers = torch.stack(
        [
            1 - state.captures / budgets.captures,
            1 - state.light_led_s / budgets.light_led_s,
            1 - state.time_s / budgets.time_s,
            state.light_led_s / rules.light_scale_led_s,
            state.time_s / rules.time_scale_s,
            in_nats(state.log_odds) / ODDS_LIMIT,
            probability(state.log_odds),
        ],
        1,
    )
    return torch.cat([state.used / most, state.last_light, numbers.float(), state.features], 1)


def belief_in(facts: Float32[Tensor, "episode fact"], rules: AdaptiveRules) -> Float32[Tensor, " episode"]:
    """The probability of infection that facts tell."""
    return facts[:, 2 * rules.n_uses + 6]


def score(state: CellState, infected: Bool[Tensor, " episode"], rules: AdaptiveRules) -> Float[Tensor, " episode"]:
    """Weighted logarithmic score of the belief, at least minus the weighted cap."""
    reward = rules.reward
    right = log_belief(torch.where(infected, state.log_odds, -state.log_odds))
    return reward.log_score * right.clamp_min(-reward.log_cap)


def reward(
    before: CellState,
    after: CellState,
    infected: Bool[Tensor, " episode"],
    allowed: Bool[Tensor, " episode"],
    rules: AdaptiveRules,
) -> Float[Tensor, " episode"]:
    """What one step is worth, float64, in units of one missed infection."""
    costs, worth = rules.costs, rules.reward
    declared = after.declared
    ends = declared > NOTHING
    price = (
        worth.missed * ((declared == HEALTHY) & infected)
        + worth.false_alarm * ((declared == INFECTED) & ~infected)
        + worth.referred * (declared == REFER)
        + costs.per_capture * (after.captures - before.captures)
        + costs.per_led_s * (after.light_led_s - before.light_led_s)
        + costs.per_s * (after.time_s - before.time_s)
        + worth.refused * ~allowed
    )
    if not worth.log_score:
        return 0 - price.double()
    now = score(after, infected, rules)
    return (now - score(before, infected, rules) if worth.shaped else now * ends) - price


def _fits(
    state: CellState, light_led_s: Float[Tensor, "*episode light"], time_s: Float[Tensor, "*episode light"]
) -> Bool[Tensor, "episode light"]:
    """Whether captures of that much light and time stay inside the budgets."""
    room = 1 + ROUNDING
    return (state.light_led_s[:, None] + light_led_s <= state.budgets.light_led_s[:, None] * room) & (
        state.time_s[:, None] + time_s <= state.budgets.time_s[:, None] * room
    )


def _one_hot(kind: Int[Tensor, " episode"], size: int) -> Float32[Tensor, "episode use"]:
    return (kind[:, None] == torch.arange(size, device=kind.device)).float()
