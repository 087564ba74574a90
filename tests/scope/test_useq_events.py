"""Plans of captures as useq events, and useq sequences as plans."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import Channel, CustomAction, GridRowsColumns, HardwareAutofocus, MDAEvent, MDASequence, SLMImage

from lsm.devices import Observe
from lsm.errors import ConfigError, FileMissing, InputError, LimitExceeded, LsmError, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark_field, single_led
from lsm.safety import Limits
from lsm.scope import useq_import
from lsm.scope.capture_plan import CapturePlan
from lsm.scope.useq_events import SlmLight, as_action, as_slm, write_events
from lsm.scope.useq_import import Meaning, plan_of_events, plan_of_file, read_events

BOARD = LedBoard.grid(rows=3, columns=4, pitch_mm=6.0, distance_mm=50.0)
SLM = SlmLight(rows=3, columns=4, device="Slm")
PLACES = st.none() | st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))


def graded(levels: list[int], name: str = "graded") -> Pattern:
    return Pattern.of_colour(BOARD, np.array(levels) / 255, name=name)


LEVELS = st.lists(st.integers(0, 255), min_size=12, max_size=12)
CAPTURES = st.tuples(LEVELS, st.floats(0.01, 1e4), PLACES, st.none() | st.floats(-500.0, 500.0))


def scan_plan() -> CapturePlan:
    lights = [(bright_field(BOARD, na=0.15), 6.6), (dark_field(BOARD, na=0.15), 100.0)]
    places = [(0.0, 0.0), (200.0, 0.0), (200.0, 150.0)]
    return CapturePlan.of(BOARD, [Observe(light, ms, xy_um, 3.0) for xy_um in places for light, ms in lights])


@settings(max_examples=40, deadline=None)
@given(drawn=st.lists(CAPTURES, min_size=1, max_size=6), slm=st.booleans())
def test_a_plan_comes_back_from_its_events(drawn: list[tuple[Any, ...]], slm: bool):
    plan = CapturePlan.of(BOARD, [Observe(graded(levels), *rest) for levels, *rest in drawn])
    events = as_slm(plan, SLM) if slm else as_action(plan)
    assert plan_of_events(events, BOARD, Meaning()).plan.captures == plan.captures


@pytest.mark.parametrize("way", ["slm", "action"])
def test_a_plan_comes_back_from_its_file_with_names(way: str, tmp_path: Path):
    plan = scan_plan()
    path = tmp_path / "scan.json"
    write_events(path, as_slm(plan, SLM) if way == "slm" else as_action(plan), notes=["told"])
    found = plan_of_file(path, BOARD, Meaning())
    assert found.plan.captures == plan.captures
    assert [pattern.name for pattern in found.plan.patterns] == ["bright field", "dark field"]
    assert json.loads(path.read_text())["notes"] == ["told"]


def test_events_of_a_file_are_as_the_core_takes_them(tmp_path: Path):
    path = tmp_path / "scan.json"
    write_events(path, as_slm(scan_plan(), SLM))
    for event in read_events(path):
        # the core takes uint8 alone; numbers of a JSON file would be int64
        assert event.slm_image is not None
        assert event.slm_image.data.dtype == np.uint8
        assert event.slm_image.data.shape == (3, 4)


def test_every_event_has_its_own_index_and_the_last_is_dark():
    *events, last = as_slm(scan_plan(), SLM)
    assert [(event.index["p"], event.index["c"]) for event in events] == [(p, c) for p in range(3) for c in range(2)]
    assert not last.slm_image.data.any()
    twice = CapturePlan.of(BOARD, scan_plan().captures[:1] * 2)
    assert [event.index["t"] for event in as_action(twice)] == [0, 1]


def test_what_an_slm_cannot_show_is_refused():
    coloured = CapturePlan.of(BOARD, [Observe(single_led(BOARD, 0, colour=0), 5.0)])
    with pytest.raises(WrongFormat, match="more colours"):
        as_slm(coloured, SLM)
    dimmed = CapturePlan.of(BOARD, [Observe(graded([0] * 11 + [7]), 5.0)])
    with pytest.raises(WrongFormat, match="on and off"):
        as_slm(dimmed, SlmLight(rows=3, columns=4, grey=False))
    with pytest.raises(ConfigError, match="cannot show the 12 LEDs"):
        as_slm(scan_plan(), SlmLight(rows=4, columns=4))
    # all of it goes as actions
    for plan in (coloured, dimmed):
        assert plan_of_events(as_action(plan), BOARD, Meaning()).plan.captures == plan.captures


def sequence() -> MDASequence:
    return MDASequence(
        channels=[Channel(config="BF", exposure=5.0), Channel(config="DF", exposure=80.0)],
        stage_positions=[{"x": 1000.0, "y": 500.0, "z": 2.0}],
        grid_plan=GridRowsColumns(rows=2, columns=3, overlap=10),
        axis_order="pgc",
    )


MEANING = Meaning(
    field_um=(200.0, 100.0), channels={"BF": bright_field(BOARD, na=0.15), "DF": dark_field(BOARD, na=0.15)}
)


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_sequence_with_a_grid_and_channels_is_a_plan(suffix: str, tmp_path: Path):
    path = tmp_path / f"sequence{suffix}"
    path.write_text(sequence().model_dump_json(exclude_unset=True) if suffix == ".json" else sequence().yaml())
    plan = plan_of_file(path, BOARD, MEANING).plan
    assert [capture.exposure_ms for capture in plan.captures] == [5.0, 80.0] * 6
    assert [capture.pattern for capture in plan.captures[:2]] == list(MEANING.channels.values())
    x_um, y_um = zip(*dict.fromkeys(capture.xy_um for capture in plan.captures), strict=True)
    # three columns of 180 um and two rows of 90 um around the place that was named
    assert sorted(set(x_um)) == pytest.approx([820.0, 1000.0, 1180.0])
    assert sorted(set(y_um)) == pytest.approx([455.0, 545.0])
    assert {capture.z_um for capture in plan.captures} == {2.0}


REFUSED = {
    "autofocus": (MDAEvent(action=HardwareAutofocus(), exposure=1.0), "hardware_autofocus"),
    "another action": (MDAEvent(action=CustomAction(name="bleach"), exposure=1.0), "'bleach'"),
    "a property": (MDAEvent(properties=[("Camera", "Binning", "2")], exposure=1.0), "Camera.Binning"),
    "a region": (MDAEvent(roi=(0, 0, 8, 8), exposure=1.0), "region"),
    "a time": (MDAEvent(min_start_time=60.0, exposure=1.0), "waits until 60 s"),
    "half a place": (MDAEvent(x_pos=1.0, exposure=1.0), "x or y alone"),
    "an unknown channel": (MDAEvent(channel="DAPI", exposure=1.0), "'DAPI'"),
    "no exposure": (MDAEvent(channel="BF"), "no exposure"),
    "no place at all": (MDAEvent(channel="BF", exposure=1.0, x_pos=float("nan"), y_pos=0.0), "nan"),
    "another board": (MDAEvent(exposure=1.0, metadata={"lsm": {"board": "0123"}}), "0123"),
    "too few pixels": (MDAEvent(exposure=1.0, slm_image=[[0, 1], [2, 3]]), "does not fit"),
    "no pixels": (MDAEvent(exposure=1.0, slm_image=SLMImage(data=[[0.5] * 4] * 3)), "none of LEDs"),
    "pixels too bright": (MDAEvent(exposure=1.0, slm_image=SLMImage(data=[[256] * 4] * 3)), "256"),
    "an LED too many": (
        MDAEvent(exposure=1.0, action=CustomAction(name="lsm capture", data={"lit": [[12, 1, 9]]})),
        "does not have",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_a_plan_cannot_say_is_one_sentence_with_a_hint(what: str):
    event, named = REFUSED[what]
    with pytest.raises(LsmError, match=named) as refused:
        plan_of_events([event], BOARD, MEANING)
    assert refused.value.hint


def test_waiting_and_open_shutters_can_be_left_out():
    events = [MDAEvent(channel="BF", exposure=1.0, min_start_time=9.0, keep_shutter_open=True)]
    found = plan_of_events(events, BOARD, Meaning(channels=MEANING.channels, drop_waits=True))
    assert len(found.plan) == 1
    assert "keep_shutter_open" in found.notes[0]


def test_an_axis_that_is_named_alone_leaves_the_other():
    events = [
        MDAEvent(channel="BF", exposure=1.0, x_pos=1.0, y_pos=2.0),
        MDAEvent(channel="BF", exposure=1.0, x_pos=5.0),
        MDAEvent(channel="BF", exposure=1.0),
    ]
    captures = plan_of_events(events, BOARD, MEANING).plan.captures
    assert [capture.xy_um for capture in captures] == [(1.0, 2.0), (5.0, 2.0), None]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "cannot be read"),
        ("{}", "nothing in it"),
        ('{"chanels": ["BF"]}', "unknown key 'chanels'"),
        ('{"channels": 7}', "no useq sequence"),
        ('[{"exposure": -1}]', "no useq sequence"),
        ('{"kind": "lsm useq events", "version": 2, "events": []}', "version 2"),
        ('{"kind": "lsm useq events", "version": 1, "events": []}', "no capture"),
    ],
)
def test_files_that_are_no_sequences_are_refused(text: str, named: str, tmp_path: Path):
    path = tmp_path / "sequence.json"
    path.write_text(text)
    with pytest.raises(LsmError, match=named):
        plan_of_file(path, BOARD, MEANING)


def test_a_sequence_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(useq_import, "MOST_EVENTS", 40)
    path = tmp_path / "sequence.json"
    path.write_text('{"time_plan": {"interval": 0.0, "loops": 41}, "channels": ["BF"]}')
    with pytest.raises(WrongFormat, match="more than 40 captures"):
        read_events(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileMissing, match=r"none\.yaml"):
        read_events(tmp_path / "none.yaml")


def test_a_plan_beyond_the_limits_names_the_capture():
    limits = Limits(x_um=(0, 250), y_um=(0, 100), z_um=(-5, 5))
    with pytest.raises(LimitExceeded, match="Capture 5 of 6: y_um"):
        scan_plan().refuse_beyond(limits)
    with pytest.raises(InputError, match="another board"):
        CapturePlan.of(LedBoard.grid(rows=2, columns=2, pitch_mm=3.0, distance_mm=50.0), scan_plan().captures)
