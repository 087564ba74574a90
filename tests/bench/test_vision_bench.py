"""`lsm bench vision` teaches both forms, times them, and judges what is promised of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lsm.bench import vision
from lsm.bench.vision import FAST, FULL, VisionComparison
from lsm.bench.vision_frames import CATEGORIES, painted_frames
from lsm.bench.vision_programs import HALF, ONNX, OPENVINO, PROGRAMS, REFERENCES, TORCH, Rate, judge
from lsm.cli.app import app
from lsm.errors import InputError
from lsm.vision.data import WRITERS, Format
from lsm.vision.detect import Detections, Detector
from lsm.vision.detect.grid import GridConfig


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Small frames and a narrow network keep it short; the model given is one that has learned nothing."""
    folder = tmp_path_factory.mktemp("bench")
    data = painted_frames(2, seed=5, size=(128, 160), cells=4)
    Detector.of(GridConfig(width=8), data).save(folder / "given.safetensors")
    WRITERS[Format.COCO](data, folder / "data.json")
    file = folder / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        small = painted_frames(2, seed=6, size=(256, 320), cells=12)
        patch.setattr(vision, "painted_frames", lambda count, *, seed: small)
        options = ["--model", str(folder / "given.safetensors"), "--data", str(folder / "data.json")]
        done = CliRunner().invoke(app, ["bench", "vision", "--quick", "--json", str(file), *options])
    assert done.exit_code == 0, done.output
    return done.output, json.loads(file.read_text(encoding="utf-8"))


def test_all_programs_are_timed_with_all_forms(written: tuple[str, dict[str, Any]]):
    output, figures = written
    assert [form["name"] for form in figures["forms"]] == [FULL, FAST, "given"]
    assert {(rate["form"], rate["program"]) for rate in figures["rates"]} == {
        (form, program) for form in (FULL, FAST, "given") for program in PROGRAMS
    }
    assert {one["name"] for one in figures["references"]} == set(REFERENCES)
    assert all(rate["milliseconds"] >= rate["fastest_ms"] > 0 for rate in figures["rates"])
    for rate in figures["rates"]:
        assert rate["cells_s"] == pytest.approx(1000 * rate["hits"] / rate["milliseconds"])
    for name in (FULL, FAST, *PROGRAMS, *REFERENCES):
        assert name in output


def test_the_full_form_finds_cells_after_seconds_of_teaching(written: tuple[str, dict[str, Any]]):
    full = written[1]["forms"][0]
    assert full["map_50"] > 0.2
    assert next(rate["hits"] for rate in written[1]["rates"] if rate["form"] == FULL) > 0
    given = written[1]["forms"][2]
    assert given["map_50"] < full["map_50"]


def test_programs_agree_with_torch(written: tuple[str, dict[str, Any]]):
    for rate in written[1]["rates"]:
        if rate["program"] == TORCH:
            assert rate["apart_px"] is None
        elif rate["program"] in (ONNX, OPENVINO):
            # float32 sums in another order
            assert rate["apart_px"] < 0.01
            assert rate["apart_score"] < 1e-4


def test_a_quick_look_keeps_no_promise(written: tuple[str, dict[str, Any]]):
    assert [one["kept"] for one in written[1]["promises"]] == [None, None]
    assert "not measured" in written[0]


def _comparison(rates: dict[tuple[str, str], float]) -> VisionComparison:
    rows = tuple(
        Rate(form, program, "", 1.0, 1.0, 1.0, cells_s, None, None) for (form, program), cells_s in rates.items()
    )
    return VisionComparison(False, vision.this_machine(), {}, 0, (), rows, ())


def test_promises_are_judged_by_the_faster_of_the_two_programs():
    rates = {(FULL, TORCH): 9e4, (FULL, HALF): 9e4, (FULL, ONNX): 1400.0, (FULL, OPENVINO): 1500.0}
    rates |= {(FAST, ONNX): 4999.0, (FAST, OPENVINO): 100.0}
    full, fast = _comparison(rates).promises()
    assert (full.measured, full.kept) == (1500.0, True)
    assert (fast.measured, fast.kept) == (4999.0, False)
    assert [one.kept for one in replace(_comparison(rates), quick=True).promises()] == [None, None]


def test_painted_frames_hold_the_cells_they_say():
    data = painted_frames(3, seed=1)
    assert data.categories == CATEGORIES
    for image in data.images:
        pixels, boxes = image.pixels()[0], image.objects.box_px
        assert pixels.shape == (772, 1032)
        assert len(boxes) == 100
        inside = np.zeros(pixels.shape, dtype=bool)
        for x0, y0, x1, y1 in boxes.round().astype(int):
            inside[y0:y1, x0:x1] = True
        # cells are darker than the light around them
        assert np.median(pixels[inside]) < np.median(pixels[~inside]) - 0.1
    again = painted_frames(3, seed=1)
    np.testing.assert_array_equal(data.images[2].pixels(), again.images[2].pixels())
    assert set(np.concatenate([image.objects.category for image in data.images])) == {0, 1, 2}


class _Knowing(Detector):
    """Finds what is marked, but for the first object of each image."""

    answers: list[Detections]

    def predict(self, images: Any) -> list[Detections]:
        return [self.answers.pop(0) for _ in images]


def test_a_form_is_judged_by_what_it_counts():
    data = painted_frames(2, seed=2, size=(128, 160), cells=5)
    knowing = _Knowing(GridConfig(width=8), Detector.of(GridConfig(width=8), data).facts)
    marked = [image.objects for image in data.images]
    knowing.answers = [Detections(each.box_px[1:], each.category[1:], np.full(4, 0.9)) for each in marked]
    knowing.answers.append(knowing.answers[0])
    form = judge("it", knowing, data, taught="nothing")
    assert form.counted_percent == pytest.approx(80)
    assert form.parameters == sum(each.numel() for each in knowing.network.parameters())


def test_a_model_without_data_and_data_without_a_model_are_refused(tmp_path: Path):
    for options in (["--model", str(tmp_path / "it")], ["--data", str(tmp_path)]):
        done = CliRunner().invoke(app, ["bench", "vision", "--quick", *options])
        assert isinstance(done.exception, InputError)
        assert "both --model and --data" in done.exception.hint
