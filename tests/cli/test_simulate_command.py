"""`lsm simulate`: a sample by name or from a file, to an LED stack on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsm.cli import main
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, led_stack
from lsm.optics.stackfile import read_stack

SMALL = ["--sample-px", "64", "--leds", "3"]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", *map(str, words)])
    return int(stopped.value.code or 0)


def test_a_file_holds_the_images_of_the_same_call_in_python(tmp_path: Path):
    sample = np.exp(1j * np.random.default_rng(0).normal(size=(64, 64)))
    np.save(tmp_path / "sample.npy", sample)
    out = tmp_path / "stack.h5"
    view = ["--defocus-um", 5, "--zernike", "5=0.1", "--zernike", "7=-0.05", "--place-um", "300", "-200"]
    assert run(tmp_path / "sample.npy", "--out", out, *SMALL, "--pitch-mm", 4, *view, "--margin-px", 2) == 0
    found = read_stack(out)
    board = LedBoard.grid(rows=3, columns=3, pitch_mm=4.0, distance_mm=50.0)
    system = ImagingSystem(sample_px=64, margin_px=2)
    expected = led_stack(
        torch.from_numpy(sample.astype(np.complex64)),
        board,
        system,
        defocus_um=5.0,
        pupil=ZernikePupil({5: 0.1, 7: -0.05}),
        tile_um=(300.0, -200.0),
    )
    np.testing.assert_array_equal(found.images, expected.numpy())
    assert (found.board.digest, found.system) == (board.digest, system)
    assert found.defocus_um == 5.0
    assert found.made["zernike_waves_rms"] == {"5": 0.1, "7": -0.05}
    np.testing.assert_allclose(found.truth, sample, rtol=1e-6)


@pytest.mark.parametrize("name", ["smear", "siemens-star"])
def test_samples_have_names(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "stack.h5"
    assert run(name, "--out", out, *SMALL, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["images"], facts["side_px"], facts["bright_field"]) == (9, 16, 9)
    assert np.ptp(np.abs(read_stack(out).truth)) > 0.1


def test_a_grey_image_is_the_intensity_that_passes(tmp_path: Path):
    Image.fromarray(np.full((64, 64), 51, np.uint8)).save(tmp_path / "grey.png")
    assert run(tmp_path / "grey.png", "--out", tmp_path / "stack.h5", *SMALL) == 0
    # 51 of 255, everywhere
    np.testing.assert_allclose(read_stack(tmp_path / "stack.h5").images, 0.2, rtol=1e-5)


def test_noise_is_that_of_the_electrons_and_of_the_seed(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        np.save(tmp_path / "empty.npy", np.ones((64, 64), complex))
        arguments = ["--electrons", 1000, "--seed", seed, *SMALL]
        assert run(tmp_path / "empty.npy", "--out", tmp_path / f"{name}.h5", *arguments) == 0
    a, b, c = (read_stack(tmp_path / f"{name}.h5").images for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    # 2304 pixels: the mean is known to 0.07 %, the spread to 1.5 %; read noise adds a half per cent to it
    assert a.mean() == pytest.approx(1.0, abs=3e-3)
    assert a.std() == pytest.approx(1000**-0.5, rel=0.06)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope"], "no target 'nope'"),
        (["none.npy"], "none.npy does not exist"),
        (["bars", "--zernike", "x=1"], "'x=1' is no aberration"),
        (["bars", "--pitch-mm", "90"], "reaches NA"),
        (["bars", "--glass-mm", "50"], "z = -50 mm"),
        (["bars", "--sample-px", "66"], "do not fill whole camera pixels"),
        (["bars", "--board", "none.csv"], "none.csv does not exist"),
    ],
)
def test_what_cannot_be_simulated_is_said_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
):
    assert run(*SMALL, *words, "--out", tmp_path / "stack.h5") == 2
    assert says in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_sample_of_another_size_is_refused_with_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "sample.npy", np.ones((50, 50), complex))
    assert run(tmp_path / "sample.npy", "--out", tmp_path / "stack.h5", *SMALL) == 2
    assert "--sample-px" in capsys.readouterr().err
