"""A design followed in TensorBoard: one run per stage that has a loss."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lsm.errors import ToolMissing
from lsm.sensing.progress import Reporter, Stage

PICTURE_EVERY = 250


class TensorBoardReporter:
    """A Reporter that passes all on to another, and writes events for TensorBoard into `folder`.

    A resumed run writes into the same folder; what an interrupted one wrote after its last checkpoint is replaced.
    picture_every: steps from picture to picture of the light. Raises ToolMissing without the package tensorboard.
    """

    def __init__(self, inner: Reporter, folder: Path, *, picture_every: int = PICTURE_EVERY) -> None:
        self._inner = inner
        self._folder = folder
        self._picture_every = picture_every
        self._writer = _writer_class()

    def stage(self, title: str, total: int) -> AbstractContextManager[Stage]:
        return self._stage(title, total)

    @contextmanager
    def _stage(self, title: str, total: int) -> Iterator[Stage]:
        with self._inner.stage(title, total) as stage:
            events = _Events(self._writer, self._folder / title.replace(" ", "-"))
            try:
                yield _Followed(stage, events, self._picture_every)
            finally:
                events.close()


class _Events:
    """A writer that makes its file with the first thing that it is told."""

    def __init__(self, writer: Any, folder: Path) -> None:
        self._class = writer
        self._folder = folder
        self._open: Any = None
        self.first_step: int | None = None

    def writer(self) -> Any:
        if self._open is None:
            self._open = self._class(str(self._folder), purge_step=self.first_step)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()


class _Followed:
    """A Stage and a Journal."""

    def __init__(self, inner: Stage, events: _Events, picture_every: int) -> None:
        self._inner = inner
        self._events = events
        self._picture_every = picture_every
        self._step = 0
        self._has_journal = False

    def advance(self, loss: float | None = None) -> None:
        self._inner.advance(loss)
        self._step += 1
        if loss is not None and loss == loss and not self._has_journal:
            self.values(self._step, {"loss": loss})

    def begin(self, step: int) -> None:
        self._has_journal = True
        # a run that was interrupted before its first checkpoint leaves events too: all of them go
        self._events.first_step = step + 1 if step else 0

    def values(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.writer().add_scalar(name, value, step)

    def wants_picture(self, step: int) -> bool:
        return step % self._picture_every == 0

    def picture(self, step: int, name: str, pixels: UInt8[np.ndarray, "y x 3"]) -> None:
        self._events.writer().add_image(name, pixels, step, dataformats="HWC")


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ToolMissing(
            "TensorBoard is not installed.", hint="pip install 'learned-sensing-microscope[tensorboard]'"
        ) from error
    return SummaryWriter
