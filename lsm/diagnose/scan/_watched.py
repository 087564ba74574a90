"""The microscope of a scan: every frame is handed over before anything else happens, and what it cost is counted."""

import math
from collections.abc import Callable
from typing import Any

from lsm.devices import Frame, Microscope, Observe
from lsm.illum import LedBoard

OnCapture = Callable[[Frame, dict[str, Any]], object]


class WatchedMicroscope:
    """A Microscope that hands each frame, with what it was taken for, to `on_capture`.

    told: what is said with the next frames; the scan sets it. captures: frames so far. light_dose: as
    Frame.light_dose. time_s: modelled, of moves at stage_mm_per_s, settle_s after each, and exposures.
    """

    def __init__(
        self, microscope: Microscope, on_capture: OnCapture, *, settle_s: float, stage_mm_per_s: float
    ) -> None:
        self.told: dict[str, Any] = {}
        self.captures, self.light_dose, self.time_s, self.travel_um = 0, 0.0, 0.0, 0.0
        self._microscope, self._on_capture = microscope, on_capture
        self._settle_s, self._um_per_s = settle_s, 1000 * stage_mm_per_s
        self._at: tuple[tuple[float, float] | None, float | None] = (None, None)

    @property
    def board(self) -> LedBoard:
        return self._microscope.board

    def observe(self, request: Observe) -> Frame:
        """One frame, recorded when this returns."""
        frame = self._microscope.observe(request)
        self._pay(request, frame)
        self._on_capture(frame, dict(self.told))
        self.captures += 1
        return frame

    def close(self) -> None:
        self._microscope.close()

    def _pay(self, request: Observe, frame: Frame) -> None:
        xy_um, z_um = self._at
        to_xy, to_z = request.xy_um or xy_um, z_um if request.z_um is None else request.z_um
        if (to_xy, to_z) != self._at:
            way_um = math.dist(xy_um, to_xy) if xy_um and to_xy else 0.0
            self.travel_um += way_um
            self.time_s += way_um / self._um_per_s + self._settle_s
        self._at = (to_xy, to_z)
        self.time_s += frame.exposure_ms / 1000
        self.light_dose += frame.light_dose
