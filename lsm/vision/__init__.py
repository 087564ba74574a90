"""Finding cells and telling infected from uninfected ones, from camera images alone."""

from lsm.vision.finder import CellFinder, Detections, FinderConfig
from lsm.vision.reader import FieldQuality, FieldReader, FieldReading

__all__ = ["CellFinder", "Detections", "FieldQuality", "FieldReader", "FieldReading", "FinderConfig"]
