"""The grid detector in programs made for speed: ONNX Runtime and OpenVINO."""

from lsm.vision.detect.live.card import LiveCard
from lsm.vision.detect.live.detector import LiveDetector
from lsm.vision.detect.live.export import export_onnx, export_openvino
from lsm.vision.detect.live.runtimes import Backend, Precision
from lsm.vision.detect.live.sheet import Difference, differences, sheet

__all__ = [
    "Backend",
    "Difference",
    "LiveCard",
    "LiveDetector",
    "Precision",
    "differences",
    "export_onnx",
    "export_openvino",
    "sheet",
]
