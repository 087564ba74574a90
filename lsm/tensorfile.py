"""Tensors and words about them in one safetensors file; nothing in it is ever executed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lsm.errors import FileMissing, WrongFormat
from lsm.wholefile import whole_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the file and its folder; the old file stays until the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    with whole_file(path) as part:
        save_file(held, part, metadata=dict(metadata))


def read_tensors(path: Path, *, hint: str, what: str = "model") -> tuple[dict[str, str], dict[str, Tensor]]:
    """Words and tensors of a file. what, hint: its kind and where such a file comes from, for the errors.

    Raises FileMissing or WrongFormat.
    """
    with _opened(path, hint, what) as held:
        # what is open is no mapping
        return held.metadata() or {}, {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118


def read_words(path: Path, *, hint: str, what: str = "model") -> dict[str, str]:
    """The words of a file without its tensors; else as `read_tensors`."""
    with _opened(path, hint, what) as held:
        return held.metadata() or {}


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, which is taken off."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@contextmanager
def _opened(path: Path, hint: str, what: str) -> Iterator[Any]:
    if not path.is_file():
        raise FileMissing(f"The {what} {path} does not exist.", hint=hint)
    try:
        with safe_open(path, framework="pt") as held:
            yield held
    except (SafetensorError, OSError) as error:
        raise WrongFormat(f"The {what} {path} is not a safetensors file: {error}.", hint=hint) from error
