"""Detectors of cells: one interface for all networks, and scores."""

from lsm.vision.detect.detections import Detections
from lsm.vision.detect.detector import Detector, model_of
from lsm.vision.detect.device import device_of
from lsm.vision.detect.facts import DataFacts, measure
from lsm.vision.detect.fitting import NO_AUGMENTATION, Augmentation, FitConfig, FitRecord
from lsm.vision.detect.matching import Judged, excused, judge, match, overlaps
from lsm.vision.detect.model import ModelConfig
from lsm.vision.detect.models import MODELS
from lsm.vision.detect.scores import CategoryScores, DetectionScores, MaskScores, score

__all__ = [
    "MODELS",
    "NO_AUGMENTATION",
    "Augmentation",
    "CategoryScores",
    "DataFacts",
    "DetectionScores",
    "Detections",
    "Detector",
    "FitConfig",
    "FitRecord",
    "Judged",
    "MaskScores",
    "ModelConfig",
    "device_of",
    "excused",
    "judge",
    "match",
    "measure",
    "model_of",
    "overlaps",
    "score",
]
