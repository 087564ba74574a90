"""Thick samples: what multi-slice must equal, keep and approach."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, led_stack, zernike_pupil
from lsm.optics.multislice import exit_envelope, free_space, slice_transmissions, thick_stack

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=4.0, distance_mm=50.0)
SYSTEM = ImagingSystem(sample_px=64)
TINY = ImagingSystem(sample_px=16, sample_pixel_um=0.6, camera_pixel_um=0.6, na=0.2)
FEW = torch.tensor([1, 4])
# LEDs between frequency bins in both directions
U = torch.tensor([[0.071, -0.033], [0.0, 0.0], [-0.152, 0.118]], dtype=torch.float64)


def slices(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def spectrum(envelope: torch.Tensor) -> torch.Tensor:
    return torch.fft.fft2(envelope, norm="forward")


def smooth_phase(count: int, n: int, *, cells: int, seed: int = 0) -> torch.Tensor:
    coarse = torch.randn(1, count, cells, cells, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    # one cell more on each side, from the other side: the interpolation stays periodic
    wide = F.interpolate(F.pad(coarse, (2, 2, 2, 2), mode="circular"), scale_factor=n // cells, mode="bicubic")[0]
    cut = 2 * n // cells
    return wide[:, cut:-cut, cut:-cut]


def pure_phase(count: int, n: int, *, cells: int = 8, seed: int = 0) -> torch.Tensor:
    phase = smooth_phase(count, n, cells=cells, seed=seed)
    return torch.polar(torch.ones_like(phase), phase)


@pytest.mark.parametrize("tilt", ["exact", "bin"])
@pytest.mark.parametrize("pixel", ["area", "point"])
@pytest.mark.parametrize("edge", ["hard", "soft"])
def test_one_slice_is_the_thin_sample(tilt: str, pixel: str, edge: str):
    system = ImagingSystem(sample_px=64, margin_px=1)
    options = {"tilt": tilt, "pixel": pixel, "edge": edge, "defocus_um": 7.0}
    t, pupil = slices(2, 1, 64, 64), zernike_pupil(system, {5: 0.1, 8: -0.05})
    thick = thick_stack(t, 3.0, BOARD, system, pupil=pupil, **options)  # type: ignore[arg-type]
    thin = led_stack(t[:, 0], BOARD, system, pupil=pupil, **options)  # type: ignore[arg-type]
    # the same FFTs in another grouping: a few ulp of the brightest point
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-13 * float(thin.max()))


def test_tiles_moved_leds_and_pupil_functions_mean_the_same_as_for_a_thin_sample():
    t = slices(1, 64, 64)
    pupil = ZernikePupil({6: 0.1}, {4: 0.05})
    moved = torch.from_numpy(BOARD.positions_mm + 0.7)
    thick = thick_stack(t, 1.0, BOARD, SYSTEM, positions_mm=moved, tile_um=(900.0, -400.0), pupil=pupil)
    thin = led_stack(t[0], BOARD, SYSTEM, positions_mm=moved, tile_um=(900.0, -400.0), pupil=pupil)
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-13 * float(thin.max()))
    assert float((thin - led_stack(t[0], BOARD, SYSTEM)).abs().max()) > 1e-3 * float(thin.max())


def test_chosen_leds_come_in_the_order_asked_for():
    t = slices(2, 64, 64)
    every = thick_stack(t, 4.0, BOARD, SYSTEM)
    some = thick_stack(t, 4.0, BOARD, SYSTEM, leds=torch.tensor([5, 0]))
    torch.testing.assert_close(some, every[[5, 0]], rtol=0, atol=1e-13 * float(every.max()))
    assert thick_stack(t, 4.0, BOARD, SYSTEM, leds=torch.tensor([], dtype=torch.int64)).shape == (0, 16, 16)


def test_a_thin_sample_below_empty_slices_is_defocused_by_their_thickness():
    t = slices(1, 64, 64)
    empty = torch.ones(3, 64, 64, dtype=torch.complex128)
    thick = thick_stack(torch.cat([t, empty]), [2.0, 5.0, 4.5], BOARD, SYSTEM)
    thin = led_stack(t[0], BOARD, SYSTEM, defocus_um=11.5)
    # four pairs of float64 FFTs of 4096 points
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-12 * float(thin.max()))


def test_a_thin_sample_above_empty_slices_stays_in_focus():
    t = torch.cat([torch.ones(2, 64, 64, dtype=torch.complex128), slices(1, 64, 64)])
    thick = thick_stack(t, 6.0, BOARD, SYSTEM, defocus_um=-2.0)
    thin = led_stack(t[-1], BOARD, SYSTEM, defocus_um=-2.0)
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-12 * float(thin.max()))


def test_focusing_back_through_the_thickness_returns_to_the_first_slice():
    t = slices(1, 64, 64)
    empty = torch.ones(1, 64, 64, dtype=torch.complex128)
    thick = thick_stack(torch.cat([t, empty]), 20.0, BOARD, SYSTEM, defocus_um=-20.0)
    thin = led_stack(t[0], BOARD, SYSTEM)
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-12 * float(thin.max()))


def test_slices_that_touch_multiply():
    t = slices(3, 64, 64)
    thick = thick_stack(t, 0.0, BOARD, SYSTEM, defocus_um=3.0)
    thin = led_stack(t.prod(dim=0), BOARD, SYSTEM, defocus_um=3.0)
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-12 * float(thin.max()))


def test_a_medium_of_higher_index_defocuses_less():
    """Paraxially a distance d in index n looks like d / n in air."""
    t = pure_phase(1, 64)
    sample = torch.cat([t, torch.ones_like(t)])
    thick = thick_stack(sample, 30.0, BOARD, SYSTEM, medium_index=1.5, leds=torch.tensor([4]))
    near = led_stack(t[0], BOARD, SYSTEM, defocus_um=20.0, leds=torch.tensor([4]))
    far = led_stack(t[0], BOARD, SYSTEM, defocus_um=30.0, leds=torch.tensor([4]))
    # the paraxial limit is off by z NA^4 / 8 (1 - 1 / n^2) / wavelength: 0.001 rad of 20 um
    assert float((thick - near).abs().max()) < 0.005 * float((far - near).abs().max())


def test_pure_phase_slices_keep_the_energy():
    """Every wave of this grid travels: 1 / (2 pixel) + u stays below n / wavelength in both directions together."""
    system = ImagingSystem(sample_px=64, sample_pixel_um=0.6, camera_pixel_um=1.2)
    envelope = exit_envelope(pure_phase(4, 64), [3.0, 8.0, 0.5], U, system, medium_index=1.33)
    energy = envelope.abs().square().mean(dim=(1, 2))
    # eight float64 FFTs
    torch.testing.assert_close(energy, torch.ones(3, dtype=torch.float64), rtol=1e-13, atol=0)


def test_evanescent_waves_only_decay():
    f = torch.tensor([[[1.0, 1.2, 1.5, 3.0]]], dtype=torch.float64)
    factor = free_space(f, torch.zeros(1, 4, 1, dtype=torch.float64), 0.7, axial=1.1)[0, 0]
    torch.testing.assert_close(factor[:1].abs(), torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(factor[1:].abs(), torch.exp(-2 * math.pi * 0.7 * torch.sqrt(f[0, 0, 1:] ** 2 - 1.1**2)))


def test_light_sent_back_the_way_it_came_arrives_alike():
    """Reciprocity: from u to f through the slices equals from -f to -u through them in reverse order."""
    t = band_limited(3, 2)
    system, gaps = ImagingSystem(sample_px=64), [2.0, 7.0]
    bins = torch.tensor([[3, -1], [-4, 2], [0, 5]])
    f = U + bins.double() / system.field_um
    there = spectrum(exit_envelope(t, gaps, U, system, medium_index=1.2))
    back = spectrum(exit_envelope(t.flip(0), gaps[::-1], -f, system, medium_index=1.2))
    for led, (x, y) in enumerate(bins.tolist()):
        # products of three sums over 25 bins each
        torch.testing.assert_close(there[led, y, x], back[led, y, x], rtol=1e-12, atol=0)


def band_limited(count: int, reach: int) -> torch.Tensor:
    """Slices whose product stays inside the grid: no bin beyond `reach`."""
    spectrum = torch.zeros(count, 64, 64, dtype=torch.complex128)
    inside = torch.arange(-reach, reach + 1)
    spectrum[:, inside[:, None], inside] = slices(count, 2 * reach + 1, 2 * reach + 1, seed=4)
    return torch.fft.ifft2(spectrum, norm="forward")


def ball(count: int, *, radius_um: float, dn: float, system: ImagingSystem, index: float) -> torch.Tensor:
    """A ball in `count` slices of equal thickness, each holding the exact path length through it."""
    n, thickness = system.sample_px, 2 * radius_um / count
    axis = (torch.arange(n, dtype=torch.float64) - n // 2) * system.sample_pixel_um
    half = torch.sqrt((radius_um**2 - axis[None] ** 2 - axis[:, None] ** 2).clamp_min(0.0))
    edges = torch.linspace(-radius_um, radius_um, count + 1, dtype=torch.float64)[:, None, None]
    path = torch.minimum(edges[1:], half) - torch.maximum(edges[:-1], -half)
    wavelength_um = system.wavelength_um
    return slice_transmissions(dn * path.clamp_min(0.0) / thickness, slice_um=thickness, wavelength_um=wavelength_um)


def _axial(u: torch.Tensor, total: float) -> torch.Tensor:
    return torch.sqrt(total**2 - (u**2).sum(-1))


def test_a_weak_ball_scatters_as_its_form_factor():
    """First Born approximation on the Ewald sphere: phase times 3 (sin q - q cos q) / q^3 at the momentum transfer.

    Independent of slices: the ball's transform is known in closed form (Guinier and Fournet, 1955). The
    obliquity factor 1 / cos of the exact equation is left out, as slices leave it out.
    """
    system = ImagingSystem(sample_px=256, sample_pixel_um=0.15, camera_pixel_um=1.2)
    radius_um, dn, count, index = 4.0, 1e-5, 16, 1.33
    t = ball(count, radius_um=radius_um, dn=dn, system=system, index=index)
    thickness = 2 * radius_um / count
    scattered = spectrum(exit_envelope(t, [thickness] * (count - 1), U, system, medium_index=index))
    k = torch.arange(-12, 13)
    got = scattered[:, k[:, None], k].abs()
    grid = torch.stack(torch.meshgrid(k, k, indexing="xy"), dim=-1) / system.field_um
    incident, leaving = (_axial(u, index / system.wavelength_um) for u in (U[:, None, None], U[:, None, None] + grid))
    q = 2 * math.pi * radius_um * torch.sqrt((grid**2).sum(-1) + (leaving - incident) ** 2).clamp_min(1e-9)
    form = 3 * (torch.sin(q) - q * torch.cos(q)) / q**3
    volume = 4 / 3 * math.pi * radius_um**3
    expected = 2 * math.pi / system.wavelength_um * dn * volume / system.field_um**2 * form.abs()
    off = torch.ones(3, 25, 25, dtype=torch.bool)
    off[:, 12, 12] = False
    # the ball's edge on pixels of 0.15 um, 1/27 of its radius: 0.04 %
    tolerance = 0.001 * float(expected[off].max())
    torch.testing.assert_close(got[off], expected[off], rtol=0, atol=tolerance)
    flat = spectrum(t.prod(dim=0))[k[:, None], k].abs()
    assert float((flat - expected)[off].abs().max()) > 4 * tolerance, "a flat ball scatters otherwise"


def test_more_slices_of_a_ball_approach_its_image():
    """Doubling the slices more than halves the error."""
    system = ImagingSystem(sample_px=128, sample_pixel_um=0.3, camera_pixel_um=1.2, refractive_index=1.33)
    radius_um = 6.0

    def image(count: int) -> torch.Tensor:
        t = ball(count, radius_um=radius_um, dn=0.04, system=system, index=1.33)
        thickness = 2 * radius_um / count
        # a slice stands for the layer around it: the last lies half a thickness below the ball's end
        middle_um = thickness / 2 - radius_um
        return thick_stack(t, thickness, BOARD, system, defocus_um=middle_um, leds=torch.tensor([0, 4]))

    finest = image(32)
    errors = [float((image(count) - finest).norm() / (finest - 1).norm()) for count in (1, 2, 4, 8)]
    # 4 um of depth matter little at NA 0.1: one slice is off by 2 %
    assert 0.01 < errors[0] < 0.03
    for coarse, fine in itertools.pairwise(errors):
        assert fine < 0.5 * coarse


def test_gradients_of_slices_spacing_and_defocus():
    t = slices(3, 16, 16)
    part = t[:, :2, :1].clone().requires_grad_()
    gaps = torch.tensor([1.5, 2.5], dtype=torch.float64, requires_grad=True)
    z = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)

    def images(part: torch.Tensor, gaps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        whole = t.clone()
        whole[:, :2, :1] = part
        return thick_stack(whole, gaps, BOARD, TINY, leds=FEW, defocus_um=z)[:, ::7, ::7]

    assert torch.autograd.gradcheck(images, (part, gaps, z))


def test_gradient_of_led_positions():
    # off the places where an LED changes its nearest bin
    positions = torch.from_numpy(BOARD.positions_mm + 0.3)
    some = positions[:2, :2].clone().requires_grad_()

    def images(some: torch.Tensor) -> torch.Tensor:
        moved = positions.clone()
        moved[:2, :2] = some
        stack = thick_stack(slices(2, 16, 16), 2.0, BOARD, TINY, leds=FEW, positions_mm=moved, edge="soft")
        return stack[:, ::7, ::7]

    assert torch.autograd.gradcheck(images, (some,))


def test_gradient_of_the_pupil_behind_a_thick_sample():
    pupil = zernike_pupil(TINY, {5: 0.1})
    middle = pupil[7:10, 7:10].clone().requires_grad_()

    def images(part: torch.Tensor) -> torch.Tensor:
        whole = pupil.clone()
        whole[7:10, 7:10] = part
        return thick_stack(slices(2, 16, 16), 2.0, BOARD, TINY, leds=FEW, pupil=whole)[:, ::7, ::7]

    assert torch.autograd.gradcheck(images, (middle,))


def test_what_is_kept_for_gradients_does_not_grow_with_the_leds():
    t = slices(4, 64, 64).requires_grad_()

    def kept_bytes(count: int) -> int:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            images = thick_stack(t, 3.0, BOARD, SYSTEM, leds=torch.arange(count))
        assert images.requires_grad
        return sum(kept.values())

    field_bytes = 64 * 64 * 16
    # one field for each of the three gaps and each LED would be 24 more
    assert kept_bytes(9) - kept_bytes(1) < field_bytes


def test_each_sample_of_a_batch_may_have_its_own_focus():
    t = slices(2, 2, 64, 64)
    together = thick_stack(t, 4.0, BOARD, SYSTEM, defocus_um=torch.tensor([0.0, 9.0], dtype=torch.float64))
    alone = thick_stack(t[1], 4.0, BOARD, SYSTEM, defocus_um=9.0)
    torch.testing.assert_close(together[1], alone, rtol=0, atol=1e-13 * float(alone.max()))


def test_single_precision_is_good_to_five_digits():
    t = slices(3, 64, 64)
    double = thick_stack(t, 5.0, BOARD, SYSTEM)
    single = thick_stack(t.to(torch.complex64), 5.0, BOARD, SYSTEM)
    assert single.dtype == torch.float32
    # six float32 FFTs and phases of up to 50 rad
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5 * float(double.max()))


def test_absorption_is_of_the_intensity():
    dn = torch.zeros(1, 2, 2, dtype=torch.float64)
    t = slice_transmissions(dn, slice_um=2.0, wavelength_um=0.5, absorption_per_um=0.3)
    torch.testing.assert_close(t.abs() ** 2, torch.full_like(dn, math.exp(-0.6)))


def test_what_cannot_be_computed_is_refused_with_the_value_and_the_limit():
    good = torch.ones(2, 64, 64, dtype=torch.complex128)
    with pytest.raises(WrongFormat, match=r"\(2, 32, 64\)"):
        thick_stack(good[:, :32], 1.0, BOARD, SYSTEM)
    with pytest.raises(WrongFormat, match="not finite"):
        thick_stack(good * math.nan, 1.0, BOARD, SYSTEM)
    with pytest.raises(WrongFormat, match="2 spacings do not fit 2 slices"):
        thick_stack(good, [1.0, 2.0], BOARD, SYSTEM)
    with pytest.raises(ConfigError, match="-1 um"):
        thick_stack(good, -1.0, BOARD, SYSTEM)
    with pytest.raises(ConfigError, match=r"index 0\.1 ") as caught:
        thick_stack(good, 1.0, BOARD, SYSTEM, medium_index=0.1)
    assert "above 0.112" in caught.value.hint
    with pytest.raises(WrongFormat, match="LEDs 9 to 9"):
        thick_stack(good, 1.0, BOARD, SYSTEM, leds=torch.tensor([9]))
    with pytest.raises(WrongFormat, match=r"Defocus of shape \(3,\)"):
        thick_stack(good[None], 1.0, BOARD, SYSTEM, defocus_um=torch.zeros(3))
    wide = LedBoard.grid(rows=1, columns=3, pitch_mm=100.0, distance_mm=50.0)
    with pytest.raises(ConfigError, match=r"NA 0\.894") as caught:
        thick_stack(good, 1.0, wide, SYSTEM)
    assert "sample_pixel_um below" in caught.value.hint
