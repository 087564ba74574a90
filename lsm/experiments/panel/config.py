"""Settings of the panel: which slides, how they differ, who reads them, and how they are scanned."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.diagnose import VerdictRules
from lsm.diagnose.scan import ScanConfig
from lsm.diagnose.scan.config import Light
from lsm.errors import ConfigError
from lsm.samples import SlideVariety

Count = Annotated[int, Ge(1)]
Spread = Annotated[float, Ge(0), Le(2)]
Density = Annotated[float, Ge(0), Le(2.5e6)]
Micrometres = Annotated[float, Gt(0), Le(75_000)]


class Group(Config):
    """Slides of one kind. per_ul: their densities are spread evenly in logarithm between these; 0, 0 for none.

    part: what they are marked for.
    """

    part: Literal["detection", "counting"]
    slides: Count
    per_ul: tuple[Density, Density]

    @model_validator(mode="after")
    def _possible(self) -> "Group":
        low, high = self.per_ul
        if low > high or (low == 0) != (high == 0) or (self.part == "counting" and high == 0):
            raise ConfigError(
                f"Slides for {self.part} with {low:g} to {high:g} parasites/ul cannot be.",
                hint="give the lower density first, 0 and 0 for slides without parasites, which nobody counts",
            )
        return self


class Variation(SlideVariety):
    """How slides differ; every reader meets the same.

    stain_spread: sigma of the logarithm of the exponent on all transmissions.
    """

    stain_spread: Spread = 0.15


class Arm(Config):
    """One reader. light: of its scan. model: None takes the panel's."""

    light: Light
    model: str | None = None


class Short(Config):
    """The short form: so many slides, with so many fields each."""

    slides: Annotated[int, Ge(2)] = 4
    columns: Count = 2
    rows: Count = 2


class PanelConfig(Config):
    """The whole panel.

    model: of every arm that names no other; its design says how the average slide looks. rig: whose board, objective
    and camera the scans are for. film_um: width and height of each film, of which the middle is scanned: the cells of
    a film are even over three tenths of its width. groups, variation: the slides. arms: the readers; all read the same
    slides. slides: so many of the panel, from all of its length; None takes it whole. scan: its light is the arm's;
    slides for counting are scanned to the end of the region, others until the rule decides.
    verdict: the limits that a scan is judged by. draws: weighings of the slides behind an interval.
    """

    seed: Annotated[int, Ge(0)] = 0
    model: str = "procedural"
    rig: str = "simulated"
    film_um: tuple[Micrometres, Micrometres] = (8400.0, 2300.0)
    groups: Annotated[dict[str, Group], MinLen(1)]
    variation: Variation = Variation()
    arms: Annotated[dict[str, Arm], MinLen(1)]
    slides: Annotated[int, Ge(2)] | None = None
    scan: ScanConfig = ScanConfig()
    verdict: VerdictRules = VerdictRules()
    confidence: Annotated[float, Gt(0.5), Lt(1)] = 0.95
    draws: Annotated[int, Ge(100)] = 4000
    quick: Short = Field(default_factory=Short)

    @model_validator(mode="after")
    def _has_both_parts(self) -> "PanelConfig":
        if {group.part for group in self.groups.values()} != {"detection", "counting"}:
            raise ConfigError("A panel needs slides for detection and for counting.", hint="add a group of each part")
        return self

    @property
    def size(self) -> int:
        """Slides of the whole panel."""
        return sum(group.slides for group in self.groups.values())

    @property
    def reduced(self) -> bool:
        """Whether slides are left out, so that the result is not that of the panel."""
        return self.slides is not None and self.slides < self.size

    def short(self) -> "PanelConfig":
        """The short form, which shows that everything runs."""
        quick = self.quick
        region = self.scan.region.model_copy(update={"columns": quick.columns, "rows": quick.rows})
        return self.model_copy(update={"slides": quick.slides, "scan": self.scan.model_copy(update={"region": region})})
