"""A detector gives the same in torch, ONNX Runtime and OpenVINO, and nothing in its file is run."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from grid_scenes import facts
from onnx import helper
from torch import nn

from lsm.errors import FileMissing, InputError, ToolMissing, WrongFormat
from lsm.vision.detect import DataFacts, Detector, ModelConfig
from lsm.vision.detect.grid import GridConfig, GridNetwork
from lsm.vision.detect.live import LiveDetector, export_onnx, export_openvino
from lsm.vision.detect.live.runtimes import open_runtime

CONFIG = GridConfig(width=8, shrink=1, stride=4)
# float32 sums in another order: a box edge hundreds of pixels from 0, a score below 1
BOX_PX, SCORE = 0.01, 1e-4


def _random(config: GridConfig = CONFIG, *, channels: int = 1) -> Detector:
    """Random weights in all layers, strong enough that scores and boxes differ from point to point."""
    detector = Detector.of(config, facts(channels=channels), seed=3)
    detector.thresholds = np.array([0.55, 0.6])
    network = detector.network
    assert isinstance(network, GridNetwork)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean = 0.1 * torch.randn(layer.num_features, generator=generator)
                layer.running_var = 0.5 + torch.rand(layer.num_features, generator=generator)
        for head, strength in ((network.kinds, 8.0), (network.edges, 1.0)):
            head.weight.copy_(strength * torch.randn(head.weight.shape, generator=generator))
            head.bias.zero_()
    return detector


def _frame(height: int, width: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    smooth = np.kron(rng.random((channels, height // 8 + 1, width // 8 + 1)), np.ones((8, 8)))
    return (255 * smooth[:, :height, :width]).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("live")
    detector = _random()
    paths = {"torch": folder / "it.safetensors", "onnx": folder / "it.onnx", "ir": folder / "it.xml"}
    detector.save(paths["torch"])
    export_onnx(detector, paths["onnx"])
    export_openvino(detector, paths["ir"])
    return paths


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (CONFIG, 1),
        (CONFIG.model_copy(update={"shrink": 3, "stride": 2}), 3),
        (CONFIG.model_copy(update={"stride": 8, "depth": 2}), 40),
        (CONFIG.model_copy(update={"shrink": 2, "depth": 0}), 1),
        (CONFIG.model_copy(update={"shrink": 2, "levels": "image"}), 3),
    ],
)
def test_every_point_sees_the_same_in_every_program(backend: str, config: GridConfig, channels: int, tmp_path: Path):
    detector = _random(config, channels=channels)
    detector.save(tmp_path / "it.safetensors")
    export_onnx(detector, tmp_path / "it.onnx")
    known = open_runtime(tmp_path / "it.safetensors", None, 1, "float32")
    other = open_runtime(tmp_path / "it.onnx", backend, 1, "float32")
    for size in ((64, 64), (101, 77), (50, 203)):
        pixels = _frame(*size, channels).astype(np.float32) / np.float32(255)
        boxes, scores = known.run(pixels)
        their_boxes, their_scores = other.run(pixels)
        assert scores.std() > 100 * SCORE
        np.testing.assert_allclose(their_boxes, boxes, atol=BOX_PX, rtol=0)
        np.testing.assert_allclose(their_scores, scores, atol=SCORE, rtol=0)


@pytest.mark.parametrize(("kind", "backend"), [("onnx", "onnxruntime"), ("onnx", "openvino"), ("ir", None)])
def test_detections_are_those_of_torch(files: dict[str, Path], kind: str, backend: str | None):
    known, other = LiveDetector.load(files["torch"]), LiveDetector.load(files[kind], backend=backend)
    for size in ((96, 128), (75, 131)):
        ours, theirs = known.predict(_frame(*size)), other.predict(_frame(*size))
        assert len(ours) == len(theirs) > 3
        np.testing.assert_array_equal(theirs.category, ours.category)
        np.testing.assert_allclose(theirs.box_px, ours.box_px, atol=BOX_PX, rtol=0)
        np.testing.assert_allclose(theirs.score, ours.score, atol=SCORE, rtol=0)


def test_detections_are_those_that_the_trained_detector_counts(files: dict[str, Path]):
    frame = _frame(96, 128)
    detector = Detector.load(files["torch"])
    every = detector.predict([frame.astype(np.float32) / np.float32(255)])[0]
    counted = every.above(detector.thresholds)
    live = LiveDetector.load(str(files["torch"])).predict(frame)
    assert 0 < len(counted) < len(every)
    np.testing.assert_array_equal(live.box_px, counted.box_px)
    np.testing.assert_array_equal(live.score, counted.score)
    assert len(LiveDetector.load(files["torch"], weak=True).predict(frame)) == len(every)


def test_frames_of_all_types_are_alike(files: dict[str, Path]):
    live = LiveDetector.load(files["onnx"], backend="onnxruntime")
    frame = _frame(80, 96)
    found = live.predict(frame)
    for same in (frame[0], frame.astype(np.uint16) * 257, frame.astype(np.float64) / 255):
        np.testing.assert_allclose(live.predict(same).box_px, found.box_px, atol=BOX_PX, rtol=0)


def test_half_the_bits_move_boxes_by_little(files: dict[str, Path]):
    full = open_runtime(files["onnx"], "openvino", 1, "float32")
    half = open_runtime(files["onnx"], "openvino", 1, "bfloat16")
    pixels = _frame(96, 128).astype(np.float32) / np.float32(255)
    boxes, scores = full.run(pixels)
    # 8 bits of a number's digits are kept: 0.4 % a layer, in a dozen layers of random weights
    assert np.abs(half.run(pixels)[1] - scores).mean() < 0.02
    assert np.abs(half.run(pixels)[0] - boxes).mean() < 1.0


@pytest.mark.parametrize("kind", ["torch", "onnx", "ir"])
def test_a_file_says_what_it_finds(files: dict[str, Path], kind: str):
    live = LiveDetector.load(files[kind])
    trained = Detector.load(files["torch"])
    assert live.categories == ("kind 0", "kind 1")
    assert live.card.facts == trained.facts
    assert live.card.model == trained.model
    assert live.card.thresholds == tuple(trained.thresholds)
    assert live.card.weights == LiveDetector.load(files["torch"]).card.weights


def test_a_file_is_the_same_each_time_and_names_no_place(files: dict[str, Path], tmp_path: Path):
    export_onnx(Detector.load(files["torch"]), tmp_path / "again.onnx")
    content = (tmp_path / "again.onnx").read_bytes()
    assert content == files["onnx"].read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content
    assert os.listdir(tmp_path) == ["again.onnx"]


def test_frames_that_are_no_image_of_its_kind_are_refused(files: dict[str, Path]):
    live = LiveDetector.load(files["onnx"], backend="onnxruntime")
    for frame in (np.zeros((3, 64, 64), np.uint8), np.zeros((1, 64), np.uint8), np.zeros(64), np.zeros((64, 64), int)):
        with pytest.raises(WrongFormat, match="frame"):
            live.predict(frame)


def test_a_file_is_run_by_a_program_that_can(files: dict[str, Path], tmp_path: Path):
    for path, backend in ((files["torch"], "openvino"), (files["onnx"], "torch"), (files["ir"], "onnxruntime")):
        with pytest.raises(InputError, match="cannot be run with"):
            LiveDetector.load(path, backend=backend)
    with pytest.raises(InputError, match="float32, not bfloat16"):
        LiveDetector.load(files["onnx"], backend="onnxruntime", precision="bfloat16")
    with pytest.raises(InputError, match="0 cores"):
        LiveDetector.load(files["onnx"], threads=0)
    with pytest.raises(FileMissing, match="does not exist"):
        LiveDetector.load(tmp_path / "no.onnx")
    (tmp_path / "it.pt").write_bytes(b"")
    with pytest.raises(InputError, match="any program"):
        LiveDetector.load(tmp_path / "it.pt")


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["it.onnx", "it.xml", "it.safetensors"])
def test_a_trap_is_refused_and_not_sprung(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))
    with pytest.raises(WrongFormat):
        LiveDetector.load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("spoilt", ["card", "thresholds", "operator", "weights elsewhere", "no card"])
def test_a_file_that_is_no_exported_detector_is_refused(files: dict[str, Path], spoilt: str, tmp_path: Path):
    model = onnx.load_model_from_string(files["onnx"].read_bytes())
    card = model.metadata_props[0]
    if spoilt == "card":
        card.value = card.value.replace("grid", "grit")
    elif spoilt == "thresholds":
        card.value = card.value.replace("0.55,", "")
    elif spoilt == "operator":
        model.graph.node.append(helper.make_node("Shell", ["image"], ["other"], domain="some.one"))
    elif spoilt == "weights elsewhere":
        entry = model.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", "../secret"
    else:
        del model.metadata_props[:]
    (tmp_path / "it.onnx").write_bytes(model.SerializeToString())
    for backend in ("onnxruntime", "openvino"):
        with pytest.raises(WrongFormat, match=r"detector|1 thresholds for 2"):
            LiveDetector.load(tmp_path / "it.onnx", backend=backend)


class _Other(ModelConfig):
    kind: str = "other"

    def build(self, facts: DataFacts) -> nn.Module:
        return nn.Conv2d(facts.channels, 1, 1)


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".bin"])
def test_a_changed_weight_is_noticed(files: dict[str, Path], suffix: str, tmp_path: Path):
    for path in (files["onnx"], files["ir"], files["ir"].with_suffix(".bin")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoilt = tmp_path / f"it{suffix}"
    content = bytearray(spoilt.read_bytes())
    if suffix == ".xml":
        content += b" "
    else:
        # a weight in the middle, where no structure is hurt
        content[len(content) // 2] ^= 1
    spoilt.write_bytes(content)
    with pytest.raises(WrongFormat, match="not those that were exported"):
        LiveDetector.load(spoilt.with_suffix(".xml") if suffix == ".bin" else spoilt)


def test_only_grid_detectors_have_a_live_form(tmp_path: Path):
    with pytest.raises(InputError, match="'other' has no live form"):
        export_onnx(Detector(_Other(), facts()), tmp_path / "it.onnx")
    with pytest.raises(InputError, match=r"ends in \.xml"):
        export_openvino(_random(), tmp_path / "it.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "openvino"])
def test_a_package_that_is_not_there_is_named(files: dict[str, Path], missing: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, missing, None)
    backend = "onnxruntime" if missing == "onnx" else missing
    with pytest.raises(ToolMissing, match=rf"The package {missing} is not installed\."):
        LiveDetector.load(files["onnx"], backend=backend)
