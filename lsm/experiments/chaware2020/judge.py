"""Curves of all arms, and the trained policy against each of them at equal spending."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from lsm.agent.adaptive.compare import TradeOff, compare_at_equal_spending, saving_at_equal_quality, table
from lsm.agent.adaptive.evaluate import Measure, Outcome
from lsm.experiments.chaware2020.arms import ARMS, GREEDY, RANDOM, SEQUENCE, SINGLE, SINGLE_TEST, STOP, TEST, TRAINED
from lsm.experiments.chaware2020.config import Prices, StudyConfig
from lsm.stats.paired import resampled_interval, verdict

SeedOutcomes = Mapping[str, Mapping[str, Sequence[Outcome]]]
RIVALS: Final = (SINGLE, SEQUENCE, GREEDY, SINGLE_TEST, TEST, STOP, RANDOM)
ASKED_SAVING: Final = 0.30


def judge(config: StudyConfig, found: SeedOutcomes) -> dict[str, Any]:
    """Curves and comparisons as plain values."""
    curves = {arm: {setting: _row(each) for setting, each in found[arm].items()} for arm in ARMS if arm in found}
    claims = [
        _claim(found, name, prices, rival) for name, _, prices in config.trained() for rival in RIVALS if rival in found
    ]
    first = next(iter(found[SINGLE].values()))[0]
    return {
        "cells": len(first.infected),
        "patients": len(np.unique(first.patient)),
        "intervals_over": "seeds and patients" if len(next(iter(found[SINGLE].values()))) > 1 else "patients alone",
        "curves": curves,
        "claims": claims,
    }


def spending_of(price: Prices) -> Measure:
    """What is held equal: captures, or seconds where a policy learned to save those."""
    return "time_s" if price.per_s > 0 else "captures"


def _row(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Means over seeds; the interval is of the accuracy, seeds and patients resampled."""
    right = table(outcomes, "correct")
    low, high = resampled_interval(right, outcomes[0].patient, rng=np.random.default_rng(0), one_seed=True)
    plain = [outcome.plain() for outcome in outcomes]
    means = {
        key: round(float(np.mean([float(each[key]) for each in plain])), 4)
        for key in ("sensitivity", "specificity", "log_score", "captures", "time_s", "light_led_s")
    }
    return {"accuracy": round(float(right.mean()), 4), "low": round(low, 4), "high": round(high, 4)} | means


def _claim(found: SeedOutcomes, name: str, prices: Prices, rival: str) -> dict[str, Any]:
    """The policy of this name, trained at these prices, against a rival's whole curve.

    reached: it is better, or saves what is asked; false where the curve does not reach down to it (see Saving), as
    nothing is then held equal.
    """
    spent = spending_of(prices)
    ours = found[TRAINED][name]
    theirs = TradeOff.of(list(found[rival].values()), spent=spent)
    better = compare_at_equal_spending(ours, theirs, rng=np.random.default_rng(0), spent=spent, one_seed=True)
    saving = saving_at_equal_quality(ours, theirs, rng=np.random.default_rng(0), spent=spent, one_seed=True)
    points = [round(100 * value, 2) for value in (better.difference, better.low, better.high)]
    saved = saving.at_least(ASKED_SAVING)
    return {
        "policy": name,
        "than": rival,
        "spent": spent,
        "points": points,
        "verdict": verdict(better.low, better.high),
        "saving": {key: value if value is None else round(value, 4) for key, value in asdict(saving).items()},
        "saving_shown": saved,
        "reached": saving.needed is not None and (better.low > 0 or saved),
    }
