"""A shutter of a Micro-Manager core that is open during exposures, and only then, by its own account."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from lsm.errors import DeviceError
from lsm.scope._watchdog import Watchdog
from lsm.scope.rig import RigConfig

WHAT = "Shutter '{}'"


class Shutter:
    """The rig's shutter, or the one of that role in the core; does nothing where there is none.

    Micro-Manager's autoshutter is turned off, because nobody can tell what it did: with simulated cameras, for
    one, it does nothing. Its setting is given back by restore().
    """

    def __init__(self, core: Any, rig: RigConfig, watchdog: Watchdog) -> None:
        self._core = core
        self._watchdog = watchdog
        self._within_s = rig.timeouts_s.stage
        self._label = rig.devices.shutter or str(core.get_shutter_device())
        # an LED array that is a device of Micro-Manager often has the role of its shutter
        if self._label == rig.led.micro_manager.device:
            self._label = ""
        self._auto = bool(core.get_auto_shutter())
        core.set_auto_shutter(False)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open inside, closed after it.

        Raises DeviceError where it does not open, was not open any more at the end, or does not close.
        """
        if not self._label:
            yield
            return
        self._set(True)
        try:
            yield
        except BaseException:
            with suppress(DeviceError):
                self._set(False)
            raise
        was_open = self._is_open()
        self._set(False)
        if not was_open:
            raise self._wrong("closed during the exposure")

    def restore(self) -> None:
        """Give Micro-Manager its autoshutter back. Raises DeviceError."""
        self._watchdog.call(
            lambda: self._core.set_auto_shutter(self._auto),
            what="Micro-Manager's autoshutter",
            within_s=self._within_s,
            error=DeviceError,
        )

    def _set(self, wanted: bool) -> None:
        def move() -> bool:
            self._core.set_shutter_open(self._label, wanted)
            self._core.wait_for_device(self._label)
            return bool(self._core.get_shutter_open(self._label))

        got = self._watchdog.call(move, what=WHAT.format(self._label), within_s=self._within_s, error=DeviceError)
        if got is not wanted:
            raise self._wrong(f"does not {'open' if wanted else 'close'}")

    def _is_open(self) -> bool:
        return self._watchdog.call(
            lambda: bool(self._core.get_shutter_open(self._label)),
            what=WHAT.format(self._label),
            within_s=self._within_s,
            error=DeviceError,
        )

    def _wrong(self, what: str) -> DeviceError:
        return DeviceError(
            f"{WHAT.format(self._label)} {what}.",
            hint="check the shutter and its cable; devices.shutter in the rig file names it",
        )
