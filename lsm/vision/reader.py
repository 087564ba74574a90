"""From the captures of one field to its cells and their odds of infection; images in, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.errors import ModelMismatch, WrongFormat
from lsm.sensing.bundle import Bundle
from lsm.sensing.capture import normalise
from lsm.sensing.heads import CellClassifier, ClassifierConfig, crop_cells
from lsm.types import Image
from lsm.vision.finder import NO_CELLS, CellFinder, FinderConfig, FoundCells

RED_CELL = 0
SCAN = "scan"
"""Prefix of the parts of a bundle that a scan alone uses."""

_DARK = 0.05
"""A capture with less than this part of its usual signal shows nothing: no cells in dark field, or no light."""


@dataclass(frozen=True)
class FieldQuality:
    """How usable a field is, from its images alone.

    n_red, n_other: red cells; white cells and platelets. coverage: area of all found cells over the
    field's area (above about 0.7 cells overlap). signal: mean over the captures of the field's mean
    signal relative to the design fields'. saturated: largest fraction of pixels at full well.
    """

    n_red: int
    n_other: int
    coverage: float
    signal: float
    saturated: float


@dataclass(frozen=True, eq=False)
class FieldReading:
    """What is known about one field after the captures in `mask` (bit k is pattern k).

    cells: all cells found. p_infected: per cell, the probability of infection if half of all cells
    were infected; NaN for what is not a red cell. counts: red cells per score bin [bin].
    """

    mask: int
    cells: FoundCells
    p_infected: Float[np.ndarray, " cell"]
    counts: Int[np.ndarray, " bin"]
    quality: FieldQuality


@dataclass(frozen=True, eq=False)
class _Scale:
    """How digital numbers of each pattern become what the networks see."""

    mean: Float[Tensor, " capture"]
    std: Float[Tensor, " capture"]
    adu_offset: float
    adu_full_well: float

    @classmethod
    def of(cls, bundle: Bundle) -> "_Scale":
        part = bundle.select("codebook")
        return cls(part["signal_mean"], part["signal_std"], float(part["adu_offset"]), float(part["adu_full_well"]))


class FieldReader:
    """Reads fields with the networks of a bundle.

    baseline: use the classifier trained on bright field alone; it reads pattern 0 only, as mask 1.
    scan: score bins of a scan, in place of those that a policy sees. score_edges: between the bins, rising; a score on
    one is in the bin above it.
    Raises ModelMismatch when the bundle lacks a part or its sizes do not fit.
    """

    def __init__(self, bundle: Bundle, *, baseline: bool = False, scan: bool = False) -> None:
        self.n_patterns = 1 if baseline else bundle.n_patterns
        self._scale = _Scale.of(bundle)
        edges = bundle.select(SCAN)["score_edges"] if scan else bundle.tensors["reader.score_edges"]
        self.score_edges: Float[np.ndarray, " edge"] = edges.double().numpy()
        self._finder = CellFinder(FinderConfig.from_table(_table(bundle, "finder")))
        self._classifier = CellClassifier(self.n_patterns, ClassifierConfig.from_table(_table(bundle, "classifier")))
        _fill(self._finder, bundle, "finder")
        _fill(self._classifier, bundle, "baseline" if baseline else "classifier")

    @property
    def n_bins(self) -> int:
        """Score bins of a reading's counts."""
        return len(self.score_edges) + 1

    @property
    def offset_adu(self) -> float:
        """Digital number of a dark pixel of the camera that the model was designed for."""
        return self._scale.adu_offset

    def bins(self, p_infected: Float[np.ndarray, " cell"]) -> Int[np.ndarray, " cell"]:
        """Score bin of each red cell."""
        return np.searchsorted(self.score_edges, p_infected, side="right")

    def find(self, image: Image, *, pattern: int = 0) -> FoundCells:
        """The cells in one image, without their odds. Raises WrongFormat for an unknown pattern."""
        signals = self._signals({pattern: image})
        return self._found(signals, self._grids(signals), [pattern])

    def read(self, frames: Mapping[int, Image]) -> FieldReading:
        """The field's cells from its captures, by pattern index. Raises WrongFormat for an unknown pattern."""
        signals = self._signals(frames)
        mask = sum(1 << k for k in signals)
        return self._reading(mask, signals, self._seen(signals), self._grids(signals))

    def read_subsets(self, frames: Mapping[int, Image]) -> dict[int, FieldReading]:
        """Readings for every non-empty subset of the captures, by mask; each equals `read` of that subset."""
        signals = self._signals(frames)
        seen, grids = self._seen(signals), self._grids(signals)
        full = sum(1 << k for k in signals)
        return {mask: self._reading(mask, signals, seen, grids) for mask in range(1, full + 1) if mask & full == mask}

    def _signals(self, frames: Mapping[int, Image]) -> dict[int, Float[Tensor, "y x"]]:
        shapes = {image.shape for image in frames.values()}
        if not frames or not set(frames) <= set(range(self.n_patterns)) or len(shapes) != 1:
            raise WrongFormat(
                f"Frames of patterns {sorted(frames)} with sizes {sorted(shapes)} are no field of this model.",
                hint=f"give at least one image, all of one size, of patterns 0 to {self.n_patterns - 1}",
            )
        well = self._scale.adu_full_well
        return {
            k: (torch.from_numpy(frames[k].astype(np.float32)) - self._scale.adu_offset) / well for k in sorted(frames)
        }

    def _seen(self, signals: Mapping[int, Float[Tensor, "y x"]]) -> Float[Tensor, "1 capture y x"]:
        chosen = list(signals)
        some = next(iter(signals.values()))
        seen = torch.zeros(1, self.n_patterns, *some.shape)
        stacked = torch.stack([signals[k] for k in chosen])
        seen[0, chosen] = normalise(stacked, self._scale.mean[chosen], self._scale.std[chosen])
        return seen

    def _grids(self, signals: Mapping[int, Float[Tensor, "y x"]]) -> dict[int, Tensor]:
        seen = self._seen(signals)[0]
        grids = self._finder.grids(seen[list(signals)])
        return dict(zip(signals, grids, strict=True))

    @torch.no_grad()
    def _reading(
        self,
        mask: int,
        signals: Mapping[int, Float[Tensor, "y x"]],
        seen: Float[Tensor, "1 capture y x"],
        grids: Mapping[int, Tensor],
    ) -> FieldReading:
        taken = [k for k in signals if mask >> k & 1]
        cells = self._found(signals, grids, taken)
        red = np.flatnonzero(cells.kind == RED_CELL)
        crops = crop_cells(
            seen,
            torch.zeros(len(red), dtype=torch.int64),
            torch.from_numpy(cells.x_px[red]).float(),
            torch.from_numpy(cells.y_px[red]).float(),
            size_px=self._classifier.config.crop_px,
        )
        present = torch.tensor([k in taken for k in range(self.n_patterns)]).expand(len(red), self.n_patterns)
        p_infected = np.full(len(cells), np.nan)
        p_infected[red] = torch.sigmoid(self._classifier(crops, present).double()).numpy()
        counts = np.bincount(self.bins(p_infected[red]), minlength=self.n_bins)
        return FieldReading(mask, cells, p_infected, counts, self._quality(taken, signals, cells))

    def _found(
        self, signals: Mapping[int, Float[Tensor, "y x"]], grids: Mapping[int, Tensor], taken: list[int]
    ) -> FoundCells:
        lit = [k for k in taken if float(signals[k].mean()) > _DARK * float(self._scale.mean[k])]
        return self._finder.detect(torch.stack([grids[k] for k in lit])) if lit else NO_CELLS

    def _quality(
        self, taken: list[int], signals: Mapping[int, Float[Tensor, "y x"]], cells: FoundCells
    ) -> FieldQuality:
        pixels = next(iter(signals.values())).numel()
        n_red = int((cells.kind == RED_CELL).sum())
        return FieldQuality(
            n_red=n_red,
            n_other=len(cells) - n_red,
            coverage=float(np.pi * (cells.radius_px**2).sum() / pixels),
            signal=float(np.mean([float(signals[k].mean() / self._scale.mean[k]) for k in taken])),
            # 0.5 % below full well, where response and read noise spread the saturated pixels
            saturated=max(float((signals[k] > 0.995).float().mean()) for k in taken),
        )


def _table(bundle: Bundle, part: str) -> dict[str, object]:
    table = bundle.card.config.get(part)
    if not isinstance(table, dict):
        raise ModelMismatch(f"The card of '{bundle.card.name}' does not describe its {part}.", hint="design it anew")
    return dict(table)


def _fill(network: torch.nn.Module, bundle: Bundle, part: str) -> None:
    held, wanted = bundle.select(part), network.state_dict()
    shapes = {key: tuple(value.shape) for key, value in held.items()}
    if shapes != {key: tuple(value.shape) for key, value in wanted.items()}:
        raise ModelMismatch(
            f"The weights '{part}' of model '{bundle.card.name}' do not fit its card.", hint="design it anew"
        )
    network.load_state_dict(held)
    network.eval()
