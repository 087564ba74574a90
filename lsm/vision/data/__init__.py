"""Annotated images: what they are, how they are read, checked, split and written."""

from lsm.vision.data.objects import NO_OBJECTS, AnnotatedImage, AnnotatedSet, Boxes, Mask, Objects, Pixels
from lsm.vision.data.pixels import read_pixels

__all__ = ["NO_OBJECTS", "AnnotatedImage", "AnnotatedSet", "Boxes", "Mask", "Objects", "Pixels", "read_pixels"]
