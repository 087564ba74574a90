"""A small detector of one pass, for the live view."""

from lsm.vision.detect.grid.config import GridConfig
from lsm.vision.detect.grid.network import FARTHEST, GridNetwork, Rasters
from lsm.vision.detect.grid.shape import GridShape
from lsm.vision.detect.grid.suppress import Found, suppress

__all__ = ["FARTHEST", "Found", "GridConfig", "GridNetwork", "GridShape", "Rasters", "suppress"]
