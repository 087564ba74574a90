"""What may be done at one cell and what it costs: the numbers shared by every environment and run."""

from collections.abc import Sequence
from typing import Annotated, Final

from annotated_types import Ge, Gt, Le, Lt
from pydantic import model_validator

from lsm.config import Config
from lsm.errors import ConfigError

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]

DECLARATIONS: Final = ("infected", "healthy", "refer")
"""What ends an episode, in action order."""

INFECTED, HEALTHY, REFER = range(3)


class CellBudget(Config):
    """What one cell may use up. None is no limit; the number of captures always has one.

    light_led_s: LED-seconds, one LED channel at full drive for one second.
    time_s: exposures and what comes with every capture.
    """

    captures: Annotated[int, Ge(1)] = 6
    light_led_s: Positive | None = None
    time_s: Positive | None = None


class CellCosts(Config):
    """Price of looking, in units of one missed infection, per physical unit.

    overhead_s: time of a capture beyond its exposure: latch the light, read the camera, decide.
    """

    per_capture: NotNegative = 0.01
    per_led_s: NotNegative = 0.0
    per_s: NotNegative = 0.0
    overhead_s: NotNegative = 0.02


class CellReward(Config):
    """What the end of an episode is worth, in units of one missed infection.

    missed: cost of declaring an infected cell healthy. false_alarm: of declaring a healthy one infected.
    referred: of leaving the decision to somebody else.
    log_score: weight of the logarithmic score, ln of the belief in the truth, at least -log_cap nats.
    shaped: pay the increase of the logarithmic score after every capture instead of its value at the end. The
    sum over an episode differs by a constant, so the best policy is the same; learning is quicker.
    refused: cost of an action that is not allowed.
    """

    missed: NotNegative = 1.0
    false_alarm: NotNegative = 1.0
    referred: NotNegative = 0.35
    log_score: NotNegative = 0.0
    log_cap: Positive = 4.6
    shaped: bool = False
    refused: NotNegative = 0.1


class AdaptiveConfig(Config):
    """One episode at one cell, whatever its patterns.

    infected_share: probability that the next cell is infected, which is also where the belief starts.
    repeats: how often one pattern may be captured at a cell. captures_min: captures before a declaration.
    steps_max: steps after which an episode is cut off, refused actions counted; more than the budget of captures.
    """

    budget: CellBudget = CellBudget()
    costs: CellCosts = CellCosts()
    reward: CellReward = CellReward()
    infected_share: Annotated[float, Gt(0), Lt(1)] = 0.5
    repeats: Annotated[int, Ge(1)] = 1
    captures_min: Annotated[int, Ge(0)] = 1
    steps_max: Annotated[int, Ge(2), Le(10_000)] = 32

    @model_validator(mode="after")
    def _can_end(self) -> "AdaptiveConfig":
        if self.steps_max <= self.budget.captures:
            raise ConfigError(
                f"Episodes of {self.steps_max} steps end before {self.budget.captures} captures and a declaration.",
                hint=f"set steps_max to {self.budget.captures + 1} or more",
            )
        if self.captures_min > self.budget.captures:
            raise ConfigError(
                f"{self.captures_min} captures are needed to declare, but the budget has {self.budget.captures}.",
                hint="lower captures_min",
            )
        return self


class AdaptiveRules(AdaptiveConfig):
    """One episode with K patterns, or with free weights where there are none.

    lamps: LEDs in one colour each, of which a light is made. exposures_ms, lights_led_s: per pattern, the exposure
    and the light it emits. side_px: height and width of a frame.
    exposure_max_ms: of any capture; free weights may come up to it.
    """

    lamps: Annotated[int, Ge(1)]
    side_px: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
    exposures_ms: tuple[Positive, ...] = ()
    lights_led_s: tuple[NotNegative, ...] = ()
    exposure_max_ms: Positive = 1000.0

    @classmethod
    def of(
        cls,
        config: AdaptiveConfig,
        *,
        lamps: int,
        side_px: tuple[int, int],
        exposures_ms: Sequence[float] = (),
        lights_led_s: Sequence[float] = (),
        exposure_max_ms: float = 1000.0,
    ) -> "AdaptiveRules":
        """The rules of `config` for these patterns."""
        return cls(
            **config.model_dump(),
            lamps=lamps,
            side_px=side_px,
            exposures_ms=tuple(exposures_ms),
            lights_led_s=tuple(lights_led_s),
            exposure_max_ms=exposure_max_ms,
        )

    @model_validator(mode="after")
    def _same_patterns(self) -> "AdaptiveRules":
        if len(self.exposures_ms) != len(self.lights_led_s):
            raise ConfigError(
                f"{len(self.exposures_ms)} exposures and {len(self.lights_led_s)} lights are no patterns.",
                hint="give one of each per pattern",
            )
        return self

    @property
    def n_patterns(self) -> int:
        """K; 0 where weights are free."""
        return len(self.exposures_ms)

    @property
    def free(self) -> bool:
        """Whether an action holds weights of lamps instead of the number of a pattern."""
        return self.n_patterns == 0

    @property
    def n_kinds(self) -> int:
        """Things that can be chosen between: captures (one kind where weights are free), then the declarations."""
        return max(1, self.n_patterns) + len(DECLARATIONS)

    @property
    def n_uses(self) -> int:
        """Entries that say which light was used: one per pattern, or one per lamp where weights are free."""
        return self.lamps if self.free else self.n_patterns

    @property
    def first_declaration(self) -> int:
        """Number of the kind "infected"; "healthy" and "refer" follow."""
        return max(1, self.n_patterns)

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Names in action order."""
        captures = ("capture",) if self.free else tuple(f"pattern {index}" for index in range(self.n_patterns))
        return (*captures, *DECLARATIONS)

    @property
    def light_scale_led_s(self) -> float:
        """Light of an episode that spends its captures on the brightest light; observations are in units of it."""
        brightest = self.lamps * self.exposure_max_ms / 1000 if self.free else max(self.lights_led_s)
        return self.budget.captures * max(brightest, 1e-9)

    @property
    def time_scale_s(self) -> float:
        """Time of an episode that spends its captures on the longest exposure; observations are in units of it."""
        longest_ms = self.exposure_max_ms if self.free else max(self.exposures_ms)
        return self.budget.captures * (longest_ms / 1000 + self.costs.overhead_s)
