"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@runtime_checkable
class Reporter(Protocol):
    """Receives the stages of a long run; every stage is used as a context manager."""

    def stage(self, title: str, total: int) -> AbstractContextManager["Stage"]:
        """A stage of `total` steps."""
        ...


@runtime_checkable
class Stage(Protocol):
    """One stage of a long run."""

    def advance(self, loss: float | None = None) -> None:
        """One step is done."""
        ...


@runtime_checkable
class Journal(Protocol):
    """What a training run tells, step by step, to whoever wants to follow it; a Stage may be one as well."""

    def begin(self, step: int) -> None:
        """The run starts, or goes on, after so many steps; what was told of later ones is void."""
        ...

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name after a step."""
        ...

    def wants_picture(self, step: int) -> bool:
        """Whether to draw the light after this step."""
        ...

    def picture(self, step: int, name: str, pixels: UInt8[np.ndarray, "y x 3"]) -> None:
        """A picture by name after a step."""
        ...


class Silent:
    """A Reporter and Stage that says nothing."""

    def stage(self, title: str, total: int) -> AbstractContextManager["Silent"]:
        del title, total
        return nullcontext(self)

    def advance(self, loss: float | None = None) -> None:
        del loss


class RichReporter:
    """A Reporter that draws one bar per stage, with the running loss."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress or Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
        )

    def __enter__(self) -> "RichReporter":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, title: str, total: int) -> AbstractContextManager[Stage]:
        return nullcontext(_RichStage(self._progress, self._progress.add_task(title, total=total, loss="")))


class _RichStage:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._smooth = float("nan")

    def advance(self, loss: float | None = None) -> None:
        text = ""
        if loss is not None and loss == loss:
            self._smooth = loss if self._smooth != self._smooth else 0.97 * self._smooth + 0.03 * loss
            text = f"loss {self._smooth:.3f}"
        self._progress.update(self._task, advance=1, loss=text)
