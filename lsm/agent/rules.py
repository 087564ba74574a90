"""What a search over a slide may do and what it costs: the numbers shared by every environment and run."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import model_validator

from lsm.config import Config

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
AXIS_MOVES = ("+x", "-x", "+y", "-y")


class ScanGrid(Config):
    """Fields that tile the slide region without overlap; field index = row * columns + column, row 0 at smallest y.

    pitch_um: width and height of one field's own tile. corner_um: corner of the region at smallest x and y.
    """

    columns: Annotated[int, Ge(1)] = 10
    rows: Annotated[int, Ge(1)] = 6
    pitch_um: Positive = 230.4
    corner_um: tuple[float, float] = (0.0, 0.0)

    @property
    def n_fields(self) -> int:
        return self.columns * self.rows

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the region."""
        return self.columns * self.pitch_um, self.rows * self.pitch_um

    def centre_um(self, field: int) -> tuple[float, float]:
        """Stage position that puts the middle of `field` on the axis."""
        row, column = divmod(field, self.columns)
        x_um, y_um = self.corner_um
        return x_um + (column + 0.5) * self.pitch_um, y_um + (row + 0.5) * self.pitch_um

    def serpentine(self) -> tuple[int, ...]:
        """All fields in serpentine order: along +x in even rows, along -x in odd ones."""
        rows = (range(row * self.columns, (row + 1) * self.columns) for row in range(self.rows))
        return tuple(field for index, row in enumerate(rows) for field in (row if index % 2 == 0 else reversed(row)))


class CostConfig(Config):
    """Price of a search in nats of estimation error, per physical unit, and how long moves take.

    per_light: per LED-second, one LED channel at full drive for one second.
    settle_s: waiting after every stage move. stage_mm_per_s: speed of the stage.
    """

    per_capture: NotNegative = 0.001
    per_light: NotNegative = 0.0
    per_mm: NotNegative = 0.002
    per_s: NotNegative = 0.0
    settle_s: NotNegative = 0.1
    stage_mm_per_s: Positive = 5.0


class RewardConfig(Config):
    """The error that is punished at the end of a search: min(|log((estimate + e0) / (truth + e0))|, cap), in nats.

    floor: e0, the prevalence below which differences stop mattering.
    shaped: pay the decrease of the error after every step instead of its value at the end. The sum
    over a search differs by the constant `cap`, so the best policy is the same; learning is quicker.
    """

    floor: Positive = 5e-3
    cap: Positive = 3.0
    shaped: bool = True


class SearchConfig(Config):
    """One search, whatever its patterns: a grid of fields, a budget, costs and the reward.

    capture_budget: captures per search. action_budget: captures, moves and the stop together; when it is
    used up, only the stop is left.
    """

    capture_budget: Annotated[int, Ge(1)] = 24
    action_budget: Annotated[int, Ge(2)] = 64
    n_bins: Annotated[int, Ge(2), Le(64)] = 10
    grid: ScanGrid = ScanGrid()
    costs: CostConfig = CostConfig()
    reward: RewardConfig = RewardConfig()


class SearchRules(SearchConfig):
    """One search with K patterns.

    exposures_ms, light_doses: per pattern, the exposure and the light it emits (LED channels at full
    drive times milliseconds).
    """

    exposures_ms: Annotated[tuple[Positive, ...], MinLen(1)]
    light_doses: Annotated[tuple[NotNegative, ...], MinLen(1)]

    @classmethod
    def of(cls, config: SearchConfig, *, exposures_ms: Sequence[float], light_doses: Sequence[float]) -> "SearchRules":
        """The rules of `config` for these patterns."""
        return cls(**config.model_dump(), exposures_ms=tuple(exposures_ms), light_doses=tuple(light_doses))

    @model_validator(mode="after")
    def _same_patterns(self) -> "SearchRules":
        if len(self.exposures_ms) != len(self.light_doses):
            raise ValueError("exposures_ms and light_doses must have one entry per pattern")
        return self

    @property
    def n_patterns(self) -> int:
        return len(self.exposures_ms)

    @property
    def n_masks(self) -> int:
        """Number of sets of captures of one field, the empty one included."""
        return 1 << self.n_patterns

    @property
    def n_actions(self) -> int:
        return self.n_patterns + 6

    @property
    def jump(self) -> int:
        """Action: go to the next unvisited field in serpentine order."""
        return self.n_patterns + 4

    @property
    def stop(self) -> int:
        """Action: end the search and declare."""
        return self.n_patterns + 5

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names in action order: one per pattern, four axis moves, jump, stop."""
        patterns = tuple(f"pattern {index}" for index in range(self.n_patterns))
        return (*patterns, *AXIS_MOVES, "jump", "stop")
