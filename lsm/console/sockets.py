"""Two WebSockets: frames, of which the newest wins, and events, which are the sections of the state that changed.

Frames are pulled: the page answers each with a short text, and at most IN_FLIGHT of them are unanswered, so a slow
client gets fewer frames and nobody's queue grows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from lsm.console.access import Lease
from lsm.console.pictures import Encoded, Pictures
from lsm.console.state import StateBoard

IN_FLIGHT = 2
SEND_S = 20.0
"""A client that takes or answers nothing for so long is let go; a page comes back by itself."""
LEAST_S = 0.05
"""Between two messages of events."""
MOST_CLIENTS = 32
TOO_MANY = 4429


def add_sockets(app: FastAPI, state: StateBoard, pictures: Pictures, lease: Lease) -> None:
    """Add /api/frames and /api/events."""
    clients: set[WebSocket] = set()

    @app.websocket("/api/frames")
    async def frames(socket: WebSocket) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if await _welcome(socket, clients, stack):
                answered = asyncio.BoundedSemaphore(IN_FLIGHT)
                await _both(_send_frames(socket, pictures, answered), _hear(socket, lambda word: _answer(answered)))

    @app.websocket("/api/events")
    async def events(socket: WebSocket) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if await _welcome(socket, clients, stack):
                state.change("control", watching=state.now.control.watching + 1)
                stack.callback(lambda: state.change("control", watching=state.now.control.watching - 1))
                await _both(_send_events(socket, state), _hear(socket, lease.heard))


async def _welcome(socket: WebSocket, clients: set[WebSocket], stack: contextlib.AsyncExitStack) -> bool:
    await socket.accept()
    if len(clients) >= MOST_CLIENTS:
        await socket.close(TOO_MANY, "too many clients")
        return False
    clients.add(socket)
    stack.callback(clients.discard, socket)
    return True


def _answer(answered: asyncio.BoundedSemaphore) -> None:
    """One more frame may be sent; never more than IN_FLIGHT, whatever a client says."""
    with contextlib.suppress(ValueError):
        answered.release()


async def _both(sending: Awaitable[None], hearing: Awaitable[None]) -> None:
    """Until one of them ends; the other ends with it."""
    tasks = [asyncio.ensure_future(sending), asyncio.ensure_future(hearing)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hear(socket: WebSocket, word: Callable[[str], None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, KeyError):  # KeyError: bytes instead of text
        while True:
            word(await socket.receive_text())


async def _send_frames(socket: WebSocket, pictures: Pictures, answered: asyncio.BoundedSemaphore) -> None:
    sent: Encoded | None = None
    with pictures.bell.heard() as ear:
        newest = await asyncio.to_thread(pictures.newest)
        while True:
            if newest is not None and newest is not sent:
                await asyncio.wait_for(answered.acquire(), SEND_S)
                sent = newest = _later(newest, pictures.current)
                await asyncio.wait_for(socket.send_bytes(newest.message), SEND_S)
            await ear.wait()
            newest = pictures.current or newest


def _later(one: Encoded, other: Encoded | None) -> Encoded:
    return other if other is not None and other.number >= one.number else one


async def _send_events(socket: WebSocket, state: StateBoard) -> None:
    known: dict[str, int] = {}
    with state.bell.heard() as ear:
        while True:
            await ear.wait()
            if news := state.since(known):
                await asyncio.wait_for(socket.send_json(news), SEND_S)
            await asyncio.sleep(LEAST_S)
