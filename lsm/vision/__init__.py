"""Finding cells and telling infected from uninfected ones, from camera images alone."""

from lsm.vision.finder import CellFinder, FinderConfig, FoundCells
from lsm.vision.reader import FieldQuality, FieldReader, FieldReading

__all__ = ["CellFinder", "FieldQuality", "FieldReader", "FieldReading", "FinderConfig", "FoundCells"]
