"""Record in the background: the run goes on while earlier frames become durable."""

import os
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from lsm.devices import Frame
from lsm.errors import RecordError
from lsm.record._prepare import Moment, Prepared, frame_text, prepare
from lsm.record.hdf5 import Recorder

PACKERS = min(4, os.cpu_count() or 1)


@dataclass
class _Pending:
    prepared: Future[Prepared]
    index: Future[int] = field(default_factory=Future)


class AheadRecorder:
    """Gives frames to a Recorder from a thread of its own. Also a context manager, which waits for all at its end.

    Unlike `Recorder.add`, `add` acknowledges nothing: it returns a future, whose result is the frame's index, once the
    frame survives a power cut. What is not in a finished future is lost when the process is killed.

    frames: at most so many are on their way, in memory; `add` waits while they are. The frames keep their order. After
    a frame that could not be written none is written any more. `recorder` stays open and must not be used meanwhile.
    """

    def __init__(self, recorder: Recorder, *, frames: int = 8) -> None:
        if frames < 1:
            raise RecordError(f"{frames} frames cannot be on their way.", hint="allow 1 or more")
        self._recorder = recorder
        self._slots = threading.Semaphore(frames)
        self._pending: deque[_Pending] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._error: BaseException | None = None
        self._packers = ThreadPoolExecutor(PACKERS, thread_name_prefix="lsm-pack")
        self._writer = threading.Thread(target=self._write, name="lsm-record", daemon=True)
        self._writer.start()

    def add(self, frame: Frame, decision: Mapping[str, Any] | None = None) -> Future[int]:
        """The future index of the frame. Raises RecordError where an earlier frame could not be written."""
        text, moment = frame_text(frame, decision), Moment.now()
        self._slots.acquire()
        with self._changed:
            if self._error is not None or self._closing:
                self._slots.release()
                raise RecordError(
                    f"The recording {self._recorder.path} takes no more frames.",
                    hint=f"its first {self._recorder.n_frames} frames are safe; see the first error",
                ) from self._error
            pending = _Pending(self._packers.submit(prepare, frame, text, moment))
            self._pending.append(pending)
            self._changed.notify()
        return pending.index

    def close(self) -> None:
        """Wait until every frame is durable; may be called twice. Raises the error of the first that is not."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join()
        self._packers.shutdown()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> "AheadRecorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        while group := self._next_group():
            try:
                if self._error is not None:
                    raise self._error
                indices = self._recorder.put([pending.prepared.result() for pending in group])
            except Exception as error:  # noqa: BLE001 -- whatever it is, add and close raise it in the caller's thread
                self._error = error
                for pending in group:
                    pending.index.set_exception(error)
            else:
                for pending, index in zip(group, indices, strict=True):
                    pending.index.set_result(index)
            self._slots.release(len(group))

    def _next_group(self) -> list[_Pending]:
        """The oldest frames that are packed, to be written with one sync; empty at the end."""
        with self._changed:
            while not self._pending:
                if self._closing:
                    return []
                self._changed.wait()
            group = [self._pending.popleft()]
            while self._pending and self._pending[0].prepared.done():
                group.append(self._pending.popleft())
        return group
