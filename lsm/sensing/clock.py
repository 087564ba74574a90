"""How long a run took, over all the sittings in which it was done."""

import time

import torch
from jaxtyping import Float64
from torch import Tensor

KEY = "clock"
"""Name of the seconds among the tensors of a checkpoint."""


class Clock:
    """Seconds since it was made, and those of the sittings before that it was told of.

    What was done after a checkpoint, and is done again, counts once.
    """

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = -time.monotonic(), -time.process_time()

    def go_on(self, held: Float64[Tensor, "2"] | None) -> None:
        """Add what `seconds` told in another sitting; nothing where a checkpoint does not have it."""
        if held is not None:
            self._wall_s += float(held[0])
            self._cpu_s += float(held[1])

    @property
    def wall_s(self) -> float:
        """Seconds that passed."""
        return self._wall_s + time.monotonic()

    @property
    def cpu_s(self) -> float:
        """Seconds of the processor, in this process."""
        return self._cpu_s + time.process_time()

    def seconds(self) -> Float64[Tensor, "2"]:
        """Both, to keep in a checkpoint."""
        return torch.tensor([self.wall_s, self.cpu_s], dtype=torch.float64)
