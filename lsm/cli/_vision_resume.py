"""What was begun and broken off: how it goes on, and what another run in its place would change."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from lsm.cli._vision_data import read_json, save_json
from lsm.errors import InputError, WrongFormat
from lsm.tensorfile import read_words

_MOST_CHANGES: Final = 5


def tell_begun(checkpoint: Path, steps: int) -> None:
    """Say from which step a training goes on, where it was begun."""
    if step := _step(checkpoint):
        _tell(f"Goes on from step {step} of {steps}, kept in {checkpoint}.")


@contextmanager
def resumable(*places: Path) -> Iterator[None]:
    """Where the work in it is interrupted, say how it goes on. places: detectors' files, or folders of folds."""
    try:
        yield
    except KeyboardInterrupt:
        for place in places:
            _tell(_of_folds(place) if place.is_dir() else _of_training(place))
        raise


def claim(path: Path, run: Mapping[str, Any]) -> None:
    """Write what the run is, or see that it is the one that was begun here. Raises InputError."""
    folder = path.parent
    if not path.exists():
        # a part is what a killed run left of a file
        if folder.exists() and not (folder.is_dir() and all(each.suffix == ".part" for each in folder.iterdir())):
            raise InputError(f"{folder} exists and holds no folds.", hint="name another with --out")
        save_json(path, run)
        return
    begun = read_json(path)
    if begun == run:
        return
    told = _changes(begun, run) if isinstance(begun, dict) else [f"{path.name} cannot be read"]
    more = f" and {len(told) - _MOST_CHANGES} more" if len(told) > _MOST_CHANGES else ""
    raise InputError(
        f"{folder} holds the folds of other images or options: {', '.join(told[:_MOST_CHANGES])}{more}.",
        hint="name another with --out, or give the options of before",
    )


def _of_training(file: Path) -> str:
    checkpoint = file.with_suffix(".checkpoint")
    if step := _step(checkpoint):
        return f"The same command goes on from step {step}, kept in {checkpoint}."
    if file.exists():
        return f"The detector is trained, but was not scored: lsm vision evaluate {file} --data DATA"
    return "No step was kept yet: the same command begins anew. --set fit.checkpoint_every=20 keeps them more often."


def _of_folds(folder: Path) -> str:
    done = len(list(folder.glob("fold-*.json")))
    steps = [(each.stem, step) for each in sorted(folder.glob("fold-*.checkpoint")) if (step := _step(each))]
    where = "".join(f", {name} from step {step}" for name, step in steps)
    return f"The same command goes on: folds done {done}{where}. All is kept in {folder}."


def _step(checkpoint: Path) -> int:
    """The step that was reached, 0 where there is nothing to go on from."""
    try:
        return int(read_words(checkpoint, hint="", what="checkpoint").get("step", "0")) if checkpoint.is_file() else 0
    except (WrongFormat, ValueError):
        return 0


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = _flat(before), _flat(now)
    told = []
    for key in [*old, *(key for key in new if key not in old)]:
        was, is_ = (str(table.get(key, "not given")) for table in (old, new))
        if was != is_:
            told.append("other images or marks" if key == "data" else f"{key.removeprefix('arm.')} {was} -> {is_}")
    return told


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    held: dict[str, Any] = {}
    for key, value in table.items():
        held |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return held


def _tell(line: str) -> None:
    Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)
