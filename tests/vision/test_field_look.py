"""What counts as the darkest body of a field: dust and bubbles' rims do, a white cell does not."""

import numpy as np
import pytest
from jaxtyping import Float

from lsm.errors import ModelMismatch
from lsm.sensing import Bundle
from lsm.types import Image
from lsm.vision.finder import NO_CELLS
from lsm.vision.look import FIGURE, LONGEST_CELL_UM, TypicalFields, look_at

PIXEL_UM, SIDE, EMPTY_ADU, OFFSET_ADU = 1.2, 192, 3000.0, 20.0


def field(absorbance: Float[np.ndarray, "y x"]) -> Image:
    return np.rint(OFFSET_ADU + EMPTY_ADU * np.exp(-absorbance)).astype(np.uint16)


def disc(length_um: float, absorbance: float) -> Float[np.ndarray, "y x"]:
    along = (np.arange(SIDE) - SIDE / 2) * PIXEL_UM
    return np.where(np.hypot(along[None], along[:, None]) < length_um / 2, absorbance, 0.0)


def body(absorbance: Float[np.ndarray, "y x"]) -> float:
    return look_at(field(absorbance), NO_CELLS, offset_adu=OFFSET_ADU, pixel_um=PIXEL_UM).body


# halving stops at 0.01; a step of the camera is below 0.002 at these absorbances
WITHIN = 0.015


@pytest.mark.parametrize("absorbance", [0.4, 1.5])
def test_a_long_body_has_its_own_absorbance(absorbance: float):
    assert body(disc(1.5 * LONGEST_CELL_UM, absorbance)) == pytest.approx(absorbance, abs=WITHIN)


def test_something_as_small_as_a_cell_is_none_however_dark():
    assert body(disc(0.8 * LONGEST_CELL_UM, 2.5)) == pytest.approx(0.0, abs=WITHIN)


def test_a_small_dark_spot_in_a_longer_body_does_not_make_the_body_darker():
    both = np.maximum(disc(2 * LONGEST_CELL_UM, 0.5), disc(0.5 * LONGEST_CELL_UM, 2.5))
    assert body(both) == pytest.approx(0.5, abs=WITHIN)


def test_an_empty_field_has_none():
    assert body(np.zeros((SIDE, SIDE))) == pytest.approx(0.0, abs=WITHIN)


def test_a_card_with_other_figures_is_to_be_calibrated_again():
    model = Bundle.named("procedural")
    figures = model.card.figures
    other = dict(figures[FIGURE])  # type: ignore[call-overload]
    other["darkest"] = other.pop("body")
    TypicalFields.of_model(model)
    with pytest.raises(ModelMismatch, match="--calibrate"):
        TypicalFields.of_model(model.with_card(figures={**figures, FIGURE: other}))
