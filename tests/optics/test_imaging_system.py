"""Sizes that fit together, and errors that say which do not."""

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)


def test_default_rig_has_192_camera_pixels_of_which_the_margin_hides_the_wrap():
    system = ImagingSystem(margin_px=16)
    assert (system.decimation, system.computed_px, system.camera_px) == (4, 224, 192)
    assert system.intensity_px == 224
    assert system.at_wavelength(0.47).intensity_px == 448
    np.testing.assert_allclose(system.camera_axis_um[[0, -1]], [-114.6, 114.6])


def test_margin_only_cuts():
    t = torch.randn(128, 128, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    whole = led_stack(t, BOARD, ImagingSystem(sample_px=128))
    cut = led_stack(t, BOARD, ImagingSystem(sample_px=128, margin_px=5))
    assert torch.equal(cut, whole[..., 5:-5, 5:-5])


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ({"camera_pixel_um": 1.0}, "multiple"),
        ({"sample_px": 130}, "multiple"),
        ({"margin_px": 112}, "both sides"),
        ({"na": 1.2}, "below the index"),
        ({"na": 0.5}, "sample_pixel_um below"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_a_hint(numbers: dict[str, float], word: str):
    with pytest.raises(ConfigError) as caught:
        ImagingSystem.from_table(numbers)
    assert word in caught.value.hint


def test_board_beyond_the_sample_grid_is_refused():
    wide = LedBoard.grid(rows=1, columns=3, pitch_mm=100.0, distance_mm=50.0)
    with pytest.raises(ConfigError, match=r"NA 0\.894"):
        led_stack(torch.ones(128, 128, dtype=torch.complex64), wide, ImagingSystem(sample_px=128))


def test_sample_leds_and_pupil_of_the_wrong_size_are_refused():
    system = ImagingSystem(sample_px=128)
    good = torch.ones(128, 128, dtype=torch.complex64)
    wrong: list[dict[str, torch.Tensor]] = [
        {"transmission": good[:64, :64]},
        {"transmission": good, "leds": torch.tensor([9])},
        {"transmission": good, "pupil": good},
    ]
    for arguments in wrong:
        with pytest.raises(InputError):
            led_stack(board=BOARD, system=system, **arguments)
    assert issubclass(WrongFormat, InputError)
