"""A policy that scores every field by its own entries, with the same small network for all of them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lsm.agent.find_first.env import N_ENTRIES
from lsm.agent.policy import ActorCritic, Memory


class FieldScorer(ActorCritic):
    """Actor and critic for `FindFirstEnv`; the observation holds the whole history, so that it keeps no memory."""

    def __init__(self, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(N_ENTRIES, width), nn.Tanh())
        self.policy = nn.Linear(width, 1)
        self.value = nn.Linear(width, 1)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.orthogonal_(parameter, 0.1 if name == "policy.weight" else 1.0, generator=generator)

    @property
    def units(self) -> int:
        return 1

    def forward(
        self,
        observation: Float[Tensor, "step search entry"],
        allowed: Bool[Tensor, "step search field"],
        memory: Memory,
    ) -> tuple[Float[Tensor, "step search field"], Float[Tensor, "step search"], Memory]:
        """Log-probabilities (-inf where not allowed), values, and the memory as it was."""
        hidden = self.score(observation.reshape(*observation.shape[:2], -1, N_ENTRIES))
        logits = self.policy(hidden)[..., 0].masked_fill(~allowed, -torch.inf)
        return torch.log_softmax(logits, -1), self.value(hidden.mean(2))[..., 0], memory
