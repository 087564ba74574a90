"""What a training keeps as arrays by name, in one .npz file."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file and its folder; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # savez appends .npz to any other ending
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.npz")
    try:
        np.savez(part, allow_pickle=False, **arrays)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)
