"""The Core of a Micro-Manager that is running, through pycromanager's ZMQ client.

Everything that reaches into private names of pyjavaz, and every work-around, is in this file:

* Its client waits for ever for a server that is silent, when connecting as well as in every call, and at the end of
  the interpreter; so the server is greeted here first, and a bridge that hangs is abandoned.
* A failure while it connects is a traceback of its own thread; another version of the server is only a warning.
* All errors of Micro-Manager arrive as the bare class Exception, with a Java stack trace as their text.
* It never closes its socket.
* Two of its objects that the garbage collector frees together wait for ever, so each is given back by hand.
* Every object that Java returns keeps an entry in `atexit` for ever, so snapped images are fetched as arrays.
"""

import atexit
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import zmq

from lsm.errors import DeviceError
from lsm.scope._watchdog import Watchdog
from lsm.scope.rig import JavaServer

HOST = "127.0.0.1"
CLOSING_S = 1.0

_connecting = threading.RLock()
"""Held while connecting and closing: the client keeps one bridge per port, also one that is about to be abandoned."""


class JavaCore:
    """The snake-case methods of a running Micro-Manager's Core, answering as a core in this process does.

    Errors are RuntimeErrors of one line, vectors are tuples, enumerations numbers and images planes [y, x].
    """

    def __init__(self, shadow: Any, sockets: list[Any]) -> None:
        self._shadow = shadow
        self._bridge = shadow._bridge  # noqa: SLF001
        self._sockets = sockets
        self._closed = False
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shadow, name)

        def call(*arguments: Any) -> Any:
            return _plain(_run(method, *(_for_java(each) for each in arguments)))

        return call

    def get_tagged_image(self, *_: Any) -> SimpleNamespace:
        """The image of the last snap as a plane; the arguments that a core in this process wants are not needed."""
        height, width = self.get_image_height(), self.get_image_width()
        tags = {"Camera": self.get_camera_device(), "Width": width, "Height": height}
        return SimpleNamespace(pix=_plane(self.get_image(), height, width), tags=tags)

    def pop_next_tagged_image(self) -> SimpleNamespace:
        """The oldest image of a running sequence with the tags that came with it."""
        image = _run(self._shadow.pop_next_tagged_image)
        try:
            tags = _run(lambda: image.tags)
            pixels = _run(lambda: image.pix)
        finally:
            _run(image._close)  # noqa: SLF001
        return SimpleNamespace(pix=_plane(pixels, int(tags["Height"]), int(tags["Width"])), tags=tags)

    def close(self) -> None:
        """Leave the running Micro-Manager as it is and forget it; may be called twice. Never raises, never hangs."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.leave)
        with _connecting:
            # held while a call waits for its answer: there is nothing to wait for a second time
            if self._bridge._communication_lock.locked() or not self._said_goodbye():  # noqa: SLF001
                _abandon(self._bridge)
                deadline = time.monotonic() + CLOSING_S
                while self._bridge._communication_lock.locked() and time.monotonic() < deadline:  # noqa: SLF001
                    time.sleep(0.01)
        close_behind(self._bridge, self._sockets)

    def _said_goodbye(self) -> bool:
        watchdog = Watchdog()
        try:
            watchdog.call(
                lambda: _run(self._shadow._close),  # noqa: SLF001
                what="Micro-Manager",
                within_s=CLOSING_S,
                error=DeviceError,
            )
        except DeviceError:
            return False
        finally:
            watchdog.close()
        return True

    def leave(self) -> None:
        """At the end of the interpreter, when no thread can be started any more."""
        self._closed = True
        _abandon(self._bridge)


def open_java_core(server: JavaServer) -> JavaCore:
    """The Core of the Micro-Manager that is running on this computer, with the devices that it has loaded.

    Raises DeviceError: nobody listens or answers at the port, its ZMQ server is of another version, or a core is
    open in this process.
    """
    from mmpycorex import is_pymmcore_active

    if is_pymmcore_active():
        raise DeviceError(
            "A Micro-Manager core is open in this process already.",
            hint="close() the other microscope first, or use a second process",
        )
    with _connecting:
        return _opened(server)


def _opened(server: JavaServer) -> JavaCore:
    from pycromanager import Core
    from pyjavaz.bridge import Bridge

    _refuse_other_version(_greeted(server), Bridge._EXPECTED_ZMQ_SERVER_VERSION, server.port)  # noqa: SLF001
    Bridge._ports_with_terminated_servers.discard(server.port)  # noqa: SLF001
    watchdog = Watchdog()
    timeout_ms = round(server.timeout_s * 1000)
    with remembered_sockets() as sockets:
        try:
            shadow = watchdog.call(
                lambda: _run(lambda: Core(port=server.port, timeout=timeout_ms)),
                what=f"Micro-Manager on port {server.port}",
                within_s=server.timeout_s,
                error=DeviceError,
            )
        except DeviceError:
            held = Bridge._cached_bridges_by_port.get(server.port)  # noqa: SLF001
            bridge = held() if held is not None else None
            if bridge is not None:
                _abandon(bridge)
                close_behind(bridge, sockets)
            raise
    watchdog.close()
    core = JavaCore(shadow, sockets)
    atexit.register(core.leave)
    return core


def _greeted(server: JavaServer) -> str:
    """The version of the ZMQ server. A socket of our own asks, because its wait can end."""
    with (
        zmq.Context() as context,
        context.socket(zmq.REQ) as socket,
        socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_RETRIED) as monitor,
    ):
        socket.linger = 0
        socket.connect(f"tcp://{HOST}:{server.port}")
        heard = monitor.poll(round(server.timeout_s * 1000))
        event = int.from_bytes(monitor.recv_multipart()[0][:2], "little") if heard else 0
        if event != zmq.EVENT_CONNECTED:
            _refuse_silence(server, "Nothing listens on port {port} of this computer.")
        socket.send(json.dumps({"command": "connect", "debug": False}).encode())
        if not socket.poll(round(server.timeout_s * 1000)):
            _refuse_silence(server, "What listens on port {port} has not answered within {timeout_s:g} s.")
        try:
            answer = json.loads(socket.recv_multipart()[0])
            return str(answer.get("version", "2.0.0"))
        except (ValueError, AttributeError):
            _refuse_silence(server, "What answers on port {port} is not Micro-Manager.")


def _refuse_silence(server: JavaServer, sentence: str) -> NoReturn:
    raise DeviceError(
        sentence.format(port=server.port, timeout_s=server.timeout_s),
        hint="start Micro-Manager and tick 'Run pycro-manager server' in its options, or correct java.port",
    )


def _refuse_other_version(got: str, expected: str, port: int) -> None:
    if got != expected:
        raise DeviceError(
            f"Micro-Manager's server on port {port} speaks version {got}, pycromanager here speaks {expected}.",
            hint="install the Micro-Manager build and the pycromanager release that belong together",
        )


def _run(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        raise RuntimeError(_first_line(str(error)) or type(error).__name__) from error


def _first_line(text: str) -> str:
    """Java's message without the classes that it came through and the stack below it."""
    line = text.strip().split("\n", 1)[0]
    return line.removeprefix("java.lang.Exception: ").removeprefix("java.lang.RuntimeException: ").rstrip(".")


def _plain(answer: Any) -> Any:
    if isinstance(answer, np.ndarray) or not hasattr(answer, "_close"):
        return answer
    if hasattr(answer, "swig_value"):
        plain: Any = _run(answer.swig_value)
    elif hasattr(answer, "size") and hasattr(answer, "get"):
        plain = tuple(_run(answer.get, index) for index in range(_run(answer.size)))
    else:
        return answer
    _run(answer._close)  # noqa: SLF001
    return plain


def _for_java(argument: Any) -> Any:
    """Pixels lie one after the other in Java, and numpy's numbers are no Python numbers to the client."""
    if isinstance(argument, np.ndarray):
        return np.ascontiguousarray(argument).ravel()
    return argument.item() if isinstance(argument, np.generic) else argument


def _plane(pixels: Any, height: int, width: int) -> np.ndarray:
    flat = np.asarray(pixels)
    if flat.size != height * width:
        raise RuntimeError(f"an image of {flat.size} pixels instead of {height} x {width}")
    return flat.reshape(height, width)


def _abandon(bridge: Any) -> None:
    """Wake every call that waits for the server, and let none wait for it later, at the end of the interpreter."""
    from pyjavaz import server_terminated
    from pyjavaz.bridge import Bridge

    def refuse(_message: Any, timeout: Any = None, give_up_condition: Any = None) -> None:
        if give_up_condition is None:
            raise RuntimeError("the connection to Micro-Manager is closed")

    bridge.send_and_receive = refuse
    server_terminated(bridge.port)
    held = Bridge._cached_bridges_by_port.get(bridge.port)  # noqa: SLF001
    if held is not None and held() is bridge:
        del Bridge._cached_bridges_by_port[bridge.port]  # noqa: SLF001
    bridge._shutdown_event.set()  # noqa: SLF001
    bridge._closed = True  # noqa: SLF001


@contextmanager
def remembered_sockets() -> Iterator[list[Any]]:
    """The client's sockets made meanwhile: it never closes one."""
    from pyjavaz import bridge as module

    original, made = module._DataSocket, []  # noqa: SLF001

    def make(*arguments: Any, **named: Any) -> Any:
        made.append(original(*arguments, **named))
        return made[-1]

    with _connecting:
        module._DataSocket = make  # noqa: SLF001
        try:
            yield made
        finally:
            module._DataSocket = original  # noqa: SLF001


def close_behind(bridge: Any, sockets: list[Any]) -> None:
    """Close the sockets when the bridge's thread has ended; one that waits for a dead server is left to it."""
    thread = bridge._socket_thread_wr()  # noqa: SLF001

    def close() -> None:
        if thread is not None:
            thread.join()
        for each in sockets:
            each._socket.close(linger=0)  # noqa: SLF001

    closer = threading.Thread(target=close, daemon=True, name="closing the ZMQ client")
    closer.start()
    closer.join(0.2)
