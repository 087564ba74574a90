"""Light and classifier trained together on single cells."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, ModelMismatch
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.network import NetworkConfig
from lsm.sensing.cells.training import CellModel, CellTrainingConfig, Turns, cell_odds, train_cells
from lsm.sensing.illumination import turn

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=6.0, distance_mm=50.0)
LAMPS = Lamps(BOARD, np.arange(25), np.full(25, 1), 0.15)
SHORT = CellTrainingConfig(epochs=6, rows_per_step=32)
SMALL = NetworkConfig(widths=(8, 8, 8), hidden=8)
TELLING = 4


def stack_of(images: np.ndarray, infected: np.ndarray, system: ImagingSystem | None = None) -> CellStack:
    """Images [row, lamp, y, x] of sixteen patients under every LED in green."""
    rows = len(images)
    return CellStack(
        images.astype(np.float16),
        led=np.arange(25),
        colour=np.full(25, 1),
        infected=infected,
        patient=np.array([f"P{k % 16}" for k in range(rows)]),
        crop=np.arange(rows),
        board=BOARD,
        system=system,
        source="a test",
    )


def cells_told_by_one_lamp(rows: int = 256) -> CellStack:
    """A bright square in infected cells, under the corner lamp 4 and its mirrors alone; other lamps see noise."""
    rng = np.random.default_rng(5)
    infected = rng.random(rows) < 0.5
    images = 0.5 + 0.02 * rng.standard_normal((rows, 25, 8, 8))
    corners = [0, 4, 20, 24]
    images[np.ix_(infected, corners, range(3, 5), range(3, 5))] += 0.4
    system = ImagingSystem(na=0.15, sample_px=64, sample_pixel_um=0.3, camera_pixel_um=2.4)
    return stack_of(images, infected, system)


def model(seed: int = 0, **keys: object) -> CellModel:
    return CellModel(LAMPS, 8, CellLightConfig.model_validate(keys), torch.Generator().manual_seed(seed), network=SMALL)


def test_the_light_goes_to_the_lamps_that_tell_and_the_network_reads_them():
    stack, generator = cells_told_by_one_lamp(), torch.Generator().manual_seed(1)
    learned = model(start="all LEDs")
    before = learned.light().detach()[0]
    losses = train_cells(learned, stack, np.arange(192), SHORT, generator)
    after = learned.light().detach()[0]
    corners = [0, 4, 20, 24]
    others = [k for k in range(25) if k not in corners]
    assert losses[-1] < losses[0]
    assert float((after - before)[corners].mean()) > float((after - before)[others].mean())
    odds = cell_odds(learned, stack, np.arange(192, 256), generator)
    assert ((odds > 0) == stack.infected[192:]).mean() > 0.9


def test_an_interrupted_training_ends_in_the_same_bytes(tmp_path: Path):
    stack = cells_told_by_one_lamp()
    whole, halted = model(), model()
    one, two = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    train_cells(whole, stack, np.arange(128), SHORT, one)
    train_cells(halted, stack, np.arange(128), SHORT, two, checkpoint=tmp_path / "c", digest="d", stop_at=2)
    resumed, three = model(), torch.Generator().manual_seed(99)
    train_cells(resumed, stack, np.arange(128), SHORT, three, checkpoint=tmp_path / "c", digest="d")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    with pytest.raises(ModelMismatch):
        train_cells(model(), stack, np.arange(128), SHORT, three, checkpoint=tmp_path / "c", digest="other")


def test_labels_of_tested_cells_do_not_reach_the_training():
    stack = cells_told_by_one_lamp()
    flipped = stack.infected.copy()
    flipped[128:] = ~flipped[128:]
    other = stack_of(stack.images, flipped, stack.system)
    odds = []
    for each in (stack, other):
        generator = torch.Generator().manual_seed(1)
        trained = model()
        train_cells(trained, each, np.arange(128), SHORT, generator)
        odds.append(cell_odds(trained, each, np.arange(128, 256), generator))
    assert np.array_equal(*odds)


# the camera is coarse so that the test is quick
@pytest.mark.filterwarnings("ignore::lsm.optics.AliasingWarning")
@pytest.mark.parametrize("k", range(8))
def test_a_turned_cell_under_a_light_is_the_cell_under_the_turned_light(k: int):
    rng = torch.Generator().manual_seed(3)
    system = ImagingSystem(na=0.15, sample_px=64, sample_pixel_um=0.3, camera_pixel_um=2.4)
    sample = torch.polar(0.7 + 0.3 * torch.rand(64, 64, generator=rng), torch.rand(64, 64, generator=rng))
    weights = torch.rand(1, 25, generator=rng)
    turned = torch.einsum("pl,lyx->pyx", weights, led_stack(turn(sample, k).contiguous(), BOARD, system))
    turns = Turns(LAMPS, 8)
    plain = torch.einsum("pl,lyx->pyx", turns.light(weights)[k], led_stack(sample, BOARD, system))
    back = turns.back(plain[None], torch.tensor([k]))[0]
    # float32 sums over 25 lamps of images of order 1
    assert torch.allclose(back, turned, atol=2e-5)


def test_a_frozen_exposure_does_not_hang_on_the_order_of_the_cells():
    infected = np.arange(1536) < 768
    images = np.full((1536, 25, 8, 8), 0.5)
    images[infected, :, 3:5, 3:5] = 2.0
    stack = stack_of(images, infected)
    exposed = model(kind="all LEDs")
    exposed.capture.budget = PhotonBudget(electrons=8000.0)
    exposed.freeze(stack, np.arange(1536))
    brightest = float(exposed.capture.exposure) * 2.0 * float(exposed.irradiance.sum())
    # the quantile stands for the brightest pixels, of which three in a hundred are alike here
    assert brightest == pytest.approx(0.9 * exposed.capture.camera.full_well_e, rel=1e-3)
    exposed.freeze(stack, np.random.default_rng(0).permutation(1536))
    assert float(exposed.capture.exposure) * 2.0 * float(exposed.irradiance.sum()) == pytest.approx(brightest, rel=1e-3)


def test_a_whole_step_of_cells_is_needed():
    with pytest.raises(ConfigError, match="10 cells do not fill a step of 32"):
        train_cells(model(), cells_told_by_one_lamp(), np.arange(10), SHORT, torch.Generator())


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_both_networks_learn(kind: str):
    stack, generator = cells_told_by_one_lamp(), torch.Generator().manual_seed(1)
    network = NetworkConfig.model_validate({"kind": kind, "widths": (8, 8), "hidden": 8})
    lit = CellLightConfig(kind="all LEDs")
    reader = CellModel(LAMPS, 8, lit, torch.Generator().manual_seed(0), network=network)
    losses = train_cells(reader, stack, np.arange(256), SHORT, generator)
    assert losses[-1] < 0.8 * losses[0]
