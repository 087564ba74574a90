"""A recorded LED stack answers as the microscope would have, within its noise, and refuses what it does not hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsm.devices import Frame, Microscope, Observe, Shown
from lsm.errors import ConfigError, IlluminatorError, InputError, LimitExceeded, NotMeasured
from lsm.illum import LedBoard, Pattern, bright_field, dark, dark_field, half_disc, single_led
from lsm.optics import Camera, ImagingSystem
from lsm.record import Recorder, open_record
from lsm.record.replay import Replay
from lsm.record.stacks import LedImages, StackCamera
from lsm.record.stacks_recording import RecordedStack
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

CAMERA = Camera()
CONFIG = TwinConfig(
    system=ImagingSystem(sample_px=288, margin_px=4), camera=CAMERA, led_board=GridBoardConfig(rows=5, columns=5)
)
BOARD = CONFIG.led_board.board()
NA = 0.13
HERE, THERE = (60.0, 60.0), (180.0, 90.0)
LED_MS, DARK_FRAMES = 8.0, 4
# the well fills before the digits end; five standard deviations of read noise below
FULL_ADU = float(CAMERA.full_well_e / CAMERA.gain_e_per_adu + CAMERA.offset_adu - 5 * CAMERA.read_noise_e)
KNOWN = {
    "gain_e_per_adu": CAMERA.gain_e_per_adu,
    "read_noise_e": CAMERA.read_noise_e,
    "saturated_adu": FULL_ADU,
    "offset_adu": CAMERA.offset_adu,
}
BRIGHT, DARK_FIELD = bright_field(BOARD, na=NA), dark_field(BOARD, na=NA)
WHITE = Pattern.of(BOARD, np.full((BOARD.n_leds, 3), 0.5, dtype=np.float32), name="white")


def twin(seed: int) -> Twin:
    smear = SmearConfig(width_um=240.0, height_um=150.0)
    return Twin(ProceduralSmear(smear, seed=4), CONFIG, seed)


def record(path: Path, *, seed: int = 1, led_ms: float = LED_MS, repeats: int = 1, header: object = KNOWN) -> Path:
    """Every LED by itself in green at two places, one red LED, dark frames, and frames of many LEDs among them."""
    microscope = twin(seed)
    with Recorder(path, {"camera": header} if header else {}) as recorder:
        for _ in range(DARK_FRAMES):
            recorder.add(microscope.observe(Observe(dark(BOARD), led_ms, HERE)))
        for place in (HERE, THERE):
            recorder.add(microscope.observe(Observe(BRIGHT, 1.0, place)))
            for led in list(range(BOARD.n_leds)) * repeats:
                recorder.add(microscope.observe(Observe(single_led(BOARD, led), led_ms)))
        recorder.add(microscope.observe(Observe(single_led(BOARD, 12, colour=0), led_ms, HERE)))
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("stack") / "leds.h5")


@pytest.fixture
def stack(recorded: Path) -> Iterator[RecordedStack]:
    found = RecordedStack(open_record(recorded), BOARD)
    yield found
    found.close()


def reduced_chi_square(one: Frame, other: Frame, variance: np.ndarray) -> float:
    apart = one.image.astype(np.float64) - other.image
    return float((apart**2 / variance).mean())


def captured_variance(frame: Frame) -> np.ndarray:
    """Of one capture in ADU^2, after EMVA 1288, from its own values; rounding included."""
    light = (frame.image - CAMERA.offset_adu).clip(min=0)
    return light / CAMERA.gain_e_per_adu + (CAMERA.read_noise_e / CAMERA.gain_e_per_adu) ** 2 + 1 / 12


# N independent pixels leave sqrt(2 / N) of scatter in a mean of squares; five of those
CHI_TOLERANCE = 5 * np.sqrt(2 / CONFIG.system.camera_px**2)


@pytest.mark.parametrize("pattern", [BRIGHT, DARK_FIELD, half_disc(BOARD, na=NA, angle_rad=0.0)], ids=lambda p: p.name)
@pytest.mark.parametrize("place", [HERE, THERE])
def test_a_replayed_frame_is_a_captured_one_within_their_noise(
    stack: RecordedStack, pattern: Pattern, place: tuple[float, float]
):
    """Same slide, same camera, other noise: no more and no less apart than both noises together."""
    exposure_ms = 4.0
    replayed = Replay(stack).observe(Observe(pattern, exposure_ms, place))
    captured = twin(99).observe(Observe(pattern, exposure_ms, place))
    variance = replayed.variance_adu2 + captured_variance(captured)
    assert reduced_chi_square(replayed, captured, variance) == pytest.approx(1.0, abs=CHI_TOLERANCE)
    # the propagated part is needed for that
    assert reduced_chi_square(replayed, captured, captured_variance(captured)) > 1 + 2 * CHI_TOLERANCE


def test_the_metadata_say_what_the_sum_is_made_of(stack: RecordedStack):
    frame = Replay(stack).observe(Observe(BRIGHT, 1.0))
    assert frame.metadata["images_summed"] == str(int(BRIGHT.levels.any(axis=1).sum()))
    assert float(frame.metadata["noise_sd_adu_median"]) == pytest.approx(
        float(np.sqrt(np.median(frame.variance_adu2))), rel=1e-3
    )
    assert isinstance(Replay(stack), Microscope)
    assert isinstance(stack, LedImages)
    assert (frame.xy_um, frame.z_um, frame.shown.levels.sum()) == (HERE, 0.0, BRIGHT.levels.sum())


def test_a_frame_of_one_led_as_it_was_measured_is_the_measured_frame(recorded: Path, stack: RecordedStack):
    with open_record(recorded) as recording:
        measured = recording.frame(DARK_FRAMES + 1 + 7)
        replayed = Replay(stack).observe(measured.request)
    # sums in float32: far below a digit
    assert np.abs(replayed.sum_adu - measured.image).max() < 1e-2
    assert np.array_equal(replayed.image, measured.image)


@given(
    weights=st.lists(st.integers(0, 255), min_size=BOARD.n_leds, max_size=BOARD.n_leds),
    exposure_ms=st.floats(0.05, 1.0),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pattern_is_the_weighted_sum_of_the_measured_frames(
    recorded: Path, stack: RecordedStack, weights: list[int], exposure_ms: float
):
    """The definition, written down once more from the frames of the file in float64."""
    pattern = Pattern.of_colour(BOARD, np.array(weights) / 255, name="any")
    with open_record(recorded) as recording:
        black = np.mean([recording.frame(index).image for index in range(DARK_FRAMES)], axis=0)
        expected, variance, left = black.copy(), np.zeros_like(black), 1.0
        read = (CAMERA.read_noise_e / CAMERA.gain_e_per_adu) ** 2 + 1 / 12
        for led, weight in enumerate(weights):
            share = weight / 255 * exposure_ms / LED_MS
            light = recording.frame(DARK_FRAMES + 1 + led).image - black
            expected += share * light
            variance += share**2 * (light.clip(min=0) / CAMERA.gain_e_per_adu + read)
            left -= share
    frame = Replay(stack).observe(Observe(pattern, exposure_ms))
    # float32 images of a few thousand ADU, 25 of them
    assert np.allclose(frame.sum_adu, expected, rtol=1e-5, atol=1e-2)
    assert np.allclose(frame.variance_adu2, variance + left**2 * read / DARK_FRAMES + 1 / 12, rtol=1e-4)


def test_several_frames_of_an_led_are_averaged(tmp_path: Path, stack: RecordedStack):
    with RecordedClosing(record(tmp_path / "four.h5", repeats=4)) as four:
        request = Observe(DARK_FIELD, LED_MS, HERE)
        once, often = (Replay(found).observe(request).variance_adu2 - 1 / 12 for found in (stack, four))
        # the dark image is as noisy in both and has a share of the sum's noise
        leds = int(DARK_FIELD.levels.any(axis=1).sum())
        read = (CAMERA.read_noise_e / CAMERA.gain_e_per_adu) ** 2 + 1 / 12
        common = (leds - 1) ** 2 * read / DARK_FRAMES
        assert np.median(often - common) == pytest.approx(np.median(once - common) / 4, rel=0.02)
        captured = twin(99).observe(request)
        chi = reduced_chi_square(Replay(four).observe(request), captured, captured_variance(captured) + often + 1 / 12)
        assert chi == pytest.approx(1.0, abs=CHI_TOLERANCE)


class RecordedClosing:
    """A stack that is closed at the end of a block."""

    def __init__(self, path: Path, **options: object) -> None:
        self._stack = RecordedStack(open_record(path), BOARD, **options)

    def __enter__(self) -> RecordedStack:
        return self._stack

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def test_fresh_noise_makes_a_sum_as_noisy_as_a_capture(stack: RecordedStack):
    """Exposed eight times longer than asked for, the sum is quiet: what is missing is added, and no more."""
    request = Observe(BRIGHT, LED_MS / 8, HERE)
    quiet = Replay(stack).observe(request)
    first, second = (Replay(stack, noise="as captured", seed=seed).observe(request) for seed in (1, 2))
    captured = twin(99).observe(request)
    assert np.all(quiet.variance_adu2 < first.variance_adu2)
    # the sum's own noise is part of both frames, so that it is only the added noise by which they differ
    added = 2 * (first.variance_adu2 - quiet.variance_adu2 + 1 / 12)
    assert reduced_chi_square(first, second, added) == pytest.approx(1.0, abs=CHI_TOLERANCE)
    both = first.variance_adu2 + captured_variance(captured)
    assert reduced_chi_square(first, captured, both) == pytest.approx(1.0, abs=CHI_TOLERANCE)
    again = Replay(stack, noise="as captured", seed=1).observe(request)
    assert np.array_equal(first.image, again.image)


def test_a_replay_that_comes_to_where_another_was_goes_on_as_it(stack: RecordedStack):
    requests = [Observe(BRIGHT, LED_MS / 8, HERE), Observe(BRIGHT, LED_MS / 8, THERE), Observe(BRIGHT, LED_MS / 8)]
    one, other = (Replay(stack, noise="as captured", seed=4) for _ in range(2))
    frames = [one.observe(request) for request in requests]
    other.relive(requests[:2])
    last = other.observe(requests[2])
    assert np.array_equal(last.image, frames[2].image)
    assert (last.xy_um, last.shown.latch) == (frames[2].xy_um, frames[2].shown.latch)


def test_noise_cannot_be_taken_away(stack: RecordedStack):
    replay = Replay(stack, noise="as captured")
    with pytest.raises(NotMeasured, match=r"times the noise of one capture.*shorter exposure"):
        replay.observe(Observe(DARK_FIELD, LED_MS))


def test_saturated_pixels_are_refused_masked_or_certain(tmp_path: Path):
    """Long exposures fill the wells: what lies above is unknown unless the sum is full as well."""
    with RecordedClosing(record(tmp_path / "long.h5", led_ms=60.0)) as found:
        central = single_led(BOARD, 12)
        with pytest.raises(NotMeasured, match=r"pixels were saturated while.*shorter exposure"):
            Replay(found).observe(Observe(central, 1.0, HERE))
        masked = Replay(found, saturated="mask").observe(Observe(central, 1.0, HERE))
        assert 0 < masked.valid.mean() < 1
        assert np.all(masked.image[~masked.valid] == round(FULL_ADU))
        captured = twin(99).observe(Observe(central, 1.0, HERE))
        apart = (masked.image.astype(float) - captured.image)[masked.valid]
        assert (apart**2 / (masked.variance_adu2 + captured_variance(captured))[masked.valid]).mean() < 1.2
        full = Replay(found).observe(Observe(BRIGHT, 60.0))
        assert full.valid.all()
        assert full.image.max() == round(FULL_ADU)


def test_a_sum_is_clipped_where_the_camera_would_be_full(stack: RecordedStack):
    frame = Replay(stack).observe(Observe(BRIGHT, 12.0, HERE))
    captured = twin(99).observe(Observe(BRIGHT, 12.0, HERE))
    assert frame.image.max() == round(FULL_ADU)
    apart = np.flatnonzero((frame.sum_adu >= FULL_ADU) != (captured.image >= FULL_ADU))
    assert 0 < (captured.image >= FULL_ADU).mean() < 1
    # where one is full and the other is not, the sum is full within five standard deviations of both noises
    noise_adu = np.sqrt(frame.variance_adu2 + captured_variance(captured)).ravel()[apart]
    assert np.all(np.abs(frame.sum_adu.ravel()[apart] - FULL_ADU) < 5 * noise_adu)


BLUE = bright_field(BOARD, na=NA, colour=2)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda o: replace(o, pattern=BLUE), r"LED \d+ in colour 2.*26 channels were measured here"),
        (lambda o: replace(o, pattern=WHITE), r"75 LED channels; not measured here: .* and 44 more"),
        (lambda o: replace(o, xy_um=(61.5, 60.0)), r"within 1 um of \(61.5, 60\).*nearest is \(60, 60\)"),
        (lambda o: replace(o, xy_um=(170.0, 90.0)), r"nearest is \(180, 90\)"),
        (lambda o: replace(o, z_um=0.75), r"focus 0.75 um.*focus 0 um"),
        (lambda o: replace(o, pattern=single_led(BOARD, 12, colour=0), xy_um=THERE), "LED 12 in colour 0"),
    ],
)
def test_what_was_not_measured_is_refused(stack: RecordedStack, ask: Callable[[Observe], Observe], said: str):
    replay = Replay(stack)
    with pytest.raises(NotMeasured, match=said):
        replay.observe(ask(Observe(BRIGHT, 1.0, HERE)))
    # nothing has moved
    assert replay.observe(Observe(BRIGHT, 1.0)).xy_um == HERE


def test_impossible_requests_are_refused_as_by_other_microscopes(stack: RecordedStack):
    other = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(IlluminatorError, match="another board"):
        Replay(stack).observe(Observe(dark(other), 1.0))
    for exposure_ms in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(LimitExceeded, match="positive number of ms"):
            Replay(stack).observe(Observe(BRIGHT, exposure_ms))


def test_the_position_stays_until_another_is_asked_for(stack: RecordedStack):
    replay = Replay(stack)
    assert [place.xy_um for place in stack.places] == [HERE, THERE]
    assert replay.observe(Observe(BRIGHT, 1.0, THERE)).xy_um == THERE
    assert replay.observe(Observe(BRIGHT, 1.0)).xy_um == THERE
    assert replay.observe(Observe(BRIGHT, 1.0, (60.4, 59.7))).xy_um == HERE


def test_without_dark_frames_the_offset_must_be_known(tmp_path: Path):
    microscope = twin(3)
    with Recorder(tmp_path / "leds.h5", {}) as recorder:
        recorder.add(microscope.observe(Observe(single_led(BOARD, 12), LED_MS)))
    known = StackCamera(saturated_adu=FULL_ADU)
    with (
        pytest.raises(NotMeasured, match=r"no dark frame.*--offset-adu"),
        RecordedClosing(tmp_path / "leds.h5", camera=known),
    ):
        pass
    with RecordedClosing(tmp_path / "leds.h5", camera=StackCamera(saturated_adu=FULL_ADU, offset_adu=20.0)) as found:
        frame = Replay(found).observe(Observe(single_led(BOARD, 12), LED_MS / 2))
        with open_record(tmp_path / "leds.h5") as recording:
            assert np.allclose(frame.sum_adu, 20 + (recording.frame(0).image - 20.0) / 2, atol=1e-2)
        assert (frame.variance_adu2, frame.metadata["noise_sd_adu_median"]) == (None, "unknown")
        with pytest.raises(InputError, match="gain and read noise"):
            Replay(found, noise="as captured")


def test_what_counts_is_the_light_that_was_on(tmp_path: Path):
    """One LED was dimmed by the current limit, another shone alone though many were asked for, a third did not."""
    microscope = twin(3)
    asked = [single_led(BOARD, 12), BRIGHT, single_led(BOARD, 7)]
    lit = [single_led(BOARD, 12).levels // 2, single_led(BOARD, 11).levels, BRIGHT.levels]
    with Recorder(tmp_path / "leds.h5", {"camera": KNOWN}) as recorder:
        for pattern, levels in zip(asked, lit, strict=True):
            frame = microscope.observe(Observe(pattern, LED_MS))
            recorder.add(replace(frame, shown=Shown(levels, limited=True)))
    with RecordedClosing(tmp_path / "leds.h5") as found, open_record(tmp_path / "leds.h5") as recording:
        assert np.flatnonzero(found.measured(0, 1)).tolist() == [11, 12]
        frame = Replay(found).observe(Observe(single_led(BOARD, 12), LED_MS))
        dimmed = recording.frame(0).image - CAMERA.offset_adu
        # 255 // 2 levels were on; float32 sums of some hundred ADU
        assert np.allclose(frame.sum_adu, CAMERA.offset_adu + dimmed * 255 / 127, rtol=1e-5)


def test_a_recording_that_is_no_stack_says_so(tmp_path: Path, recorded: Path):
    with Recorder(tmp_path / "run.h5", {"camera": KNOWN}) as recorder:
        recorder.add(twin(3).observe(Observe(BRIGHT, LED_MS)))
    with open_record(tmp_path / "run.h5") as recording:
        with pytest.raises(NotMeasured, match=r"None of the 1 frames.*each LED by itself"):
            RecordedStack(recording, BOARD)
        with pytest.raises(ConfigError, match=r"another LED board.*--rig"):
            RecordedStack(recording, LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=50.0))
    path = record(tmp_path / "untold.h5", header=None)
    with pytest.raises(NotMeasured, match=r"at which value its camera saturates.*4095"), RecordedClosing(path):
        pass
    with Recorder(tmp_path / "typo.h5", {"camera": {"gain_e_per_adu": -1}}) as recorder:
        recorder.add(twin(3).observe(Observe(single_led(BOARD, 12), LED_MS)))
    with pytest.raises(ConfigError, match="'gain_e_per_adu' = -1"), RecordedClosing(tmp_path / "typo.h5"):
        pass


def test_a_replay_can_be_recorded_again(stack: RecordedStack, tmp_path: Path):
    frame = Replay(stack).observe(Observe(BRIGHT, 1.0))
    with Recorder(tmp_path / "again.h5", {}) as recorder:
        recorder.add(frame)
    with open_record(tmp_path / "again.h5") as recording:
        assert np.array_equal(recording.frame(0).image, frame.image)
        assert recording.frame(0).metadata["microscope"] == "replay"
