"""The pupil as a learned layer: passive, exact where the optics is, and learned with the light."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_phantom import SMALL, made_up_crops
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, frequency_axis, led_stack, pattern_stack
from lsm.samples import single_cells
from lsm.sensing.cells.build import build_cell_stack
from lsm.sensing.cells.exposure import Disturbance
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.pupil import PupilCellModel, PupilConfig, PupilLayer, band_limited
from lsm.sensing.cells.training import CellModel, CellTrainingConfig, Turns, cell_odds, train_cells

BOARD = SMALL.board.board()
SYSTEM = SMALL.system(1)
LAMPS = Lamps(BOARD, np.arange(9), np.ones(9, dtype=np.int64), SYSTEM.na)
CENTRE = torch.eye(9)[4:5]
# two float32 FFTs of 64 x 64 and a complex product
ROUNDING = 3e-6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slides(n: int = 12, *, px: int = 64) -> Tensor:
    drawn = single_cells(made_up_crops(n), n_px=px, pixel_um=19.2 / px, wavelength_um=SYSTEM.wavelength_um)
    return torch.from_numpy(drawn)


def images(layer: PupilLayer | None, *, weights: Tensor = CENTRE) -> Tensor:
    with torch.no_grad():
        return pattern_stack(slides(), BOARD, SYSTEM, weights, pupil=layer)


def fixed(**options: object) -> PupilLayer:
    """A pupil of which nothing is learned, fully transparent where nothing else is said."""
    return PupilLayer(SYSTEM, PupilConfig.from_table({"learned": (), "clear": 1.0} | options), generator())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 30.0))
def test_no_parameters_make_it_amplify(seed: int, size: float) -> None:
    config = PupilConfig(learned=("amplitude", "phase", "zernike", "defocus"), zernike={4: 0.0, 7: 0.0})
    layer = PupilLayer(SYSTEM, config, generator())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator(seed)))
        fx = torch.linspace(-0.2, 0.2, 7)[None, None, :].expand(3, 1, 7) * torch.tensor([1.0, 0.9, 0.31])[:, None, None]
        factor = layer(fx, fx.transpose(1, 2), SYSTEM)
    assert float(factor.abs().max()) <= 1 + 1e-6  # sine and cosine in float32
    assert float(images(layer).mean()) <= float(images(None).mean()) * (1 + ROUNDING)


def test_open_pupil_is_no_pupil() -> None:
    assert torch.allclose(images(fixed()), images(None), atol=ROUNDING)
    assert fixed().passed() == pytest.approx(1.0, abs=1e-6)


def test_grey_pupil_dims_by_its_square() -> None:
    grey = fixed(clear=0.5)
    assert torch.allclose(images(grey), images(None) / 4, atol=ROUNDING)
    assert grey.passed() == pytest.approx(0.25, abs=1e-6)


def test_terms_and_defocus_are_those_of_the_optics() -> None:
    terms = {4: 0.1, 6: -0.07, 8: 0.03}
    known = pattern_stack(slides(), BOARD, SYSTEM, CENTRE, pupil=ZernikePupil(terms), defocus_um=12.0)
    # the defocus is kept as a float32 phase of a few radians
    assert torch.allclose(images(fixed(zernike=terms, defocus_um=12.0)), known, atol=10 * ROUNDING)


def test_shapes_lie_where_they_say() -> None:
    empty = torch.ones(1, 64, 64, dtype=torch.complex64)
    with torch.no_grad():
        stopped = pattern_stack(empty, BOARD, SYSTEM, CENTRE, pupil=fixed(shape="stop", blocked=0.2))
    # light of the middle LED goes through the middle of the pupil
    assert torch.allclose(stopped, torch.full_like(stopped, 0.04), atol=ROUNDING)
    half = fixed(shape="half", blocked=0.2).factor().abs()
    axis = frequency_axis(SYSTEM)
    inside = fixed().inside()
    left = inside & (axis < 0).expand_as(inside)
    assert torch.allclose(half[left], torch.tensor(0.2))
    assert torch.allclose(half[inside & ~left], torch.tensor(1.0))
    assert not half[~inside].any()


def test_gradients_of_all_parts() -> None:
    system = ImagingSystem(na=0.09, wavelength_um=0.53, sample_px=20, sample_pixel_um=0.6, camera_pixel_um=1.2)
    board = LedBoard.grid(rows=1, columns=2, pitch_mm=8.0, distance_mm=50.0)
    config = PupilConfig(learned=("amplitude", "phase", "zernike", "defocus"), zernike={5: 0.05}, phase_noise_rad=0.3)
    layer = PupilLayer(system, config, generator()).double()
    cell = torch.polar(
        0.5 + 0.5 * torch.rand(1, 20, 20, generator=generator(1), dtype=torch.float64),
        torch.rand(1, 20, 20, generator=generator(2), dtype=torch.float64),
    )
    names, values = zip(*layer.named_parameters(), strict=True)
    weights = torch.tensor([[1.0, 0.5]], dtype=torch.float64)

    class Called(torch.nn.Module):
        """The layer with other parameters, as a PupilFunction."""

        def __init__(self, *given: Tensor) -> None:
            super().__init__()
            self.given = dict(zip(names, given, strict=True))

        def forward(self, fx: Tensor, fy: Tensor, system: ImagingSystem) -> Tensor:
            found: Tensor = functional_call(layer, self.given, (fx, fy, system))
            return found

    def light(*given: Tensor) -> Tensor:
        return pattern_stack(cell, board, system, weights, pupil=Called(*given))

    assert torch.autograd.gradcheck(light, values, eps=1e-6, atol=1e-6, fast_mode=True)


def test_it_finds_the_focus() -> None:
    cells, weights = slides(4), torch.ones(1, 9)
    sharp = pattern_stack(cells, BOARD, SYSTEM, weights)
    layer = PupilLayer(SYSTEM, PupilConfig(learned=("defocus",), clear=1.0), generator())
    optimizer = torch.optim.LBFGS([layer.edge], max_iter=6, line_search_fn="strong_wolfe")

    def blur() -> float:
        optimizer.zero_grad()
        moved = pattern_stack(cells, BOARD, SYSTEM, weights, pupil=layer, defocus_um=-12.0)
        off = (moved - sharp).square().mean() * 1e4
        torch.autograd.backward(off)
        return off.item()

    optimizer.step(blur)
    # a hundredth of the depth of field, 53 um: the images' float32 tells no more
    assert layer.defocus_um.item() == pytest.approx(12.0, abs=0.5)


@pytest.mark.parametrize("sample_px", [32, 48])
def test_coarser_grid_gives_the_same_images(sample_px: int) -> None:
    fine = SYSTEM.model_copy(update={"sample_px": 128, "sample_pixel_um": 0.15})
    coarse = SYSTEM.model_copy(update={"sample_px": sample_px, "sample_pixel_um": 19.2 / sample_px})
    cells = slides(3, px=128)
    leds = torch.tensor([1, 3, 4, 5, 7])  # on 32 px, not the corners' light
    expected = led_stack(cells, BOARD, fine, leds=leds)
    assert torch.allclose(led_stack(band_limited(cells, sample_px), BOARD, coarse, leds=leds), expected, atol=ROUNDING)


@pytest.mark.parametrize("wanted", [33, 130, 0])
def test_refuses_grids_it_cannot_make(wanted: int) -> None:
    with pytest.raises(WrongFormat, match=rf"128 px cannot be reduced to {wanted} px"):
        band_limited(torch.ones(1, 128, 128, dtype=torch.complex64), wanted)


def pupil_model(light: CellLightConfig, pupil: PupilConfig | None = None) -> PupilCellModel:
    return PupilCellModel(LAMPS, SYSTEM, slides(24), light, generator(3), pupil=pupil)


def test_without_a_pupil_it_is_the_model_of_the_stack(tmp_path: Path) -> None:
    stack = build_cell_stack(made_up_crops(24), SMALL, tmp_path)
    light = CellLightConfig(kind="random")
    summed = CellModel(LAMPS, SYSTEM.camera_px, light, generator(3))
    computed = pupil_model(light)
    rows = np.arange(24)
    for model in (summed, computed):
        model.eval()
        model.freeze(stack, rows)
    # images of the stack are float16
    assert torch.allclose(summed.capture.exposure, computed.capture.exposure, rtol=2e-3)
    computed.capture.exposure.copy_(summed.capture.exposure)
    with torch.no_grad():
        first, second = (model.electrons(stack, rows, generator(7)) for model in (summed, computed))
    assert torch.allclose(first, second, rtol=4e-3, atol=1.0)


def test_turned_cells_under_turned_light_look_alike(tmp_path: Path) -> None:
    stack = build_cell_stack(made_up_crops(24), SMALL, tmp_path)
    light = CellLightConfig(kind="random")
    summed, computed = CellModel(LAMPS, SYSTEM.camera_px, light, generator(3)), pupil_model(light)
    turns, rows = Turns(LAMPS, SYSTEM.camera_px), np.arange(24)
    with torch.no_grad():
        # the same draws: which turn first, then noise
        first, second = (model.electrons(stack, rows, generator(8), turns) for model in (summed, computed))
    assert torch.allclose(first, second, rtol=6e-3, atol=5.0)


def test_dark_lamps_can_come_back() -> None:
    model = pupil_model(CellLightConfig(start_noise=0.0), PupilConfig())
    with torch.no_grad():
        model.light.logits.fill_(0.5)
        model.light.logits[0, 0] = -3.0
    weights = model.light()
    assert weights[0, 0].item() == 0.0
    model.images(slides(2), weights * model.irradiance).sum().backward()
    slope = model.light.logits.grad
    assert slope is not None
    assert slope[0, 0].item() > 0


def test_training_moves_what_is_learned_and_nothing_else(tmp_path: Path) -> None:
    stack = build_cell_stack(made_up_crops(24), SMALL, tmp_path)
    config = PupilConfig(learned=("amplitude", "zernike"), zernike={5: 0.02}, defocus_um=3.0)
    model = pupil_model(CellLightConfig(), config)
    assert model.pupil is not None
    before = {name: value.clone() for name, value in model.pupil.state_dict().items()}
    train_cells(model, stack, np.arange(24), CellTrainingConfig(epochs=2, rows_per_step=12), generator(4))
    moved = {name for name, value in model.pupil.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"amplitude", "zernike"}
    assert np.isfinite(cell_odds(model, stack, np.arange(24), generator(5))).all()


def test_refuses_what_cannot_be_learned() -> None:
    with pytest.raises(ConfigError, match="Zernike terms has none"):
        PupilConfig(learned=("zernike",))
    with pytest.raises(ConfigError, match="cannot start at 1"):
        PupilConfig(learned=("amplitude",), clear=1.0)
    two = Lamps(BOARD, np.array([4, 4]), np.array([0, 1]), 0.1)
    with pytest.raises(ConfigError, match="2 colours do not shine through one pupil"):
        PupilCellModel(two, SYSTEM, slides(), CellLightConfig(kind="all LEDs", colours=(0, 1)), generator())


def test_lamps_err_in_its_training_as_in_that_of_the_stack(tmp_path: Path) -> None:
    stack, rows = build_cell_stack(made_up_crops(24), SMALL, tmp_path), np.arange(24)
    light, erring = CellLightConfig(kind="all LEDs"), Disturbance(led_error=0.5)
    summed = CellModel(LAMPS, SYSTEM.camera_px, light, generator(3), disturbance=erring)
    computed = PupilCellModel(LAMPS, SYSTEM, slides(24), light, generator(3), disturbance=erring)
    seen = []
    for model in (summed, computed):
        model.freeze(stack, rows)
        seen.append(model.electrons(stack, rows, generator(7)))
        model.eval()
        steady = model.electrons(stack, rows, generator(7))
        assert float((seen[-1] - steady).abs().mean()) > 0.01 * float(steady.mean())
    # images of the stack are float16, and electrons are of the order of 5000
    assert torch.allclose(*seen, rtol=2e-3, atol=5.0)


def test_defocus_is_kept_in_radians_at_the_edge() -> None:
    edge_um = SYSTEM.wavelength_um / (math.pi * SYSTEM.na**2)
    assert fixed(defocus_um=edge_um).edge.item() == pytest.approx(1.0)
