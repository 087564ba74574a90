"""Light at a cell: the sensing code's image, the twin's rate, books of patterns, and the default reader."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lsm.agent.adaptive import BatchAdaptiveEnv, Capture, CellSource, LightBook, Reader, build_world, named_lights
from lsm.agent.adaptive.invented import FLUX_E_PER_MS, invented_stack, invented_world
from lsm.agent.adaptive.light import lamps_of_stack
from lsm.agent.adaptive.naive import TEMPLATE_LEVELS, scores
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import ConfigError, InputError
from lsm.illum import Pattern, annulus, single_led
from lsm.optics import Camera, ImagingSystem, _native, led_stack
from lsm.optics.exposures import expose_rows
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import CellCapture, PhotonBudget
from lsm.sensing.cells.light import Lamps
from lsm.twin import FieldRenderer, GridBoardConfig, TwinConfig

DRAWS = 300


@pytest.fixture(scope="module")
def world() -> AdaptiveWorld:
    return invented_world()


def test_a_capture_is_the_image_of_the_cell_experiments(world: AdaptiveWorld):
    """Same cell, pattern and exposure, through CellCapture with its own noise."""
    stack, book = world.source.stack, world.light
    assert isinstance(book, LightBook)
    row, pattern = 3, 1
    env = BatchAdaptiveEnv(world)
    env.reset(DRAWS, 0, rows=torch.full((DRAWS,), row))
    frames = env.step(torch.full((DRAWS,), pattern)).view.frame.double()
    ours = (frames - world.camera.offset_adu) * world.camera.gain_e_per_adu
    capture = CellCapture(world.camera, PhotonBudget(flux_e_per_ms=FLUX_E_PER_MS)).eval()
    capture.exposure = torch.tensor([float(book.exposure_ms[pattern]) * FLUX_E_PER_MS])
    weights = torch.from_numpy(book.duty[pattern] * world.irradiance)[None]
    images = stack.mix(np.full(DRAWS, row), weights)
    channel = torch.zeros(1, dtype=torch.int64)
    theirs = capture(images, weights.sum(1), channel, torch.ones(1), torch.Generator().manual_seed(0)).double()
    variance = (ours.var(0) + theirs.var(0)) / DRAWS
    # 256 means over 300 draws: five standard errors
    assert float(((ours.mean(0) - theirs.mean(0)).abs() / variance.sqrt()).max()) < 5
    # digits add a twelfth of their square to the variance; five standard errors of each ratio
    digits = world.camera.gain_e_per_adu**2 / 12
    assert float(((ours.var(0) - digits) / theirs.var(0) - 1).abs().max()) < 5 * (4 / DRAWS) ** 0.5


def test_light_is_what_the_twin_computes():
    board = GridBoardConfig(rows=5, columns=5)
    system = ImagingSystem(sample_px=128, margin_px=8)
    config = TwinConfig(system=system, led_board=board)
    smear = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 0)
    seen = smear.transmission(
        x_um=150.0, y_um=100.0, n_px=128, pixel_um=system.sample_pixel_um, wavelength_um=system.wavelength_um
    )
    lamps = board.board()
    images = led_stack(torch.from_numpy(seen), lamps, system).numpy().astype(np.float16)
    stack = CellStack(
        np.stack([images, images]),
        led=np.arange(25),
        colour=np.ones(25, dtype=np.int64),
        infected=np.array([True, False]),
        patient=np.array(["a", "b"]),
        crop=np.arange(2),
        board=lamps,
        system=system,
        source="one field",
    )
    pattern = annulus(lamps, na_min=0.03, na_max=0.3)
    book = LightBook.from_patterns([pattern], lamps_of_stack(stack), [20.0])
    per_duty = torch.from_numpy((lamps.relative_irradiance * config.led_flux_e_per_ms).astype(np.float32))
    ours = CellSource(stack).rate(torch.tensor([1]), torch.from_numpy(book.duty) * per_duty)[0]
    theirs = FieldRenderer(smear, lamps, config).rate(pattern.levels, (150.0, 100.0), 0.0)
    # images kept in half precision are off by at most 2^-11 each, and so is their sum
    torch.testing.assert_close(ours, theirs, rtol=2.0**-11, atol=1e-4)


@pytest.mark.parametrize("native", [True, False], ids=["kernel", "torch"])
def test_light_is_the_same_alone_and_in_a_batch(world: AdaptiveWorld, native: bool, monkeypatch: pytest.MonkeyPatch):
    if not native:
        monkeypatch.setattr(_native, "library", lambda: None)
    rows = torch.randint(96, (50,), generator=torch.Generator().manual_seed(0))
    weights = torch.rand(50, 9, generator=torch.Generator().manual_seed(1))
    whole = world.source.rate(rows, weights)
    for place in (0, 7, 8, 49):
        one = slice(place, place + 1)
        assert torch.equal(world.source.rate(rows[one], weights[one]), whole[one])


def test_books_come_from_patterns_and_go_back(world: AdaptiveWorld):
    _, lamps = invented_stack(4, patients=2)
    patterns = [single_led(lamps.board, 4), Pattern.of_colour(lamps.board, np.linspace(0, 1, 9), name="ramp")]
    book = LightBook.from_patterns(patterns, lamps, [10.0, 20.0])
    assert [one.levels.tolist() for one in book.patterns(lamps)] == [one.levels.tolist() for one in patterns]
    doses = [float(one.levels.sum()) / 255 * ms / 1000 for one, ms in zip(patterns, (10, 20), strict=True)]
    assert book.lights_led_s.tolist() == pytest.approx(doses)
    assert book.names == ("LED 4", "ramp")
    other = LightBook.from_patterns(patterns, lamps, [10.0, 21.0])
    assert len({book.digest, other.digest}) == 2
    assert isinstance(world.light, LightBook)
    # a signed light is two patterns
    assert len(named_lights(lamps, ("centre", "PC +/-"))) == 3


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda lamps: LightBook(np.zeros((0, 9), np.float32), np.zeros(0)), "no book"),
        (lambda lamps: LightBook(np.full((1, 9), -0.5, np.float32), np.ones(1)), "cannot be shown"),
        (lambda lamps: LightBook(np.zeros((1, 9), np.float32), np.ones(1)), "a pattern is dark"),
        (lambda lamps: LightBook(np.ones((1, 9), np.float32), np.zeros(1)), "exposure of 0 ms"),
        (lambda lamps: LightBook.from_patterns([single_led(lamps.board, 4, colour=0)], lamps, [1.0]), "no images"),
    ],
)
def test_lights_that_cannot_be_are_refused(make: Callable[[Lamps], LightBook], what: str):
    with pytest.raises(ConfigError, match=f"{what}.* Hint: "):
        make(invented_stack(4, patients=2)[1])


def test_parts_that_do_not_belong_together_are_refused(world: AdaptiveWorld):
    book = LightBook(np.ones((1, 4), np.float32), np.ones(1))
    with pytest.raises(ConfigError, match="9 lamps, the lights are of 4"):
        AdaptiveWorld(world.source, book, world.reader, irradiance=world.irradiance)
    healthy = world.source.stack.where(~world.source.stack.infected)
    with pytest.raises(InputError, match="of one kind"):
        CellSource(healthy)
    with pytest.raises(ConfigError, match="board or optics"):
        lamps_of_stack(world.source.stack)


def test_exposures_and_reader_come_from_other_patients():
    stack, lamps = invented_stack(64)
    mine = np.isin(stack.patient, ["P0", "P1"])
    duty = named_lights(lamps, ("centre", "dark field"))
    whole = build_world(stack.where(mine), lamps, learn_from=stack.where(~mine), duty=duty)
    assert whole.source.stack.patients().tolist() == ["P0", "P1"]
    assert whole.rules.n_patterns == 2
    apart = build_world(stack.where(~mine), lamps, duty=duty)
    assert whole.digest == apart.digest
    assert whole.digest != build_world(stack, lamps, duty=duty).digest
    with pytest.raises(InputError, match="trained on and tested"):
        build_world(stack, lamps, learn_from=stack.where(mine), duty=duty)


def test_the_reader_adds_what_single_frames_say(world: AdaptiveWorld):
    assert isinstance(world.reader, Reader)
    env = BatchAdaptiveEnv(world)
    env.reset(500, 0)
    right = []
    for pattern in range(5):
        env.step(torch.full((500,), pattern))
        right.append(float(((env.view.belief > 0.5) == env.infected).double().mean()))
    # far from chance, and better for having looked more often
    assert right[0] > 0.65
    assert right[-1] > right[0]


def test_a_frame_is_read_alike_in_every_batch(world: AdaptiveWorld):
    n = 200
    rate = world.source.rate(torch.arange(n) % 96, torch.full((n, 9), 20.0))
    key = torch.stack([torch.arange(n), torch.arange(n)], 1)
    frame = expose_rows(rate, torch.full((n,), 5.0), Camera(), key, torch.zeros(n, dtype=torch.int64))
    pattern = torch.arange(n) % 5
    rest = (torch.ones(n, 9), torch.full((n,), 5.0), torch.zeros(n, dtype=torch.int64))
    memory = torch.zeros(n, 1)
    whole = world.reader.read(Capture(frame, pattern, *rest), memory)
    for row in (0, 3, 77, 199):
        one = slice(row, row + 1)
        alone = world.reader.read(Capture(frame[one], pattern[one], *(part[one] for part in rest)), memory[one])
        assert [part.numpy().tobytes() for part in alone] == [part[one].numpy().tobytes() for part in whole]


def test_scores_are_products_with_the_frame_in_units_of_its_spread():
    frame = torch.tensor([[[10, 20], [30, 40]]], dtype=torch.int32)
    template = torch.tensor([[-1.0, 0.0, 0.0, 1.0]], dtype=torch.float64) * TEMPLATE_LEVELS
    score, mean, spread = scores(frame, torch.zeros(1, dtype=torch.int64), template)
    assert float(mean) == 25
    assert float(spread) == pytest.approx(125**0.5)
    assert float(score) == pytest.approx(30 / (125**0.5 + 12))
