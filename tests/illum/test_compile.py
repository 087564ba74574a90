"""Learned weights become frames that the board shows as predicted, whatever is asked and whatever it can do."""

import doctest
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import lsm.illum.compile
from lsm.errors import ConfigError, LimitExceeded, WrongFormat
from lsm.illum import LEVELS, CompiledLight, Drive, LedBoard, compile_light, split_signed
from lsm.illum.drive import EXACT_BITS

BOARD = LedBoard.grid(rows=4, columns=5, pitch_mm=3.0, distance_mm=50.0)
LIMITS_MS = (0.05, 400.0)
# the firmware's own numbers: supply current of a channel in firmware/core/config.h, and a scale of 1.0
FIRMWARE_CHANNEL_MA, SCALE_ONE = 20, 65536
thoroughly = settings(max_examples=100, deadline=None, derandomize=True)

# of float64 sums of a few terms, relative
ROUNDING = 1e-8
# down to 1e-12; what is too faint for any level has a test of its own
numbers = st.one_of(st.floats(-3, 3).map(lambda value: round(value, 12)), st.sampled_from([0.0, 1.0, 0.2, -0.5, 1e-4]))
weights = st.lists(numbers, min_size=60, max_size=60).map(lambda values: np.array(values).reshape(20, 3))
positive = weights.map(np.abs)
exposures = st.floats(0.06, 200)
leds = st.lists(st.integers(0, 19), max_size=3, unique=True)


# built in the tests: the type checker of the tests picks at random, which strategies must not
drives = st.fixed_dictionaries(
    {
        "level_bits": st.sampled_from(EXACT_BITS),
        "channel_ma": st.sampled_from([(20.0,), (20.0, 12.5, 7.1)]),
        "max_ma": st.one_of(st.none(), st.floats(100, 1500)),
        "colour_balance": st.sampled_from([(1.0,), (1.0, 0.62, 1.7)]),
        "dead_leds": leds.map(tuple),
        "one_colour": st.booleans(),
        "max_patterns": st.integers(36, 40),  # enough for one LED channel or so at a time
        "latch_ms": st.floats(0, 5),
    }
)
Options = dict[str, Any]


def compiled(asked: np.ndarray, drive: Drive, exposure_ms: float = 10.0, **more: float | bool) -> CompiledLight:
    """With any error: what is told must be true of the worst light, too."""
    given = {"max_rms_error": np.inf, "exposure_limits_ms": LIMITS_MS} | more
    return compile_light(BOARD, asked, drive, exposure_ms=exposure_ms, **given)


def sound(drive: Drive) -> np.ndarray:
    return ~np.isin(np.arange(BOARD.n_leds), [*drive.dead_leds, *drive.stuck_leds])


def summed(light: CompiledLight, drive: Drive, exposure_ms: float) -> np.ndarray:
    """Signed light of the frames, from nothing but the levels that are sent, their signs and exposures."""
    drives = [f.sign * (f.pattern.levels / 255) * f.exposure_ms for f in light.frames]
    return np.sum(drives, axis=0) * np.array(drive.colour_balance) / exposure_ms


@thoroughly
@given(weights, drives, exposures, st.booleans())
def test_light_is_as_asked_up_to_half_a_step(asked: np.ndarray, options: Options, exposure_ms: float, keep: bool):
    drive = Drive(**options)
    light = compiled(asked, drive, exposure_ms, keep_exposure=keep)
    live = sound(drive)
    size = light.scale * np.abs(asked[live]).max()
    off = np.abs(light.predicted_light - light.scale * asked)[live]
    assert (off <= light.half_step[live] + ROUNDING * size).all()
    assert light.max_error == pytest.approx(off.max(initial=0) / size if size else 0, abs=ROUNDING)


@thoroughly
@given(weights, drives, exposures)
def test_what_is_predicted_follows_from_the_levels_that_are_sent(
    asked: np.ndarray, options: Options, exposure_ms: float
):
    drive = Drive(**options)
    light = compiled(asked, drive, exposure_ms)
    size = np.abs(light.predicted_light).max()
    signed = [summed(replace(light, frames=(frame,)), drive, exposure_ms) for frame in light.frames]
    np.testing.assert_allclose(np.sum(signed, axis=0), light.predicted_light, rtol=0, atol=ROUNDING * size)
    np.testing.assert_allclose(np.sum(np.abs(signed), axis=0), light.noise_light, rtol=0, atol=ROUNDING * size)
    drives = np.sum([frame.signed_drive for frame in light.frames], axis=0)
    np.testing.assert_allclose(
        drives * np.array(drive.colour_balance), light.predicted_light, rtol=0, atol=ROUNDING * size
    )
    channel_ma = np.broadcast_to(np.array(drive.channel_ma), 3)
    for frame in light.frames:
        assert frame.current_ma == pytest.approx(float((frame.pattern.levels / 255 * channel_ma).sum()), rel=ROUNDING)


@thoroughly
@given(weights, drives, exposures, st.booleans())
def test_limits_hold_whatever_is_asked(asked: np.ndarray, options: Options, exposure_ms: float, keep: bool):
    drive = Drive(**options)
    light = compiled(asked, drive, exposure_ms, keep_exposure=keep)
    assert light.peak_current_ma <= (drive.max_ma or np.inf)
    assert all(LIMITS_MS[0] <= frame.exposure_ms <= LIMITS_MS[1] for frame in light.frames)
    assert all(not frame.pattern.duty[[*drive.dead_leds]].any() for frame in light.frames)
    for sign in (1, -1):
        assert sum(frame.sign == sign for frame in light.frames) <= drive.patterns_allowed
    if drive.one_colour:
        assert all(frame.pattern.duty.any(axis=0).sum() <= 1 for frame in light.frames)
    total = sum(frame.exposure_ms for frame in light.frames) + len(light.frames) * drive.latch_ms
    assert light.time_ms == pytest.approx(total, rel=ROUNDING)
    dose = sum(frame.pattern.total_duty * frame.exposure_ms for frame in light.frames)
    assert light.light_dose_led_ms == pytest.approx(dose, rel=ROUNDING)


@thoroughly
@given(weights, st.sampled_from(EXACT_BITS), st.integers(100, 1500))
def test_the_firmware_shows_the_levels_as_they_are(asked: np.ndarray, bits: int, limit_ma: int):
    light = compiled(asked, Drive(level_bits=bits, max_ma=limit_ma, max_patterns=50))
    for frame in light.frames:
        levels = frame.pattern.levels.astype(np.int64)
        # the same steps as allowed_scale and lsm_leds_current_ma in firmware/core/leds.c
        drawn, allowed = int(levels.sum()) * FIRMWARE_CHANNEL_MA, limit_ma * LEVELS
        scale = SCALE_ONE if drawn <= allowed else allowed * SCALE_ONE // drawn
        np.testing.assert_array_equal(levels * scale // SCALE_ONE, levels)
        reported_ma = -(-drawn // LEVELS)
        assert reported_ma - 1 < frame.current_ma <= reported_ma <= limit_ma
        # nothing is rounded once more
        np.testing.assert_allclose(levels / LEVELS, frame.pattern.duty, atol=1e-7)
        np.testing.assert_array_equal(levels % (LEVELS // (2**bits - 1)), 0)


@settings(thoroughly, max_examples=15)
@given(weights, drives, exposures)
def test_what_is_compiled_compiles_to_itself(asked: np.ndarray, options: Options, exposure_ms: float):
    drive = Drive(**options)
    first = compiled(asked, drive, exposure_ms, tolerance=0.0)
    again = compiled(first.predicted_light, drive, exposure_ms, tolerance=0.0)
    np.testing.assert_allclose(again.predicted_light, first.predicted_light, atol=1e-7 * np.abs(asked).max())
    assert again.max_error < 1e-7


@settings(thoroughly, max_examples=30)
@given(weights, drives, exposures)
def test_the_same_request_gives_the_same_frames(asked: np.ndarray, options: Options, exposure_ms: float):
    drive = Drive(**options)
    first, again = compiled(asked, drive, exposure_ms), compiled(asked.copy(), drive, exposure_ms)
    assert first.frames == again.frames


@settings(thoroughly, max_examples=40)
@given(positive, st.integers(1, 8))
def test_planes_of_an_on_off_board_add_up_to_its_grey_levels(asked: np.ndarray, planes: int):
    light = compiled(asked, Drive(level_bits=1, max_patterns=planes), 200.0, tolerance=0.0)
    if light.max_error < ROUNDING:
        return  # one pattern for each of few different weights: exact, and no planes
    steps = 2**planes - 1
    grey = light.predicted_light / (light.scale * asked.max()) * steps
    np.testing.assert_allclose(grey, np.rint(asked / asked.max() * steps), atol=1e-6)
    shares = np.array([frame.exposure_ms for frame in light.frames])
    # each plane twice the one before; dark ones are left out
    ratios = np.log2(shares / shares[0])
    np.testing.assert_allclose(ratios, np.rint(ratios), atol=ROUNDING)


def test_few_different_weights_take_as_few_patterns_of_an_on_off_board():
    asked = np.resize([0.0, 0.3, 1.0], 20)
    light = compiled(asked, Drive(level_bits=1), tolerance=0.0)
    assert [round(frame.exposure_ms, 9) for frame in light.frames] == [3.0, 7.0]
    assert light.max_error < ROUNDING
    assert len(compiled(np.resize([0.0, 1.0], 20), Drive(level_bits=1)).frames) == 1


def test_a_step_shorter_than_the_shortest_exposure_is_rounded():
    asked = np.resize([0.0, 0.0046, 1.0], 20)
    light = compiled(asked, Drive(level_bits=1), tolerance=0.0)
    # 0.046 ms, where the camera allows 0.05: frames of other exposures come nearest
    off = np.abs(light.predicted_light[:, 1] - asked)
    assert 0 < off.max() <= light.half_step.max()


def test_small_weights_use_all_levels_and_a_shorter_exposure():
    asked = np.linspace(0, 0.2, 20)
    full, kept = compiled(asked, Drive()), compiled(asked, Drive(), keep_exposure=True)
    assert (full.frames[0].pattern.levels.max(), full.frames[0].exposure_ms) == (255, pytest.approx(2.0))
    assert (kept.frames[0].pattern.levels.max(), kept.frames[0].exposure_ms) == (51, pytest.approx(10.0))
    assert full.scale == kept.scale == 1.0
    assert full.max_error < kept.max_error


def test_large_weights_and_scarce_current_take_longer_or_lower_the_scale():
    asked = np.full(20, 3.0)
    assert compiled(asked, Drive()).frames[0].exposure_ms == pytest.approx(30.0)
    # 20 channels of 20 mA at full drive are 400 mA
    assert compiled(asked, Drive(max_ma=100)).frames[0].exposure_ms == pytest.approx(30 * 255 / 63)
    kept = compiled(asked, Drive(max_ma=100), keep_exposure=True)
    assert (kept.frames[0].exposure_ms, kept.scale) == (pytest.approx(10.0), pytest.approx(63 / 255 / 3))
    too_long = compiled(asked, Drive(), exposure_ms=1000.0)
    assert (too_long.frames[0].exposure_ms, too_long.scale) == (400.0, pytest.approx(400 / 3000))
    too_short = compiled(asked / 1e6, Drive(level_bits=1))
    assert (too_short.frames[0].exposure_ms, too_short.scale) == (0.05, pytest.approx(0.05 / 3e-5))


def test_a_faint_negative_part_is_rounded_to_the_shortest_exposure():
    for faint, shown in ((0.2, 0.0), (0.6, 0.05)):
        asked = np.ones(20)
        asked[5] = -faint * 0.05 / 10 / 255  # in units of the lowest level of 255 in the shortest exposure
        light = compiled(asked, Drive())
        negative = light.predicted_light[5, 1]
        assert negative == pytest.approx(-shown / 10 / 255)
        assert light.frames[-1].exposure_ms == (0.05 if shown else 10.0)
        assert light.frames[-1].sign == (-1 if shown else 1)


@pytest.mark.parametrize("keep", [False, True])
def test_a_camera_of_one_exposure_changes_the_scale_and_little_else(keep: bool):
    asked = np.random.default_rng(5).normal(size=20)
    light = compile_light(BOARD, asked, Drive(), exposure_ms=30.0, keep_exposure=keep, exposure_limits_ms=(4.0, 4.0))
    assert [frame.exposure_ms for frame in light.frames] == [4.0, 4.0]
    # full drive in the brighter capture
    assert light.scale == pytest.approx(4 / 30 / np.abs(asked).max())
    assert light.max_error <= 0.5 / 255


def test_several_frames_give_a_board_of_few_levels_more_of_them():
    asked = np.linspace(0, 1, 20) ** 2
    coarse, fine = (compiled(asked, Drive(level_bits=4, max_patterns=n)) for n in (1, 2))
    assert (len(coarse.frames), len(fine.frames)) == (1, 2)
    assert coarse.max_error > 0.5 / 255 > fine.max_error


def test_leds_take_turns_where_the_current_leaves_too_few_levels():
    rng = np.random.default_rng(3)
    asked = rng.random(20)
    # 20 channels of level 6 or so are 10 mA
    together, in_turns = (compiled(asked, Drive(max_ma=10, max_patterns=n), 100.0) for n in (1, 40))
    assert together.max_error > 0.02
    assert in_turns.max_error <= 0.5 / 255
    assert max(together.peak_current_ma, in_turns.peak_current_ma) <= 10
    with pytest.raises(LimitExceeded, match=r"of at most 0\.05 mA"):
        compiled(asked, Drive(max_ma=0.05, max_patterns=40))


def test_an_on_off_board_with_too_little_current_lights_its_leds_in_turns():
    asked = np.ones(20)
    light = compiled(asked, Drive(level_bits=1, max_ma=130))
    assert [frame.pattern.total_duty for frame in light.frames] == [6, 6, 6, 2]
    np.testing.assert_allclose(light.predicted_light[:, 1], asked)
    with pytest.raises(LimitExceeded, match="3 patterns of at most 130 mA"):
        compiled(asked, Drive(level_bits=1, max_ma=130, max_patterns=3))


def test_a_board_of_one_colour_at_a_time_takes_one_frame_for_each():
    asked = np.tile([0.2, 0.0, 1.0], (20, 1))
    light = compiled(asked, Drive(one_colour=True, max_patterns=2))
    assert [np.flatnonzero(frame.pattern.duty.any(axis=0)).tolist() for frame in light.frames] == [[0], [2]]
    with pytest.raises(LimitExceeded, match="one colour each"):
        compiled(asked, Drive(one_colour=True))


def test_weak_colours_are_driven_harder():
    light = compiled(np.ones((20, 3)), Drive(colour_balance=(1.0, 0.5, 2.0)))
    # 255 has no quarter: the largest scale that shows all three without error is 252
    np.testing.assert_array_equal(light.frames[0].pattern.levels[0], [126, 252, 63])
    assert light.max_error < ROUNDING
    # with 1 % of error the drive may be full and the exposure shorter: 1 / 0.5 of 10 ms
    rough = compiled(np.ones((20, 3)), Drive(colour_balance=(1.0, 0.5, 2.0)), tolerance=0.01)
    np.testing.assert_array_equal(rough.frames[0].pattern.levels[0], [128, 255, 64])
    assert rough.frames[0].exposure_ms == pytest.approx(20.0)
    assert rough.max_error == pytest.approx(64 / 255 * 4 - 1)


def test_weights_at_the_sample_make_up_for_the_leds_place():
    asked = np.full(20, 0.5)
    light = compiled(asked, Drive(), at_sample=True)
    emitted = light.frames[0].pattern.duty[:, 1] * light.frames[0].exposure_ms / 10
    np.testing.assert_allclose(emitted * BOARD.relative_irradiance, light.predicted_light[:, 1], rtol=1e-6)
    # half a level of 255
    assert light.max_error <= 0.5 / 255
    assert emitted.max() > emitted.min() * 1.01


def test_positive_minus_negative_is_the_signed_light_at_one_scale():
    asked = np.linspace(-0.1, 1.0, 20)
    light = compiled(asked, Drive(max_ma=60, latch_ms=3), exposure_ms=300.0)
    assert [frame.sign for frame in light.frames] == [1, -1]
    assert light.scale < 1
    np.testing.assert_allclose(light.predicted_light[:, 1], light.scale * asked, atol=light.half_step.max() * 1.0001)
    np.testing.assert_allclose(light.noise_light, np.abs(light.predicted_light))
    assert light.time_ms == pytest.approx(6 + sum(frame.exposure_ms for frame in light.frames))
    assert [frame.sign for frame in compiled(-np.ones(20), Drive()).frames] == [-1]


def test_dead_leds_are_reported_apart_from_rounding():
    light = compiled(np.ones(20), Drive(dead_leds=(3, 7)))
    assert (light.lost_leds, light.lost_share, light.max_error) == ((3, 7), 0.1, 0.0)
    asked = np.ones(20)
    asked[3] = 0
    assert compiled(asked, Drive(dead_leds=(3,))).lost_leds == ()


def test_stuck_leds_shine_in_the_prediction_and_cost_current():
    light = compiled(np.ones(20), Drive(stuck_leds=(0,), max_ma=200))
    assert light.peak_current_ma <= 200
    frame = light.frames[0]
    assert not frame.pattern.duty[0].any()
    np.testing.assert_allclose(light.predicted_light[0], frame.exposure_ms / 10)
    # three channels of 20 mA are on whatever is shown
    assert frame.current_ma == pytest.approx(60 + frame.pattern.total_duty * 20)
    assert light.stuck_leds == (0,)
    with pytest.raises(LimitExceeded, match="stuck"):
        compiled(np.ones(20), Drive(stuck_leds=(0,), max_ma=59))


def test_no_light_is_one_dark_frame():
    for asked in (np.zeros(20), np.eye(20)[3]):
        light = compiled(asked, Drive(dead_leds=(3,), latch_ms=1))
        assert [frame.pattern.total_duty for frame in light.frames] == [0.0]
        assert (light.time_ms, light.peak_current_ma, light.max_error) == (11.0, 0.0, 0.0)
    assert light.lost_share == 1.0


def test_weights_too_small_for_any_level_are_dark_and_wrong_by_all_they_are():
    for light in (
        compiled(np.full(20, 1e-4), Drive(), keep_exposure=True),
        compiled(np.full(20, 1e-300), Drive()),
    ):
        assert [frame.pattern.total_duty for frame in light.frames] == [0.0]
        assert (light.scale, light.max_error, light.rms_error, light.lost_leds) == (1.0, 1.0, pytest.approx(1.0), ())


def test_requests_that_do_not_fit_are_refused():
    with pytest.raises(WrongFormat, match="one finite weight for each of 20"):
        compiled(np.ones(19), Drive())
    with pytest.raises(WrongFormat):
        compiled(np.full(20, np.nan), Drive())
    with pytest.raises(ConfigError, match="channels are 0 to 2"):
        compile_light(BOARD, np.ones(20), Drive(), exposure_ms=10, colour=3)
    with pytest.raises(ConfigError, match="exposure"):
        compiled(np.ones(20), Drive(), exposure_ms=0.0)
    with pytest.raises(ConfigError, match="LED 20"):
        compiled(np.ones(20), Drive(dead_leds=(20,)))
    with pytest.raises(ConfigError, match="channel_ma has 2 values"):
        compiled(np.ones(20), Drive(channel_ma=(20.0, 10.0)))
    with pytest.raises(ConfigError, match="name it once"):
        Drive.from_table({"dead_leds": [3], "stuck_leds": [3]})


def test_a_drive_reads_from_a_table_and_names_leds_once():
    table = {"level_bits": 1, "dead_leds": [5, 3, 5], "max_ma": 900}
    assert Drive.from_table(table) == Drive(level_bits=1, dead_leds=(3, 5), max_ma=900.0)


def test_signed_weights_split_into_two_captures():
    asked = np.linspace(-1, 1, 20)
    plus, minus = split_signed(asked)
    assert min(plus.min(), minus.min()) == 0
    np.testing.assert_array_equal(plus - minus, asked)


def test_the_example_in_the_documentation_is_true():
    result = doctest.testmod(lsm.illum.compile)
    assert result.attempted > 0
    assert result.failed == 0
