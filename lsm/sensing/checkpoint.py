"""Training state as one safetensors file, from which a run goes on as if it had never stopped."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lsm.errors import ModelMismatch, WrongFormat


class Trainee:
    """What a training run changes: networks by name, their optimiser, the generator and the step reached."""

    def __init__(
        self,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        *,
        digest: str,
    ) -> None:
        self.modules = modules
        self.optimizer = optimizer
        self.generator = generator
        self.digest = digest
        self.step = 0

    def save(self, path: Path) -> None:
        """Write the state; the old file stays until the new one is complete."""
        tensors = {"generator": self.generator.get_state()}
        for name, module in self.modules.items():
            tensors |= {f"module.{name}.{key}": value for key, value in module.state_dict().items()}
        for number, slots in enumerate(self._slots()):
            tensors |= {f"optimizer.{number}.{key}": value for key, value in slots.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file(
            {key: value.detach().contiguous().clone() for key, value in tensors.items()},
            part,
            metadata={"step": str(self.step), "digest": self.digest},
        )
        os.replace(part, path)

    def restore(self, path: Path) -> bool:
        """Take the state from `path`; False when there is none. Raises ModelMismatch or WrongFormat."""
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="pt") as held:
                metadata = held.metadata() or {}
                tensors = {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 - not a mapping
        except SafetensorError as error:
            raise WrongFormat(f"The checkpoint {path} is damaged: {error}.", hint="delete it to start anew") from error
        if metadata.get("digest") != self.digest:
            raise ModelMismatch(
                f"The checkpoint {path} belongs to another configuration.", hint="delete it or name another folder"
            )
        self._load(tensors)
        self.step = int(metadata["step"])
        return True

    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(_under(tensors, f"module.{name}."))
        for number, parameter in enumerate(self._parameters()):
            slots = _under(tensors, f"optimizer.{number}.")
            if slots:
                self.optimizer.state[parameter] = slots
        self.generator.set_state(tensors["generator"])

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _slots(self) -> list[dict[str, Tensor]]:
        return [dict(self.optimizer.state.get(parameter, {})) for parameter in self._parameters()]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
