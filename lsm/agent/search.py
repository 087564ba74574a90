"""One search on a microscope: carries out actions, reads the images, keeps the state. It holds no truth."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lsm.agent.codebook import Codebook
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import SearchRules
from lsm.agent.state import Reading, View, after_action, start, view
from lsm.devices import Frame, Microscope, Observe
from lsm.errors import ModelMismatch
from lsm.types import Image
from lsm.vision import FieldQuality, FieldReading


@runtime_checkable
class Reads(Protocol):
    """From the images of one field, by pattern index, to its cells; lsm.vision.FieldReader is one."""

    @property
    def n_bins(self) -> int: ...

    def read(self, frames: dict[int, Image]) -> FieldReading: ...


class SlideSearch:
    """A search that carries out one action at a time.

    z_um: focus for every capture; None leaves it.
    Raises ModelMismatch when codebook, reader, calibration and rules do not belong together.
    """

    def __init__(
        self,
        microscope: Microscope,
        reader: Reads,
        codebook: Codebook,
        rules: SearchRules,
        model: EvidenceModel,
        *,
        z_um: float | None = None,
    ) -> None:
        wanted = (rules.n_patterns, rules.n_bins, rules.n_bins)
        found = (len(codebook), reader.n_bins, model.infected.shape[1])
        if wanted != found:
            raise ModelMismatch(
                f"The search has (patterns, bins of the reader, bins of the calibration) {wanted}, the model {found}.",
                hint="use codebook, reader and calibration of one bundle, and its rules",
            )
        self.rules, self._microscope, self._reader, self._codebook = rules, microscope, reader, codebook
        self._model, self._z_um = model, z_um
        self.state = start(rules, 1)
        self.view: View = view(self.state, rules, model)
        self.frames: dict[int, dict[int, Frame]] = {}
        self.readings: dict[int, FieldReading] = {}

    @property
    def field(self) -> int:
        """Index of the field on the axis."""
        return int(self.state.field[0])

    def allows(self, action: int) -> bool:
        return bool(self.view.allowed[0, action])

    def act(self, action: int) -> Frame | None:
        """Carry out one allowed action; the frame of a capture, None for a move or the stop.

        A move takes place with the next capture, in one request with it.
        """
        frame = self._capture(action) if action < self.rules.n_patterns else None
        self.state = after_action(self.state, torch.tensor([action]), self._reading(), self.rules)
        self.view = view(self.state, self.rules, self._model)
        return frame

    def _capture(self, action: int) -> Frame:
        request = Observe(
            self._codebook.patterns[action],
            self._codebook.exposures_ms[action],
            self.rules.grid.centre_um(self.field),
            self._z_um,
        )
        frame = self._microscope.observe(request)
        taken = self.frames.setdefault(self.field, {})
        taken[action] = frame
        self.readings[self.field] = self._reader.read({pattern: held.image for pattern, held in taken.items()})
        return frame

    def _reading(self) -> Reading:
        found = self.readings.get(self.field)
        if found is None:
            return Reading(torch.zeros(1, self.rules.n_bins), torch.zeros(1, 2))
        return Reading(torch.from_numpy(found.counts).float()[None], quality_entries(found.quality)[None])


def quality_entries(quality: FieldQuality) -> Tensor:
    """The two quality numbers of the observation: coverage by cells and relative signal, at most 2 each."""
    return torch.tensor([quality.coverage, quality.signal], dtype=torch.float32).clamp(0, 2)
