"""Text mode as users of illuminate know it."""

import json

import numpy as np
import pytest
from wire import Wire

from lsm.illum import LedBoard, bright_field, half_disc
from lsm.led._constants import Command
from lsm_sim.board import NativeBoard

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


def lit_leds(native: NativeBoard):
    return set(np.flatnonzero(native.lit().any(axis=1)))


def test_identity_is_illuminates_json_with_ours_added(wire: Wire):
    properties = json.loads(wire.text("pprops"))
    assert properties["led_count"] == 169
    assert properties["bit_depth"] == 8
    assert properties["color_channels"] == ["r", "g", "b"]
    assert properties["lsm"]["columns"] == 13
    assert "169 LEDs" in wire.text("about")
    assert wire.text("version") == properties["lsm"]["firmware"]
    assert wire.text("machine") == ""


def test_positions_are_those_of_the_configured_grid(wire: Wire):
    cartesian = json.loads(wire.text("pledpos"))["led_position_list_cartesian"]
    na = json.loads(wire.text("pledposna"))["led_position_list_na"]
    expected_mm = BOARD.positions_mm * [1, 1, -1]  # illuminate counts z from the board to the sample
    sines = BOARD.positions_mm[:, :2] / np.linalg.norm(BOARD.positions_mm, axis=1, keepdims=True)
    np.testing.assert_allclose([cartesian[str(i)] for i in range(169)], expected_mm, atol=5e-4)  # three decimals
    np.testing.assert_allclose([na[str(i)] for i in range(169)], sines, atol=6e-4)  # three decimals, whole um


def test_a_part_of_the_positions(wire: Wire):
    assert list(json.loads(wire.text("pledposna.20.22"))["led_position_list_na"]) == ["20", "21"]


def test_led_list_lights_exactly_those_leds(native: NativeBoard, wire: Wire):
    assert wire.text("sc.0.255.0") == "SC.0.255.0"
    assert wire.text("sb.100") == "SB.100.100.100"
    assert wire.text("l.3.12.168") == ""
    assert lit_leds(native) == {3, 12, 168}
    assert native.lit()[12].tolist() == [0, 100, 0]
    assert wire.text("l,7") == ""
    assert lit_leds(native) == {7}
    wire.text("ac.0")
    wire.text("l.8")
    assert lit_leds(native) == {7, 8}
    assert wire.text("x") == ""
    assert not native.lit().any()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("l.12.169", "ERROR[4]"),
        ("l.12.x", "ERROR[3]"),
        ("l.12.", "ERROR[3]"),
        ("l.12.-1", "ERROR[3]"),
        ("l.12.4294967299", "ERROR[3]"),
        ("l", "ERROR[2]"),
        ("sc.1.2", "ERROR[2]"),
        ("sb.256", "ERROR[4]"),
        ("gs.2", "ERROR[4]"),
        ("na.101", "ERROR[4]"),
        ("na.0", "ERROR[4]"),
        ("an.30.20", "ERROR[4]"),
        ("dpc.z", "ERROR[4]"),
        ("pledpos.5.4", "ERROR[4]"),
        ("disco", "ERROR[1]"),
        (".", "ERROR[1]"),
        ("l." + "1." * 1100 + "1", "ERROR[5]"),
    ],
)
def test_a_wrong_line_is_refused_whole(native: NativeBoard, wire: Wire, line: str, error: str):
    wire.text("l.5")
    assert wire.text(line).startswith(error)
    assert lit_leds(native) == {5}


def test_patterns_by_numerical_aperture_agree_with_the_host(native: NativeBoard, wire: Wire):
    assert wire.text("na.10") == "NA.10"
    wire.text("bf")
    assert lit_leds(native) == set(np.flatnonzero(bright_field(BOARD, na=0.10).levels.any(axis=1)))
    wire.text("na.25")
    wire.text("dpc.r")
    right = half_disc(BOARD, na=0.25, angle_rad=0.0)
    assert lit_leds(native) == set(np.flatnonzero(right.levels.any(axis=1)))
    wire.text("df")
    assert lit_leds(native) == set(np.flatnonzero(BOARD.na > 0.25))
    wire.text("an.20.30")
    assert lit_leds(native) == set(np.flatnonzero((BOARD.na >= 0.20) & (BOARD.na <= 0.30)))


def test_a_single_digit_of_na_is_a_tenth(wire: Wire):
    assert wire.text("na.5") == "NA.50"
    assert wire.text("na.05") == "NA.05"


def test_text_obeys_the_current_limit_and_says_so(native: NativeBoard, wire: Wire):
    wire.text("sb.255")
    assert wire.text("ff") == "LIMITED.0.300"
    assert native.lit().max() == 76  # 30 % of 255, rounded down


def test_shutter_hides_the_light_and_brings_it_back(native: NativeBoard, wire: Wire):
    wire.text("l.5")
    assert wire.text("gs.0") == "GS.0"
    assert not native.lit().any()
    assert wire.text("gs") == "GS.0"
    wire.text("gs.1")
    assert lit_leds(native) == {5}


def test_latched_values_are_listed(native: NativeBoard, wire: Wire):
    wire.text("l.5")
    values = json.loads(wire.text("pvals"))["led_values"]
    assert [values[str(i)] for i in range(169)] == native.lit().tolist()


def test_text_inside_damaged_binary_data_lights_nothing(native: NativeBoard, wire: Wire):
    """A frame whose first zero is lost looks like text; commands inside it must not be obeyed."""
    wire.send(b"\x05\x10\xffabc\nff\nl.3\n")
    assert wire.answer().text.startswith("ERROR[6]")
    assert wire.answer(0.1) is None
    assert not native.lit().any()


def test_text_is_understood_again_after_a_host_died_inside_a_frame(wire: Wire):
    wire.send(b"\0\x20\x01\x02")
    assert wire.answer(0.6) is None
    assert wire.text("version")


def test_text_and_frames_share_one_stream(wire: Wire):
    for _ in range(3):
        assert wire.text("version")
        assert wire.ask(Command.PING, b"-==-\n").payload == b"-==-\n"
