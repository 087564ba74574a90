"""A microscope out of Micro-Manager's devices and an LED board."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from lsm.devices import Frame, Illuminator, Observe, Shown
from lsm.errors import CameraError, DeviceError, IlluminatorTimeout, StageError, WrongFormat
from lsm.illum import LedBoard
from lsm.scope._watchdog import Watchdog
from lsm.scope.rig import RigConfig
from lsm.types import Image

T = TypeVar("T")

ATTEMPTS = 2
"""Exposures tried when the light went out during the first."""


@dataclass(frozen=True, eq=False)
class _Exposure:
    image: Image
    tags: dict[str, str]
    started_ns: int
    ended_ns: int


class MicroManagerMicroscope:
    """A Microscope over a pycromanager Core, which it reaches by its snake-case methods only.

    It checks what it is told: positions are read back after the move and again after the exposure, the exposure
    time is read back, and an image counts only when the board confirms that the light was on throughout. Every
    wait has its own watchdog. It knows no limits; `connect` puts it behind an Interlock.
    """

    def __init__(
        self, core: Any, illuminator: Illuminator, rig: RigConfig, *, on_close: Callable[[], None] | None = None
    ) -> None:
        self._core = core
        self._illuminator = illuminator
        self._rig = rig
        self._on_close = on_close
        self._closed = False
        self._watchdog = Watchdog()
        self._camera = rig.devices.camera or core.get_camera_device()
        self._xy_stage = rig.devices.xy_stage or core.get_xy_stage_device()
        self._focus = rig.devices.focus or core.get_focus_device()
        self._target_xy_um: tuple[float, float] | None = None
        self._target_z_um: float | None = None
        self._exposure_ms = math.nan
        core.set_timeout_ms(int(rig.timeouts_s.stage * 1000))
        self._set_properties()

    @property
    def board(self) -> LedBoard:
        return self._illuminator.board

    def observe(self, request: Observe) -> Frame:
        """Move, light, expose, go dark, and return the frame.

        When the light went out during the exposure (the board's watchdog, a reset), the capture is repeated
        once; `metadata["attempts"]` counts. Raises WrongFormat for a pattern of another board, StageError for a
        move that fails or ends elsewhere, CameraError for no or a wrong image, IlluminatorError. The light is
        off after every one of them, as far as the board can be reached.
        """
        if self._closed:
            raise DeviceError(f"The microscope '{self._rig.name}' is closed.", hint="connect again")
        self._refuse_other_board(request)
        self._watchdog.refuse_while_hanging(DeviceError)
        self._move(request)
        self._set_exposure(request.exposure_ms)
        for attempt in range(1, ATTEMPTS + 1):
            shown, exposure, lit = self._expose(request)
            if lit:
                return self._frame(request, shown, exposure, attempt)
        raise IlluminatorTimeout(
            f"The LEDs went out during {ATTEMPTS} exposures of {request.exposure_ms:g} ms.",
            hint="the board resets or loses its connection; check its supply and cable",
        )

    def close(self) -> None:
        """Light off, devices released; may be called twice.

        A device that hangs is left behind after timeouts_s.stage; a new core then needs a new process.
        """
        if self._closed:
            return
        self._closed = True
        self._illuminator.close()
        self._watchdog.close()
        if self._on_close is not None:
            with suppress(DeviceError):
                Watchdog().call(
                    self._on_close, what="Unloading", within_s=self._rig.timeouts_s.stage, error=DeviceError
                )

    def _refuse_other_board(self, request: Observe) -> None:
        if request.pattern.board != self.board.digest:
            raise WrongFormat(
                f"The pattern '{request.pattern.name}' is for another board than '{self.board.name}'.",
                hint="build patterns on microscope.board",
            )

    def _set_properties(self) -> None:
        def set_all() -> None:
            for device, name, value in self._rig.properties:
                self._core.set_property(device, name, value)

        self._watchdog.call(
            set_all, what="Setting 'properties'", within_s=self._rig.timeouts_s.stage, error=DeviceError
        )

    def _expose(self, request: Observe) -> tuple[Shown, _Exposure, bool]:
        hold_ms = request.exposure_ms + self._rig.led.hold_margin_ms
        try:
            shown = self._illuminator.show(request.pattern, hold_ms=hold_ms)
            time.sleep(self._rig.settle_ms.led / 1000)
            exposure = self._snap(request.exposure_ms)
            return shown, exposure, self._illuminator.still_lit(shown)
        finally:
            self._illuminator.dark()

    def _snap(self, exposure_ms: float) -> _Exposure:
        core, camera = self._core, self._camera

        def snap() -> _Exposure:
            started_ns = time.monotonic_ns()
            core.snap_image()
            ended_ns = time.monotonic_ns()
            tagged = core.get_tagged_image(0, camera, core.get_image_height(), core.get_image_width())
            tags = {str(key): str(value) for key, value in tagged.tags.items()}
            return _Exposure(self._image(tagged.pix), tags, started_ns, ended_ns)

        return self._watchdog.call(
            snap,
            what=f"Camera '{camera}'",
            within_s=exposure_ms / 1000 + self._rig.timeouts_s.camera,
            error=CameraError,
        )

    def _image(self, pixels: Any) -> Image:
        image = np.asarray(pixels)
        shape = self._rig.camera.shape_px
        if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16) or (shape is not None and image.shape != shape):
            raise CameraError(
                f"Camera '{self._camera}' gave {image.dtype} {image.shape}, the rig expects {shape or 'a plane'}.",
                hint="set PixelType and binning in 'properties' of the rig file, or correct camera.shape_px",
            )
        copy: Image = image.astype(np.uint16)
        return copy

    def _set_exposure(self, exposure_ms: float) -> None:
        if exposure_ms == self._exposure_ms:
            return

        def set_and_read() -> float:
            self._core.set_exposure(exposure_ms)
            return float(self._core.get_exposure())

        got = self._watchdog.call(
            set_and_read, what=f"Camera '{self._camera}'", within_s=self._rig.timeouts_s.camera, error=CameraError
        )
        # cameras round to their line time, some tens of microseconds
        if not math.isclose(got, exposure_ms, rel_tol=0.01, abs_tol=0.05):
            raise CameraError(
                f"Camera '{self._camera}' exposes {got:g} ms where {exposure_ms:g} ms were asked for.",
                hint="narrow limits.exposure_ms in the rig file to what the camera can do",
            )
        self._exposure_ms = exposure_ms

    def _move(self, request: Observe) -> None:
        if request.xy_um is not None and not self._is_at_xy(request.xy_um):
            self._move_xy(request.xy_um)
        if request.z_um is not None and not self._is_at_z(request.z_um):
            self._move_z(request.z_um)

    def _is_at_xy(self, xy_um: tuple[float, float]) -> bool:
        """Sent there before, and still there: nobody has touched the joystick."""
        return self._target_xy_um == xy_um and _near(self._read_xy(), xy_um, self._rig.tolerance_um.xy)

    def _is_at_z(self, z_um: float) -> bool:
        return self._target_z_um == z_um and abs(self._read_z() - z_um) <= self._rig.tolerance_um.z

    def _move_xy(self, xy_um: tuple[float, float]) -> None:
        self._require(self._xy_stage, "XY stage")
        self._target_xy_um = None

        def move() -> None:
            self._core.set_xy_position(self._xy_stage, *xy_um)
            self._core.wait_for_device(self._xy_stage)

        self._stage_call(move, self._xy_stage)
        time.sleep(self._rig.settle_ms.xy / 1000)
        self._verify_xy(xy_um, self._read_xy())
        self._target_xy_um = xy_um

    def _move_z(self, z_um: float) -> None:
        self._require(self._focus, "focus drive")
        self._target_z_um = None

        def move() -> None:
            self._core.set_position(self._focus, z_um)
            self._core.wait_for_device(self._focus)

        self._stage_call(move, self._focus)
        time.sleep(self._rig.settle_ms.z / 1000)
        self._verify_z(z_um, self._read_z())
        self._target_z_um = z_um

    def _read_xy(self) -> tuple[float, float]:
        """Where the XY stage says it is; (0, 0) without a stage."""
        if not self._xy_stage:
            return (0.0, 0.0)
        return self._stage_call(
            lambda: (
                float(self._core.get_x_position(self._xy_stage)),
                float(self._core.get_y_position(self._xy_stage)),
            ),
            self._xy_stage,
        )

    def _read_z(self) -> float:
        """Where the focus drive says it is; 0 without one."""
        if not self._focus:
            return 0.0
        return self._stage_call(lambda: float(self._core.get_position(self._focus)), self._focus)

    def _verify_xy(self, wanted_um: tuple[float, float], got_um: tuple[float, float]) -> None:
        if not _near(got_um, wanted_um, self._rig.tolerance_um.xy):
            raise StageError(
                f"Stage '{self._xy_stage}' is at ({got_um[0]:.2f}, {got_um[1]:.2f}) um instead of "
                f"({wanted_um[0]:.2f}, {wanted_um[1]:.2f}) um.",
                hint=f"allowed are {self._rig.tolerance_um.xy:g} um; check for an obstacle, then home the stage",
            )

    def _verify_z(self, wanted_um: float, got_um: float) -> None:
        if not abs(got_um - wanted_um) <= self._rig.tolerance_um.z:
            raise StageError(
                f"Focus '{self._focus}' is at {got_um:.2f} um instead of {wanted_um:.2f} um.",
                hint=f"allowed are {self._rig.tolerance_um.z:g} um; check for an obstacle",
            )

    def _frame(self, request: Observe, shown: Shown, exposure: _Exposure, attempt: int) -> Frame:
        xy_um, z_um = self._read_xy(), self._read_z()
        if request.xy_um is not None:
            self._verify_xy(request.xy_um, xy_um)
        if request.z_um is not None:
            self._verify_z(request.z_um, z_um)
        return Frame(
            image=exposure.image,
            request=request,
            shown=shown,
            xy_um=xy_um,
            z_um=z_um,
            started_ns=exposure.started_ns,
            ended_ns=exposure.ended_ns,
            metadata=exposure.tags | {"rig": self._rig.name, "attempts": str(attempt)},
        )

    def _require(self, label: str, role: str) -> None:
        if not label:
            raise StageError(
                f"The rig '{self._rig.name}' has no {role}.",
                hint="leave the axis out of the request, or name the device",
            )

    def _stage_call(self, work: Callable[[], T], label: str) -> T:
        return self._watchdog.call(work, what=f"Stage '{label}'", within_s=self._rig.timeouts_s.stage, error=StageError)


def _near(one_um: tuple[float, float], other_um: tuple[float, float], tolerance_um: float) -> bool:
    return max(abs(one_um[0] - other_um[0]), abs(one_um[1] - other_um[1])) <= tolerance_um
