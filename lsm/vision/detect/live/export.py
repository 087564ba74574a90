"""Detectors as files for other programs."""

import copy
import os
import tempfile
from pathlib import Path

from lsm.errors import InputError
from lsm.sensing.bundle import tensors_digest
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.grid import GridConfig, GridNetwork
from lsm.vision.detect.live.card import CARD, LiveCard, sealed
from lsm.vision.detect.live.graph import onnx_graph
from lsm.vision.detect.live.packages import package


def card_of(detector: Detector) -> LiveCard:
    """What an exported file says of this detector. Raises InputError for any but a grid detector."""
    if not isinstance(detector.model, GridConfig):
        raise InputError(
            f"A detector of the kind '{detector.model.kind}' has no live form.", hint="train one of the kind 'grid'"
        )
    return LiveCard(
        model=detector.model,
        facts=detector.facts,
        thresholds=tuple(detector.thresholds.tolist()),
        weights=tensors_digest(detector.network.state_dict()),
    )


def export_onnx(detector: Detector, path: Path) -> LiveCard:
    """Write one ONNX file that takes pixels of any size and gives boxes and scores; overlapping boxes remain.

    Input and outputs: see `onnx_graph`. The card is in its metadata. The file is written whole or not at all.
    Raises InputError for any but a grid detector, and ToolMissing without the package onnx.
    """
    card = card_of(detector)
    model = onnx_graph(grid_of(detector), detector.facts, detector.model.levels)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD, card.model_dump_json()
    content, card = sealed(model.SerializeToString(deterministic=True), card)
    _replace(path, content)
    return card


def export_openvino(detector: Detector, path: Path) -> LiveCard:
    """Write OpenVINO's form: `path`, which ends in .xml, and the weights beside it in .bin; the graph comes last.

    Raises InputError for any but a grid detector or another ending, and ToolMissing without onnx or openvino.
    """
    if path.suffix != ".xml":
        raise InputError(f"OpenVINO's form cannot be written to {path.name}.", hint="name a file that ends in .xml")
    openvino = package("openvino")
    card = card_of(detector)
    written = onnx_graph(grid_of(detector), detector.facts, detector.model.levels).SerializeToString(deterministic=True)
    model = openvino.Core().read_model(written)
    model.set_rt_info(card.model_dump_json(), [CARD])
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name
        # half-precision weights would be another detector
        openvino.save_model(model, str(part), compress_to_fp16=False)
        graph, weights = part.read_bytes(), part.with_suffix(".bin").read_bytes()
    _replace(path.with_suffix(".bin"), weights)
    content, card = sealed(graph + weights, card)
    _replace(path, content[: len(graph)])
    return card


def grid_of(detector: Detector) -> GridNetwork:
    """The network of a grid detector, on the processor. Raises InputError for another."""
    card_of(detector)
    network = detector.network.eval()
    if not isinstance(network, GridNetwork):
        raise InputError("The detector's network is no grid network.", hint="build it with Detector.of")
    return network if detector.device.type == "cpu" else copy.deepcopy(network).cpu()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
