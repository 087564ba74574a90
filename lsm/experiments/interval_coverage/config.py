"""Settings of the experiment."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field

from lsm.config import Config
from lsm.stats import BetaShare, GammaRate, ReaderErrors, SequentialRule

Count = Annotated[int, Ge(1)]
Rate = Annotated[float, Gt(0), Le(0.01)]
Density = Annotated[float, Ge(0), Le(1e6)]
Share = Annotated[float, Gt(0), Le(1)]


class Reader(Config):
    """What is simulated: a reader whose errors differ from slide to slide."""

    sensitivity: Share = 0.8
    sensitivity_sd: Annotated[float, Ge(0)] = 0.02
    cv: Annotated[float, Ge(0)] = 0.5

    def errors(self, rate: float, *, cv: float | None = None, sensitivity_sd: float | None = None) -> ReaderErrors:
        """With this mean of false positives per cell."""
        spread = self.sensitivity_sd if sensitivity_sd is None else sensitivity_sd
        return ReaderErrors(BetaShare(self.sensitivity, spread), GammaRate(rate, self.cv if cv is None else cv))


class RuleSettings(Config):
    """One sequential rule and the slides that it meets.

    cv: of their false positives. fitted_to: control slides from which the rule learns rate and variation; 0 where it is
    told. look_alikes: expected number from which each slide's own rate is estimated; 0 for none.
    """

    rate: Rate = 1e-5
    cv: Annotated[float, Ge(0)] = 0.0
    target_per_ul: Annotated[float, Gt(0)] = 100.0
    fitted_to: Annotated[int, Ge(0)] = 0
    look_alikes: Annotated[int, Ge(0)] = 0

    def rule(self, sensitivity: float, scan: "ScanSettings") -> SequentialRule:
        """As the slides are."""
        errors = ReaderErrors(BetaShare(sensitivity), GammaRate(self.rate, self.cv))
        return SequentialRule(errors, self.target_per_ul, scan.alpha, scan.beta)


class ScanSettings(Config):
    """Sequential scans. field_cells: smallest and largest number in a field. cells_max: the scan ends undecided.
    multiples: densities of the slides, in targets; per_ul: further ones.
    """

    alpha: Share = 0.025
    beta: Share = 0.05
    field_cells: tuple[Count, Count] = (100, 400)
    cells_max: Count = 6_000_000
    multiples: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    per_ul: tuple[Density, ...] = (1000.0, 10_000.0, 100_000.0)


class Short(Config):
    """The short form: runs of each kind, and what it keeps."""

    runs: Count = 1000
    slow_runs: Count = 60
    looks: Annotated[int, Ge(5)] = 10
    cells: tuple[Count, ...] = (2_000_000,)
    rates: tuple[Rate, ...] = (1e-5,)
    rules: tuple[str, ...] = ()
    cells_max: Count = 2_000_000


class CoverageConfig(Config):
    """The whole experiment.

    runs: slides, or panels, per condition; slow_runs where one takes some milliseconds. looks: at a scan whose count
    may end it, evenly in their logarithm. asked: the coverage that an interval at 95 % should have. rates: mean false
    positives per cell. densities: per microlitre, fixed ones.
    """

    seed: Annotated[int, Ge(0)] = 0
    runs: Count = 10_000
    slow_runs: Count = 2000
    looks: Annotated[int, Ge(5)] = 50
    asked: tuple[Share, Share] = (0.94, 0.97)
    reader: Reader = Reader()
    cells: Annotated[tuple[Count, ...], MinLen(1)] = (20_000, 200_000, 2_000_000)
    rates: Annotated[tuple[Rate, ...], MinLen(1)] = (1e-6, 1e-5, 1e-4)
    densities: Annotated[tuple[Density, ...], MinLen(1)] = (0, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    control_slides: Annotated[tuple[Count, ...], MinLen(1)] = (20, 40)
    scan: ScanSettings = ScanSettings()
    rules: Annotated[dict[str, RuleSettings], MinLen(1)]
    quick: Short = Field(default_factory=Short)

    def short(self) -> "CoverageConfig":
        """The short form, for the direction alone."""
        kept = {name: self.rules[name] for name in self.quick.rules} or self.rules
        return self.model_copy(
            update={
                "runs": self.quick.runs,
                "slow_runs": self.quick.slow_runs,
                "looks": self.quick.looks,
                "cells": self.quick.cells,
                "rates": self.quick.rates,
                "rules": kept,
                "scan": self.scan.model_copy(update={"cells_max": self.quick.cells_max}),
            }
        )
