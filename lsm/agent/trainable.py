"""What a policy can learn in."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Trainable(ABC):
    """A batched environment, as `lsm.agent.ppo` uses it: BatchSlideEnv, for one.

    rules: a Config that determines it. After the first reset: done, which searches are over; state, which holds
    `captures` per search.
    """

    rules: Any
    state: Any
    done: Bool[Tensor, " search"]

    @property
    @abstractmethod
    def error(self) -> Float[Tensor, " search"]:
        """What training tells of, per search."""

    @abstractmethod
    def reset(self, n: int, generator: Any = None) -> Any:
        """Start n searches; a view with `observation` and `allowed`, one row each."""

    @abstractmethod
    def step(self, action: Int[Tensor, " search"]) -> Any:
        """Take one allowed action per search: the new view, the reward, and which are over."""
