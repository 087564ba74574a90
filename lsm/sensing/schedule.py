"""Learning rate over a run as a pure function of the step, so that a resumed run needs no state for it."""

import math

import torch


def one_cycle(step: int, steps: int, *, warm_up: float = 0.2) -> float:
    """Factor 0..1 of the largest learning rate: up along a cosine, then down to zero.

    Smith and Topin, arXiv 1708.07120 (2017).
    """
    place = (step + 0.5) / max(steps, 1)
    if place < warm_up:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * place / warm_up)) / 2
    return (1 + math.cos(math.pi * (place - warm_up) / (1 - warm_up))) / 2


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give each parameter group its own `largest_lr` times the factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["largest_lr"] * factor
