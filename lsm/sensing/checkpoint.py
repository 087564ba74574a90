"""Training state as one safetensors file, from which a run goes on as if it had never stopped."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from lsm.errors import ModelMismatch, WrongFormat
from lsm.sensing.bundle import tensors_digest
from lsm.tensorfile import read_tensors, under, write_tensors


class Trainee:
    """What a training run changes: networks by name, their optimiser, the generator and the step reached.

    more: further tensors by name that a run goes on with, such as the best weights so far. A state is restored to the
    devices that the networks, and the tensors of these names, are on.
    """

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
        self.more: dict[str, Tensor] = {}

    def save(self, path: Path) -> None:
        """Write the state; the old file stays until the new one is complete."""
        tensors = {"generator": self.generator.get_state()}
        for name, module in self.modules.items():
            tensors |= {f"module.{name}.{key}": value for key, value in module.state_dict().items()}
        for number, slots in enumerate(self._slots()):
            tensors |= {f"optimizer.{number}.{key}": value for key, value in slots.items()}
        tensors |= {f"more.{name}": value for name, value in self.more.items()}
        write_tensors(path, tensors, self._metadata(tensors, str(self.step)))

    def restore(self, path: Path) -> bool:
        """Take the state from `path`; False when there is none. Raises ModelMismatch or WrongFormat."""
        if not path.is_file():
            return False
        metadata, tensors = read_tensors(path, hint="delete it to start anew", what="checkpoint")
        if metadata != self._metadata(tensors, metadata.get("step", "")):
            if metadata.get("digest") == self.digest:
                raise WrongFormat(f"The checkpoint {path} is damaged.", hint="delete it to start anew")
            raise ModelMismatch(
                f"The checkpoint {path} belongs to another configuration.", hint="delete it or name another folder"
            )
        self._load(tensors)
        self.step = int(metadata["step"])
        return True

    def _metadata(self, tensors: dict[str, Tensor], step: str) -> dict[str, str]:
        """What identifies the run, and a digest by which a changed weight or step is noticed."""
        contents = hashlib.sha256(f"{step}|{tensors_digest(tensors)}".encode()).hexdigest()
        return {"step": step, "digest": self.digest, "contents": contents}

    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(under(tensors, f"module.{name}."))
        for number, parameter in enumerate(self._parameters()):
            slots = under(tensors, f"optimizer.{number}.")
            if slots:
                # torch counts the steps on the processor, wherever the parameter is
                self.optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in slots.items()
                }
        self.generator.set_state(tensors["generator"])
        self.more = {
            name: value.to(self.more[name].device) if name in self.more else value
            for name, value in under(tensors, "more.").items()
        }

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _slots(self) -> list[dict[str, Tensor]]:
        return [dict(self.optimizer.state.get(parameter, {})) for parameter in self._parameters()]
