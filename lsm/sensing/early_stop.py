"""Keeps the best state of a training run, and says when it has not become better for long enough."""

import math
from typing import Final

import torch
from torch import Tensor, nn

_STATE: Final = "best."
_LOSS: Final = "best_loss"
_WAITED: Final = "checks_since_best"


class EarlyStop:
    """The weights with the lowest loss on held-back data so far.

    patience: checks without a lower loss after which `over` is true.
    """

    def __init__(self, module: nn.Module, patience: int) -> None:
        self._module = module
        self._patience = patience
        self._best: dict[str, Tensor] = {}
        self.best_loss = math.inf
        self.waited = 0

    @property
    def over(self) -> bool:
        """Whether the run should end."""
        return self.waited >= self._patience

    def check(self, loss: float) -> bool:
        """Take note of a loss; True where it is the lowest so far. One that is not a number is none."""
        if loss < self.best_loss:
            self.best_loss, self.waited = loss, 0
            self._best = {key: value.detach().clone() for key, value in self._module.state_dict().items()}
            return True
        self.waited += 1
        return False

    def use_best(self) -> None:
        """Give the module its best weights back, where there are some."""
        if self._best:
            self._module.load_state_dict(self._best)

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` goes on exactly."""
        numbers = {_LOSS: torch.tensor(self.best_loss, dtype=torch.float64), _WAITED: torch.tensor(self.waited)}
        return numbers | {_STATE + key: value for key, value in self._best.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        if state:
            self.best_loss, self.waited = float(state[_LOSS]), int(state[_WAITED])
            self._best = {key.removeprefix(_STATE): value for key, value in state.items() if key.startswith(_STATE)}
