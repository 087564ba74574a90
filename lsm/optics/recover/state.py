"""A recovery on disk, from which it goes on as if it had never stopped."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lsm.errors import ModelMismatch
from lsm.illum import LedBoard
from lsm.optics.recover.fit import Fit
from lsm.tensorfile import read_tensors, under, write_tensors


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
        self._facts, self._tensors = read_tensors(self._path, hint="delete it to start anew", what="checkpoint")
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
        fit.model.load_state_dict(under(self._tensors, "model."), strict=False)
        for number, parameter in enumerate(_parameters(fit)):
            slots = under(self._tensors, f"optimizer.{number}.")
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
        write_tensors(self._path, tensors, facts)

    def remove(self) -> None:
        """Take the file away once the result exists."""
        self._path.unlink(missing_ok=True)


def _parameters(fit: Fit) -> list[Tensor]:
    return [parameter for group in fit.optimizer.param_groups for parameter in group["params"]]
