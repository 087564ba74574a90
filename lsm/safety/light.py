"""The light that a sample has had and the heat that a board holds."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lsm.devices import Observe
from lsm.errors import LimitExceeded
from lsm.safety.limits import Limits, inside, requested_dose_led_ms

# a field that ends where a cell begins does not reach into it: a share of a cell far above rounding of a position
EDGE = 1e-6

Cell = tuple[int, int]


@dataclass(frozen=True)
class Clock:
    """Time that never runs backwards, in seconds, and how to wait for it."""

    now_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


class LightBudget:
    """Accounts of light by place, in all and over time; it only counts, whoever asks decides.

    By place: a capture is charged to every cell of the grid of side field_um that its own square of that side touches.
    So no point of the sample gets more than its cell has been charged, and a scan off the grid is charged up to
    four times at one point.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.total_led_ms = 0.0
        self._limits = limits
        self._clock = clock
        self._cells: defaultdict[Cell, float] = defaultdict(float)
        self._nowhere_led_ms = 0.0
        # the mean at the end of what was charged last, and the highest until then
        self._mean_ma = self._highest_ma = 0.0
        self._until_s = -math.inf

    @property
    def mean_current_ma(self) -> float:
        """The fading mean of the current, now."""
        return self._mean_at(self._clock.now_s())

    def at_led_ms(self, xy_um: tuple[float, float] | None) -> float:
        """Most light that a point seen from there has had; of the whole sample where the place is not known."""
        if xy_um is None:
            return self._nowhere_led_ms + max(self._cells.values(), default=0.0)
        return self._nowhere_led_ms + max(self._cells.get(cell, 0.0) for cell in self._touched(xy_um))

    def check(self, captures: Sequence[Observe], xy_um: tuple[float, float] | None) -> None:
        """Raise LimitExceeded for the first limit that these captures, taken together, break; charges nothing."""
        dose = sum(requested_dose_led_ms(capture) for capture in captures)
        limits = self._limits
        inside("total_dose_led_ms", self.total_led_ms + dose, (0.0, limits.total_dose_led_ms))
        inside("field_dose_led_ms", self.at_led_ms(xy_um) + dose, (0.0, limits.field_dose_led_ms))
        if limits.mean_current_ma is not None:
            self._check_heat(captures, limits.mean_current_ma)

    def charge(self, captures: Sequence[Observe], xy_um: tuple[float, float] | None) -> Callable[[], None]:
        """Count captures of which the first begins now: light at this place, or everywhere if unknown, and heat.

        Returns what takes that back, as long as nothing else has been counted.
        """
        take_back = self._kept(xy_um)
        for capture in captures:
            self.recall(requested_dose_led_ms(capture), xy_um)
        if captures and self._limits.mean_current_ma is not None:
            now_s = self._clock.now_s()
            self._highest_ma = self._mean_ma = self._mean_at(now_s)
            for capture in captures:
                self._mean_ma = self._after(self._mean_ma, capture)
                self._highest_ma = max(self._highest_ma, self._mean_ma)
                # an exposure fills its time, also where a simulated one takes none
                self._until_s = max(now_s, self._until_s) + capture.exposure_ms / 1000
        return take_back

    def recall(self, dose_led_ms: float, xy_um: tuple[float, float] | None) -> None:
        """Count light of another time, whose heat is gone."""
        self.total_led_ms += dose_led_ms
        if xy_um is None:
            self._nowhere_led_ms += dose_led_ms
        elif dose_led_ms:
            for cell in self._touched(xy_um):
                self._cells[cell] += dose_led_ms

    def _kept(self, xy_um: tuple[float, float] | None) -> Callable[[], None]:
        """What sets all accounts that a charge at this place changes back to what they are now."""
        totals = (self.total_led_ms, self._nowhere_led_ms)
        heat = (self._mean_ma, self._highest_ma, self._until_s)
        cells = {} if xy_um is None else {cell: self._cells.get(cell) for cell in self._touched(xy_um)}

        def take_back() -> None:
            self.total_led_ms, self._nowhere_led_ms = totals
            self._mean_ma, self._highest_ma, self._until_s = heat
            for cell, led_ms in cells.items():
                if led_ms is None:
                    self._cells.pop(cell, None)
                else:
                    self._cells[cell] = led_ms

        return take_back

    def _touched(self, xy_um: tuple[float, float]) -> Iterator[Cell]:
        spans = []
        for centre_um in xy_um:
            middle = centre_um / self._limits.field_um
            spans.append(range(math.floor(middle - 0.5 + EDGE), math.ceil(middle + 0.5 - EDGE)))
        return ((column, row) for column in spans[0] for row in spans[1])

    def _mean_at(self, now_s: float) -> float:
        if now_s < self._until_s:
            # what was charged has not had its time: it may have failed, and then nothing has cooled meanwhile
            return self._highest_ma
        return self._mean_ma * math.exp(-(now_s - self._until_s) / self._limits.thermal_s)

    def _after(self, mean_ma: float, capture: Observe) -> float:
        kept = math.exp(-capture.exposure_ms / 1000 / self._limits.thermal_s)
        return mean_ma * kept + self._limits.drawn_ma(capture.pattern) * (1 - kept)

    def _check_heat(self, captures: Sequence[Observe], most_ma: float) -> None:
        mean_ma = highest_ma = self.mean_current_ma
        for capture in captures:
            mean_ma = self._after(mean_ma, capture)
            highest_ma = max(highest_ma, mean_ma)
        if not highest_ma <= most_ma:
            raise LimitExceeded(
                f"mean_current_ma = {highest_ma:g} would be above the rig's limit mean_current_ma = {most_ma:g} over "
                f"{self._limits.thermal_s:g} s; nothing moved or lit.",
                hint="let the LEDs cool, use fewer of them or shorter exposures; "
                "or change limits.mean_current_ma in the rig file if the board is cooled",
            )
