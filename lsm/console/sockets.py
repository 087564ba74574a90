"""Two WebSockets: frames, of which the newest wins, and events, which are the sections of the state that changed.

Frames are pulled: the page answers each with a short text, and at most IN_FLIGHT of them are unanswered, so a slow
client gets fewer frames and nobody's queue grows. A client that shows them smaller than the camera takes them says so
with `side_px`, the longer side in pixels of its screen: in the address, and as a text that is a number whenever that
changes. Such a text answers no frame.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import overload

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from lsm.console.access import Lease
from lsm.console.bell import Ear
from lsm.console.pictures import Encoded, Pictures, Viewer
from lsm.console.state import StateBoard

IN_FLIGHT = 2
SEND_S = 20.0
"""A client that takes or answers nothing for so long is let go; a page comes back by itself."""
LEAST_S = 0.1
"""Between two messages of events."""
MOST_CLIENTS = 32
MOST_DIGITS = 5
TOO_MANY = 4429


def add_sockets(app: FastAPI, state: StateBoard, pictures: Pictures, lease: Lease) -> None:
    """Add /api/frames and /api/events."""
    clients: set[WebSocket] = set()

    @app.websocket("/api/frames")
    async def frames(socket: WebSocket) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if await _welcome(socket, clients, stack):
                answered = asyncio.BoundedSemaphore(IN_FLIGHT)
                viewer = Viewer(_side(socket.query_params.get("side_px")))

                def heard(word: str) -> None:
                    side_px = _side(word)
                    if side_px is None:
                        _answer(answered)
                    else:
                        pictures.resize(viewer, side_px)

                ear = stack.enter_context(pictures.viewed(viewer))
                first = await asyncio.to_thread(pictures.newest, viewer.side_px)
                await _both(_send_frames(socket, pictures, first, ear, answered), _hear(socket, heard))

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


def _side(word: str | None) -> int | None:
    """The number that it is, if it is one that a screen may have."""
    return int(word) if word and len(word) <= MOST_DIGITS and word.isascii() and word.isdecimal() else None


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


async def _send_frames(
    socket: WebSocket, pictures: Pictures, first: Encoded | None, ear: Ear, answered: asyncio.BoundedSemaphore
) -> None:
    sent, newest = None, first
    while True:
        if newest is not None and newest is not sent:
            await asyncio.wait_for(answered.acquire(), SEND_S)
            sent = newest = _better(newest, pictures.current)
            await asyncio.wait_for(socket.send_bytes(newest.message), SEND_S)
        await ear.wait()
        newest = _better(newest, pictures.current)


@overload
def _better(one: Encoded, other: Encoded | None) -> Encoded: ...


@overload
def _better(one: Encoded | None, other: Encoded | None) -> Encoded | None: ...


def _better(one: Encoded | None, other: Encoded | None) -> Encoded | None:
    """The other, unless it is an older frame or a smaller picture of the same."""
    if one is None or (other is not None and (other.number, -other.by) >= (one.number, -one.by)):
        return other
    return one


async def _send_events(socket: WebSocket, state: StateBoard) -> None:
    known: dict[str, int] = {}
    with state.bell.heard() as ear:
        while True:
            await ear.wait()
            if news := state.since(known):
                await asyncio.wait_for(socket.send_json(news), SEND_S)
            await asyncio.sleep(LEAST_S)
