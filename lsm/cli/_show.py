"""What the commands share: files of configurations, and progress on the terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lsm.config import shipped_config
from lsm.errors import FileMissing, InputError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


def config_file(kind: str, name: str) -> Path:
    """The file of that path, or the shipped configuration of that name. Raises FileMissing."""
    if Path(name).is_file():
        return Path(name)
    folder = shipped_config(kind)
    if (folder / f"{name}.toml").is_file():
        return folder / f"{name}.toml"
    known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
    raise FileMissing(f"There is no {kind} configuration '{name}'.", hint=f"give a path, or one of: {known}")


def new_folder(folder: Path) -> Path:
    """The folder, which must be empty or not exist. Raises InputError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty.", hint="name another with --out; nothing was changed")
    return folder


def nih_cells() -> Path | None:
    """The NIH cell crops in the data folder that LSM_DATA names, where there is one."""
    data = os.environ.get("LSM_DATA", "")
    cells = Path(data) / "nih_malaria_cells_50px"
    return cells if data and cells.exists() else None


class _Bars(Progress):
    """A display that appears with its first bar, so that an early error is not preceded by an empty one."""

    def add_task(self, *arguments: Any, **options: Any) -> TaskID:
        self.start()
        return super().add_task(*arguments, **options)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress display on standard error, invisible when `quiet`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    bars = _Bars(*columns, console=Console(stderr=True), disable=quiet)
    try:
        yield bars
    finally:
        if bars.tasks:
            bars.stop()
