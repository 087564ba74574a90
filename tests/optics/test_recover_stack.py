"""Recovery from simulated stacks, where the truth is known, and what it refuses."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, ModelMismatch, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, led_stack
from lsm.optics.recover import RecoverConfig, Recovered, correlation, recover
from lsm.optics.recover.aperture import SoftPupil
from lsm.optics.recover.pose import BoardPose, spread_positions
from lsm.optics.recover.stages import plan_stages

SYSTEM = ImagingSystem(na=0.10, wavelength_um=0.5, camera_pixel_um=1.2, sample_pixel_um=0.3, sample_px=192, margin_px=8)
BOARD = LedBoard.grid(rows=7, columns=7, pitch_mm=4.0, distance_mm=80.0)
CONFIG = RecoverConfig(epochs=60, batch_leds=7)
BRIEF = CONFIG.model_copy(update={"epochs": 4, "grow_epochs": 2, "calibrate_from": 1})
EVERY = torch.arange(BOARD.n_leds)
HELD = (17, 40)


def blobs() -> torch.Tensor:
    """A sample with detail up to the highest NA, absorbing and shifting phase."""
    generator = torch.Generator().manual_seed(3)
    cycles = torch.fft.fftfreq(SYSTEM.sample_px, SYSTEM.sample_pixel_um)
    smooth = torch.exp(-((torch.hypot(cycles[:, None], cycles) / 0.35) ** 2))
    noise = torch.randn(2, SYSTEM.sample_px, SYSTEM.sample_px, generator=generator)
    fields = torch.fft.ifft2(torch.fft.fft2(noise) * smooth).real
    absorption, phase = fields / fields.std((1, 2), keepdim=True)
    return torch.polar(torch.exp(-0.15 * absorption - 0.3), 0.5 * phase)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Steps this small are slower on several threads, much slower where other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def truth() -> tuple[LedBoard, np.ndarray, torch.Tensor]:
    """A board whose LEDs are off by 0.2 mm r.m.s., their gains and the images they give through an aberrated pupil."""
    random = np.random.default_rng(5)
    moved = BOARD.positions_mm.copy()
    moved[:, :2] += random.normal(0, 0.2 / np.sqrt(2), (BOARD.n_leds, 2))
    board = replace(BOARD, positions_mm=moved)
    gains = np.exp(random.normal(0, 0.1, BOARD.n_leds))
    images = led_stack(blobs(), board, SYSTEM, pupil=ZernikePupil({5: 0.05, 8: -0.06}), defocus_um=12.0, edge="soft")
    return board, gains, images * torch.from_numpy(gains).float()[:, None, None]


@pytest.fixture(scope="module")
def found(truth: tuple[LedBoard, np.ndarray, torch.Tensor]) -> Recovered:
    """Recovered from all but two LEDs, starting from the board as it was meant and a focus 4 um off."""
    kept = torch.tensor([led for led in EVERY.tolist() if led not in HELD])
    return recover(truth[2][kept], BOARD, SYSTEM, leds=kept, defocus_um=8.0, config=CONFIG)


def test_the_model_explains_the_images(found: Recovered):
    # what is left is the end of the descent: 60 epochs reach a relative misfit of 2 % of the amplitude
    assert np.median(found.correlation) > 0.995
    assert np.median(found.residual) < 0.04
    assert found.losses[-1] < 0.05 * found.losses[0]


def test_withheld_leds_are_predicted(found: Recovered, truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    held = torch.tensor(HELD)
    # their places are known to the 0.2 mm by which single LEDs are off, a quarter of a bin: 0.99 was reached
    assert correlation(found.predict(held), truth[2][held]).min() > 0.97


def test_pupil_and_defocus_are_found(found: Recovered):
    waves = found.pupil.phase_waves()
    errors = [value - {5: 0.05, 8: -0.06}.get(noll, 0.0) for noll, value in waves.items()]
    # 0.001 wave was reached; a tenth of the smaller coefficient is asked for
    assert np.abs(errors).max() < 0.005
    # 4 um off at the start; the depth of field at NA 0.1 is 50 um
    assert abs(found.defocus_um - 12.0) < 0.5
    assert abs(found.pupil.fitted_na - SYSTEM.na) < 0.001


def test_positions_are_found(found: Recovered, truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    meant, true = BOARD.positions_mm[found.leds, :2], truth[0].positions_mm[found.leds, :2]
    # along their rays to the true distance: only directions act
    flat = (found.positions_mm[:, :2] * (80.0 / -found.positions_mm[:, 2:]))[found.leds]
    before, after = (np.sqrt(((places - true) ** 2).sum(1).mean()) for places in (meant, flat))
    assert before > 0.17
    # a bin of this 58 um field is 0.7 mm wide; 0.043 mm was reached
    assert after < 0.07


def test_gains_are_found(found: Recovered, truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    off = np.log(found.gains / truth[1])[found.leds]
    inside = np.abs(BOARD.na[found.leds] - SYSTEM.na) > 0.005
    # gains that fall smoothly with NA look like a sample with less detail: 0.033 of 0.09 remain; and an LED
    # on the aperture's edge, left out here, trades gain for place
    assert np.std(off[inside]) < 0.045


def test_the_sample_is_found_inside_the_field(found: Recovered):
    inner = slice(40, -40)
    a, b = blobs()[inner, inner], found.transmission[inner, inner]
    # 3 % of the sample's power, beyond NA 0.3 and at the grid's rim, passes under no LED
    assert float(torch.vdot(a.flatten(), b.flatten()).abs() / a.norm() / b.norm()) > 0.96


def test_the_same_seed_gives_the_same_result(truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    first, second = (recover(truth[2], BOARD, SYSTEM, config=BRIEF) for _ in range(2))
    assert torch.equal(first.transmission, second.transmission)


def test_an_interrupted_recovery_goes_on(tmp_path: Path, truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    config = BRIEF.model_copy(update={"checkpoint_s": 1e-6})
    kept = tmp_path / "kept"

    def stop(done: int, total: int, loss: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(truth[2], BOARD, SYSTEM, config=config, progress=stop, checkpoint=kept)
    with pytest.raises(ModelMismatch, match="another recovery"):
        recover(2 * truth[2] + 1, BOARD, SYSTEM, config=config, checkpoint=kept)
    seen: list[int] = []
    resumed = recover(
        truth[2], BOARD, SYSTEM, config=config, progress=lambda done, total, loss: seen.append(done), checkpoint=kept
    )
    assert seen == [3, 4]
    assert not kept.exists()
    assert torch.equal(resumed.transmission, recover(truth[2], BOARD, SYSTEM, config=config).transmission)


def test_a_board_far_off_is_moved_as_a_whole_first():
    stages = plan_stages(CONFIG.model_copy(update={"board_error_mm": 1.0}), BOARD.na, SYSTEM.na)
    assert [stage.config.rate_offset_mm for stage in stages] == [0.0, 0.0, CONFIG.rate_offset_mm]
    assert all(stage.fitted.all() and not stage.sought.any() for stage in stages)


def test_leds_far_off_are_sought_from_the_axis_outwards():
    near = plan_stages(CONFIG, BOARD.na, SYSTEM.na)
    far = plan_stages(CONFIG.model_copy(update={"position_error_mm": 1.0}), BOARD.na, SYSTEM.na)
    assert len(near) == 1
    assert all(not (stage.fitted & stage.sought).any() for stage in far)
    assert far[-1].fitted.all()
    assert far[0].fitted.sum() < far[-2].fitted.sum()
    assert np.logical_or.reduce([stage.sought for stage in far]).all()


def test_leds_without_images_follow_the_others():
    pose = BoardPose(BOARD)
    with torch.no_grad():
        pose.pose.copy_(torch.tensor([0.5, -0.3, 0.4, 0.2, 0.1, -0.1]))
    found = pose().detach().numpy()
    fitted = np.ones(BOARD.n_leds, dtype=bool)
    fitted[list(HELD)] = False
    spoiled = np.where(fitted[:, None], found, BOARD.positions_mm)
    # a pose moves LEDs by a polynomial of their place: equal but for rounding
    np.testing.assert_allclose(spread_positions(BOARD.positions_mm, spoiled, fitted), found, atol=1e-9)


def test_polynomials_of_the_pupil_are_zernikes():
    pupil = SoftPupil(0.1, edge_na=1e-4, phase_order=4, amplitude_order=2)
    with torch.no_grad():
        pupil.waves_rms[3] = 0.2
        pupil.log_amplitude[1] = 0.1
    fx = torch.linspace(-0.13, 0.13, 9)[None, None, :]
    fy = fx.transpose(1, 2) * 0.9
    wanted = ZernikePupil({8: 0.2}, {3: 0.1})(fx, fy, SYSTEM)
    # float32 polynomials of fourth order
    torch.testing.assert_close(pupil(fx, fy, SYSTEM), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda images: images[:, :-1], "not \\(32, 32\\) px"),
        (lambda images: images[:3], "3 LEDs are too few"),
        (lambda images: images - 10, "has a mean of"),
        (lambda images: images.index_fill(0, torch.tensor([2]), float("nan")), "image of LED 2 holds nan"),
    ],
)
def test_bad_images_are_refused_by_name(
    spoil: Callable[[torch.Tensor], torch.Tensor], sentence: str, truth: tuple[LedBoard, np.ndarray, torch.Tensor]
):
    images = spoil(truth[2])
    with pytest.raises(WrongFormat, match=sentence):
        recover(images, BOARD, SYSTEM, leds=EVERY[: len(images)], config=BRIEF)


def test_leds_beyond_the_grid_or_too_far_apart_are_refused(truth: tuple[LedBoard, np.ndarray, torch.Tensor]):
    near = LedBoard.grid(rows=7, columns=7, pitch_mm=4.0, distance_mm=6.0)
    with pytest.raises((WrongFormat, ConfigError)):
        recover(truth[2], near, SYSTEM, config=BRIEF)
    sparse = LedBoard.grid(rows=3, columns=3, pitch_mm=20.0, distance_mm=80.0)
    with pytest.raises(WrongFormat, match="apart in NA"):
        recover(truth[2][:9], sparse, SYSTEM, config=BRIEF)
