"""A measured blood smear: LEDs that the recovery has not seen are predicted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem
from lsm.optics.recover import RecoverConfig, correlation, recover

PX, CAMERA_UM = 64, 1.845
BANDS = ((0.0, 0.1), (0.1, 0.2))


@pytest.mark.data
def test_the_middle_of_a_blood_smear_predicts_withheld_leds(data_dir: Path):
    path = data_dir / "fpm_blood_smear" / "red.npz"
    if not path.is_file():
        pytest.skip("the data folder holds no fpm_blood_smear")
    with np.load(path) as held:
        light = torch.from_numpy(held["images"][:, 32:96, 32:96].astype(np.float32) ** (4 / 3))
        x, y = (held["led_grid_xy"] * 4.0).T
    positions = np.stack([x, y, np.full(len(x), -90.88)], axis=1)
    normals = np.tile([0.0, 0.0, 1.0], (len(x), 1))
    board = LedBoard("15 x 15", positions, normals, (0.63,), glass=Glass(thickness_mm=1.0))
    system = ImagingSystem(
        na=0.1,
        wavelength_um=0.63,
        camera_pixel_um=CAMERA_UM,
        sample_pixel_um=CAMERA_UM / 4,
        sample_px=4 * (PX + 32),
        margin_px=16,
    )
    # up to NA 0.2: enough for both bands, and quick
    near = np.flatnonzero(board.na < 0.22)
    held_out = near[np.argsort(board.na[near], kind="stable")[2::5]]
    fitted = torch.from_numpy(np.setdiff1d(near, held_out))
    found = recover(light[fitted], board, system, leds=fitted, defocus_um=-55.0, config=RecoverConfig(epochs=60))
    reached = correlation(found.predict(torch.from_numpy(held_out)), light[held_out])
    for low, high in BANDS:
        inside = (board.na[held_out] >= low) & (board.na[held_out] < high)
        # a quarter of the field and a third of the LEDs; all of it reaches 0.97 and 0.98 (experiments/fpm_blood_smear)
        assert np.median(reached[inside]) > 0.93
