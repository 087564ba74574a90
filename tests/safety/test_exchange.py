"""A rig that is connected anew behind the same limits: nothing is forgotten by that, and a stop holds."""

from collections.abc import Callable  # noqa: TC003 (checked at run time elsewhere)

import numpy as np
import pytest

from lsm.devices import Frame, Observe, Shown
from lsm.errors import DeviceError, Halted, LimitExceeded
from lsm.illum import LedBoard, single_led
from lsm.safety import Interlock, Limits

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
OTHER = LedBoard.grid(rows=3, columns=3, pitch_mm=4.0, distance_mm=50.0)
LIMITS = Limits(x_um=(0.0, 100.0), y_um=(0.0, 100.0), z_um=(-10.0, 10.0), total_dose_led_ms=100.0)


class Rig:
    """A microscope that keeps a diary and can be halted; a halt of one that is closed fails."""

    def __init__(self, board: LedBoard = BOARD) -> None:
        self.board = board
        self.diary: list[str] = []
        self.on_close: Callable[[], object] = lambda: None

    def observe(self, request: Observe) -> Frame:
        self.diary.append("frame")
        image = np.zeros((2, 2), np.uint16)
        return Frame(image, request, Shown(request.pattern.levels), (0.0, 0.0), 0.0, 0, 1)

    def halt(self) -> None:
        self.diary.append("halt")
        if "closed" in self.diary:
            raise DeviceError("The LED board is closed.")

    def release(self) -> None:
        self.diary.append("release")

    def close(self) -> None:
        self.diary.append("closed")
        self.on_close()


def lit(rig: Rig, exposure_ms: float) -> Observe:
    return Observe(single_led(rig.board, 4), exposure_ms)


def test_the_other_is_served_and_the_light_that_was_given_counts():
    first, second = Rig(), Rig(OTHER)
    scope = Interlock(first, LIMITS)
    scope.observe(lit(first, 60.0))
    scope.exchange(lambda: second)
    assert first.diary == ["frame", "closed"]
    assert scope.board is OTHER
    with pytest.raises(LimitExceeded, match="total_dose_led_ms"):
        scope.observe(lit(second, 60.0))
    scope.observe(lit(second, 30.0))
    assert scope.spent_led_ms == pytest.approx(90.0)


def test_nothing_is_exchanged_while_it_is_stopped():
    first = Rig()
    scope = Interlock(first, LIMITS)
    scope.halt()
    with pytest.raises(Halted):
        scope.exchange(Rig)
    assert first.diary == ["halt"]


@pytest.mark.parametrize("when", ["closing", "opening"])
def test_a_stop_that_is_pressed_meanwhile_holds_for_the_other(when: str):
    first, second = Rig(), Rig()
    scope = Interlock(first, LIMITS)

    def opened() -> Rig:
        if when == "opening":
            scope.halt()
        return second

    if when == "closing":
        first.on_close = scope.halt
    scope.exchange(opened)
    assert scope.halted
    assert second.diary == ["halt"]
    with pytest.raises(Halted):
        scope.observe(lit(second, 1.0))
    scope.release()
    scope.observe(lit(second, 1.0))


def test_a_rig_that_cannot_be_connected_again_refuses_until_it_is():
    first = Rig()
    scope = Interlock(first, LIMITS)

    def fails() -> Rig:
        raise DeviceError("The LED board is silent.")

    with pytest.raises(DeviceError, match="silent"):
        scope.exchange(fails)
    with pytest.raises(DeviceError, match="not connected"):
        scope.observe(lit(first, 1.0))
    scope.halt()
    scope.release()
    scope.exchange(lambda: first)
    scope.observe(lit(first, 1.0))
    scope.close()
