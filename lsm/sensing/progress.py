"""How long work tells how far it is, without knowing who listens."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, runtime_checkable

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
