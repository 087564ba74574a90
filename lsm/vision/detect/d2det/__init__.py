"""D2Det: boxes from many votes, names from chosen features."""

from lsm.vision.detect.d2det.config import D2DetConfig

__all__ = ["D2DetConfig"]
