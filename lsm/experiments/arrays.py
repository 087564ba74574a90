"""What a training keeps as arrays by name, in one .npz file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lsm.wholefile import whole_file


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file and its folder; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # given a name, savez appends .npz to any other ending
    with whole_file(path) as part, part.open("wb") as held:
        np.savez(held, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)
