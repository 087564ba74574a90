"""What is promised of the optics, beside what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lsm.bench.contenders import DEFAULT, FFT_ALONE, NAIVE
from lsm.bench.memory import Peak
from lsm.bench.packages import FPM_PY
from lsm.bench.scaling import Growth
from lsm.bench.speed import Direction, Rate

# direction, contender, times that lsm is faster on one core
FASTER: tuple[tuple[Direction, str, float], ...] = (
    ("forward", NAIVE, 50.0),
    ("forward", FPM_PY, 80.0),
    ("forward+backward", NAIVE, 30.0),
)
SHARE_OF_FFT_PERCENT = 60.0
OFF_LINE_PERCENT = 20.0


@dataclass(frozen=True)
class Promise:
    """at_least: whether `measured` has to be at least `limit`, else at most. measured, kept: None if not measured."""

    promise: str
    unit: str
    limit: float
    at_least: bool
    measured: float | None

    @property
    def kept(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def told(self) -> str:
        """In one line."""
        measured = "not measured" if self.measured is None else f"{self.measured:,.1f} {self.unit}"
        word = {True: " (kept)", False: " (MISSED)", None: ""}[self.kept]
        return f"{self.promise}: {measured}, promised at {'least' if self.at_least else 'most'} {self.limit:,.0f}{word}"


def promises(rates: Sequence[Rate], peaks: Sequence[Peak], growth: Sequence[Growth]) -> list[Promise]:
    """All promises; speed is promised on one core, with default settings, 256^2 to 64^2."""
    return [*_speed(rates), *_memory(peaks), *_scaling(growth)]


def _speed(rates: Sequence[Rate]) -> Iterator[Promise]:
    alone = [rate for rate in rates if rate.threads == 1 and rate.batch == 1 and rate.sample_px == 256]
    for case in dict.fromkeys(rate.case for rate in alone):
        of_case = {(rate.direction, rate.contender): rate for rate in alone if rate.case == case}
        for direction, contender, limit in FASTER:
            rate = of_case.get((direction, contender))
            text = f"{case}, {direction}, over {contender}"
            yield Promise(text, "x", limit, True, None if rate is None else rate.times_slower)
        lsm, fft = (of_case.get(("forward", name)) for name in (DEFAULT, FFT_ALONE))
        share = None if lsm is None or fft is None else 100 * fft.times_slower
        yield Promise(f"{case}, forward, rate of inverse FFTs alone", "%", SHARE_OF_FFT_PERCENT, True, share)


def _memory(peaks: Sequence[Peak]) -> Iterator[Promise]:
    for peak in peaks:
        text = f"{peak.leds} LEDs x {peak.batch}, {peak.sample_px} px: memory, 2 outputs + 64 MiB"
        yield Promise(text, "MiB", peak.allowed_mib, False, peak.added_mib)


def _scaling(growth: Sequence[Growth]) -> Iterator[Promise]:
    for one in growth:
        text = f"{one.quantity} {one.sizes[0]} to {one.sizes[-1]}: time off a line"
        yield Promise(text, "%", OFF_LINE_PERCENT, False, one.off_line_percent)
