"""What a file may claim of itself before memory is taken for it."""

import math
from pathlib import Path

import h5py

FRAME_DATASETS = ("images", "requested", "shown", "frames", "text")
PLAIN = ("frames", "text", "summary")
"""Datasets that are not packed, so that they cannot be larger than their file."""

LARGEST_IMAGE_BYTES = 2**30
LARGEST_LIGHT_BYTES = 2**24
_SLACK_BYTES = 2**20
"""A writer announces rows before the file has grown to hold them."""


def refuse_impossible(path: Path, file: h5py.File) -> None:
    """Raises ValueError for datasets of another kind, or larger than their file or any camera makes them."""
    present = ("summary", *FRAME_DATASETS) if "frames" in file else ("summary",)
    claims = {name: _claim(file[name]) for name in present}
    file_bytes = path.stat().st_size
    for name, (shape, item_bytes, chunk_bytes) in claims.items():
        n_axes = 1 if name in PLAIN else 3
        if len(shape) != n_axes:
            raise ValueError(f"its dataset '{name}' has {len(shape)} axes, not {n_axes}")
        largest = LARGEST_IMAGE_BYTES if name == "images" else LARGEST_LIGHT_BYTES
        if max(math.prod(shape[1:]) * item_bytes, chunk_bytes) > largest:
            raise ValueError(f"an entry of its dataset '{name}' would take more than {largest // 2**20} MiB")
        if name in PLAIN and shape[0] * item_bytes > file_bytes + _SLACK_BYTES:
            raise ValueError(f"its dataset '{name}' claims {shape[0]} entries, which the file is too small for")
    for name in ("images", "requested", "shown"):
        if name in present and file[name].dtype.kind != "u":
            raise ValueError(f"its dataset '{name}' holds no whole numbers")


def _claim(dataset: h5py.Dataset) -> tuple[tuple[int, ...], int, int]:
    """Shape, bytes of an element, bytes of a chunk (0: not in chunks)."""
    item_bytes = int(dataset.dtype.itemsize)
    return tuple(map(int, dataset.shape)), item_bytes, math.prod(dataset.chunks or (0,)) * item_bytes
