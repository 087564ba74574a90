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
    """Rung from any thread, heard by any number of coroutines; nothing is queued for those who are slow."""

    def __init__(self) -> None:
        self._ears: set[Ear] = set()
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake all who listen."""
        with self._lock:
            ears = tuple(self._ears)
        for ear in ears:
            with suppress(RuntimeError):  # its loop has ended
                ear.loop.call_soon_threadsafe(ear.rang.set)

    @contextmanager
    def heard(self) -> Iterator[Ear]:
        """An ear while inside; it has been rung once, so that what is there already is looked at."""
        ear = Ear(asyncio.get_running_loop())
        ear.rang.set()
        with self._lock:
            self._ears.add(ear)
        try:
            yield ear
        finally:
            with self._lock:
                self._ears.discard(ear)
