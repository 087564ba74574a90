"""Acquisitions from the console, over the real firmware and painted images: begun, paused, ended, gone on with."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from console.rigs import Served, ask, rig_config, served, until
from lsm.console.client import ConsoleRefused
from lsm.errors import InputError, LimitExceeded
from lsm.record import open_record, verify_record
from scope.painted import Painted, lit_in

pytestmark = pytest.mark.firmware


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # moves take time, so that an acquisition lasts long enough to be paused in its middle
    rig = rig_config(move_ms=100.0)
    with served(tmp_path_factory.mktemp("runs"), rig=rig, renderer=Painted()) as console:
        yield console


@pytest.fixture(autouse=True)
def _at_rest(here: Served) -> Iterator[None]:
    yield
    client = here.client()
    client.take_control(force=True)
    client.run("end")
    until(lambda: status(here) not in ("running", "paused", "ending"))
    client.release()
    client.drop_control()


def status(here: Served) -> str:
    return here.console.state.now.run.status


def begun(here: Served, name: str) -> str:
    until(lambda: here.console.state.now.run.name == name)
    return name


def folder(here: Served, name: str) -> Path:
    return here.console.runs.path(name)


def test_every_field_is_recorded_under_the_chosen_light(here: Served):
    with here.client() as client:
        client.move(xy_um=(600.0, 700.0))
        client.light(leds=[3, 84])
        client.camera(exposure_ms=7.0)
        name = begun(here, client.acquire(slide="B 12", columns=2, rows=2))
        until(lambda: status(here) == "done")
        run = client.state()["run"]
    assert name.endswith("-B-12")
    assert (run["kind"], run["taken"], run["most"], run["unit"]) == ("acquisition", 4, 4, "captures")
    assert run["prevalence"] is None
    assert str(folder(here, name) / "record.h5") in run["said"]["message"]
    assert verify_record(folder(here, name) / "record.h5").faults == ()
    with open_record(folder(here, name) / "record.h5") as recording:
        frames = list(recording.frames())
        assert recording.complete
    assert [lit_in(frame) for frame in frames] == [[3, 84]] * 4
    assert {frame.exposure_ms for frame in frames} == {7.0}
    # nine tenths of 192 pixels of 1.2 um from field to field, over and back; the stage stops within 0.5 um
    steps = np.diff([frame.xy_um for frame in frames], axis=0)
    assert np.abs(steps - [[207.36, 0.0], [0.0, 207.36], [-207.36, 0.0]]).max() < 1.0
    assert frames[0].xy_um == pytest.approx((600.0, 700.0), abs=1.0)
    told = json.loads(ask(here, "GET", f"/api/runs/{name}/acquisition.json")[1])
    assert (told["captures"], told["fields"], told["dimmed"], told["resumed_after"]) == (4, 4, 0, 0)


def test_one_that_was_ended_tells_what_it_goes_on_with_and_goes_on(here: Served):
    with here.client() as client:
        client.light(preset="bright field")
        name = begun(here, client.acquire(slide="C", columns=3, rows=2, start="middle", light="learned"))
        until(lambda: here.console.state.now.run.captures >= 3)
        client.run("pause")
        until(lambda: status(here) == "paused")
        held = client.snap()["run"]["captures"]
        client.move(xy_um=(100.0, 100.0))
        assert client.state()["run"]["captures"] == held
        with pytest.raises(ConsoleRefused, match="is on"):
            client.outline(name)
        client.run("resume")
        until(lambda: here.console.state.now.run.captures > held)
        client.run("end")
        until(lambda: status(here) == "stopped")
        taken = client.state()["run"]["captures"]
        outline = client.outline(name)
        lights = outline["light"].count(",") + 1
        assert (outline["slide"], outline["kind"], outline["recorded"]) == ("C", "acquisition", taken)
        assert (outline["captures"], outline["fields"]) == (6 * lights, 6)
        # a field that is not complete is among those that were seen
        assert len(outline["seen"]) + len(outline["coming"]) == 6
        entry = next(each for each in client.call("GET", "/api/runs") if each["name"] == name)
        assert not entry["complete"]
        client.go_on(name)
        until(lambda: status(here) == "done")
        with pytest.raises(InputError, match="complete"):
            client.go_on(name)
    record = folder(here, name) / "record.h5"
    assert verify_record(record).faults == ()
    with open_record(record) as recording:
        asked = [(frame.request.xy_um, frame.request.pattern.name) for frame in recording.frames()]
    # each field under each light once, in order, as if nobody had ended it
    assert len(asked) == len(set(asked)) == 6 * lights
    assert [place for place, _ in asked[:lights]] == [asked[0][0]] * lights
    assert [name for _, name in asked] == [name for _, name in asked[:lights]] * 6
    told = json.loads((folder(here, name) / "acquisition.json").read_text(encoding="utf-8"))
    assert told["resumed_after"] == taken


def test_what_is_not_possible_is_refused_before_anything_begins(here: Served):
    with here.client() as client:
        before = client.call("GET", "/api/runs")
        client.light(preset="dark")
        with pytest.raises(InputError, match="is dark"):
            client.acquire()
        client.light(preset="bright field")
        client.move(xy_um=(2300.0, 700.0))
        with pytest.raises(InputError, match="beyond the travel"):
            client.acquire(columns=2, rows=1)
        with pytest.raises(InputError, match="100000000 captures"):
            client.acquire(columns=10_000, rows=10_000)
        with pytest.raises(LimitExceeded, match="Capture 1 of 1"):
            client.acquire(exposure_ms=600.0)
        assert client.call("GET", "/api/runs") == before


def test_a_stop_ends_it_and_what_was_recorded_stays(here: Served):
    with here.client() as client:
        client.light(preset="bright field")
        name = begun(here, client.acquire(columns=6, rows=1, start="middle"))
        until(lambda: here.console.state.now.run.captures >= 2)
        client.stop()
        until(lambda: status(here) == "stopped")
        assert not here.board.lit().any()
        client.release()
        outline = client.outline(name)
        assert 2 <= outline["recorded"] < 6
        assert len(outline["coming"]) == 6 - outline["recorded"]
