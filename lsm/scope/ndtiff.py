"""Saving what a microscope sees as NDTiff, through pycromanager's Acquisition, when its user asks for it.

The Acquisition only takes and stores images: one event each, because it merges lists of them; light, stage and focus
stay with the driver. An image waits in the Acquisition until the driver has found it right, and is then saved with the
light that was really on, or is thrown away. Every wait has a limit here, because the Acquisition's own have none, and
it only prints what goes wrong.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import numpy as np

from lsm.devices import Frame
from lsm.errors import CameraError, ConfigError, RecordError
from lsm.scope._watchdog import Watchdog
from lsm.scope.rig import RigConfig

LOOK_S = 0.2


@dataclass
class _Waiting:
    """An image in the Acquisition's hands. metadata: to be saved with it; None to throw it away."""

    decided: threading.Event = field(default_factory=threading.Event)
    metadata: Mapping[str, Any] | None = None


class NdtiffSaver:
    """An NDTiff data set in a new folder, `folder`/`name`_1 or the next free number, with the one axis `frame`.

    Made by MicroManagerMicroscope.saving_ndtiff, which ends it.
    """

    def __init__(self, folder: Path, name: str, rig: RigConfig) -> None:
        if rig.backend != "python":
            raise ConfigError(
                f"Rig '{rig.name}' uses a running Micro-Manager, through which lsm saves no NDTiff.",
                hint="record, and use `lsm record export --ndtiff`",
            )
        from pycromanager import Acquisition

        self._rig = rig
        self._images: SimpleQueue[tuple[Any, dict[str, Any], _Waiting]] = SimpleQueue()
        self._saved = threading.Semaphore(0)
        self._waiting: _Waiting | None = None
        self._ended = False
        self._writers: list[Any] = []
        self._count = 0
        self._acquisition: Any = Acquisition(
            str(folder), name, image_process_fn=self._process, image_saved_fn=self._note, show_display=False
        )
        self._dataset: Any = self._acquisition.get_dataset()

    @property
    def folder(self) -> Path:
        """Where the data set lies."""
        return Path(self._dataset.path)

    @property
    def n_frames(self) -> int:
        """Frames saved so far."""
        return self._count

    def take(self, exposure_ms: float) -> SimpleNamespace:
        """One image from the camera (pix, tags), which is not saved before keep(). Raises CameraError."""
        self.drop()
        self._acquisition.acquire({"axes": {"frame": self._count}, "exposure": exposure_ms})
        try:
            pixels, tags, self._waiting = self._images.get(timeout=exposure_ms / 1000 + self._rig.timeouts_s.camera)
        except Empty:
            raise CameraError(
                "pycromanager's Acquisition gave no image.",
                hint="see what it printed; it cannot go on, so begin a new one",
            ) from None
        return SimpleNamespace(pix=pixels, tags=tags)

    def keep(self, frame: Frame) -> None:
        """Save the image taken last, with what is known of it; returns when it is written. Raises RecordError."""
        if self._waiting is None:
            raise RecordError("No image waits to be saved.", hint="take() one first")
        self._waiting.metadata = {"lsm": _facts(frame)}
        self._decide()
        if not self._saved.acquire(timeout=self._rig.timeouts_s.camera):
            raise RecordError(
                f"pycromanager's Acquisition did not save frame {self._count} in {self.folder}.",
                hint="see what it printed, and whether the disk is full",
            )
        self._count += 1
        if self._dataset.current_writer not in self._writers:
            self._writers.append(self._dataset.current_writer)

    def drop(self) -> None:
        """Throw away an image that was taken and not kept."""
        if self._waiting is not None:
            self._decide()

    def close(self) -> None:
        """End the data set. Raises RecordError where the Acquisition does not."""
        if self._ended:
            return
        self._ended = True
        self.drop()
        self._acquisition.mark_finished()
        Watchdog().call(
            self._acquisition.await_completion,
            what="pycromanager's Acquisition",
            within_s=self._rig.timeouts_s.camera + 10 * LOOK_S,
            error=CameraError,
        )
        for writer in self._writers:
            # it reads the file that it writes, and leaves that handle open
            with suppress(AttributeError):
                writer.reader.close()
        self._dataset.close()

    def _decide(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.decided.set()

    def _process(self, pixels: Any, metadata: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """In the Acquisition's thread, which must not outlive a program that forgets about it."""
        waiting = _Waiting()
        self._images.put((np.array(pixels), dict(metadata), waiting))
        while not waiting.decided.wait(LOOK_S):
            if self._ended or not threading.main_thread().is_alive():
                return None
        return None if waiting.metadata is None else (pixels, {**metadata, **waiting.metadata})

    def _note(self, axes: Any, dataset: Any) -> None:
        self._saved.release()


def _facts(frame: Frame) -> dict[str, Any]:
    levels = frame.shown.levels
    lit = np.flatnonzero(levels.any(axis=1))
    return {
        "pattern": frame.request.pattern.name,
        "shown": [[int(led), levels[led].tolist()] for led in lit],
        "limited": frame.shown.limited,
        "exposure_ms": frame.exposure_ms,
        "xy_um": list(frame.xy_um),
        "z_um": frame.z_um,
        "started_ns": frame.started_ns,
        "ended_ns": frame.ended_ns,
        "attempts": frame.metadata["attempts"],
    }
