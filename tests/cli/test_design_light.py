"""`lsm design` says what the LED board shows of the learned patterns."""

import pytest
import torch

from lsm.cli.design import shown_light
from lsm.illum import LEVELS, LedBoard
from lsm.sensing import Bundle

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.mark.parametrize("name", ["procedural", "nih"])
def test_what_is_told_of_the_shipped_patterns_follows_from_their_levels(name: str):
    bundle = Bundle.shipped(name)
    rows = shown_light(bundle, BOARD)
    limit_ma = 0.3 * 20 * BOARD.n_leds * BOARD.n_colours
    assert [row["pattern"] for row in rows] == [pattern.name for pattern in bundle.patterns(BOARD)]
    for row, pattern in zip(rows, bundle.patterns(BOARD), strict=True):
        asked_ma = 20 * pattern.total_duty
        # to the fourth decimal; rounding down to whole levels costs less than one of 255
        assert row["scale"] == pytest.approx(min(1.0, limit_ma / asked_ma), abs=1 / LEVELS + 1e-4)
        assert row["current_ma"] <= limit_ma
        assert row["current_ma"] == pytest.approx(row["scale"] * asked_ma, rel=0.01)
        assert row["max_error"] <= 0.5 / (row["scale"] * pattern.levels.max()) + 1e-4


def test_a_pattern_beyond_the_current_limit_is_told_to_be_dimmed():
    shipped = Bundle.shipped("procedural")
    codebook = shipped.select("codebook")
    white = torch.full_like(codebook["duty_levels"], LEVELS)
    rows = shown_light(shipped.with_part("codebook", codebook | {"duty_levels": white}), BOARD)
    # 169 green channels of 20 mA are 3380 mA, a third of full white, of which 30 % are allowed
    assert rows[0]["scale"] == pytest.approx(0.9, abs=1 / LEVELS)
    assert rows[0]["current_ma"] <= 3042
