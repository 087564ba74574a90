"""Who may speak to the console: hosts, origins, the token, sizes; and who steers."""

import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from lsm.console.state import StateBoard
from lsm.errors import LsmError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "lsm_console"
MAX_BODY = 1_048_576
MOST_DIGITS = 20
TOO_LARGE = f"A request may have {MAX_BODY} bytes."
READING = ("GET", "HEAD")
WITHOUT_TOKEN = ("/", "/api/login")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
LEASE_S = 20.0
"""A controller who has said nothing for so long has left."""


class TooLarge(HTTPException):
    """A request's body is larger than any of ours."""

    def __init__(self) -> None:
        super().__init__(413)


class Guard:
    """Answers for `app` what must not reach it.

    token: without one, only requests to this computer's own names are served, so that no foreign page reaches the
    console through a name of its own; with one, whoever shows it, as a bearer or in the cookie that /api/login sets.
    Requests of browsers must come from the console's own page; bodies are limited to MAX_BODY.
    """

    def __init__(self, app: App, *, token: str | None = None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, send, *refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._limited(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self._token is None and (_netloc(f"//{host}") or "").rsplit(":", 1)[0] not in LOOPBACK:
            return 403, "This console is served under the names of this computer only."
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in READING
        if changes and origin is not None and _netloc(origin) != host:
            return 403, "Pages of other sites may not use this console."
        if changes and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "Pages of other sites may not use this console."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > MOST_DIGITS or int(length) > MAX_BODY:
            return 413, TOO_LARGE
        return self._without_token(scope, headers)

    def _without_token(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        path = scope["path"]
        if self._token is None or path in WITHOUT_TOKEN or path.startswith("/page/"):
            return None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        shown = (bearer, _cookie(headers.get("cookie", "")))
        if any(same_token(each, self._token) for each in shown):
            return None
        return 401, "This console needs its token."

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise TooLarge
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = [(b"content-security-policy", PAGE_POLICY)] if scope["path"] == "/" else []
                message["headers"] = [*message.get("headers", []), *HEADERS, *policy]
            await send(message)

        await self._app(scope, counted, with_headers)


def same_token(given: str, token: str) -> bool:
    """Whether they are the same, in a time that does not tell how much of them is."""
    return bool(given) and secrets.compare_digest(given.encode(), token.encode())


def _netloc(address: str) -> str | None:
    """Host and port of an address; None for what is none."""
    try:
        return urlsplit(address).netloc
    except ValueError:
        return None


def _cookie(header: str) -> str:
    try:
        cookies = SimpleCookie(header)
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4000 + status, "reason": message})
        return
    body = json.dumps({"error": "Refused", "message": message, "hint": ""}).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json"), *HEADERS]}
    )
    await send({"type": "http.response.body", "body": body})


class NotInControl(LsmError):
    """Somebody else steers."""


class Lease:
    """One controller at a time, known by a key; everybody else watches.

    A controller who is silent for LEASE_S has left. clock: seconds that never run backwards.
    """

    def __init__(self, state: StateBoard, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._state, self._clock = state, clock
        self._lock = threading.Lock()
        self._key, self._holder, self._heard_s = "", "", 0.0

    def take(self, name: str, *, force: bool = False) -> str:
        """The key of the new controller. Raises NotInControl where another is there, unless by force."""
        with self._lock:
            if self._taken() and not force:
                raise NotInControl(f"'{self._holder}' steers.", hint="ask them to let go, or take over by force")
            before, self._holder = self._holder if self._taken() else "", name
            self._key, self._heard_s = secrets.token_urlsafe(16), self._clock()
            key = self._key
        self._state.change("control", holder=name)
        self._state.note(f"'{name}' steers now" + (f", in place of '{before}'." if before else "."))
        return key

    def check(self, key: str) -> None:
        """Raise NotInControl unless it is the controller's key; it counts as having been heard."""
        with self._lock:
            if not (key and self._key and secrets.compare_digest(key.encode(), self._key.encode())):
                raise NotInControl(
                    f"'{self._holder}' steers." if self._taken() else "Nobody steers.", hint="take control first"
                )
            self._heard_s = self._clock()

    def heard(self, key: str) -> None:
        """A sign of life of whoever has this key."""
        with self._lock:
            if key and key == self._key:
                self._heard_s = self._clock()

    def drop(self, key: str) -> None:
        """Let go of it. Raises NotInControl."""
        self.check(key)
        with self._lock:
            name, self._key, self._holder = self._holder, "", ""
        self._state.change("control", holder="")
        self._state.note(f"'{name}' steers no more.")

    def expire(self) -> None:
        """Notice that the controller has left."""
        with self._lock:
            gone = bool(self._key) and not self._taken()
            name = self._holder
            if gone:
                self._key = self._holder = ""
        if gone:
            self._state.change("control", holder="")
            self._state.note(f"'{name}' has left: nobody steers.")

    def _taken(self) -> bool:
        return bool(self._key) and self._clock() - self._heard_s < LEASE_S
