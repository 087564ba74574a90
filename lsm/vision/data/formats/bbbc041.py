"""BBBC041 of the Broad Bioimage Benchmark Collection: malaria in thin smears."""

from pathlib import Path
from typing import Final

from lsm.vision.data.formats._draft import ReadOptions, assemble
from lsm.vision.data.formats.keras_rcnn import read_drafts
from lsm.vision.data.objects import AnnotatedSet

CATEGORIES: Final = ("red blood cell", "leukocyte", "gametocyte", "ring", "trophozoite", "schizont")

UNSURE: Final = frozenset({"difficult"})
"""Cells that the annotators could not name; they are ones to ignore in every category."""


def read(path: Path, options: ReadOptions | None = None) -> AnnotatedSet:
    """The set of BBBC041's training.json or test.json, which are in the form of Keras R-CNN.

    Categories are `CATEGORIES` for both files. Nothing in them says which images are of one patient.
    Raises FileMissing, WrongFormat or InputError; see `ReadOptions.repair`.
    """
    options = options or ReadOptions()
    drafts = read_drafts(path, options, unsure=UNSURE)
    return assemble(drafts, CATEGORIES, options, origin=f"BBBC041 {path.name}")
