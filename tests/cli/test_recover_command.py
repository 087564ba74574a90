"""`lsm recover`: from an LED stack on disk to a sample on disk."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lsm.cli import main
from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem, led_stack
from lsm.optics.stackfile import LedStack, read_stack, write_stack

SYSTEM = ImagingSystem(na=0.1, wavelength_um=0.5, camera_pixel_um=1.2, sample_pixel_um=0.3, sample_px=128, margin_px=4)
BOARD = LedBoard.grid(
    rows=5, columns=5, pitch_mm=4.0, distance_mm=80.0, glass=Glass(thickness_mm=1.0), wavelengths_um=(0.5,)
)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    phase = 0.3 * torch.randn(128, 128, generator=generator)
    images = led_stack(torch.polar(torch.ones_like(phase), phase), BOARD, SYSTEM)
    path = tmp_path / "stack.h5"
    write_stack(path, LedStack(images.numpy(), np.arange(25), BOARD, SYSTEM, defocus_um=3.0))
    return path


def test_a_stack_comes_back_as_it_was_written(stack: Path):
    held = read_stack(stack)
    assert held.board.digest == BOARD.digest
    assert held.system == SYSTEM
    assert held.defocus_um == 3.0
    assert held.images.shape == (25, 24, 24)


def test_a_sample_is_written(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "sample.h5"
    with pytest.raises(SystemExit) as stopped:
        main(["recover", str(stack), "--out", str(out), "--epochs", "3", "--json"])
    assert not stopped.value.code
    facts = json.loads(capsys.readouterr().out)
    assert facts["leds"] == 25
    with h5py.File(out) as file:
        assert file["transmission"].shape == (128, 128)
        assert file["positions_mm"].shape == (25, 3)
        assert file.attrs["sample_pixel_um"] == 0.3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample.h5", "stack.h5"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.h5", "--out", "new.h5"], "does not exist"),
        (["wrong.h5", "--out", "new.h5"], "is not an LED stack"),
        (["stack.h5", "--out", "stack.h5"], "exists"),
        (["stack.h5", "--out", "no/new.h5"], "no folder"),
    ],
)
def test_bad_paths_end_in_a_sentence(
    words: list[str], said: str, stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(stack.parent)
    Path("wrong.h5").write_bytes(b"no HDF5")
    before = stack.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["recover", *words])
    err = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in err
    assert "Hint: " in err
    assert stack.read_bytes() == before
