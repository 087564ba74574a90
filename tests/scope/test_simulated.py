"""The whole simulated rig: Micro-Manager core, serial protocol, firmware, and an image lit by what it shows."""

from collections.abc import Iterator

import numpy as np
import pytest

from lsm.devices import Observe
from lsm.errors import IlluminatorTimeout, LimitExceeded
from lsm.illum import bright_field, dark, dark_field, single_led
from lsm.safety import Interlock
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.scope import RigConfig, connect, find_rig
from lsm.types import DutyLevels
from lsm_sim.board import read_led_frames
from lsm_sim.rig import SimulatedMicroscope
from lsm_sim.world import World

pytestmark = pytest.mark.firmware

OFFSET_ADU, GAIN_E_PER_ADU, READ_NOISE_ADU = 20.0, 2.5, 1.2
LIMIT_MA = 150
NA = 0.1
HERE = (600.0, 600.0)

RIG = RigConfig.from_file(find_rig("simulated"))
WEAK = RIG.model_copy(update={"led": RIG.led.model_copy(update={"limit_ma": LIMIT_MA})})


@pytest.fixture(scope="module")
def scope() -> Iterator[Interlock]:
    """A rig whose supply gives less current than nine LEDs take."""
    with connect(WEAK, sample=ProceduralSmear(SmearConfig(), 5), seed=1) as scope:
        scope.observe(Observe(dark(scope.board), 1.0, HERE, 0.0))
        yield scope


def simulated(scope: Interlock) -> SimulatedMicroscope:
    assert isinstance(scope.microscope, SimulatedMicroscope)
    return scope.microscope


def world(scope: Interlock) -> World:
    found = simulated(scope).world
    assert found is not None
    return found


def test_the_image_follows_the_light(scope: Interlock):
    images = {
        pattern.name: scope.observe(Observe(pattern, 2.0, HERE)).image.astype(float)
        for pattern in (dark(scope.board), bright_field(scope.board, na=NA), dark_field(scope.board, na=NA))
    }
    assert images["dark"].shape == (192, 192)
    # offset and read noise only; a thousandth of its pixels lie beyond 3.3 sigma
    assert images["dark"].mean() == pytest.approx(OFFSET_ADU, abs=0.1)
    assert images["dark"].std() == pytest.approx(READ_NOISE_ADU, rel=0.15)
    assert images["bright field"].mean() > 5 * images["dark field"].mean() > 5 * images["dark"].mean()


def test_the_board_s_present_limit_is_told_through_all_layers(scope: Interlock):
    client = simulated(scope)._microscope._illuminator
    assert scope.current_limit_ma() == LIMIT_MA
    client.limit(LIMIT_MA + 10)
    assert scope.current_limit_ma() == LIMIT_MA + 10
    client.limit(LIMIT_MA)


def test_the_image_is_lit_by_what_the_firmware_shows_not_by_what_was_asked(scope: Interlock):
    """The board scales nine LEDs down to its current limit; the image holds the light of the levels it emitted."""
    request = Observe(bright_field(scope.board, na=NA), 2.0, HERE)
    frame = scope.observe(request)
    asked, shown = request.pattern.levels, frame.shown.levels
    emitted = [levels for _, levels in read_led_frames(simulated(scope).native_board.frames_path)]
    assert frame.shown.limited
    assert any(np.array_equal(shown, levels) for levels in emitted)
    assert not any(np.array_equal(asked, levels) for levels in emitted)

    def expected_adu(levels: DutyLevels) -> float:
        renderer = world(scope)._renderer
        rate = renderer.rate(levels, frame.xy_um, frame.z_um)  # type: ignore[attr-defined]
        return float(rate.mean()) * frame.exposure_ms / GAIN_E_PER_ADU + OFFSET_ADU

    # shot noise of 192 x 192 pixels and their response spread: below 0.1 %
    assert frame.image.mean() == pytest.approx(expected_adu(shown), rel=0.003)
    assert frame.image.mean() < 0.95 * expected_adu(asked)


def test_light_that_somebody_turns_off_during_the_exposure_gives_an_error_and_no_frame(
    scope: Interlock, monkeypatch: pytest.MonkeyPatch
):
    """The camera really sees the dark; the driver tries again once, then gives up."""
    images = []

    def expose_in_the_dark(exposure_ms: float) -> np.ndarray:
        simulated(scope)._microscope._illuminator.dark()
        images.append(World.expose(world(scope), exposure_ms))
        return images[-1]

    monkeypatch.setattr(world(scope), "expose", expose_in_the_dark)
    with pytest.raises(IlluminatorTimeout, match="went out during 2"):
        scope.observe(Observe(single_led(scope.board, 84), 2.0, HERE))
    assert [round(float(image.mean())) for image in images] == [20, 20]


def test_the_light_is_off_between_captures(scope: Interlock):
    scope.observe(Observe(single_led(scope.board, 84), 2.0))
    assert not simulated(scope).native_board.lit().any()


def test_the_stage_stops_near_its_target_and_the_frame_says_where(scope: Interlock):
    frame = scope.observe(Observe(dark(scope.board), 1.0, (620.0, 600.0), 1.5))
    away_um = np.abs(np.subtract(frame.xy_um, (620.0, 600.0)))
    assert away_um.max() <= 0.5
    assert away_um.max() > 0.0
    assert frame.z_um == 1.5
    assert frame.xy_um == world(scope).xy_um


def test_a_request_outside_the_limits_moves_nothing_and_lights_nothing(scope: Interlock):
    before = (world(scope).xy_um, len(read_led_frames(simulated(scope).native_board.frames_path)))
    with pytest.raises(LimitExceeded, match="x_um"):
        scope.observe(Observe(bright_field(scope.board, na=NA), 2.0, (2400.0, 600.0)))
    assert (world(scope).xy_um, len(read_led_frames(simulated(scope).native_board.frames_path))) == before
