"""A recovery on disk, from which it goes on as if it had never stopped."""

import json
import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lsm.errors import ModelMismatch, WrongFormat
from lsm.illum import LedBoard
from lsm.optics.recover.fit import Fit


class Checkpoint:
    """One safetensors file with the stage reached, the board it began with and the state of its fit.

    Raises WrongFormat for a damaged file, ModelMismatch for one of other images, board or settings.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self._path, self._digest = path, digest
        self._tensors: dict[str, Tensor] = {}
        self._facts: dict[str, str] = {}
        if path.is_file():
            self._read()

    def _read(self) -> None:
        try:
            with safe_open(self._path, framework="pt") as held:
                self._facts = dict(held.metadata() or {})
                self._tensors = {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 - not a mapping
        except SafetensorError as error:
            raise WrongFormat(
                f"The checkpoint {self._path} is damaged: {error}.", hint="delete it to start anew"
            ) from error
        if self._facts.get("digest") != self._digest:
            raise ModelMismatch(
                f"The checkpoint {self._path} belongs to another recovery.", hint="delete it or name another file"
            )

    def stage(self) -> int:
        """The stage to go on with; 0 without a file."""
        return int(self._facts.get("stage", "0"))

    def start_of_stage(self, board: LedBoard, defocus_um: float) -> tuple[LedBoard, float]:
        """Board and defocus with which the stage began; those given without a file."""
        if not self._facts:
            return board, defocus_um
        return replace(board, positions_mm=self._tensors["board"].numpy()), float(self._facts["defocus_um"])

    def restore(self, fit: Fit) -> None:
        """Bring a new fit of the same stage to where it was; nothing without a file."""
        if not self._facts:
            return
        fit.model.load_state_dict(_under(self._tensors, "model."), strict=False)
        for number, parameter in enumerate(_parameters(fit)):
            slots = _under(self._tensors, f"optimizer.{number}.")
            if slots:
                fit.optimizer.state[parameter] = slots
        fit.generator.set_state(self._tensors["generator"])
        fit.epoch = int(self._facts["epoch"])
        fit.losses = json.loads(self._facts["losses"])

    def save(self, fit: Fit, stage: int, board: LedBoard, defocus_um: float) -> None:
        """Write the state; the old file stays until the new one is complete."""
        tensors = {"generator": fit.generator.get_state(), "board": torch.from_numpy(board.positions_mm.copy())}
        tensors |= {f"model.{key}": value for key, value in fit.model.named_parameters()}
        for number, parameter in enumerate(_parameters(fit)):
            slots = fit.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{number}.{key}": value for key, value in slots.items()}
        facts = {
            "digest": self._digest,
            "stage": str(stage),
            "epoch": str(fit.epoch),
            "losses": json.dumps(fit.losses),
            "defocus_um": repr(defocus_um),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(f".{os.getpid()}.part")
        save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, part, metadata=facts)
        os.replace(part, self._path)

    def remove(self) -> None:
        """Take the file away once the result exists."""
        self._path.unlink(missing_ok=True)


def _parameters(fit: Fit) -> list[Tensor]:
    return [parameter for group in fit.optimizer.param_groups for parameter in group["params"]]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
