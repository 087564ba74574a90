"""A microscope out of Micro-Manager's devices and an LED board."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsm.devices import Burst, CurrentLimited, Frame, Illuminator, Observe, Shown
from lsm.errors import CameraError, DeviceError, IlluminatorTimeout, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.led import IlluminateClient, LedBoardClient
from lsm.led._constants import WATCHDOG_CEILING_MS
from lsm.scope._camera import CoreCamera, Shot
from lsm.scope._halt import HaltSwitch
from lsm.scope._shutter import Shutter
from lsm.scope._stages import Stages
from lsm.scope._watchdog import Watchdog
from lsm.scope.burst import BurstTooSlow, TriggeredBurst
from lsm.scope.ndtiff import NdtiffSaver
from lsm.scope.rig import RigConfig

FED_FROM_MS = 1500.0
"""Longest exposure through which a board holds the light in silence. In a longer one it is asked twice a second, and
so goes dark as soon as after a short one when this program dies."""
ROLES = {"camera": "camera", "focus": "focus", "autofocus": "auto_focus"}
"""Of devices in the rig file that Micro-Manager uses without being told a label, and their names in its methods."""
ATTEMPTS = 2
"""Exposures tried when the light went out during the first, or the camera gave an old image."""


class MicroManagerMicroscope:
    """A burst, located and halting microscope over a pycromanager Core, reached by its snake-case methods only.

    It checks what it is told: positions are read back after the move and again after the exposure, the exposure
    time is read back after every image, a shutter after it has opened and before it closes, and an image counts
    only when the board confirms that the light was on throughout and the camera has not given it before. Every
    wait has its own watchdog. `metadata["light"]` is "read back", or "as sent" where the light source cannot tell
    what is on. It knows no limits; `connect` puts it behind an Interlock.
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
        self._roles = self._set_roles({role: label for role in ROLES if (label := str(getattr(rig.devices, role)))})
        self._camera = CoreCamera(core, rig, self._watchdog)
        self._halt = HaltSwitch()
        self._stages = Stages(core, rig, self._watchdog, self._halt)
        self._shutter = Shutter(core, rig, self._watchdog)
        self._light_is = "read back" if getattr(illuminator, "reads_back", True) else "as sent"
        self._triggered = TriggeredBurst.of(self._camera, illuminator, rig)
        core.set_timeout_ms(int(rig.timeouts_s.stage * 1000))
        self._set_properties()

    @property
    def board(self) -> LedBoard:
        return self._illuminator.board

    def observe(self, request: Observe) -> Frame:
        """Move, light, expose, go dark, and return the frame.

        When the light went out during the exposure (the board's watchdog, a reset), or the camera gave an image
        that it had given before, the capture is repeated once; `metadata["attempts"]` counts. After an old or a
        missing image the camera is believed again once an image is clearly brighter than dark ones taken just
        before it; until then every capture with light is an error. Raises, before anything moves, WrongFormat for
        a pattern of another board and LimitExceeded for a light that the board does not hold for so long; StageError
        for a move that fails or ends elsewhere, CameraError for no, a wrong or an old image, IlluminatorError,
        DeviceError for the shutter, Halted. The light is off after every one of them, as far as the board can be
        reached.
        """
        with self._halt.heeded():
            return self._observe(request)

    def _observe(self, request: Observe) -> Frame:
        self._refuse(request.pattern, request.exposure_ms)
        self._stages.move(request.xy_um, request.z_um)
        self._camera.set_exposure(request.exposure_ms)
        reason: DeviceError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            in_the_dark = self._camera.flush() if self._camera.doubted else None
            shown, shot, lit = self._expose(request)
            old = self._camera.gave_before(shot)
            if lit and not old and self._is_new(shot, shown, in_the_dark):
                frame = self._frame(request, shown, shot, {"attempts": str(attempt)})
                if self._camera.saver is not None:
                    self._camera.saver.keep(frame)
                return frame
            reason = self._old_image(old=old) if lit else self._light_lost(request.exposure_ms)
            if lit and in_the_dark is not None:
                break
        raise reason or self._light_lost(request.exposure_ms)

    def burst(self, request: Burst) -> tuple[Frame, ...]:
        """One frame per pattern, in their order, all or none; see lsm.scope.burst for what the rig must have.

        `metadata["burst"]` is "hardware" where camera and board stepped through the patterns together. Then all
        patterns of one load share the scale of the strongest where the board's current limit scales them, and
        started_ns and ended_ns are when an image arrived. Elsewhere, with a camera in doubt, after one that was too
        slow, and for exposures so long that a board left alone would stay lit, it is "software": one observe() after
        the other. Raises as observe() does, and WrongFormat for a burst without patterns.
        """
        with self._halt.heeded():
            return self._burst(request)

    def halt(self) -> None:
        """Dark, then still, at once; from any thread. Raises IlluminatorTimeout, StageError; halted all the same.

        An exposure under way ends in the dark. Nothing moves or shines before `release`.
        """
        self._halt.on()
        try:
            self._illuminator.dark()
        finally:
            self._stages.stop()

    def release(self) -> None:
        """Serve requests again."""
        self._halt.off()

    def _burst(self, request: Burst) -> tuple[Frame, ...]:
        if not request.patterns:
            raise WrongFormat("A burst has no patterns.", hint="give at least one")
        for pattern in request.patterns:
            self._refuse(pattern, request.exposure_ms)
        triggered = None if self._camera.doubted or self._camera.saver else self._triggered
        if triggered is None or len(request.patterns) == 1 or not triggered.ends_in_time(request.exposure_ms):
            return self._one_by_one(request)
        self._stages.move(request.xy_um, request.z_um)
        self._camera.set_exposure(request.exposure_ms)
        try:
            with self._shutter.opened():
                taken = triggered.take(request.patterns, request.exposure_ms)
        except BurstTooSlow:
            return self._one_by_one(request, tried=1)
        return tuple(
            self._frame(single, shown, shot, {"attempts": "1", "burst": "hardware"})
            for single, (shown, shot) in zip(request.requests(), taken, strict=True)
        )

    def where(self) -> tuple[tuple[float, float], float]:
        """Stage (x, y) and focus in micrometres, read now; 0 for an axis without a device.

        Raises StageError, or DeviceError when closed.
        """
        self._refuse_closed()
        return self._stages.read()

    def current_limit_ma(self) -> float | None:
        """Of the light source, read now; None where it has none or does not tell. Raises IlluminatorTimeout."""
        self._refuse_closed()
        light = self._illuminator
        return light.current_limit_ma() if isinstance(light, CurrentLimited) else None

    def _one_by_one(self, request: Burst, *, tried: int = 0) -> tuple[Frame, ...]:
        frames = [self.observe(single) for single in request.requests()]
        notes = [{"attempts": str(int(frame.metadata["attempts"]) + tried), "burst": "software"} for frame in frames]
        return tuple(
            replace(frame, metadata={**frame.metadata, **note}) for frame, note in zip(frames, notes, strict=True)
        )

    @contextmanager
    def saving_ndtiff(self, folder: Path, *, name: str = "frames") -> Iterator[NdtiffSaver]:
        """While inside, every frame of observe() and burst() is saved as NDTiff too, before it is returned.

        pycromanager's Acquisition takes the images then; bursts go frame by frame. Raises ConfigError for a rig
        whose Micro-Manager runs in another process; afterwards RecordError, CameraError where it does not end.
        """
        saver = NdtiffSaver(folder, name, self._rig)
        self._camera.saver = saver
        try:
            yield saver
        finally:
            self._camera.saver = None
            saver.close()

    def close(self) -> None:
        """Light off, devices released; may be called twice.

        A device that hangs is left behind after timeouts_s.stage; a new core then needs a new process.
        """
        if self._closed:
            return
        self._closed = True
        self._illuminator.close()
        with suppress(DeviceError):
            self._shutter.restore()
            self._set_roles(self._roles)
        self._watchdog.close()
        if self._on_close is not None:
            with suppress(DeviceError):
                Watchdog().call(
                    self._on_close, what="Unloading", within_s=self._rig.timeouts_s.stage, error=DeviceError
                )

    def _refuse(self, pattern: Pattern, exposure_ms: float) -> None:
        """Before anything moves: a microscope that is closed or hangs, a pattern of another board, too long a light."""
        self._refuse_closed()
        if pattern.board != self.board.digest:
            raise WrongFormat(
                f"The pattern '{pattern.name}' is for another board than '{self.board.name}'.",
                hint="build patterns on microscope.board",
            )
        hold_ms, longest_ms = self._hold_ms(exposure_ms), _longest_hold_ms(self._illuminator)
        if not hold_ms <= longest_ms:
            raise LimitExceeded(
                f"An exposure of {exposure_ms:g} ms would have the LEDs held for {hold_ms:g} ms; the board "
                f"'{self.board.name}' allows {longest_ms:g} ms.",
                hint="shorten the exposure, or settle_ms.led and led.hold_margin_ms of the rig file",
            )
        self._watchdog.refuse_while_hanging(DeviceError)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise DeviceError(f"The microscope '{self._rig.name}' is closed.", hint="connect again")

    def _set_roles(self, labels: dict[str, str]) -> dict[str, str]:
        """Give these devices their roles in the core, which snaps and focuses with no others; returns those before."""

        def set_all() -> dict[str, str]:
            before = {role: str(getattr(self._core, f"get_{ROLES[role]}_device")()) for role in labels}
            for role, label in labels.items():
                if label and label != before[role]:
                    getattr(self._core, f"set_{ROLES[role]}_device")(label)
            return before

        within_s = self._rig.timeouts_s.stage
        return self._watchdog.call(set_all, what="Choosing 'devices'", within_s=within_s, error=DeviceError)

    def _set_properties(self) -> None:
        def set_all() -> None:
            for device, name, value in self._rig.properties:
                self._core.set_property(device, name, value)

        self._watchdog.call(
            set_all, what="Setting 'properties'", within_s=self._rig.timeouts_s.stage, error=DeviceError
        )

    def _is_fed(self, lit_ms: float) -> bool:
        return isinstance(self._illuminator, LedBoardClient) and lit_ms > FED_FROM_MS

    def _hold_ms(self, exposure_ms: float) -> float:
        """How long the light has to stay on in silence."""
        settle_ms = self._rig.settle_ms.led
        lit_ms = settle_ms + exposure_ms
        silence_ms = max(settle_ms, FED_FROM_MS) if self._is_fed(lit_ms) else lit_ms
        return silence_ms + self._rig.led.hold_margin_ms

    def _expose(self, request: Observe) -> tuple[Shown, Shot, bool]:
        lit_ms = self._rig.settle_ms.led + request.exposure_ms
        with self._shutter.opened():
            try:
                self._halt.refuse()
                shown = self._illuminator.show(request.pattern, hold_ms=self._hold_ms(request.exposure_ms))
                self._halt.refuse()  # whoever halted may have put out what was not on yet
                ends_s = time.monotonic() + lit_ms / 1000
                if self._rig.settle_ms.led:
                    time.sleep(self._rig.settle_ms.led / 1000)

                def feed() -> None:
                    if time.monotonic() < ends_s:
                        self._illuminator.still_lit(shown)

                shot = self._camera.snap(feed if self._is_fed(lit_ms) else None)
                return shown, shot, self._illuminator.still_lit(shown)
            finally:
                self._illuminator.dark()

    def _is_new(self, shot: Shot, shown: Shown, in_the_dark: Shot | None) -> bool:
        """Always, unless the camera is in doubt; a dark image after dark ones may be any of them."""
        if in_the_dark is None or not shown.levels.any():
            return True
        return self._camera.is_of_now(shot, in_the_dark)

    def _light_lost(self, exposure_ms: float) -> IlluminatorTimeout:
        return IlluminatorTimeout(
            f"The LEDs went out during {ATTEMPTS} exposures of {exposure_ms:g} ms.",
            hint="the board resets or loses its connection; check its supply and cable",
        )

    def _old_image(self, *, old: bool) -> CameraError:
        what = "that it had given before" if old else "no brighter than the dark, after an old or a missing one"
        return CameraError(
            f"Camera '{self._camera.label}' gave an image {what}.",
            hint="its driver may hand out old images; a bright capture clears the doubt, else restart the camera",
        )

    def _frame(self, request: Observe, shown: Shown, shot: Shot, notes: dict[str, str]) -> Frame:
        xy_um, z_um = self._stages.read_at(request)
        return Frame(
            image=shot.image,
            request=request,
            shown=shown,
            xy_um=xy_um,
            z_um=z_um,
            started_ns=shot.started_ns,
            ended_ns=shot.ended_ns,
            metadata=shot.tags | {"rig": self._rig.name, "light": self._light_is} | notes,
        )


def _longest_hold_ms(light: Illuminator) -> float:
    """Endless where nothing but a timer of this program puts it out."""
    if isinstance(light, LedBoardClient):
        return light.hello.watchdog_ceiling_ms
    return WATCHDOG_CEILING_MS if isinstance(light, IlluminateClient) else math.inf
