"""Requests made from the description by one who has control of the rig: nothing goes beyond its limits.

With LSM_FUZZ_REQUESTS=10000 as many are made.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from console.fuzzed import OTHERS_DRAW, fuzz
from console.rigs import Served, rig_config, served, until
from console.watched import Watched
from lsm.console.owner import Busy
from lsm_sim.board import read_led_frames
from scope.painted import Painted

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(3600), pytest.mark.filterwarnings(OTHERS_DRAW)]

RIG = rig_config()
PATIENT_S = 300.0


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched(RIG, Painted())


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, watched: Watched) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("runs"), rig=RIG, renderer=watched) as console:
        yield console


def test_nothing_goes_beyond_the_limits_whatever_a_controller_asks_for(here: Served, watched: Watched):
    console = here.console
    client = here.client()
    client.take_control(force=True)
    client.move(xy_um=(600.0, 700.0))
    client.move(xy_um=(700.0, 600.0))
    # what is asserted below is seen at all
    assert len(watched.places) > 1
    key = console.lease.take("fuzz", force=True)

    def in_control(case: Any) -> None:
        nonlocal key
        if console.state.now.control.holder != "fuzz":
            key = console.lease.take("fuzz", force=True)
        # one who presses stop at random would stand still most of the time
        if here.scope.halted:
            with suppress(Busy):  # the run that was stopped is still ending
                console.owner.submit("Releasing the stop", console.owner.release).result(PATIENT_S)
        case.headers["x-lsm-control"] = key

    answered = fuzz(here, prepare=in_control)
    assert watched.outside == []
    # it did not only refuse, and did not only obey
    assert answered[200] > 0
    assert answered[422] > 0
    client.take_control(force=True)
    if client.state()["run"]["status"] in ("running", "paused"):
        client.run("end")
    client.cancel_measurement()
    until(lambda: console.state.now.run.status not in ("running", "paused", "ending"), PATIENT_S)
    until(lambda: console.state.now.calibration.status in ("open", "closed"), PATIENT_S)
    until(lambda: console.state.now.machine.doing != "running", PATIENT_S)
    client.stop()
    client.release()
    client.leave_calibration()
    client.light(preset="bright field")
    client.camera(live=False, exposure_ms=5.0)
    # it still serves
    assert client.move(xy_um=(600.0, 600.0))["light"]["shown"]
    assert not read_led_frames(here.board.frames_path)[-1][1].any()
    assert watched.outside == []
