"""Annotated images: what they are, how they are read, checked, split and written."""

from lsm.vision.data.findings import Finding, Severity
from lsm.vision.data.formats import CHULA_CATEGORIES, Format, ReadOptions, read_annotations
from lsm.vision.data.objects import NO_OBJECTS, AnnotatedImage, AnnotatedSet, Boxes, Mask, Objects, Pixels
from lsm.vision.data.pixels import read_pixels

__all__ = [
    "CHULA_CATEGORIES",
    "NO_OBJECTS",
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
    "read_annotations",
    "read_pixels",
]
