"""The best pattern, sequence, thresholds and stops, chosen on training cells."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.adaptive.evaluate import Measure, Outcome, Trial, try_policy
from lsm.agent.adaptive.policies.fixed import AdaptiveStop, FixedSequence, evidence_bin
from lsm.agent.adaptive.policies.protocol import Policy, capture_prices, evidence_nats
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.errors import InputError

WIDTH_NATS: Final = 0.5
BINS: Final = 40
TRUST_BELIEF: Final = 4.0
"""Cells of a bin that the reader's own belief counts for."""

LEAST_CELLS: Final = 8
"""Cells in a bin below which nobody learns from it that going on pays."""

_RISING: Final = ("correct", "log_score")


def best_policy(policies: Sequence[Policy], trial: Trial, *, by: Measure = "cost") -> tuple[Policy, Outcome]:
    """The policy that does best on the trial, by one measure, and its outcome. Raises InputError for none."""
    if not policies:
        raise InputError("There is no policy to choose.", hint="give at least one")
    outcomes = [try_policy(policy, trial) for policy in policies]
    best = max(range(len(policies)), key=lambda index: _worth(outcomes[index], by))
    return policies[best], outcomes[best]


def best_single(trial: Trial, captures: int = 1, *, by: Measure = "cost") -> FixedSequence:
    """The pattern that does best alone, captured `captures` times."""
    rules = trial.env.rules
    policies = [FixedSequence(rules, (pattern,) * captures) for pattern in range(rules.n_patterns)]
    best, _ = best_policy(policies, trial, by=by)
    return policies[[policy.name for policy in policies].index(best.name)]


def best_sequences(trial: Trial, length: int, *, by: Measure = "cost", beam: int = 8) -> tuple[FixedSequence, ...]:
    """The best sequence of each length from 1 to `length`, by a beam search from the shorter ones.

    With at least as many beams as there are sequences of length - 1 the search is exhaustive. No pattern occurs
    more often than the rules allow.
    """
    rules = trial.env.rules
    starts: list[tuple[int, ...]] = [()]
    found = []
    for _ in range(length):
        longer = [
            (*start, pattern)
            for start in starts
            for pattern in range(rules.n_patterns)
            if start.count(pattern) < rules.repeats
        ]
        if not longer:
            break
        scores = [_worth(try_policy(FixedSequence(rules, patterns), trial), by) for patterns in longer]
        order = np.argsort(-np.array(scores), kind="stable")
        starts = [longer[index] for index in order[:beam]]
        found.append(FixedSequence(rules, starts[0]))
    return tuple(found)


def fit_stops(trial: Trial, patterns: Sequence[int]) -> AdaptiveStop:
    """The sequence with the stops that cost least on the trial's cells.

    From the last capture backwards, each bin of evidence stops where the cheapest declaration costs no more than
    going on did for the cells that were in it (least squares Monte Carlo with bins: Longstaff and Schwartz, Rev.
    Financ. Stud. 14, 113, 2001). Cells are weighted to the share of infected cells in the rules.
    """
    rules = trial.env.rules
    evidence, infected = _evidence_along(trial, patterns)
    weight = _class_weights(infected, rules)
    declared_costs = _declared_costs(infected, rules)
    prices = capture_prices(rules).tolist() if _has_price(rules) else [0.0] * rules.n_patterns
    # after the last capture nothing can follow
    later = torch.full_like(weight, torch.inf)
    decisions = torch.full((len(evidence), BINS), -1)
    for step in range(len(evidence) - 1, -1, -1):
        place = evidence_bin(evidence[step], WIDTH_NATS, BINS)
        stop_cost, declaration = _cheapest(place, infected, weight, rules)
        go_on = _binned(place, later * weight) / _binned(place, weight).clamp_min(1e-12)
        count = torch.bincount(place, minlength=BINS)
        keeps = (go_on < stop_cost) & (count >= LEAST_CELLS)
        if step < rules.captures_min and step < len(evidence) - 1:
            keeps = torch.ones_like(keeps)
        decisions[step] = torch.where(keeps, -1, declaration)
        now = declared_costs.gather(1, declaration[place][:, None])[:, 0]
        later = torch.where(keeps[place], later, now)
        if step:
            later = later + prices[patterns[step - 1]]
    return AdaptiveStop(rules, patterns, decisions, WIDTH_NATS)


def _evidence_along(
    trial: Trial, patterns: Sequence[int]
) -> tuple[Float[Tensor, "captures episode"], Bool[Tensor, " episode"]]:
    """Evidence at every cell before the first and after each capture of the sequence."""
    env = trial.env
    rows = trial.rows.repeat(trial.repeats)
    view = env.reset(len(rows), trial.seed, rows=rows)
    found = [evidence_nats(view.belief, env.rules)]
    for pattern in patterns:
        view = env.step(torch.full((len(rows),), pattern, device=rows.device)).view
        found.append(evidence_nats(view.belief, env.rules))
    return torch.stack(found), env.infected


def _class_weights(infected: Bool[Tensor, " episode"], rules: AdaptiveRules) -> Float[Tensor, " episode"]:
    share = infected.double().mean().clamp(1e-9, 1 - 1e-9)
    return torch.where(infected, rules.infected_share / share, (1 - rules.infected_share) / (1 - share))


def _declared_costs(infected: Bool[Tensor, " episode"], rules: AdaptiveRules) -> Float[Tensor, "episode declaration"]:
    worth, ill = rules.reward, infected.double()
    return torch.stack([worth.false_alarm * (1 - ill), worth.missed * ill, torch.full_like(ill, worth.referred)], 1)


def _cheapest(
    place: Int[Tensor, " episode"],
    infected: Bool[Tensor, " episode"],
    weight: Float[Tensor, " episode"],
    rules: AdaptiveRules,
) -> tuple[Float[Tensor, " bin"], Int[Tensor, " bin"]]:
    """Cost of the cheapest declaration in each bin, and which it is, from the cells in it and the reader's belief."""
    middle = (torch.arange(BINS, dtype=torch.float64) + 0.5 - BINS // 2) * WIDTH_NATS
    share = torch.tensor(rules.infected_share, dtype=torch.float64)
    believed = torch.sigmoid(middle + torch.logit(share)).to(place.device)
    ill = _binned(place, weight * infected) + TRUST_BELIEF * believed
    chance = ill / (_binned(place, weight) + TRUST_BELIEF)
    worth = rules.reward
    costs = [worth.false_alarm * (1 - chance), worth.missed * chance, torch.full_like(chance, worth.referred)]
    return torch.stack(costs, 1).min(1)


def _binned(place: Int[Tensor, " episode"], values: Float[Tensor, " episode"]) -> Float[Tensor, " bin"]:
    return torch.bincount(place, weights=values.double(), minlength=BINS)


def _has_price(rules: AdaptiveRules) -> bool:
    costs = rules.costs
    return costs.per_capture + costs.per_led_s + costs.per_s > 0


def _worth(outcome: Outcome, by: Measure) -> float:
    return outcome.mean(by) if by in _RISING else -outcome.mean(by)
