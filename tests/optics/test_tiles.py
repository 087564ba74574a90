"""Large samples in tiles: every pixel once, the same image where directions are the same, its own directions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, field_tiles, led_stack

TILE = ImagingSystem(sample_px=320, margin_px=16)
NEAR = LedBoard.grid(rows=3, columns=3, pitch_mm=4, distance_mm=50)
# five kilometres away all tiles see the same directions
FAR = LedBoard.grid(rows=3, columns=3, pitch_mm=4e5, distance_mm=5e6)


def smooth_sample(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    fy, fx = (torch.fft.fftfreq(n, 0.3, dtype=torch.float64) for n in (height, width))
    noise = torch.randn(height, width, dtype=torch.float64, generator=generator)
    phase = torch.fft.ifft2(torch.fft.fft2(noise) * torch.exp(-(fy[:, None] ** 2 + fx**2) / 0.5)).real
    return torch.polar(torch.ones_like(phase), 0.6 * phase / phase.std())


def test_tiles_agree_with_one_large_computation():
    t = smooth_sample(576, 576)
    whole = led_stack(t, FAR, ImagingSystem(sample_px=576), edge="soft")
    seen = torch.zeros(144, 144)
    for tile in field_tiles(t, FAR, TILE):
        seen[tile.rows, tile.columns] += 1
        error = (tile.images - whole[:, tile.rows, tile.columns]).square().mean((-1, -2)).sqrt()
        # all nine LEDs are bright field; the promise of the docstring for 16 pixels, and what luck adds
        assert float((error / whole.mean((-1, -2))).median()) < 0.03
    assert bool((seen == 1).all())


def test_a_wider_margin_is_nearer_to_the_truth():
    t = smooth_sample(576, 576)
    whole = led_stack(t, FAR, ImagingSystem(sample_px=576), edge="soft")

    def error(system: ImagingSystem) -> float:
        tiles = field_tiles(t, FAR, system)
        return max(float((tile.images - whole[:, tile.rows, tile.columns]).square().mean()) for tile in tiles)

    assert error(ImagingSystem(sample_px=448, margin_px=32)) < 0.5 * error(ImagingSystem(sample_px=256, margin_px=8))


def test_the_last_tiles_are_cut_to_the_sample():
    tiles = list(field_tiles(smooth_sample(400, 320), NEAR, TILE))
    assert [(tile.rows, tile.columns) for tile in tiles] == [
        (slice(0, 48), slice(0, 48)),
        (slice(0, 48), slice(48, 80)),
        (slice(48, 96), slice(0, 48)),
        (slice(48, 96), slice(48, 80)),
        (slice(96, 100), slice(0, 48)),
        (slice(96, 100), slice(48, 80)),
    ]
    assert tiles[-1].images.shape == (9, 4, 32)


def test_each_tile_is_lit_from_where_it_is():
    t = smooth_sample(384, 384)
    tiles = list(field_tiles(t, NEAR, TILE, centre_um=(1000.0, -500.0), defocus_um=5.0))
    # 96 camera pixels in two tiles of 48: their middles are 24 pixels of 1.2 um off the sample's
    expected_um = [(971.2, -528.8), (1028.8, -528.8), (971.2, -471.2), (1028.8, -471.2)]
    np.testing.assert_allclose([tile.centre_um for tile in tiles], expected_um, rtol=1e-12)
    index = (torch.arange(320) - 64) % 384
    part = t[(index + 192)[:, None] % 384, index]
    expected = led_stack(part, NEAR, TILE, tile_um=tiles[2].centre_um, defocus_um=5.0, edge="soft")
    assert torch.equal(tiles[2].images, expected)
    assert not torch.allclose(expected, led_stack(part, NEAR, TILE, defocus_um=5.0, edge="soft"))


@pytest.mark.parametrize("shape", [(576, 574), (316, 576)])
def test_samples_that_cannot_be_cut_are_refused(shape: tuple[int, int]):
    with pytest.raises(WrongFormat, match=r"cannot be cut into tiles of 320 px.*multiples of 4 px"):
        next(field_tiles(smooth_sample(*shape), NEAR, TILE))
