"""Annotated images: what they are, how they are read, checked, split and written."""

from lsm.vision.data.check import check
from lsm.vision.data.findings import Finding, Severity
from lsm.vision.data.formats import CHULA_CATEGORIES, WRITERS, Format, ReadOptions, read_annotations
from lsm.vision.data.objects import NO_OBJECTS, AnnotatedImage, AnnotatedSet, Boxes, Mask, Objects, Pixels
from lsm.vision.data.pixels import read_pixels
from lsm.vision.data.splits import blocks, doubles_together, k_folds, split

__all__ = [
    "CHULA_CATEGORIES",
    "NO_OBJECTS",
    "WRITERS",
    "AnnotatedImage",
    "AnnotatedSet",
    "Boxes",
    "Finding",
    "Format",
    "Mask",
    "Objects",
    "Pixels",
    "ReadOptions",
    "Severity",
    "blocks",
    "check",
    "doubles_together",
    "k_folds",
    "read_annotations",
    "read_pixels",
    "split",
]
