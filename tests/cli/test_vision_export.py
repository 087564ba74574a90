"""`lsm vision export`: a stranger with ONNX Runtime and the sheet finds what lsm finds."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from lsm.cli import main
from lsm.vision.detect import DataFacts, Detector
from lsm.vision.detect.grid import GridConfig, GridNetwork
from lsm.vision.detect.live import LiveDetector, runtimes
from lsm.vision.detect.two_stage import FasterRcnnConfig

FACTS = DataFacts(
    categories=("red", "white"),
    channels=3,
    mean=(0.6, 0.5, 0.4),
    std=(0.2, 0.15, 0.1),
    box_side_px=(20.0, 20.0, 24.0, 24.0, 24.0, 44.0, 48.0),
    side_by_category_px=(24.0, 44.0),
    most_objects=20,
    height_px=70,
    width_px=90,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, with last layers strong enough that points see different things."""
    detector = Detector.of(GridConfig(width=8, most=100), FACTS, seed=1)
    network = detector.network
    assert isinstance(network, GridNetwork)
    with torch.no_grad():
        for layer, strength in ((network.kinds, 8.0), (network.edges, 1.0)):
            nn.init.normal_(layer.weight, std=strength, generator=torch.Generator().manual_seed(2))
            layer.bias.zero_()
    detector.thresholds = np.array([0.6, 0.01])
    path = tmp_path_factory.mktemp("detector") / "grid.safetensors"
    detector.save(path)
    return path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["vision", "export", *map(str, words)])
    return int(stopped.value.code or 0)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (one, other)]
    return float(both / (sum(areas) - both))


def by_the_sheet(file: Path, sheet: dict[str, Any], image: np.ndarray) -> list[tuple[str, float, np.ndarray]]:
    """Name, score and box of every find of an 8-bit image, by what the sheet says alone."""
    assert sheet["input"]["shape"] == [1, 3, "height", "width"]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = {sheet["input"]["name"]: image[None].astype(np.float32) / np.float32(255)}
    boxes, scores = session.run(list(sheet["outputs"]), given)
    height, width = image.shape[1:]
    found = []
    for k, name in enumerate(sheet["categories"]):
        kept: list[np.ndarray] = []
        for point in np.argsort(-scores[:, k], kind="stable"):
            box = np.clip(boxes[point, k], 0, [width, height, width, height])
            if scores[point, k] >= sheet["thresholds"][name] and all(
                overlap(box, other) <= sheet["overlap"] for other in kept
            ):
                kept.append(box)
                found.append((name, float(scores[point, k]), box))
    return sorted(found, key=lambda each: -each[1])[: sheet["most"]]


def test_a_stranger_finds_what_lsm_finds(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "deep" / "grid.onnx"
    assert run(model, "--out", file, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"] == [str(file)]
    sheet = json.loads(Path(facts["sheet"]).read_text())
    assert facts == {key: facts[key] for key in ("files", "sheet", "differences")} | sheet
    # a threshold below what the network gives at all is of no use
    assert sheet["thresholds"] == {"red": 0.6, "white": GridConfig().least_score}
    image = np.random.default_rng(0).integers(0, 256, (3, 61, 83), dtype=np.uint8)
    known = LiveDetector.load(model).predict(image)
    found = by_the_sheet(file, sheet, image)
    assert len(found) == len(known) > 3
    assert {name for name, _, _ in found} == set(FACTS.categories)
    assert [name for name, _, _ in found] == [FACTS.categories[k] for k in known.category]
    # float32 sums in another order, of scores below 1 and of edges below 100 pixels
    np.testing.assert_allclose([score for _, score, _ in found], known.score, atol=1e-4, rtol=0)
    np.testing.assert_allclose([box for _, _, box in found], known.box_px, atol=0.01, rtol=0)


@pytest.mark.parametrize(("name", "programs"), [("it.onnx", {"onnxruntime", "openvino"}), ("it.xml", {"openvino"})])
def test_it_is_compared_in_every_program(
    model: Path, name: str, programs: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(model, "--out", tmp_path / name, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["differences"].keys() == programs
    for each in facts["differences"].values():
        # as above; none at all would mean that nothing was compared
        assert 0 < each["box_px"] < 0.01
        assert each["score"] < 1e-4
    assert all(Path(file).is_file() for file in facts["files"])
    assert len(list(tmp_path.iterdir())) == len(facts["files"]) + 1
    assert LiveDetector.load(tmp_path / name).categories == FACTS.categories


def test_a_terminal_is_told_the_difference(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(model, "--out", tmp_path / "it.onnx") == 0
    said = capsys.readouterr().out
    assert "onnxruntime: differs from torch by at most" in said
    assert "it.onnx.json" in said


def test_without_a_program_nothing_is_compared(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(model, "--out", tmp_path / "it.onnx") == 0
    assert "Not compared with torch" in capsys.readouterr().out
    assert run(model, "--out", tmp_path / "it.xml") == 2
    assert "The package openvino is not installed" in capsys.readouterr().err


def test_a_program_that_computes_something_else_fails_the_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    honest = runtimes.OnnxRuntime.run

    def wrong(self: runtimes.OnnxRuntime, pixels: np.ndarray) -> runtimes.Seen:
        boxes, scores = honest(self, pixels)
        return boxes + np.float32(3), scores

    monkeypatch.setattr(runtimes.OnnxRuntime, "run", wrong)
    assert run(model, "--out", tmp_path / "it.onnx") == 1
    assert "With onnxruntime" in (error := capsys.readouterr().err)
    assert "differs from torch by 3 pixels" in error


def test_wrong_input_is_told_in_a_sentence(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "other.safetensors"
    small = FasterRcnnConfig.from_table({"backbone": "tiny", "pyramid_channels": 8, "head_width": 8})
    Detector.of(small, FACTS).save(other)
    for words, said in (
        ((tmp_path / "none.safetensors", "--out", tmp_path / "it.onnx"), "none.safetensors does not exist"),
        ((other, "--out", tmp_path / "it.onnx"), "'faster-rcnn' has no live form"),
        ((model, "--out", tmp_path / "it.tflite"), "names no kind of file to export"),
    ):
        assert run(*words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Hint:" in error
        assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize(("name", "there"), [("a.onnx", "a.onnx"), ("a.onnx", "a.onnx.json"), ("a.xml", "a.bin")])
def test_nothing_is_overwritten(model: Path, name: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / there).write_text("kept")
    assert run(model, "--out", tmp_path / name) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]
