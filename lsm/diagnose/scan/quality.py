"""Whether a field counts, from its bright-field image alone.

The limits are how far a measure may lie from the fields of the model's own design (`lsm.vision.look`), or physics:
a field so dark that its noise is unlike the design's, pixels at full well, cells on top of each other.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lsm.diagnose.scan.config import QualityConfig
from lsm.vision import FieldQuality
from lsm.vision.look import FieldLook, TypicalFields

FEWEST_OWN = 5
RECENT = 50


class Fault(StrEnum):
    """What is wrong with a field; the first that applies is named."""

    ELSEWHERE = "stage elsewhere"
    MOVED = "slide moved"
    DARK = "dark"
    OVEREXPOSED = "overexposed"
    EMPTY = "empty"
    BUBBLE = "bubble or debris"
    OVERSTAINED = "overstained"
    OUT_OF_FOCUS = "out of focus"
    UNRECOGNISED = "out of focus or badly stained"
    BADLY_STAINED = "badly stained"
    UNDERSTAINED = "understained"
    CROWDED = "crowded"


OF_THE_PLACE = frozenset({Fault.EMPTY, Fault.CROWDED, Fault.BUBBLE})
"""Faults that another place of the same slide may not have."""

BY_FOCUS = frozenset({Fault.EMPTY, Fault.OUT_OF_FOCUS, Fault.UNRECOGNISED, Fault.UNDERSTAINED})
"""Faults that another focus may mend."""


@dataclass(frozen=True)
class Judged:
    """fault: None for a field that counts. share: 1 well inside all limits, 0.5 at one, less beyond it."""

    fault: Fault | None
    share: float


class FieldJudge:
    """Judges fields one after the other; remembers how sharp the good ones were.

    typical: of the model; None judges by physics and by the scan's own fields alone.
    """

    def __init__(self, limits: QualityConfig, typical: TypicalFields | None) -> None:
        self._limits, self._typical = limits, typical
        self._sharp: deque[float] = deque(maxlen=RECENT)

    def judge(self, look: FieldLook, quality: FieldQuality) -> Judged:
        """The verdict on one field."""
        margins = self._plain(look, quality)
        if look.red_cells >= max(1, self._limits.cells):
            margins |= self._unlike(look)
            margins[Fault.OUT_OF_FOCUS] = min(margins.get(Fault.OUT_OF_FOCUS, 1.0), self._blurred(look))
        broken = [fault for fault in Fault if margins.get(fault, 1.0) < 0.5]
        return Judged(broken[0] if broken else None, float(np.clip(min(margins.values()), 0.0, 1.0)))

    def keep(self, look: FieldLook) -> None:
        """Remember a field that counts."""
        self._sharp.append(self._sharpness(look))

    def _plain(self, look: FieldLook, quality: FieldQuality) -> dict[Fault, float]:
        limits = self._limits
        return {
            Fault.DARK: quality.signal / (2 * limits.signal),
            Fault.OVEREXPOSED: limits.saturated / max(1e-9, 2 * quality.saturated),
            Fault.EMPTY: look.red_cells / max(1, 2 * limits.cells),
            Fault.CROWDED: limits.coverage / max(1e-9, 2 * look.coverage),
        }

    def _unlike(self, look: FieldLook) -> dict[Fault, float]:
        """Margins of 0.5 where a measure lies `unlike` standard deviations off on the bad side."""
        if self._typical is None:
            return {}
        off = self._typical.off(look)
        bad = {
            Fault.OVERSTAINED: off.absorbance,
            Fault.UNDERSTAINED: -off.absorbance,
            Fault.OUT_OF_FOCUS: -off.sharpness,
            Fault.UNRECOGNISED: -off.certainty,
            Fault.BUBBLE: off.body,
        }
        return {fault: 1 - 0.5 * max(0.0, far) / self._limits.unlike for fault, far in bad.items()}

    def _blurred(self, look: FieldLook) -> float:
        """Against the scan's own good fields: the same slide, stain and camera."""
        if len(self._sharp) < FEWEST_OWN:
            return 1.0
        share = np.exp(self._sharpness(look) - float(np.median(self._sharp)))
        return float(share / (2 * self._limits.blurred))

    def _sharpness(self, look: FieldLook) -> float:
        """Logarithm of the sharpness, freed from what density and stain make of it where that is known."""
        if self._typical is None:
            return look.sharpness
        return self._typical.off(look).sharpness * self._typical.sharpness.spread
