"""Detectors trained and scored on annotated sets, each image by a network that never saw its group."""

from lsm.experiments.detections.config import DetectionsConfig, SetConfig
from lsm.experiments.detections.run import run
from lsm.experiments.detections.sets import open_set

__all__ = ["DetectionsConfig", "SetConfig", "open_set", "run"]
