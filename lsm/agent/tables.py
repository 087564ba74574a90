"""What the real reader found on training slides, for every field and every set of captures, ready for a search."""

import hashlib
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt16

from lsm.agent.rules import SearchRules
from lsm.errors import FileMissing, WrongFormat

TABLES_VERSION = 1

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    MemoryError,  # a length that nobody wrote
    OSError,  # a place before the start of the file
    RuntimeError,  # a kind of compression or encryption that does not exist
    SyntaxError,  # in the description of an array
    TypeError,
    ValueError,
)
"""What zipfile and NumPy raise for archives with changed bytes."""


@dataclass(frozen=True, eq=False)
class SlideTables:
    """Readings of whole slides.

    hists: red cells per score bin after each set of captures of a field (bit k of the mask index is
    pattern k; mask 0 is empty). quality: overlap and darkness of the field under that set.
    truth: infected fraction of all red cells of a slide; only rewards and scores may read it.
    Raises WrongFormat for shapes that do not belong together.
    """

    hists: UInt16[np.ndarray, "slide field mask bin"]
    quality: Float[np.ndarray, "slide field mask quality"]
    truth: Float[np.ndarray, " slide"]

    def __post_init__(self) -> None:
        if self.hists.shape[:3] != self.quality.shape[:3] or len(self.truth) != len(self.hists):
            raise WrongFormat(
                f"Tables of {self.hists.shape} readings, {self.quality.shape} quality numbers and "
                f"{self.truth.shape} slides do not belong together.",
                hint="build them anew",
            )

    @property
    def n_slides(self) -> int:
        return len(self.truth)

    def require(self, rules: SearchRules) -> None:
        """Raise WrongFormat unless the tables hold the fields, sets of captures and bins of `rules`."""
        wanted = (rules.grid.n_fields, rules.n_masks, rules.n_bins)
        if self.hists.shape[1:] != wanted:
            raise WrongFormat(
                f"The tables hold (fields, masks, bins) = {self.hists.shape[1:]}, the search needs {wanted}.",
                hint="build the tables with the grid and codebook of this search",
            )

    def select(self, slides: slice) -> "SlideTables":
        """The tables of some slides."""
        return type(self)(self.hists[slides], self.quality[slides], self.truth[slides])

    @classmethod
    def join(cls, parts: "list[SlideTables]") -> "SlideTables":
        """One table of all slides of `parts`, in order."""
        return cls(
            np.concatenate([part.hists for part in parts]),
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.truth for part in parts]),
        )

    @cached_property
    def digest(self) -> str:
        """Identity of the contents."""
        sha = hashlib.sha256()
        for array in (self.hists, self.quality, self.truth):
            sha.update(f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write an npz file, complete before it takes its name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            with partial.open("wb") as out:
                np.savez_compressed(
                    out,
                    version=np.int64(TABLES_VERSION),
                    digest=np.array(self.digest),
                    hists=self.hists,
                    quality=self.quality,
                    truth=self.truth,
                )
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "SlideTables":
        """Read what `save` wrote. Raises FileMissing, or WrongFormat for a damaged file."""
        if not path.is_file():
            raise FileMissing(f"The slide tables {path} do not exist.", hint="build them with 'lsm train-policy'")
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
                version = int(held["version"])
                tables = cls(held["hists"], held["quality"], held["truth"])
                digest = str(held["digest"])
        except _DAMAGED as error:
            raise WrongFormat(
                f"{path} does not hold slide tables: {error}.", hint="delete it and build anew"
            ) from error
        if version != TABLES_VERSION or digest != tables.digest:
            raise WrongFormat(f"The slide tables {path} are damaged or old.", hint="delete the file and build anew")
        return tables
