"""The set reader in whole numbers: every capture adds to a memory, which a small head turns into evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float32, Float64, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.reader import ODDS_LIMIT, STEPS_PER_NAT, Capture, Reading
from lsm.agent.adaptive.readers.whole import FIRST_SIDE, NEXT_SIDE, patches, rescaled, whole_frames
from lsm.errors import ModelMismatch, WrongFormat
from lsm.sensing.bundle import tensors_digest
from lsm.tensorfile import read_tensors, write_tensors

ADDED_LEVELS: Final = 2047
"""Largest number that one frame adds to a unit of the memory."""

HEAD_LEVELS: Final = 4095
"""Largest activation of the head, whose sums are in float64."""

ROWS_AT_A_TIME: Final = 256
"""Frames whose activations stay near the processor."""

_FORMAT: Final = "lsm set reader 1"
_HINT: Final = "name the file that save_reader wrote"


@dataclass(frozen=True, eq=False)
class SetReader:
    """Evidence from a set of frames under the patterns of one book.

    All weights and offsets are whole numbers, and so are activations and memory: the same frames of a cell give the
    same bytes in any order of the captures, alone or in a batch of any size. (The features are those of the memory,
    not of the last frame alone.)
    first, second, third: weights and offsets of the layers over a frame, the first and all offsets for each pattern,
    held in float32, with the factors to the next layer's levels. fourth, last: of the head, in float64.
    slope, offset: nats = slope * score + offset after each number of captures; more captures take the last entry.
    size: number of patterns, height and width of a frame. full_adu: largest number of the camera.
    """

    first: Float32[Tensor, "pattern entry unit"]
    first_offset: Float32[Tensor, "pattern unit"]
    first_factor: Float32[Tensor, "pattern unit"]
    second: Float32[Tensor, "entry2 unit2"]
    second_offset: Float32[Tensor, "pattern unit2"]
    second_factor: Float32[Tensor, " unit2"]
    third: Float32[Tensor, "entry3 unit3"]
    third_offset: Float32[Tensor, "pattern unit3"]
    third_factor: Float32[Tensor, " unit3"]
    fourth: Float64[Tensor, "unit3 unit4"]
    fourth_offset: Float64[Tensor, " unit4"]
    fourth_factor: Float64[Tensor, " unit4"]
    last: Float64[Tensor, " known"]
    slope: Float64[Tensor, " captures"]
    offset: Float64[Tensor, " captures"]
    size: Tensor
    full_adu: Tensor

    @property
    def n_features(self) -> int:
        """Units of the head."""
        return len(self.fourth_offset)

    @property
    def n_units(self) -> int:
        """Units of the memory."""
        return len(self.third_factor)

    @property
    def n_patterns(self) -> int:
        """Patterns of the book."""
        return len(self.first)

    @cached_property
    def digest(self) -> str:
        """Identity of all numbers."""
        return tensors_digest(self.tensors())[:16]

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        """Read one more capture of each cell.

        Raises ModelMismatch for frames of another size, and for patterns that are not of its book.
        """
        self._check(capture)
        total = memory + self.added(capture)
        score, head = self.judged(total)
        place = capture.number.clamp(0, len(self.slope) - 1)
        nats = (self.slope[place] * score + self.offset[place]).clamp(-ODDS_LIMIT, ODDS_LIMIT)
        # in steps of the belief's scale, so that nothing lies between two of them
        evidence = (nats * STEPS_PER_NAT).round() / STEPS_PER_NAT
        return Reading(evidence, (head / HEAD_LEVELS).float(), total)

    def added(self, capture: Capture) -> Float32[Tensor, "episode unit"]:
        """What the frame of each cell adds to its memory, whole numbers."""
        rows = range(0, len(capture.frame), ROWS_AT_A_TIME)
        parts = [
            self._added(capture.frame[first : first + ROWS_AT_A_TIME], capture.pattern[first : first + ROWS_AT_A_TIME])
            for first in rows
        ]
        return torch.cat(parts) if parts else torch.zeros(0, self.n_units, device=capture.frame.device)

    def _added(self, frames: Int32[Tensor, "some y x"], pattern: Int[Tensor, " some"]) -> Float32[Tensor, "some unit"]:
        frame, bright = whole_frames(frames, self._full_adu)
        squares, along = patches(frame[..., None], FIRST_SIDE)
        sums = torch.bmm(squares, self.first[pattern]) + self.first_offset[pattern][:, None]
        hidden = rescaled(sums, self.first_factor[pattern][:, None])
        squares, _ = patches(hidden.reshape(len(frame), *along, -1), NEXT_SIDE)
        sums = squares @ self.second + self.second_offset[pattern][:, None]
        known = torch.cat([rescaled(sums, self.second_factor).flatten(1), bright], 1)
        sums = known @ self.third + self.third_offset[pattern]
        return (sums * self.third_factor).round().clamp(-ADDED_LEVELS, ADDED_LEVELS)

    def judged(
        self, memory: Float32[Tensor, "episode unit"]
    ) -> tuple[Float64[Tensor, " episode"], Float64[Tensor, "episode feature"]]:
        """Score that is not yet calibrated, and the head's units in their levels."""
        held = memory.double()
        sums = (held @ self.fourth + self.fourth_offset).clamp_min(0)
        head = (sums * self.fourth_factor).round().clamp_max(HEAD_LEVELS)
        return torch.cat([held, head], 1) @ self.last, head

    def to(self, device: torch.device) -> "SetReader":
        """The same reader on another device."""
        return SetReader(**{name: part.to(device) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All that it is made of, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def calibrated(self, slope: Float64[Tensor, " captures"], offset: Float64[Tensor, " captures"]) -> "SetReader":
        """The same reader with another calibration."""
        return replace(self, slope=slope, offset=offset)

    @cached_property
    def _full_adu(self) -> float:
        return float(self.full_adu)

    @cached_property
    def _side_px(self) -> tuple[int, int]:
        return int(self.size[1]), int(self.size[2])

    def _check(self, capture: Capture) -> None:
        if tuple(capture.frame.shape[1:]) != self._side_px:
            raise ModelMismatch(
                f"Frames of {' x '.join(map(str, capture.frame.shape[1:]))} px are not what this reader knows.",
                hint=f"it has learned on {' x '.join(map(str, self._side_px))} px",
            )
        if not len(capture.pattern):
            return
        low, high = int(capture.pattern.min()), int(capture.pattern.max())
        if low < 0 or high >= self.n_patterns:
            raise ModelMismatch(
                f"Patterns {low} to {high} are not all known to this reader.",
                hint=f"it has learned the patterns 0 to {self.n_patterns - 1} of one book; free weights need another",
            )


def save_reader(path: Path, reader: SetReader, words: Mapping[str, str] | None = None) -> None:
    """Write the reader as safetensors; words: more that is said of it. The old file stays until the new is complete."""
    write_tensors(path, reader.tensors(), {"format": _FORMAT, "digest": reader.digest} | dict(words or {}))


def load_reader(path: Path) -> SetReader:
    """The reader of a file. Raises FileMissing, or WrongFormat for another or a damaged file."""
    words, tensors = read_tensors(path, hint=_HINT, what="reader")
    names = {field.name for field in fields(SetReader)}
    if words.get("format") != _FORMAT or set(tensors) != names:
        raise WrongFormat(f"{path} holds no set reader.", hint=_HINT)
    reader = SetReader(**tensors)
    if reader.digest != words.get("digest"):
        raise WrongFormat(f"{path} is damaged.", hint="delete it, and train again")
    return reader
