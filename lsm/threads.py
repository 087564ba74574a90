"""How many threads torch and lsm's kernel use."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """That many threads for as long as the context lasts.

    With one, sums are the same on any number of cores, and nothing spins while it waits: on a busy computer a snap of a
    simulated camera would otherwise outlast the LED board's watchdog.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
