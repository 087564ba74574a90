"""Go on with an interrupted run: what is recorded is answered from the recording, the rest by the microscope."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from lsm.devices import Frame, Microscope, Observe
from lsm.errors import RecordError
from lsm.illum import LedBoard


class ContinuedMicroscope:
    """A Microscope that answers its first requests with `recorded` frames, and every later one by `microscope`.

    A caller that decides as it did when the frames were taken comes to the same state without moving or lighting
    anything. on_end: called once, before the first request that reaches the microscope.

    Raises RecordError for a request that the recorded frame at its place does not answer: another light, place or
    exposure, so the caller has come to another decision. Nothing has moved then.
    """

    def __init__(
        self, microscope: Microscope, recorded: Iterator[Frame], *, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._microscope = microscope
        self._recorded: Iterator[Frame] | None = recorded
        self._on_end = on_end
        self._answered = 0

    @property
    def board(self) -> LedBoard:
        return self._microscope.board

    def observe(self, request: Observe) -> Frame:
        """The recorded frame with the request that it answers again, or one of the microscope."""
        if self._recorded is not None:
            frame = next(self._recorded, None)
            if frame is not None:
                self._refuse_other(request, frame.request)
                self._answered += 1
                return replace(frame, request=request)
            self._recorded = None
            self._on_end()
        return self._microscope.observe(request)

    def close(self) -> None:
        self._microscope.close()

    def _refuse_other(self, asked: Observe, held: Observe) -> None:
        faults = [
            name
            for name, same in (
                ("light", _same_light(asked, held)),
                ("place", (asked.xy_um, asked.z_um) == (held.xy_um, held.z_um)),
                ("exposure", asked.exposure_ms == held.exposure_ms),
            )
            if not same
        ]
        if faults:
            raise RecordError(
                f"Frame {self._answered} was taken with another {' and '.join(faults)} than the resumed run asks for.",
                hint="resume with the program, model and configuration that began the recording",
            )


def _same_light(asked: Observe, held: Observe) -> bool:
    return asked.pattern.board == held.pattern.board and np.array_equal(asked.pattern.levels, held.pattern.levels)
