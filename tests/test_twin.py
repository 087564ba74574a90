"""The computed microscope keeps the contract of devices.Microscope and adds light as light adds."""

import numpy as np
import pytest
import torch

from lsm.devices import Microscope, Observe
from lsm.errors import IlluminatorError, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark, dark_field
from lsm.optics import Camera, ImagingSystem
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import FieldRenderer, GridBoardConfig, Twin, TwinConfig

CONFIG = TwinConfig(
    system=ImagingSystem(sample_px=256, margin_px=8),
    led_board=GridBoardConfig(rows=5, columns=5, pitch_mm=4.0),
    camera=Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0),
    cached_positions=2,
)
SMEAR = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 0)
HERE = (150.0, 100.0)


@pytest.fixture
def twin() -> Twin:
    return Twin(SMEAR, CONFIG, seed=0)


@pytest.fixture
def renderer() -> FieldRenderer:
    return FieldRenderer(SMEAR, CONFIG.led_board.board(), CONFIG)


def levels_of(board: LedBoard, leds: list[int], level: int, colour: int = 1) -> np.ndarray:
    levels = np.zeros((board.n_leds, board.n_colours), dtype=np.uint8)
    levels[leds, colour] = level
    return levels


def test_default_rig_has_169_leds_nine_of_them_bright_field_and_192_pixels():
    config = TwinConfig.default()
    board = config.led_board.board()
    assert board.n_leds == 169
    assert int((board.na <= config.system.na).sum()) == 9
    assert config.system.camera_px == 192


def test_a_frame_says_what_was_shown_where(twin: Twin):
    assert isinstance(twin, Microscope)
    pattern = bright_field(twin.board, na=0.1)
    frame = twin.observe(Observe(pattern, 10.0, xy_um=HERE, z_um=5.0))
    assert frame.image.dtype == np.uint16
    assert frame.image.shape == (48, 48)
    assert np.array_equal(frame.shown.levels, pattern.levels)
    assert (frame.xy_um, frame.z_um) == (HERE, 5.0)
    again = twin.observe(Observe(pattern, 10.0))
    assert (again.xy_um, again.z_um) == (HERE, 5.0)
    assert again.shown.latch == frame.shown.latch + 1
    twin.close()
    twin.close()


def test_the_same_seed_and_requests_give_the_same_images():
    def run(seed: int) -> bytes:
        twin = Twin(SMEAR, CONFIG, seed)
        patterns = (bright_field(twin.board, na=0.1), dark_field(twin.board, na=0.1))
        return b"".join(twin.observe(Observe(p, 20.0, xy_um=HERE)).image.tobytes() for p in patterns)

    assert run(1) == run(1) != run(2)


def test_an_empty_slide_gives_the_stated_flux():
    empty = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0, precipitate_per_mm2=0.0), 0)
    board = CONFIG.led_board.board()
    renderer = FieldRenderer(empty, board, CONFIG)
    far = (-1000.0, -1000.0)
    axis = renderer.rate(levels_of(board, [12], 255), far, 0.0)
    # float32 FFTs
    torch.testing.assert_close(axis, torch.full((48, 48), 100.0), rtol=1e-5, atol=0)
    oblique = renderer.rate(levels_of(board, [13], 51), far, 0.0)
    expected = 100 * 51 / 255 * float(board.relative_irradiance[13])
    torch.testing.assert_close(oblique, torch.full((48, 48), expected), rtol=1e-5, atol=0)
    # beyond the objective's aperture nothing arrives, but for rounding in the pixel filter
    assert float(renderer.rate(levels_of(board, [0], 255), far, 0.0).abs().max()) < 1e-4


@pytest.mark.filterwarnings("ignore::lsm.optics.AliasingWarning")  # blue, at these pixels
def test_light_of_leds_and_colours_adds(renderer: FieldRenderer):
    board = renderer.board
    green, blue = levels_of(board, [12, 7], 200), levels_of(board, [3], 90, colour=2)
    together = renderer.rate(green + blue, HERE, 0.0)
    # float32 sums around 200 e/ms
    torch.testing.assert_close(
        together, renderer.rate(green, HERE, 0.0) + renderer.rate(blue, HERE, 0.0), rtol=1e-5, atol=1e-3
    )
    assert float(renderer.rate(levels_of(board, [], 0), HERE, 0.0).abs().max()) == 0.0


def test_images_from_the_cache_equal_fresh_ones_and_old_positions_are_forgotten(renderer: FieldRenderer):
    levels = levels_of(renderer.board, list(range(25)), 255)
    first = renderer.rate(levels_of(renderer.board, [4], 255), HERE, 0.0)
    renderer.prepare(HERE, 0.0)
    full = renderer.rate(levels, HERE, 0.0)
    for x_um in (60.0, 90.0, 120.0):
        renderer.rate(levels, (x_um, 100.0), 0.0)
        assert renderer.cached <= CONFIG.cached_positions
    # LEDs computed in another grouping: float32 rounding
    torch.testing.assert_close(renderer.rate(levels, HERE, 0.0), full, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(
        renderer.rate(levels_of(renderer.board, [4], 255), HERE, 0.0), first, rtol=1e-5, atol=1e-3
    )


def test_moving_the_stage_to_plus_x_moves_the_image_to_minus_x(renderer: FieldRenderer):
    levels = levels_of(renderer.board, [6, 7, 8, 11, 12, 13, 16, 17, 18], 255)
    here = renderer.rate(levels, HERE, 0.0)
    moved = renderer.rate(levels, (HERE[0] + 12.0, HERE[1] - 6.0), 0.0)
    shifted, kept = moved[5:, :-10], here[:-5, 10:]
    # what wraps around the small field leaks past the margin by a few per cent
    assert float((shifted - kept).abs().mean()) < 0.02 * float(here.mean())
    assert float((moved - here).abs().mean()) > 0.05 * float(here.mean())


def test_defocus_blurs(renderer: FieldRenderer):
    levels = levels_of(renderer.board, [12, 7], 255)
    assert float((renderer.rate(levels, HERE, 40.0) - renderer.rate(levels, HERE, 0.0)).abs().mean()) > 1.0


def test_dark_pattern_leaves_offset_and_read_noise(twin: Twin):
    image = twin.observe(Observe(dark(twin.board), 50.0)).image
    # 2304 px of 3 e / 2.5 e per ADU: standard error 0.025 ADU; five sigma
    assert abs(float(image.mean()) - 20.0) < 0.13


@pytest.mark.parametrize(
    "change", [{"xy_um": (-1.0, 5.0)}, {"xy_um": (5.0, 201.0)}, {"z_um": 500.0}, {"exposure_ms": 0.0}]
)
def test_requests_beyond_the_limits_move_nothing(twin: Twin, change: dict[str, object]):
    pattern = bright_field(twin.board, na=0.1)
    before = twin.observe(Observe(pattern, 1.0))
    arguments: dict[str, object] = {"exposure_ms": 1.0} | change
    with pytest.raises(LimitExceeded):
        twin.observe(Observe(pattern, **arguments))  # type: ignore[arg-type]
    after = twin.observe(Observe(pattern, 1.0))
    assert (after.xy_um, after.z_um, after.shown.latch) == (before.xy_um, before.z_um, before.shown.latch + 1)


def test_light_for_another_board_is_refused(twin: Twin, renderer: FieldRenderer):
    other = LedBoard.grid(rows=5, columns=5, pitch_mm=5.0, distance_mm=50.0)
    with pytest.raises(IlluminatorError):
        twin.observe(Observe(Pattern.of_colour(other, np.ones(25)), 1.0))
    with pytest.raises(WrongFormat):
        renderer.rate(np.zeros((24, 3), dtype=np.uint8), HERE, 0.0)
