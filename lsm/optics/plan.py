"""What one computation of LED images consists of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int32

from lsm.optics.grid import ImagingSystem
from lsm.optics.windows import Windows


@dataclass(frozen=True, eq=False)
class Plan:
    """What to compute: windows, and how sources are summed into groups and sampled.

    group_start: sources group_start[g] to group_start[g + 1] - 1 add up to image g.
    points_per_led: sources that share the light of one LED; they lie side by side.
    area: average over the camera pixel; otherwise sample at its centre.
    """

    windows: Windows
    group_start: Int32[np.ndarray, " edges"]
    system: ImagingSystem
    area: bool
    points_per_led: int = 1

    @property
    def groups(self) -> int:
        return len(self.group_start) - 1

    @property
    def grid_px(self) -> int:
        """Side of the transform: free of aliasing where pixels are integrated, else just enough for the field."""
        needed = self.system.intensity_px if self.area else 1
        return self.system.grid_px(max(needed, self.windows.window_px))

    @property
    def step(self) -> int:
        return self.grid_px // self.system.computed_px

    @cached_property
    def single(self) -> bool:
        """Whether each group holds exactly one source."""
        return bool((np.diff(self.group_start) == 1).all())

    def part(self, first: int, end: int) -> "Plan":
        """The groups from `first` up to but not including `end`."""
        starts = self.group_start[first : end + 1]
        windows = self.windows.part(slice(int(starts[0]), int(starts[-1])))
        return Plan(windows, np.ascontiguousarray(starts - starts[0]), self.system, self.area, self.points_per_led)
