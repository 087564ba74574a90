"""Infected cells on whole fields at low NA: the detector under fixed light, and under light that learned with it."""

from lsm.experiments.detect_light.config import DetectLightConfig
from lsm.experiments.detect_light.run import run

__all__ = ["DetectLightConfig", "run"]
