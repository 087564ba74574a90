"""What a scan of a slide is told: where, under which light, how it focuses, what it refuses and when it ends."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import model_validator

from lsm.config import Config

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]
Light = Literal["bright field", "learned", "agent"]
FocusWay = Literal["leave", "plane", "every"]


class RegionConfig(Config):
    """Which fields.

    corner_um: corner of the region at smallest x and y; None takes what the rig can reach, or its middle where that is
    more than `fields`. columns, rows: of the region; needed with a corner.
    fields: at most so many are scanned. overlap: share of a field that neighbours have in common.
    """

    corner_um: tuple[float, float] | None = None
    columns: Count | None = None
    rows: Count | None = None
    fields: Count = 500
    overlap: Annotated[float, Ge(0), Le(0.5)] = 0.1

    @model_validator(mode="after")
    def _corner_has_a_size(self) -> "RegionConfig":
        if (self.columns is None) != (self.rows is None):
            raise ValueError("give both columns and rows, or neither")
        if self.corner_um is not None and self.columns is None:
            raise ValueError("a corner needs columns and rows")
        return self


class FocusConfig(Config):
    """How the focus is found.

    way: "leave" it at z_um, or where it is; "plane" through `places` measured ones; "every" n-th field is measured.
    search_um: half of the range around the expected focus. exposure_ms: of each frame of a search.
    residual_um: a plane that misses its own points by more (root mean square) is refused; None takes a quarter of the
    objective's depth of field. recheck: a field that is out of focus is focused once more before it is given up.
    backlash_um: positions are approached from so much below.
    """

    way: FocusWay = "leave"
    places: Annotated[int, Ge(4)] = 5
    every: Count = 25
    search_um: Positive = 60.0
    exposure_ms: Positive = 30.0
    residual_um: Positive | None = None
    recheck: bool = True
    backlash_um: NotNegative = 0.0


class QualityConfig(Config):
    """When a field does not count; see lsm.diagnose.scan.quality.

    unlike: standard deviations by which a measure may differ from the fields of the model's design. Of 500 good fields
    less than one is refused by chance at 4.5, were the measures normal.
    blurred: share of the median sharpness of the scan's own good fields below which a field is out of focus.
    cells: fewer red cells is empty. coverage: more of the area under cells is crowded, since cells lie on each other
    from 0.75 on. signal: below this share of the design's mean signal it is dark. saturated: more pixels at full well
    are overexposed. elsewhere_um: the stage reads back a place farther from the one asked for.
    moved_um: what neighbouring fields share may lie this far apart; play and drift of a stage are less.
    alike: share of the cells of a common strip that must be seen again.
    revisit_every: without overlap, the first good field is looked at again after so many fields; 0 never does.
    """

    unlike: Positive = 4.5
    blurred: Annotated[float, Gt(0), Lt(1)] = 0.7
    cells: Annotated[int, Ge(0)] = 5
    coverage: Positive = 0.75
    signal: Positive = 0.4
    saturated: Positive = 0.2
    elsewhere_um: Positive = 5.0
    moved_um: Positive = 8.0
    alike: Annotated[float, Gt(0), Lt(1)] = 0.5
    revisit_every: Annotated[int, Ge(0)] = 25


class ScanConfig(Config):
    """One scan.

    light: "bright field" alone; "learned", all patterns of the model in every field; "agent", which takes further
    patterns of a field where they narrow the interval more per second than the next field would.
    suspects: the most suspicious cells that are kept with their images. decide: end as soon as the rule decides.
    settle_s, stage_mm_per_s: what moves cost in the time that is counted.
    """

    light: Light = "bright field"
    region: RegionConfig = RegionConfig()
    focus: FocusConfig = FocusConfig()
    quality: QualityConfig = QualityConfig()
    suspects: Annotated[int, Ge(1), Le(500)] = 24
    decide: bool = True
    settle_s: NotNegative = 0.1
    stage_mm_per_s: Positive = 5.0
