"""Connections that wait for nobody for ever: clients that say half a thing, take nothing, or come in hundreds."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_S = 20.0
"""For a whole request, from the connection or the answer before it."""
TAKES_S = 20.0
"""A client that takes nothing of what it is sent for so long is let go."""
LOOK_S = 0.5
MOST_CONNECTIONS = 200
"""From which on the one that has waited longest makes room for a new one, which may bring a STOP."""
MOST_PINGS = 16
"""That are answered while a client takes nothing: the answers would pile up."""


class Watch:
    """Breaks a connection off once its client has been waited for too long.

    waits: whether the client is to say something, or to be gone.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, waits: Callable[[], bool]
    ) -> None:
        self.waits = waits
        self.since_s = loop.time()
        self._stuck_s: float | None = None
        self._transport, self._loop = transport, loop
        self._timer = loop.call_later(LOOK_S, self._look)

    def begin(self) -> None:
        """From now on the client has its time again."""
        self.since_s = self._loop.time()

    def stuck(self, is_stuck: bool) -> None:
        """Whether it takes nothing at present."""
        self._stuck_s = self._loop.time() if is_stuck else None

    def give_up(self) -> None:
        """Break it off now."""
        self._transport.abort()

    def end(self) -> None:
        """The connection is another's now, or gone."""
        self._timer.cancel()

    def _look(self) -> None:
        now_s = self._loop.time()
        if not self.waits():
            self.begin()
        stuck = self._stuck_s is not None and now_s - self._stuck_s > TAKES_S
        if stuck or now_s - self.since_s > REQUEST_S:
            self.give_up()
        else:
            self._timer = self._loop.call_later(LOOK_S, self._look)


class Http(H11Protocol):
    """HTTP for clients that may be slow, silent or many."""

    watch: Watch | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.watch = Watch(transport, self.loop, self._waits)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatched()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The other protocol watches by itself."""
        self._unwatched()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        if self.watch is not None:
            self.watch.begin()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.watch is not None:
            self.watch.stuck(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.watch is not None:
            self.watch.stuck(False)

    def _waits(self) -> bool:
        cycle = self.cycle
        return self.transport.is_closing() or cycle is None or cycle.response_complete or cycle.more_body

    def _unwatched(self) -> None:
        if self.watch is not None:
            self.watch.end()
            self.watch = None

    def _make_room(self) -> None:
        if len(self.connections) <= MOST_CONNECTIONS:
            return
        others = [each for each in self.connections if isinstance(each, Http) and each is not self]
        waiting = [
            each.watch for each in others if each.watch and each.watch.waits() and not each.transport.is_closing()
        ]
        if waiting:
            min(waiting, key=lambda watch: watch.since_s).give_up()


class Socket(WebSocketsSansIOProtocol):
    """WebSockets for clients that may take nothing; their pings are uvicorn's to check."""

    watch: Watch | None = None
    _pings = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.watch = Watch(transport, self.loop, self._waits)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.watch is not None:
            self.watch.end()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.watch is not None:
            self.watch.stuck(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._pings = 0
        if self.watch is not None:
            self.watch.stuck(False)

    def handle_ping(self) -> None:
        """Answered, but not for ever to one who takes no answer."""
        if not self.writable.is_set():
            self._pings += 1
        if self._pings > MOST_PINGS:
            self.transport.abort()
        else:
            super().handle_ping()

    def _waits(self) -> bool:
        return self.close_sent or self.transport.is_closing()
