"""One image per LED of what lies on the stage: a recording that can be looked at again under any light."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsm.devices import Burst, Microscope, observe_all
from lsm.illum import LedBoard, Pattern, dark, single_led
from lsm.illum.pattern import GREEN
from lsm.record import Recorder

BLOCK = 64
"""Captures of one burst: what is made durable together, and lost together where a burst fails."""


@dataclass(frozen=True)
class StackPlan:
    """What is captured at one place.

    exposures_ms: of LEDs inside the objective's NA (bright), and of those outside it (dark field).
    colour: channel. darks: frames without light, at each of the two exposures.
    """

    na: float
    exposures_ms: tuple[float, float]
    colour: int = GREEN
    darks: int = 4

    def captures(self, board: LedBoard) -> list[tuple[float, list[Pattern]]]:
        """Exposures, each with its patterns: dark frames, then one LED after the other in order of NA."""
        leds = sorted(range(board.n_leds), key=lambda led: float(board.na[led]))
        inner = [led for led in leds if board.na[led] <= self.na]
        outer = [led for led in leds if board.na[led] > self.na]
        return [
            (
                exposure_ms,
                [dark(board)] * self.darks + [single_led(board, led, colour=self.colour) for led in group],
            )
            for exposure_ms, group in zip(self.exposures_ms, (inner, outer), strict=True)
            if group
        ]


def record_led_stack(
    microscope: Microscope,
    recorder: Recorder,
    plan: StackPlan,
    *,
    xy_um: tuple[float, float] | None = None,
    z_um: float | None = None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Frames recorded: all of the plan, in bursts where the microscope has them; None leaves an axis where it is.

    on_step: told after every block how many captures are durable, and of how many.
    Raises what the microscope and the recorder raise; the blocks before stay recorded.
    """
    groups = plan.captures(microscope.board)
    total = sum(len(patterns) for _, patterns in groups)
    done = 0
    for exposure_ms, patterns in groups:
        for block in _blocks(patterns):
            frames = observe_all(microscope, Burst(tuple(block), exposure_ms, xy_um, z_um))
            recorder.add_all(frames)
            done += len(frames)
            on_step(done, total)
    return done


def _blocks(patterns: list[Pattern]) -> list[Sequence[Pattern]]:
    return [patterns[start : start + BLOCK] for start in range(0, len(patterns), BLOCK)]
