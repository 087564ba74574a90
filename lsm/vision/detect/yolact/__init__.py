"""YOLACT: boxes and outlines in one pass."""

from lsm.vision.detect.yolact.config import YolactConfig

__all__ = ["YolactConfig"]
