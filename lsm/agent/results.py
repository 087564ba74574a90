"""What one run over a slide yields: plain values that need neither torch nor a microscope."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from lsm.stats import PrevalenceEstimate

MaskBinCounts = Int[np.ndarray, "mask bin"]
"""Red cells per set of captures and score bin; bit k of the mask index is pattern k, row 0 stays empty."""


@dataclass(frozen=True)
class CellFinding:
    """One red cell as found, once per run even where it was captured several times.

    x_um, y_um: centre in slide coordinates. box_px: x0, y0, x1, y1 in the field's frame, in pixels.
    p_infected: class-balanced score, the posterior at 50 % prevalence.
    field: index into SlideRun.visits. mask: bit set of the patterns that were seen.
    """

    x_um: float
    y_um: float
    box_px: tuple[float, float, float, float]
    p_infected: float
    field: int
    mask: int


@dataclass(frozen=True)
class FieldVisit:
    """One field of the slide, however often it was captured.

    xy_um: stage position of its centre. captures: indices into the record; patterns: indices into the
    codebook, in the same order. counts: objects found by kind ("red cell", "white cell", "platelet", ...).
    quality: 0 unusable .. 1 good; fault: what is wrong with the field, empty where nothing is.
    """

    xy_um: tuple[float, float]
    captures: tuple[int, ...]
    patterns: tuple[int, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    quality: float = 1.0
    fault: str = ""

    @property
    def mask(self) -> int:
        """Bit set of the patterns seen here."""
        return sum(1 << pattern for pattern in set(self.patterns))


@dataclass(frozen=True)
class Decision:
    """One step of the policy and what was known after it.

    action: index into SlideRun.action_names; probabilities: of every action, empty for a fixed scan.
    capture: index into the record, None for a step without a capture. field: index into SlideRun.visits.
    estimate, time_s, light_dose: after the step.
    """

    action: int
    field: int
    estimate: PrevalenceEstimate
    time_s: float
    light_dose: float
    capture: int | None = None
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class SlideRun:
    """Everything one policy did on one slide and what it found; holds no truth.

    counts: evidence for the estimate [mask, bin]. captures: number of captures.
    light_dose: LED channels at full drive times milliseconds. time_s: modelled time of moves and exposures.
    extent_um: size of the slide region, origin at (0, 0). field_um: width and height of one field.
    densities: of each visit's red cells the share expected to be infected, where `cells` are only some of them.
    """

    policy: str
    visits: tuple[FieldVisit, ...]
    cells: tuple[CellFinding, ...]
    counts: MaskBinCounts
    captures: int
    light_dose: float
    time_s: float
    travel_um: float
    extent_um: tuple[float, float]
    field_um: tuple[float, float]
    estimate: PrevalenceEstimate
    action_names: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()
    densities: tuple[float, ...] | None = None

    @property
    def red_cells(self) -> int:
        """Red cells in the evidence."""
        return int(self.counts.sum())
