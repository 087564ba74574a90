"""Where a detector computes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lsm.errors import InputError


def device_of(name: str) -> torch.device:
    """The device of this name: "cpu", "cuda", or "cuda:1" of several. Raises InputError for one that is not there."""
    known = re.fullmatch(r"cpu|cuda(?::(\d{1,3}))?", name)
    if known is None:
        raise InputError(f"There is no device '{name}'.", hint="devices: cpu, cuda, or cuda:1 of several")
    if name != "cpu":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(known[1] or 0) >= there:
            raise InputError(
                f"There is no device '{name}': torch finds {there or 'no'} CUDA devices on this computer.",
                hint="use cpu" if there == 0 else f"the last is cuda:{there - 1}",
            )
    return torch.device(name)


@contextmanager
def targets_on(network: nn.Module, device: torch.device) -> Iterator[None]:
    """While it lasts, the targets that the network in training is given are first moved to the device."""

    def moved(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        images, targets = given
        return images, [{name: value.to(device) for name, value in target.items()} for target in targets]

    handle = network.register_forward_pre_hook(moved)
    try:
        yield
    finally:
        handle.remove()
