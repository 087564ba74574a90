"""A stop that another thread may press."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lsm.errors import DeviceError, Halted


class HaltSwitch:
    """Pressed and released from any thread; what a microscope does looks at it before anything moves or shines."""

    def __init__(self) -> None:
        self._pressed = threading.Event()

    def on(self) -> None:
        self._pressed.set()

    def off(self) -> None:
        self._pressed.clear()

    def refuse(self) -> None:
        """Raise Halted while it is pressed."""
        if self._pressed.is_set():
            raise Halted

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Raise Halted at the start and the end, and in place of the errors that pressing it has caused."""
        self.refuse()
        try:
            yield
            self.refuse()
        except DeviceError as error:
            if self._pressed.is_set() and not isinstance(error, Halted):
                raise Halted from error
            raise
