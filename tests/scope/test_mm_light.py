"""LED arrays that are devices of Micro-Manager: what they show, refuse, and cannot promise."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pymmcore import CMMCore
from pymmcore_plus.experimental.unicore import UniMMCore

from lsm.devices import Illuminator, Observe
from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout, LsmError, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark, single_led
from lsm.scope import RigConfig, connect, open_light
from lsm.scope._java import open_java_core
from lsm.scope.mm_light import MmLight, MmPropertyLight, MmSlmLight, open_mm_light
from lsm.scope.rig import JavaServer, LedConfig
from lsm_sim.zmq_core import ZmqCore
from scope.fakes import make_rig
from scope.led_devices import LedSlm, ListedLeds

CFG = """
Property,Core,Initialize,0
#py pyDevice,Camera,scope.devices,StillCamera
#py pyDevice,LEDs,scope.led_devices,ListedLeds
#py pyDevice,Slm,scope.led_devices,LedSlm
Property,Core,Initialize,1
#py Property,Core,Camera,Camera
"""
LISTED = {
    "device": "LEDs",
    "property": "ManualLedList",
    "show": [["IlluminationPattern", "Manual LED Indicies"]],
    "off": [["IlluminationPattern", "Clear"]],
    "count": "LedCount",
}
SMALL = {"rows": 3, "columns": 3}


@pytest.fixture(autouse=True)
def _devices_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListedLeds, "lit", {1, 2})
    monkeypatch.setattr(LedSlm, "shown", np.full((3, 3), 9, np.uint8))


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "leds.cfg"
    path.write_text(CFG)
    return path


def mm_rig(cfg: Path, kind: str = "mm_property", board: dict[str, object] | None = None, **light: object) -> RigConfig:
    given = (LISTED if kind == "mm_property" else {"device": "Slm"}) | light
    led = {"kind": kind, "board": board or SMALL, "micro_manager": given}
    return make_rig(cfg=str(cfg), led=led, camera={"pixel_um": 4.8, "shape_px": [3, 2]})


@pytest.fixture
def listed(cfg: Path) -> Iterator[MmPropertyLight]:
    light = open_light(mm_rig(cfg))
    assert isinstance(light, MmPropertyLight)
    yield light
    light.close()


@pytest.fixture
def slm(cfg: Path) -> Iterator[MmSlmLight]:
    light = open_light(mm_rig(cfg, "mm_slm"))
    assert isinstance(light, MmSlmLight)
    yield light
    light.close()


def graded(board: LedBoard, level: float) -> Pattern:
    return Pattern.of_colour(board, np.full(board.n_leds, level), name="graded")


def test_it_begins_and_ends_dark(cfg: Path):
    light = open_light(mm_rig(cfg))
    assert ListedLeds.lit == set()
    light.show(single_led(light.board, 4), hold_ms=100.0)
    assert ListedLeds.lit == {4}
    light.close()
    assert ListedLeds.lit == set()
    light.close()


def test_a_list_of_leds_is_shown_read_back_and_put_out(listed: MmPropertyLight):
    assert isinstance(listed, Illuminator)
    pattern = bright_field(listed.board, na=0.07)
    shown = listed.show(pattern, hold_ms=100.0)
    assert set(np.flatnonzero(pattern.levels.any(axis=1))) == ListedLeds.lit
    assert np.array_equal(shown.levels, pattern.levels)
    assert listed.still_lit(shown)
    listed.dark()
    assert ListedLeds.lit == set()
    assert not listed.still_lit(shown)


def test_a_dark_pattern_lights_nothing(listed: MmPropertyLight):
    listed.show(single_led(listed.board, 4), hold_ms=100.0)
    shown = listed.show(dark(listed.board), hold_ms=100.0)
    assert ListedLeds.lit == set()
    assert listed.still_lit(shown)


def test_what_somebody_changes_in_micro_manager_is_noticed(listed: MmPropertyLight):
    shown = listed.show(single_led(listed.board, 4), hold_ms=100.0)
    listed._core.set_property("LEDs", "ManualLedList", "5")
    assert not listed.still_lit(shown)


def test_a_list_that_the_device_cuts_off_lights_nothing(listed: MmPropertyLight, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ListedLeds, "cuts_lists", True)
    with pytest.raises(IlluminatorError, match=r"keeps '0\.1\.' as ManualLedList where '0\.1\.2\.3"):
        listed.show(graded(listed.board, 1.0), hold_ms=100.0)
    assert ListedLeds.lit == set()


def test_levels_and_colours_that_it_does_not_have_are_refused(listed: MmPropertyLight):
    red = Pattern.of_colour(listed.board, np.eye(9)[4], colour=0, name="red")
    other = LedBoard.grid(rows=2, columns=2, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(WrongFormat, match="drives LED 0 at 128 of 255; 'LEDs' can only switch"):
        listed.show(graded(listed.board, 0.5), hold_ms=100.0)
    with pytest.raises(WrongFormat, match="colours that 'LEDs' cannot show: its LEDs shine in channel 1 alone"):
        listed.show(red, hold_ms=100.0)
    with pytest.raises(WrongFormat, match="another board"):
        listed.show(single_led(other, 0), hold_ms=100.0)
    assert ListedLeds.lit == set()


def test_a_list_too_long_for_a_property_is_refused_before_anything_is_set(cfg: Path):
    with_many = mm_rig(cfg, board={"rows": 20, "columns": 20}, count="")
    light = open_light(with_many)
    with pytest.raises(WrongFormat, match="has 1489 characters; a property holds 1023"):
        light.show(graded(light.board, 1.0), hold_ms=100.0)
    light.close()


def test_the_first_led_may_have_the_number_one_and_lists_commas(cfg: Path):
    light = open_light(mm_rig(cfg, first=1))
    light.show(single_led(light.board, 4), hold_ms=100.0)
    assert ListedLeds.lit == {5}
    light.close()


def test_it_goes_dark_when_it_is_held_for_too_long(listed: MmPropertyLight, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lsm.scope.mm_light.SHORTEST_HOLD_MS", 0.0)
    shown = listed.show(single_led(listed.board, 4), hold_ms=100.0)
    deadline = time.monotonic() + 3.0
    while ListedLeds.lit and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ListedLeds.lit == set()
    assert not listed.still_lit(shown)


def test_the_time_of_one_light_does_not_end_the_next(listed: MmPropertyLight, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lsm.scope.mm_light.SHORTEST_HOLD_MS", 0.0)
    with listed._lock:
        listed.show(single_led(listed.board, 4), hold_ms=20.0)
        expired = listed._timer
        # over while the next is being shown
        time.sleep(0.1)
        shown = listed.show(single_led(listed.board, 5), hold_ms=5000.0)
    expired.join(3.0)
    assert listed.still_lit(shown)
    assert ListedLeds.lit == {5}


def test_a_device_that_hangs_is_an_error_in_time(cfg: Path, monkeypatch: pytest.MonkeyPatch):
    light = open_light(mm_rig(cfg))
    released = threading.Event()
    monkeypatch.setattr(ListedLeds, "hangs", released)
    began = time.monotonic()
    with pytest.raises(IlluminatorTimeout, match=r"'LEDs' has not come back within 0\.3 s"):
        light.show(single_led(light.board, 4), hold_ms=100.0)
    assert time.monotonic() - began < 1.3
    released.set()
    monkeypatch.setattr(ListedLeds, "hangs", None)
    time.sleep(0.1)  # for the call that was left behind
    light.close()
    assert ListedLeds.lit == set()


def test_an_slm_shows_one_pixel_for_each_led(slm: MmSlmLight):
    shown = slm.show(single_led(slm.board, 5), hold_ms=100.0)
    assert np.array_equal(LedSlm.shown.ravel(), 255 * np.eye(9)[5])
    assert slm.still_lit(shown)
    slm.dark()
    assert not LedSlm.shown.any()
    assert not slm.still_lit(shown)


def test_a_grey_slm_shows_levels_and_one_that_is_not_refuses_them(cfg: Path, slm: MmSlmLight):
    with pytest.raises(WrongFormat, match="can only switch"):
        slm.show(graded(slm.board, 0.5), hold_ms=100.0)
    slm.close()
    grey = open_light(mm_rig(cfg, "mm_slm", grey=True))
    shown = grey.show(graded(grey.board, 0.5), hold_ms=100.0)
    assert (LedSlm.shown == 128).all()
    assert (shown.levels[:, 1] == 128).all()
    grey.close()


def test_neither_claims_what_it_cannot_know(listed: MmPropertyLight):
    assert (MmPropertyLight.reads_back, MmSlmLight.reads_back) == (True, False)
    assert not MmLight.goes_dark_alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "Lamp"}, "no device 'Lamp'.*its devices: .*LEDs"),
        ({"property": "LedList"}, "'LEDs' has no property 'LedList'.*ManualLedList"),
        ({"show": [["Pattern", "x"]]}, "'LEDs' has no property 'Pattern'"),
        ({"board": {"rows": 4, "columns": 4}}, "'LEDs' has 9 LEDs, the rig file's board 16"),
        ({"kind": "mm_slm", "board": {"rows": 4, "columns": 4}}, "3 x 3 pixels of 1 bytes.*16 LEDs"),
        ({"kind": "mm_slm", "device": "LEDs"}, "LEDs"),
    ],
)
def test_a_rig_that_names_the_wrong_device_is_told_what_is_there(cfg: Path, changes: dict[str, object], message: str):
    with pytest.raises(LsmError, match=message) as refused:
        open_light(mm_rig(cfg, **changes))
    assert isinstance(refused.value, ConfigError | IlluminatorError)
    # nothing is left open
    open_light(mm_rig(cfg)).close()


@pytest.mark.parametrize("kind", ["mm_property", "mm_slm"])
def test_a_frame_is_lit_by_it(cfg: Path, kind: str):
    with connect(mm_rig(cfg, kind)) as scope:
        pattern = single_led(scope.board, 4)
        frame = scope.observe(Observe(pattern, 1.0))
        assert np.array_equal(frame.shown.levels, pattern.levels)
    assert ListedLeds.lit <= {1, 2}
    assert kind == "mm_property" or not LedSlm.shown.any()


@pytest.mark.parametrize("kind", ["mm_property", "mm_slm"])
def test_it_is_reached_through_a_running_micro_manager_too(cfg: Path, kind: str):
    core = UniMMCore()
    core.loadSystemConfiguration(str(cfg))
    with ZmqCore(core) as server:
        remote = open_java_core(JavaServer(port=server.port, timeout_s=2.0))
        given = LISTED if kind == "mm_property" else {"device": "Slm"}
        config = LedConfig.model_validate({"kind": kind, "board": SMALL, "micro_manager": given})
        light = open_mm_light(remote, config, within_s=2.0, on_close=remote.close)
        shown = light.show(single_led(light.board, 7), hold_ms=100.0)
        assert light.still_lit(shown)
        assert ListedLeds.lit == {7} if kind == "mm_property" else LedSlm.shown.ravel()[7] == 255
        light.close()
        assert server.open_objects == 0
    CMMCore.registerCallback(core, None)
    core.unloadAllDevices()
