"""The patterns that a search chooses from, with the exposure of each."""

from dataclasses import dataclass

from lsm.agent.rules import SearchConfig, SearchRules
from lsm.errors import ConfigError
from lsm.illum import LedBoard, Pattern
from lsm.sensing import Bundle


@dataclass(frozen=True)
class Codebook:
    """K patterns on one board, index 0 is bright field, and their exposures. Raises ConfigError unless they pair up."""

    patterns: tuple[Pattern, ...]
    exposures_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.patterns or len(self.patterns) != len(self.exposures_ms) or min(self.exposures_ms) <= 0:
            raise ConfigError(
                f"{len(self.patterns)} patterns with the exposures {self.exposures_ms} ms are no codebook.",
                hint="give one positive exposure per pattern",
            )

    @classmethod
    def from_bundle(cls, bundle: Bundle, board: LedBoard) -> "Codebook":
        """The codebook of a model, on its board. Raises ModelMismatch for another board."""
        return cls(bundle.patterns(board), tuple(float(exposure) for exposure in bundle.exposures_ms))

    def __len__(self) -> int:
        return len(self.patterns)

    @property
    def light_doses(self) -> tuple[float, ...]:
        """Light per capture: LED channels at full drive times milliseconds, in the board's 8-bit levels."""
        return tuple(
            float(pattern.levels.sum(dtype="int64")) / 255 * exposure_ms
            for pattern, exposure_ms in zip(self.patterns, self.exposures_ms, strict=True)
        )

    def first(self, n: int) -> "Codebook":
        """The first n patterns; one is bright field alone."""
        return type(self)(self.patterns[:n], self.exposures_ms[:n])

    def rules(self, config: SearchConfig) -> SearchRules:
        """The rules of a search with these patterns."""
        return SearchRules.of(config, exposures_ms=self.exposures_ms, light_doses=self.light_doses)
