"""Stacks built from crops: what is in them, and that they are computed once and whole."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_phantom import BOARD, SMALL, made_up_crops

from lsm.errors import ConfigError, WrongFormat
from lsm.optics import led_stack
from lsm.samples import CellCrops, single_cells
from lsm.sensing.cells import CellStackConfig, build_cell_stack
from lsm.sensing.cells import build as build_module


def changed(**changes: object) -> CellStackConfig:
    return CellStackConfig.from_table(SMALL.model_dump() | changes)


def test_rows_are_the_images_of_single_cells(tmp_path: Path):
    crops, config = made_up_crops(), changed(colours=(0, 2), variants=2, grey="fixed")
    stack = build_cell_stack(crops, config, tmp_path)
    assert stack.shape == (24, 18, 16, 16)
    assert stack.led.tolist() == [*range(9)] * 2
    assert stack.colour.tolist() == [0] * 9 + [2] * 9
    assert stack.crop.tolist() == np.repeat(np.arange(12), 2).tolist()
    assert (stack.infected == crops.infected[stack.crop]).all()
    assert (stack.patient == crops.patient[stack.crop]).all()
    assert "simulated optics" in stack.source
    for part, colour in enumerate((0, 2)):
        system = config.system(colour)
        cells = single_cells(crops, n_px=64, pixel_um=0.3, wavelength_um=system.wavelength_um, grey="fixed")
        images = led_stack(torch.from_numpy(cells), BOARD.board(), system).numpy()
        found = stack.images[::2, 9 * part : 9 * part + 9].astype(np.float32)
        error = np.abs(found - images)
        # float16: half of 2^-10 of the number, and half of 2^-24 below 2^-14
        assert (error <= np.maximum(images * 2.0**-11, 2.0**-25) * (1 + 1e-5)).all()
        # shot noise of 10^6 electrons in the empty bright field
        assert (error[images > 1e-3] < np.sqrt(images[images > 1e-3] / 1e6)).all()


def test_the_second_time_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = build_cell_stack(made_up_crops(), SMALL, tmp_path / "cache")
    monkeypatch.setattr(build_module, "lamp_images", None)
    again = build_cell_stack(made_up_crops(), SMALL, tmp_path / "cache")
    np.testing.assert_array_equal(first.images, again.images)
    assert dict(again.made)["config"] == SMALL.model_dump(mode="json")


def test_other_crops_labels_or_numbers_are_other_files(tmp_path: Path):
    crops = made_up_crops(4)
    build_cell_stack(crops, SMALL, tmp_path)
    images = crops.images.copy()
    images[2, 20, 20] += 1
    build_cell_stack(CellCrops(images, crops.infected, crops.patient), SMALL, tmp_path)
    build_cell_stack(CellCrops(crops.images, ~crops.infected, crops.patient), SMALL, tmp_path)
    build_cell_stack(CellCrops(crops.images, crops.infected, crops.patient[::-1]), SMALL, tmp_path)
    build_cell_stack(crops, changed(na=0.12), tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    "nuisance", [{"defocus_um": 4.0}, {"board_shift_mm": 2.0}, {"board_rotation_deg": 8.0}, {"stain_spread": 0.3}]
)
def test_every_row_draws_its_own(tmp_path: Path, nuisance: dict[str, float]):
    crops = made_up_crops(2)
    plain = build_cell_stack(crops, SMALL, tmp_path).images.astype(np.float32)
    stack = build_cell_stack(crops, changed(variants=6, **nuisance), tmp_path)
    images = stack.images.astype(np.float32)
    differences = [np.abs(images[row] - plain[stack.crop[row]]).max() for row in range(12)]
    assert min(differences) > 1e-4
    assert len(np.unique(np.round(differences, 7))) > 6
    again = build_cell_stack(crops, changed(variants=6, seed=1, **nuisance), tmp_path)
    assert np.abs(again.images.astype(np.float32) - images).max() > 1e-3


def test_a_board_moved_to_plus_x_is_the_shifted_board(tmp_path: Path):
    crops = made_up_crops(2)
    config = changed(board_shift_mm=2.0, variants=3)
    stack = build_cell_stack(crops, config, tmp_path)
    draws = build_module._draw(config, BOARD.board(), 2)
    shift = draws.positions_mm[draws.pose] - BOARD.board().positions_mm
    # each pose moves all LEDs alike, in the plane
    assert np.ptp(shift, axis=1).max() < 1e-12
    assert np.abs(shift[..., 2]).max() == 0
    system = config.system(1)
    cells = torch.from_numpy(single_cells(crops, n_px=64, pixel_um=0.3, wavelength_um=system.wavelength_um))
    for row in range(6):
        moved = torch.from_numpy(draws.positions_mm[draws.pose[row]])
        expected = led_stack(cells[row // 3], BOARD.board(), system, positions_mm=moved).numpy()
        np.testing.assert_allclose(stack.images[row].astype(np.float32), expected, rtol=2.0**-10, atol=1e-6)


def test_draws_have_the_spread_that_is_asked_for():
    config = changed(defocus_um=3.0, board_shift_mm=0.5, board_rotation_deg=2.0, stain_spread=0.2, variants=50)
    draws = build_module._draw(config, BOARD.board(), 100)
    # 5,000 draws: 3 % are three standard errors of a standard deviation; 64 poses: 27 %
    assert np.std(draws.defocus_um) == pytest.approx(3.0, rel=0.03)
    assert np.std(np.log(draws.stain)) == pytest.approx(0.2, rel=0.03)
    middle = draws.positions_mm[:, 4, :2]
    assert np.std(middle) == pytest.approx(0.5, rel=0.27)
    right = draws.positions_mm[:, 5, :2] - middle
    assert np.degrees(np.std(np.arctan2(right[:, 1], right[:, 0]))) == pytest.approx(2.0, rel=0.27)


def test_a_damaged_file_is_computed_again(tmp_path: Path):
    expected = build_cell_stack(made_up_crops(), SMALL, tmp_path).images.copy()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5000])
    np.testing.assert_array_equal(build_cell_stack(made_up_crops(), SMALL, tmp_path).images, expected)
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_of_a_run_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    honest, calls = build_module.lamp_images, []

    def spoilt(*arguments: object, **options: object) -> torch.Tensor:
        images = honest(*arguments, **options)
        calls.append(len(images))
        if len(calls) == 2:
            images[3, 5, 2, 2] = np.nan
        return images

    monkeypatch.setattr(build_module, "ROWS_PER_STEP", 6)
    monkeypatch.setattr(build_module, "lamp_images", spoilt)
    with pytest.raises(WrongFormat, match="row 9 under lamp 5 of simulated optics"):
        build_cell_stack(made_up_crops(), SMALL, tmp_path)
    assert calls == [6, 6]
    assert list(tmp_path.iterdir()) == []


def _build(folder: str) -> bytes:
    torch.set_num_threads(1)
    return build_cell_stack(made_up_crops(40), SMALL, Path(folder)).images.tobytes()


def test_two_processes_at_once_get_the_same_whole_file(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_build, [str(tmp_path)] * 2, chunksize=1)
    assert first == second
    assert len(list(tmp_path.iterdir())) == 1
    assert build_cell_stack(made_up_crops(40), SMALL, tmp_path).images.tobytes() == first


def test_what_cannot_be_computed_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="do not fill whole camera pixels"):
        build_cell_stack(made_up_crops(), changed(camera_pixel_um=1.0), tmp_path)
    with pytest.raises(ConfigError, match="colours"):
        changed(colours=(1, 1))
    with pytest.raises(ConfigError, match="too small for a cell"):
        build_cell_stack(made_up_crops(), changed(sample_px=24), tmp_path)
    assert list(tmp_path.iterdir()) == []
