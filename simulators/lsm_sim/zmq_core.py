"""A small server that answers as a running Micro-Manager's ZMQ server does, around a core in this process.

It speaks the protocol of pyjavaz 5.1.0 as its client expects it: JSON in ISO-8859-1, arrays as pairs of further
message parts, objects by name with their methods and Java types. The methods are those of pymmcore's own type stub
with the types that Micro-Manager's Java wrapper gives them; what Java has in another form (tagged images, vectors,
enumerations) is translated, what it does not have is left out.
"""

import argparse
import ast
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zmq

VERSION = "5.1.0"
CORE_CLASS = "mmcorej.CMMCore"
POLL_MS = 20
ARGUMENTS = {"str": "java.lang.String", "int": "int", "float": "double", "bool": "boolean"}
NUMBERS = {"int": "int", "float": "double", "bool": "boolean", "None": "void", "np.ndarray": "java.lang.Object"}
NAMES = (
    "str",
    "DeviceLabel",
    "DeviceName",
    "AdapterName",
    "ConfigGroupName",
    "ConfigPresetName",
    "PixelSizeConfigName",
    "StateLabel",
)
ARRAYS = {np.dtype(np.uint8): "byte-array", np.dtype(np.uint16): "short-array", np.dtype(np.uint32): "int-array"}

Spec = dict[str, Any]


class ZmqCore:
    """The server, running on 127.0.0.1:`port` in a thread of its own until close().

    core: a CMMCore or UniMMCore, used by its camel-case methods. port: 0 takes a free one.
    hang_in: names of methods (and commands of the protocol) that do not answer until release() is called.
    calls: the methods that clients have called, in order.
    """

    def __init__(self, core: Any, *, port: int = 0, version: str = VERSION) -> None:
        self.hang_in: set[str] = set()
        self.calls: list[str] = []
        self._core = core
        self._version = version
        self._objects: dict[str, _JavaObject] = {}
        self._released = threading.Event()
        self._stopped = threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.linger = 0
        address = "tcp://127.0.0.1"
        self.port = port or self._socket.bind_to_random_port(address)
        if port:
            self._socket.bind(f"{address}:{port}")
        self._thread = threading.Thread(target=self._serve, daemon=True, name="simulated Micro-Manager")
        self._thread.start()

    @property
    def open_objects(self) -> int:
        """Java objects that clients have not given back."""
        return len(self._objects)

    def release(self) -> None:
        """Let everything that hangs answer."""
        self.hang_in.clear()
        self._released.set()

    def close(self) -> None:
        """Stop answering, as a Micro-Manager that was closed; the core stays as it is."""
        self._stopped.set()
        self.release()
        self._thread.join(5.0)
        self._socket.close()
        self._context.term()

    def __enter__(self) -> "ZmqCore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            if self._socket.poll(POLL_MS):
                message = _received(self._socket.recv_multipart())
                answer = self._answer(message)
                if not self._stopped.is_set():
                    self._socket.send_multipart(_parts(answer))

    def _answer(self, message: Spec) -> Spec:
        name = str(message.get("name", message["command"]))
        self.calls.append(name)
        if name in self.hang_in:
            self._released.wait()
        try:
            return self._command(message)
        except Exception as error:  # noqa: BLE001 -- as Java does: whatever went wrong is told to the client
            return {"type": "exception", "value": f"java.lang.Exception: {error}\n\tat {CORE_CLASS}.{name}(Native)\n"}

    def _command(self, message: Spec) -> Spec:
        command = message["command"]
        if command == "connect":
            return {"type": "none", "version": self._version}
        if command in ("get-constructors", "constructor"):
            if message["classpath"] != CORE_CLASS:
                raise ValueError(f"Couldnt find class with name {message['classpath']}")
            if command == "constructor":
                return self._shared(_JavaObject(CORE_CLASS, self._core, _CoreMethods(self._core).call, core_api()))
            return {"type": "none", "api": [{"name": CORE_CLASS, "arguments": []}]}
        held = self._objects[message["hash-code"]]
        if command == "destructor":
            del self._objects[message["hash-code"]]
            return {"type": "none"}
        if command == "get-field":
            return self._serialized(held.fields[message["name"]])
        if command == "run-method":
            return self._serialized(held.call(message["name"], message["arguments"]))
        raise ValueError(f"Unknown Command {command}")

    def _serialized(self, value: Any) -> Spec:
        if value is None:
            return {"type": "none"}
        if isinstance(value, _JavaObject):
            return self._shared(value)
        if isinstance(value, str):
            return {"type": "string", "value": value}
        if isinstance(value, bool | int | float):
            return {"type": "primitive", "value": value}
        if isinstance(value, dict):
            return {"type": "object", "class": "JSONObject", "value": json.dumps(value)}
        if isinstance(value, np.ndarray):
            pixels = np.ascontiguousarray(value)
            return {"type": ARRAYS[pixels.dtype], "value": pixels.tobytes()}
        return self._shared(_vector([str(each) for each in value]))

    def _shared(self, held: "_JavaObject") -> Spec:
        code = f"{id(held):x}{uuid.uuid4()}"
        self._objects[code] = held
        return {
            "type": "unserialized-object",
            "class": held.name,
            "hash-code": code,
            "port": self.port,
            "interfaces": [held.name, "java.lang.Object"],
            "fields": list(held.fields),
            "api": held.api,
        }


class _JavaObject:
    """Something that stays on this side: its class, public fields, and methods by name and arguments."""

    def __init__(
        self,
        name: str,
        value: Any,
        call: Callable[[str, list[Any]], Any],
        api: list[Spec],
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.call = call
        self.api = api
        self.fields = fields or {}


class _CoreMethods:
    """The core's methods as Java has them."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name in ("getTaggedImage", "popNextTaggedImage", "getLastTaggedImage"):
            source = {"getTaggedImage": "getImage", "popNextTaggedImage": "popNextImage"}.get(name, "getLastImage")
            return self._tagged(getattr(self._core, source)())
        if name == "setSLMImage":
            label, pixels = arguments
            width, height = self._core.getSLMWidth(label), self._core.getSLMHeight(label)
            return self._core.setSLMImage(label, np.frombuffer(pixels, np.uint8).reshape(height, width))
        answer = getattr(self._core, name)(*arguments)
        return _device_type(int(answer)) if name == "getDeviceType" else answer

    def _tagged(self, image: np.ndarray) -> _JavaObject:
        height, width = image.shape[:2]
        tags = {
            "Width": width,
            "Height": height,
            "PixelType": {1: "GRAY8", 2: "GRAY16", 4: "RGB32"}[image.dtype.itemsize],
            "Camera": self._core.getCameraDevice(),
            "Binning": "1",
        }
        return _JavaObject("mmcorej.TaggedImage", image, _nothing, [], {"pix": image.ravel(), "tags": tags})


def _nothing(name: str, arguments: list[Any]) -> Any:
    raise AttributeError(f"there is no method {name} for {len(arguments)} arguments")


def _vector(values: list[str]) -> _JavaObject:
    api = [
        {"name": "size", "arguments": [], "return-type": "long"},
        {"name": "get", "arguments": ["int"], "return-type": "java.lang.String"},
    ]
    return _JavaObject("mmcorej.StrVector", values, lambda n, a: len(values) if n == "size" else values[a[0]], api)


def _device_type(number: int) -> _JavaObject:
    api = [{"name": "swigValue", "arguments": [], "return-type": "int"}]
    return _JavaObject("mmcorej.DeviceType", number, lambda _name, _arguments: number, api)


@cache
def core_api() -> list[Spec]:
    """Name, Java argument types and Java return type of every method, one entry per overload."""
    import pymmcore

    stub = ast.parse(Path(pymmcore.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    core = next(node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "CMMCore")
    found = [spec for node in core.body if isinstance(node, ast.FunctionDef) for spec in _specs(node)]
    tagged = ("getTaggedImage", "popNextTaggedImage", "getLastTaggedImage")
    return found + [
        {"name": name, "arguments": arguments, "return-type": "mmcorej.TaggedImage"}
        for name in tagged
        for arguments in ([], ["int"])
    ]


def _specs(node: ast.FunctionDef) -> list[Spec]:
    """One for each combination of argument types; none where a type has another form in Java."""
    choices = [_arguments(each.annotation) for each in node.args.args if each.arg != "self"]
    answer = _answer_type(node.returns)
    if node.name.startswith("_") or answer is None:
        return []
    return [{"name": node.name, "arguments": list(types), "return-type": answer} for types in product(*choices)]


def _arguments(annotation: ast.expr | None) -> list[str]:
    text = ast.unparse(annotation) if annotation is not None else ""
    if "uint8" in text:
        return ["byte[]"]
    if text.startswith("Union["):
        return [ARGUMENTS[name] for name in reversed(text[len("Union[") : -1].split(", "))]
    return [java for python, java in ARGUMENTS.items() if python in text.split(" | ")]


def _answer_type(annotation: ast.expr | None) -> str | None:
    text = ast.unparse(annotation) if annotation is not None else ""
    if text in NUMBERS:
        return NUMBERS[text]
    if text == "DeviceType":
        return "mmcorej.DeviceType"
    if text.startswith(("Tuple", "tuple")) and "float" not in text and "int" not in text:
        return "mmcorej.StrVector"
    return "java.lang.String" if text.split(" ")[0] in NAMES else None


def _received(parts: list[bytes]) -> Spec:
    """The message, with the arrays that came in parts of their own in their places."""
    message: Spec = json.loads(parts[0].decode("iso-8859-1"))
    arrays = {int.from_bytes(key, sys.byteorder, signed=True): value for key, value in _pairs(parts[1:])}
    if arrays and "arguments" in message:
        message["arguments"] = [
            arrays[int(each[1:].split("_")[0])] if isinstance(each, str) and each.startswith("@") else each
            for each in message["arguments"]
        ]
    return message


def _parts(answer: Spec) -> list[bytes]:
    """The parts of a message: an array is announced by the text that Java gives it and follows under its hash."""
    value = answer.get("value")
    if not isinstance(value, bytes):
        return [json.dumps(answer).encode("iso-8859-1")]
    code = id(value) & 0x7FFFFFFF
    text = json.dumps(answer | {"value": f"[B@{code:x}"})
    return [text.encode("iso-8859-1"), code.to_bytes(4, sys.byteorder), value]


def _pairs(parts: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(parts[::2], parts[1::2], strict=True)


def main() -> None:
    """Serve Micro-Manager's own demonstration devices until the process is ended; the port is the first line."""
    from pymmcore import CMMCore
    from pymmcore_plus import find_micromanager

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cfg", default="MMConfig_demo.cfg")
    given = parser.parse_args()
    folder = find_micromanager() or ""
    core = CMMCore()
    core.setDeviceAdapterSearchPaths([folder])
    core.loadSystemConfiguration(str(Path(folder) / given.cfg))
    with ZmqCore(core, port=given.port) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    main()
