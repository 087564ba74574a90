"""Bursts that camera and LED board take together, without the host in between.

Two wires make each step wait for the one before: the board starts an exposure by its trigger output once a pattern
has latched and settled, and the end of the exposure, on its trigger input, steps it to the next pattern. An edge that
is lost stops the burst, one too many is counted by the board; both are errors. With one wire alone nobody could tell
whether the light had changed before the next exposure began, so such a rig takes its bursts frame by frame.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from typing import Protocol, runtime_checkable

from lsm.devices import Illuminator, Shown
from lsm.errors import CameraError, DeviceError, IlluminatorError
from lsm.illum import Pattern
from lsm.led import Armed, Edge, Hello, SequencePlan, SequenceState, SequenceStatus, When
from lsm.led.sequence import pack_sequence
from lsm.scope._camera import CoreCamera, Shot
from lsm.scope.rig import RigConfig

HOLD_S = 1.75
"""Longest time for which one load may keep the light on, should this program die: like the board's own watchdog."""
READOUT_MS = 200.0
"""From the end of one exposure to the next, until it has been measured."""
SLACK_MS = 20.0
END_S = 0.2
SPARE_S = 0.25
OVER = (SequenceState.DONE, SequenceState.FAULT)

Taken = tuple[Shown, Shot]


@runtime_checkable
class Sequences(Protocol):
    """Patterns stored on a board; lsm.led.LedBoardClient.sequences is one."""

    def load(self, patterns: Sequence[Pattern]) -> int: ...

    def arm(self, plan: SequencePlan) -> Armed: ...

    def status(self) -> SequenceStatus: ...

    def trigger_in(self, pin: int, edge: Edge, *, debounce_us: int = 0) -> None: ...

    def trigger_out(
        self, pin: int, when: When, *, delay_us: int = 0, width_us: int = 100, active_high: bool = True
    ) -> None: ...


@runtime_checkable
class SequencedLight(Illuminator, Protocol):
    """An Illuminator whose board stores patterns."""

    @property
    def hello(self) -> Hello: ...

    @property
    def sequences(self) -> Sequences: ...


class BurstTooSlow(CameraError):
    """The board's time for a burst was over before the camera had taken it; nothing is wrong with the wires."""


class TriggeredBurst:
    """Takes bursts on a rig with both wires; one that has a camera, a board and a [trigger] table for them."""

    def __init__(self, camera: CoreCamera, light: SequencedLight, rig: RigConfig, *, pins: tuple[int, int]) -> None:
        self._camera = camera
        self._light = light
        self._trigger = rig.trigger
        self._input, self._output = pins
        self._gap_ms = READOUT_MS

    @classmethod
    def of(cls, camera: CoreCamera, light: Illuminator, rig: RigConfig) -> "TriggeredBurst | None":
        """None where the rig has not both wires, or its board stores no patterns."""
        pins = (rig.trigger.input, rig.trigger.output)
        if pins[0] is None or pins[1] is None or not isinstance(light, SequencedLight):
            return None
        return cls(camera, light, rig, pins=(pins[0], pins[1]))

    def take(self, patterns: Sequence[Pattern], exposure_ms: float) -> list[Taken]:
        """Images of all patterns, each with the light that the board showed for it; the light is off afterwards.

        As many loads as the board's memory and HOLD_S need. Raises CameraError, BurstTooSlow, IlluminatorError.
        """
        taken: list[Taken] = []
        with self._camera_waiting():
            while len(taken) < len(patterns):
                rest = patterns[len(taken) :]
                size = self._load_size(rest, exposure_ms)
                taken += self._take_load(rest[:size], exposure_ms)
        return taken

    def ends_in_time(self, exposure_ms: float) -> bool:
        """Whether a load of a single pattern is dark within HOLD_S."""
        return self._period_ms(exposure_ms) <= 1000 * HOLD_S

    @contextmanager
    def _camera_waiting(self) -> Iterator[None]:
        """The camera listens to its trigger inside, and is set back after it."""
        with ExitStack() as undo:
            before = self._camera.set_properties(self._trigger.camera_properties)
            undo.callback(self._camera.set_properties, before)
            try:
                yield
            except BaseException:
                undo.pop_all()
                with suppress(DeviceError):
                    self._camera.set_properties(before)
                raise

    def _load_size(self, patterns: Sequence[Pattern], exposure_ms: float) -> int:
        """How many of the patterns go into the next load: the rest is divided evenly."""
        packed = pack_sequence(self._light.board, patterns)
        stored = self._light.hello.sequence_bytes * packed.count // len(packed.data)
        held = int(HOLD_S * 1000 / self._period_ms(exposure_ms))
        most = max(1, min(stored, held))
        return math.ceil(len(patterns) / math.ceil(len(patterns) / most))

    def _period_ms(self, exposure_ms: float) -> float:
        return exposure_ms + self._gap_ms + self._trigger.delay_us / 1000

    def _take_load(self, patterns: Sequence[Pattern], exposure_ms: float) -> list[Taken]:
        count = len(patterns)
        longest_s = count * self._period_ms(exposure_ms) / 1000 + SPARE_S
        shots: list[Shot] = []
        try:
            self._prepare(patterns)
            self._camera.start_sequence(count)
            armed = self._light.sequences.arm(
                SequencePlan(at_first_step=False, settle_us=self._trigger.delay_us, longest_s=longest_s)
            )
            self._collect(shots, count)
            self._agree(armed, count)
            self._camera.end_sequence()
        except BaseException as error:
            too_slow = isinstance(error, CameraError) and self._ran_out_of_time(len(shots))
            self._abandon()
            if too_slow:
                raise self._too_slow(longest_s, count) from error
            raise
        self._light.dark()
        self._learn_gap(shots, exposure_ms)
        return [
            (Shown(levels, armed.limited, armed.latch + 1 + index), shot)
            for index, (levels, shot) in enumerate(zip(armed.levels, shots, strict=True))
        ]

    def _prepare(self, patterns: Sequence[Pattern]) -> None:
        sequences = self._light.sequences
        sequences.load(patterns)
        sequences.trigger_in(self._input, Edge(self._trigger.edge))
        sequences.trigger_out(self._output, When.PATTERN)

    def _collect(self, shots: list[Shot], count: int) -> None:
        for index in range(count):
            shot = self._camera.next_image(index, count)
            if self._camera.gave_before(shot):
                raise CameraError(
                    f"Camera '{self._camera.label}' gave image {index} of a burst again that it had given before.",
                    hint="its driver hands out old buffers; restart the camera",
                )
            shots.append(shot)

    def _agree(self, armed: Armed, count: int) -> None:
        """The board has shown each pattern once, was stepped once by each exposure, and is dark again."""
        deadline_s = time.monotonic() + END_S
        status = self._light.sequences.status()
        while status.state not in OVER and time.monotonic() < deadline_s:
            status = self._light.sequences.status()
        done = status.state == SequenceState.DONE
        # the frame after the last pattern is the dark one
        latched = status.latch - armed.latch
        counted = (status.steps, status.missed, status.lost_pulses, latched)
        if not done or counted != (count, 0, 0, count + 1):
            raise IlluminatorError(
                f"The LED board counts {status.steps} patterns, {status.missed} edges too many and "
                f"{status.lost_pulses} lost pulses where the camera gave {count} images"
                f"{'' if done else f', and is {SequenceState(status.state).name.lower()}'}.",
                hint="check the trigger cables for disturbances; no frame of this burst is kept",
            )

    def _ran_out_of_time(self, images: int) -> bool:
        """The board has gone dark while an image or its edge was still on the way, not because an edge was lost."""
        with suppress(DeviceError):
            status = self._light.sequences.status()
            return status.state == SequenceState.FAULT and (images < status.steps or status.missed > 0)
        return False

    def _too_slow(self, longest_s: float, count: int) -> BurstTooSlow:
        self._gap_ms = max(READOUT_MS, 2 * self._gap_ms)
        return BurstTooSlow(
            f"Camera '{self._camera.label}' did not take {count} images of a burst in {longest_s:.2f} s, after which "
            "the LED board went dark.",
            hint="try again: the next burst allows it more time; if that fails too, check the trigger cables",
        )

    def _abandon(self) -> None:
        with suppress(DeviceError):
            self._light.dark()
        with suppress(DeviceError):
            self._camera.end_sequence()

    def _learn_gap(self, shots: Sequence[Shot], exposure_ms: float) -> None:
        """Ample, because a load that outlasts its time is dark and an error."""
        if len(shots) > 1:
            arrivals_ns = [shot.ended_ns for shot in shots]
            longest_ns = max(late - early for early, late in pairwise(arrivals_ns))
            seen_ms = longest_ns / 1e6 - exposure_ms
            self._gap_ms = 2 * max(seen_ms, 0.0) + SLACK_MS
