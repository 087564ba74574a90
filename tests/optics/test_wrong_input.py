"""What cannot be computed is refused in a sentence that names the value and the limit."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lsm.errors import ConfigError, InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import AliasingWarning, ImagingSystem, led_stack, pattern_stack

SYSTEM = ImagingSystem(sample_px=64)
BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3, distance_mm=50)
EMPTY = torch.ones(64, 64, dtype=torch.complex64)


def with_value(value: complex) -> Tensor:
    sample = EMPTY.expand(2, -1, -1).clone()
    sample[1, 3, 4] = value
    return sample


@pytest.mark.parametrize(
    ("compute", "error", "says"),
    [
        (lambda: led_stack(with_value(math.nan), BOARD, SYSTEM), WrongFormat, r"nan.* at \(1, 3, 4\)"),
        (lambda: led_stack(with_value(complex(0, math.inf)), BOARD, SYSTEM), WrongFormat, r"inf.* at \(1, 3, 4\)"),
        (lambda: led_stack(EMPTY * 1e38, BOARD, SYSTEM), WrongFormat, "too large"),
        (lambda: led_stack(EMPTY[:50], BOARD, SYSTEM), WrongFormat, r"\(50, 64\), not \(64, 64\)"),
        (lambda: led_stack(EMPTY, BOARD, SYSTEM, leds=torch.tensor([9])), WrongFormat, "LEDs 9 to 9.*0 to 8"),
        (lambda: led_stack(EMPTY, BOARD, SYSTEM, defocus_um=math.nan), ConfigError, "nan um"),
        (lambda: led_stack(EMPTY, BOARD, SYSTEM, defocus_um=torch.zeros(3)), WrongFormat, "3 values.*1 samples"),
        (lambda: led_stack(EMPTY, BOARD, SYSTEM, positions_mm=torch.zeros(4, 3)), WrongFormat, r"\(4, 3\)"),
        (lambda: led_stack(EMPTY, BOARD, SYSTEM, pupil=torch.ones(3, 3, dtype=torch.complex64)), WrongFormat, "3, 3"),
        (lambda: pattern_stack(EMPTY, BOARD, SYSTEM, torch.ones(1, 8)), WrongFormat, "8 weights.*9 LEDs"),
        (lambda: LedBoard("behind", -BOARD.positions_mm, BOARD.normals), ConfigError, "z = 50 mm"),
        (lambda: ImagingSystem(na=1.4, refractive_index=1.33), ConfigError, "NA 1.4 .*1.33"),
        (lambda: ImagingSystem(na=0.6), ConfigError, "NA 0.6 .*0.3 um.*below 0.221"),
        (lambda: ImagingSystem(sample_px=8, sample_pixel_um=1.2), ConfigError, "NA 0.1 .*1.2 um.*below 1.159"),
    ],
)
def test_refusal_names_value_and_limit(compute: Callable[[], object], error: type[InputError], says: str):
    with pytest.raises(error, match=says):
        compute()


def test_leds_beyond_the_samples_spectrum_are_refused_with_the_pixel_to_use():
    wide = LedBoard.grid(rows=9, columns=9, pitch_mm=30, distance_mm=50)
    with pytest.raises(ConfigError, match=r"NA 0\.959, beyond sample pixels of 0\.3 um.*below 0\.259"):
        led_stack(EMPTY, wide, SYSTEM)
    finer = ImagingSystem(sample_px=80, sample_pixel_um=0.24)
    assert led_stack(torch.ones(80, 80, dtype=torch.complex64), wide, finer).shape == (81, 16, 16)


def test_a_real_sample_is_refused():
    """It would lose the phase of its grid's origin."""
    # the shape checks of the tests stand in front of the function's own
    with pytest.raises(WrongFormat, match=r"torch\.float32, not a complex tensor"):
        led_stack.__wrapped__(EMPTY.real, BOARD, SYSTEM)


@pytest.mark.parametrize("option", ["pixel", "tilt", "edge"])
def test_unknown_options_are_refused(option: str):
    with pytest.raises(ConfigError, match=f"{option}='exakt' is not known.*use '"):
        led_stack.__wrapped__(EMPTY, BOARD, SYSTEM, **{option: "exakt"})


def test_undersampling_warns_once_with_the_pixel_to_use():
    system = ImagingSystem(sample_px=64, wavelength_um=0.41)
    with pytest.warns(AliasingWarning, match=r"16 across the field.*below 1\.025"):
        led_stack(EMPTY, BOARD, system)
    # warnings are errors here: a second one would fail
    led_stack(EMPTY, BOARD, system)
