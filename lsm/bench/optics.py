"""The whole comparison, in one process."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from lsm.bench.cases import FULL_SIZE_POINTS, FULL_SIZE_POINTS_QUICK, further_cases, promised_cases
from lsm.bench.contenders import Contender, Naive, Reused, lsm_contenders
from lsm.bench.machine import Limit, Machine, measure_limit, this_machine
from lsm.bench.memory import Peak, measure_peak
from lsm.bench.packages import installed
from lsm.bench.promises import Promise, promises
from lsm.bench.scaling import Growth, measure_growth
from lsm.bench.speed import Agreement, Direction, Rate, agreements, measure_rates
from lsm.bench.timing import Effort
from lsm.threads import threads

FULL, QUICK = Effort(repetitions=5, least_s=0.1), Effort(repetitions=2, least_s=0.005)
# a large field takes seconds
LARGE_PX, LARGE = 1024, Effort(repetitions=2, least_s=0.0)
DIRECTIONS: tuple[Direction, ...] = ("forward", "forward+backward")
# 32 LEDs of 256 px: in bright field as in dark
COMPARED_POINTS = 2**21
# LEDs along a side, sample pixels, batch
PEAKS = ((16, 256, 16), (20, 2048, 1))
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """Everything that was measured."""

    quick: bool
    machine: Machine
    limits: list[Limit]
    agreements: list[Agreement]
    rates: list[Rate]
    peaks: list[Peak]
    growth: list[Growth]
    promises: list[Promise]

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        table = asdict(self)
        for row, promise in zip(table["promises"], self.promises, strict=True):
            row["kept"] = promise.kept
        return table


def compare_optics(*, quick: bool, on_step: Step | None = None) -> Comparison:
    """Speed, memory and scaling of `led_stack`, beside what others reach on this machine.

    quick: the promised sizes alone, each twice and on one core; figures are then no more than a sign of life.
    on_step: called with what is measured next, its number and how many there are.
    """
    machine = this_machine()
    effort = QUICK if quick else FULL
    # torch's threads that wait for each other take long on a busy machine, and a quick look shall be quick
    counts = [1] if quick else sorted({1, machine.cores})
    cases = promised_cases() if quick else (*promised_cases(), *further_cases())
    points = FULL_SIZE_POINTS_QUICK if quick else FULL_SIZE_POINTS
    full_size: tuple[Contender, ...] = (Naive(), Naive(short_tilts=True), Reused(), *installed())
    runs = list(product(cases, counts, DIRECTIONS))
    steps = _Steps(on_step, 4 + len(runs))
    steps("limits of the machine")
    limits = [measure_limit(count, effort) for count in counts]
    steps("agreement")
    with threads(1):
        agree = agreements(promised_cases()[0], full_size, COMPARED_POINTS)
    rates: list[Rate] = []
    for case, count, direction in runs:
        steps(f"{case.name}, {case.system.sample_px} px, {direction}, threads: {count}")
        running = [c for c in (*lsm_contenders(), *full_size) if c.differentiable or direction == "forward"]
        few = LARGE if case.system.sample_px > LARGE_PX else effort
        rates += measure_rates(case, running, direction, count, points, few)
    steps("memory")
    peaks = [measure_peak(*size) for size in (PEAKS[:1] if quick else PEAKS)]
    steps("scaling")
    with threads(1):
        growth = measure_growth(effort, quick=quick)
    return Comparison(quick, machine, limits, agree, rates, peaks, growth, promises(rates, peaks, growth))


class _Steps:
    """Counts what has been begun."""

    def __init__(self, on_step: Step | None, most: int) -> None:
        self._on_step, self._most, self._begun = on_step, most, 0

    def __call__(self, text: str) -> None:
        if self._on_step is not None:
            self._on_step(text, self._begun, self._most)
        self._begun += 1
