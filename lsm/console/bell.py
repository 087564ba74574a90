"""Waking coroutines from other threads."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Ear:
    """One who listens. Rings that come while he is busy count as one."""

    loop: asyncio.AbstractEventLoop
    rang: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Return at the next ring, or at once where there was one since the last wait."""
        await self.rang.wait()
        self.rang.clear()


class Bell:
    """Rung from any thread, heard by any number of coroutines; nothing is queued for those who are slow.

    A thread of its own, there while somebody listens, wakes them: waking a loop gives the interpreter's lock to that
    loop's thread, and the one that rings may be in a hurry.
    """

    def __init__(self) -> None:
        self._ears: set[Ear] = set()
        self._change = threading.Condition()
        self._rung = False
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Have all woken who listen; returns at once."""
        with self._change:
            self._rung = True
            self._change.notify()

    @contextmanager
    def heard(self) -> Iterator[Ear]:
        """An ear while inside; it has been rung once, so that what is there already is looked at."""
        ear = Ear(asyncio.get_running_loop())
        ear.rang.set()
        with self._change:
            self._ears.add(ear)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lsm console bell", daemon=True)
                self._thread.start()
        try:
            yield ear
        finally:
            with self._change:
                self._ears.discard(ear)
                self._change.notify()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._rung or not self._ears)
                ears, self._rung = tuple(self._ears), False
                if not ears:
                    self._thread = None
                    return
            for ear in ears:
                with suppress(RuntimeError):  # its loop has ended
                    ear.loop.call_soon_threadsafe(ear.rang.set)
