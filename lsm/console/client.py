"""A program's way to a console: the same actions as the page's."""

import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from lsm import errors
from lsm.errors import DeviceError, InputError, LsmError

TIMEOUT_S = 120.0


class ConsoleRefused(LsmError):
    """The console refused a request: somebody else steers, it is busy, or the token is wrong."""


class ConsoleClient:
    """Speaks to the console at `url`; takes control when it is entered as a context manager, and lets go at its end.

    token: of a console that is not on this computer; may also stand in the address, as the console told it.
    Every method raises what the console's microscope raised (LimitExceeded, DeviceError, ...), ConsoleRefused, and
    DeviceError where nobody answers.
    """

    def __init__(self, url: str, *, token: str = "", name: str = "a program", timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise InputError(f"'{url}' is no address of a console.", hint="for example http://127.0.0.1:8765")
        self._host, self._port = parts.hostname, parts.port or 80
        self._token = token or parts.fragment.removeprefix("token=")
        self._name, self._timeout_s = name, timeout_s
        self._key = ""

    def __enter__(self) -> "ConsoleClient":
        self.take_control()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop_control()

    def drop_control(self) -> None:
        """Steer no more; does nothing without control."""
        if self._key:
            with suppress(ConsoleRefused):  # it was taken over, or silent for too long
                self.call("DELETE", "/api/control")
            self._key = ""

    def take_control(self, *, force: bool = False) -> None:
        """Steer. Raises ConsoleRefused where somebody else does, unless by force."""
        self._key = str(self.call("POST", "/api/control", {"name": self._name, "force": force})["key"])

    def rig(self) -> dict[str, Any]:
        """What does not change: the board, limits, presets."""
        return dict(self.call("GET", "/api/rig"))

    def state(self) -> dict[str, Any]:
        """Everything as it is now: machine, light, run, control, log."""
        return dict(self.call("GET", "/api/state"))

    def light(self, **light: Any) -> dict[str, Any]:
        """Choose the next frames' light, by preset=, leds= or designed=; see LightRequest. Returns the state."""
        return dict(self.call("PUT", "/api/light", light))

    def camera(self, *, exposure_ms: float | None = None, live: bool | None = None) -> dict[str, Any]:
        """Set exposure and live view. Returns the state."""
        return dict(self.call("PUT", "/api/camera", {"exposure_ms": exposure_ms, "live": live}))

    def move(self, *, xy_um: tuple[float, float] | None = None, z_um: float | None = None) -> dict[str, Any]:
        """Go there and take a frame. Returns the state."""
        x_um, y_um = xy_um or (None, None)
        return dict(self.call("POST", "/api/move", {"x_um": x_um, "y_um": y_um, "z_um": z_um}))

    def snap(self) -> dict[str, Any]:
        """Take a frame with the present light. Returns the state."""
        return dict(self.call("POST", "/api/snap"))

    def frame_jpeg(self) -> bytes:
        """The newest frame as the page shows it."""
        return self._ask("GET", "/api/frame.jpg", None)[1]

    def stop(self) -> float:
        """Dark and still, at once, without having control; milliseconds until the board had acknowledged."""
        return float(self.call("POST", "/api/stop")["dark_ms"])

    def release(self) -> None:
        """Serve again after a stop."""
        self.call("POST", "/api/release")

    def start_run(self, **wanted: Any) -> str:
        """Begin a diagnosis, see RunRequest; returns its name."""
        return str(self.call("POST", "/api/runs", wanted)["name"])

    def acquire(self, **wanted: Any) -> str:
        """Begin an acquisition, see AcquisitionRequest; returns its name."""
        return str(self.call("POST", "/api/acquisitions", wanted)["name"])

    def outline(self, name: str) -> dict[str, Any]:
        """Slide, light and fields of a run that was ended or interrupted: what it would go on with."""
        return dict(self.call("GET", f"/api/runs/{quote(name, safe='')}/outline"))

    def go_on(self, name: str) -> None:
        """Go on with a run that was ended or interrupted."""
        self.call("POST", f"/api/runs/{quote(name, safe='')}/continue")

    def run(self, action: str) -> dict[str, Any]:
        """'pause', 'resume' or 'end' the run that is on. Returns the state."""
        return dict(self.call("POST", f"/api/run/{quote(action, safe='')}"))

    def open_calibration(self) -> dict[str, Any]:
        """Open the guided calibration; no run can begin until it is left. Returns the state."""
        return dict(self.call("POST", "/api/calibration"))

    def measure(self, step: str) -> dict[str, Any]:
        """Begin to measure a step of the calibration, with what it needs on the stage. Returns the state.

        It has ended when state()["calibration"]["status"] is "open" again; the step then tells its values, or why not.
        """
        return dict(self.call("POST", "/api/calibration/measure", {"step": step}))

    def cancel_measurement(self) -> dict[str, Any]:
        """End what is being measured before its next capture. Returns the state."""
        return dict(self.call("POST", "/api/calibration/cancel"))

    def leave_calibration(self) -> dict[str, Any]:
        """Leave the calibration; the rig is connected as before. Returns the state."""
        return dict(self.call("DELETE", "/api/calibration"))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to any request of the interface; None where there is no content."""
        status, content = self._ask(method, path, body)
        return json.loads(content) if content and status != http.client.NO_CONTENT else None

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        headers = {"Accept": "application/json"}
        if self._key:
            headers["X-LSM-Control"] = self._key
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        sent = None if body is None else json.dumps(body)
        if sent is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DeviceError(
                f"No console answers at {self._host}:{self._port}: {error}.", hint="start one with 'lsm console RIG'"
            ) from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise _refusal(answer.status, content)
        return answer.status, content


def _refusal(status: int, content: bytes) -> LsmError:
    """The error that the console told, of the kind it had there."""
    try:
        told = json.loads(content)
        name, message, hint = str(told["error"]), str(told["message"]), str(told["hint"])
    except (ValueError, TypeError, KeyError):
        text = content[:300].decode(errors="replace")
        return ConsoleRefused(f"The console answered {status}: {text}", hint="see /api/openapi.json")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, LsmError) and kind is not errors.Halted:
        return kind(message, hint=hint)
    return errors.Halted() if kind is errors.Halted else ConsoleRefused(message, hint=hint)
