"""All policies of a study at several settings: chosen and trained on cells set aside, tried on other patients'."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lsm.agent.adaptive import BatchAdaptiveEnv
from lsm.agent.adaptive.choose import best_policy, best_sequences, fit_stops
from lsm.agent.adaptive.evaluate import Outcome, Trial, try_policy
from lsm.agent.adaptive.policies import (
    AdaptiveStop,
    CellPpo,
    DifferentiablePolicy,
    FixedSequence,
    GreedyInformation,
    OracleBound,
    Policy,
    RandomLight,
    SequentialTest,
    Thresholds,
    TrainedPolicy,
    ValuePolicy,
    fit_evidence,
    imitate,
    train_backwards,
    train_differentiable,
)
from lsm.agent.adaptive.policies.rollouts import Here
from lsm.experiments.chaware2020.bench import Bench
from lsm.experiments.chaware2020.config import Design, Prices

RANDOM, SINGLE, SEQUENCE = "random", "single pattern", "fixed sequence"
SINGLE_TEST, TEST, STOP = "single pattern, tested", "fixed sequence, tested", "fixed sequence, fitted stops"
GREEDY, TRAINED, PAINTED = "greedy information", "trained", "differentiable"
ORACLE = "oracle bound"
FIXED_ORDERS = (SINGLE, SEQUENCE, SINGLE_TEST, TEST, STOP)
ARMS = (RANDOM, SINGLE, SEQUENCE, SINGLE_TEST, TEST, STOP, GREEDY, TRAINED, PAINTED, ORACLE)
ORACLE_STOP = 2.0
"""Nats; the oracle stops where the evidence is that clear."""

Tried = Iterator[tuple[str, str, Outcome, dict[str, Any]]]
"""Arm, setting, outcome at the tested cells, and what is to be told of it."""


def all_arms(bench: Bench, hear: Callable[[str], None] = lambda _: None) -> Tried:
    """Every arm at every setting; nothing that is chosen or trained here has met a tested patient."""
    for part in (_without_looking, _tested_sequences, greedy, _trained, _painted, _oracle):
        hear(part.__name__.strip("_"))
        yield from part(bench)


def _without_looking(bench: Bench) -> Tried:
    rules, generator = bench.tested.env.rules, torch.Generator().manual_seed(bench.seed)
    for count in range(1, bench.config.captures + 1):
        repeated = FixedSequence(rules, bench.single * count)
        chosen: list[tuple[str, FixedSequence | RandomLight]] = [
            (RANDOM, RandomLight(rules, count, generator)),
            (SINGLE, repeated),
            (SEQUENCE, FixedSequence(rules, bench.sequences[count - 1])),
        ]
        for arm, policy in chosen:
            yield arm, str(count), try_policy(policy, bench.tested), _named(policy, bench)


def _tested_sequences(bench: Bench) -> Tried:
    rules, captures = bench.tested.env.rules, bench.config.captures
    single, path = bench.single * captures, bench.sequences[-1]
    for arm, patterns in ((SINGLE_TEST, single), (TEST, path)):
        for nats in bench.config.thresholds:
            policy = SequentialTest(rules, patterns, Thresholds(-nats, nats))
            yield arm, f"{nats:g}", try_policy(policy, bench.tested), _named(policy, bench)
    for prices in bench.config.prices:
        stopping = best_stops(bench, prices, [path, single])
        yield STOP, prices.name, try_policy(stopping, bench.tested), _named(stopping, bench)


def best_stops(bench: Bench, prices: Prices, candidates: Sequence[tuple[int, ...]]) -> AdaptiveStop:
    """Of these sequences, their cheap-first orders and one chosen by cost, the one whose stops cost least aside."""
    trial = bench.choosing(prices)
    time_of = bench.book.exposure_ms
    orders = [*candidates, *(tuple(sorted(each, key=lambda k: time_of[k])) for each in candidates)]
    if prices.per_s > 0:
        orders += [each.patterns for each in best_sequences(trial, min(3, bench.config.captures), beam=1)]
    stops = [fit_stops(trial, patterns) for patterns in dict.fromkeys(orders)]
    best, _ = best_policy(stops, trial)
    return next(each for each in stops if each is best)


def greedy(bench: Bench) -> Tried:
    """Greedy information by captures, and by seconds where a price is by them."""
    trial = bench.choosing()
    model = fit_evidence(trial.env, trial.rows, repeats=1, seed=trial.seed + 1)
    rules = bench.tested.env.rules
    for least in bench.config.gains:
        yield GREEDY, f"{least:g}", try_policy(GreedyInformation(rules, model, least=least), bench.tested), {}
    if not any(prices.per_s > 0 for prices in bench.config.prices):
        return
    by_time = rules.model_copy(update={"costs": rules.costs.model_copy(update={"per_capture": 0.0, "per_s": 1.0})})
    for least in bench.config.gains_per_s:
        policy = GreedyInformation(by_time, model, least=least)
        yield GREEDY, f"{least:g} a second", try_policy(policy, bench.tested), {}


def _trained(bench: Bench) -> Tried:
    for name, design, prices in bench.config.trained():
        policy, told = _learned(bench, design, prices)
        told["uses"] = _uses(policy, bench.tested)
        yield TRAINED, name, try_policy(policy, bench.tested), told


def _learned(bench: Bench, design: Design, prices: Prices) -> tuple[Policy, dict[str, Any]]:
    env, config = bench.training(prices), bench.config
    values = None if design.learner == "ppo" else train_backwards(env, config.backwards, seed=bench.seed)
    if values is not None and design.learner == "backwards":
        return ValuePolicy(values), {}
    network = design.network or config.ppo.network
    ppo = CellPpo(env, config.ppo.model_copy(update={"network": network}), seed=bench.seed)
    if values is not None:
        imitate(ppo, values, config.warm_updates)
    shares = design.rising or (1.0,)
    reports = []
    for part, share in enumerate(shares, 1):
        ppo.collector = Here(bench.training(prices.of(share)))
        while ppo.update < config.ppo.updates * part / len(shares):
            reports.append(ppo.train_once())
    told = {
        "correct while learning": round(reports[-1].correct, 4),
        "captures while learning": round(reports[-1].captures, 3),
        "steps": ppo.steps,
    }
    return TrainedPolicy(ppo.network.eval()), told


def _painted(bench: Bench) -> Tried:
    config = bench.config
    if config.glimpse is None:
        return
    prices = config.prices[0]
    learned = bench.free(bench.stack.where(bench.learn), prices)
    network = train_differentiable(learned, config.glimpse, seed=bench.seed)
    world = bench.free(bench.stack.where(bench.test), prices)
    trial = Trial(BatchAdaptiveEnv(world), bench.tested.rows, config.repeats, bench.tested.seed)
    yield PAINTED, prices.name, try_policy(DifferentiablePolicy(network, world.rules), trial), {}


def _oracle(bench: Bench) -> Tried:
    stop = Thresholds(-ORACLE_STOP, ORACLE_STOP)
    for captures, thresholds in ((1, None), (bench.config.captures, stop)):
        policy = OracleBound(bench.tested.env, captures, draws=1, thresholds=thresholds)
        setting = f"{captures}" if thresholds is None else f"{captures}, stops at {ORACLE_STOP:g} nats"
        yield ORACLE, setting, try_policy(policy, bench.tested), {}


def _named(policy: FixedSequence | RandomLight, bench: Bench) -> dict[str, Any]:
    """The lights of a policy by name."""
    if isinstance(policy, RandomLight):
        return {}
    return {"lights": [bench.book.names[pattern] for pattern in policy.patterns]}


def _uses(policy: Policy, trial: Trial) -> list[list[float]]:
    """Share of the tested cells to which the policy does each thing at each step; rows end where nobody goes on."""
    env, rows = trial.env, trial.rows
    view = env.reset(len(rows), trial.seed, rows=rows)
    memory, table = policy.start(len(rows)), []
    while not bool(env.done.all()):
        choice = policy.act(view, memory)
        going = ~env.done
        counts = torch.bincount(choice.action[going].long(), minlength=env.rules.n_kinds)
        table.append([round(share, 4) for share in (counts / len(rows)).tolist()])
        memory, view = choice.memory, env.step(choice.action).view
    return table
