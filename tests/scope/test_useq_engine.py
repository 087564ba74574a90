"""Exported events, run by pymmcore-plus' acquisition engine on Micro-Manager's demonstration camera and stages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.devices import Observe
from lsm.errors import IlluminatorError
from lsm.illum import LedBoard, bright_field, dark_field
from lsm.scope.capture_plan import CapturePlan
from lsm.scope.lit_engine import LitEngine
from lsm.scope.useq_events import SlmLight, as_action, as_slm, write_events
from lsm.scope.useq_import import Meaning, plan_of_events, read_events
from scope.fakes import FakeLight
from scope.led_devices import LoggedSlm

adapters = pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")
from pymmcore import CMMCore  # noqa: E402
from pymmcore_plus.experimental.unicore import UniMMCore  # noqa: E402
from pymmcore_plus.mda import MDAEngine  # noqa: E402

CFG = """
Property,Core,Initialize,0
Device,DHub,DemoCamera,DHub
Device,Camera,DemoCamera,DCam
Device,XY,DemoCamera,DXYStage
Device,Z,DemoCamera,DStage
Parent,Camera,DHub
Parent,XY,DHub
Parent,Z,DHub
#py pyDevice,Slm,scope.led_devices,LoggedSlm
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Core,Focus,Z
Property,Core,XYStage,XY
"""
BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=6.0, distance_mm=50.0)
PLAN = CapturePlan.of(
    BOARD,
    [
        Observe(light, exposure_ms, xy_um, 2.0)
        for xy_um in ((10.0, 20.0), (30.0, 20.0))
        for light, exposure_ms in ((bright_field(BOARD, na=0.15), 2.0), (dark_field(BOARD, na=0.15), 3.0))
    ],
)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "demo.cfg"
    path.write_text(CFG)
    core = UniMMCore()
    core.loadSystemConfiguration(str(path))
    # there is no shutter; pymmcore-plus would close it after each image
    core.setAutoShutter(False)
    LoggedSlm.log.clear()
    yield core
    # a core that still calls back when Python ends takes the process with it
    CMMCore.registerCallback(core, None)
    core.unloadAllDevices()


def frames_of(core: Any, events: list[Any]) -> list[tuple[np.ndarray, Any, dict[str, Any]]]:
    frames: list[tuple[np.ndarray, Any, dict[str, Any]]] = []

    def keep(image: np.ndarray, event: Any, facts: dict[str, Any]) -> None:
        frames.append((image, event, facts))

    core.mda.events.frameReady.connect(keep)
    core.mda.run(events)
    return frames


def places(frames: list[Any]) -> list[tuple[float, float, float]]:
    return [(at["x"], at["y"], at["z"]) for at in (facts["position"] for _, _, facts in frames)]


def test_an_exported_file_runs_and_its_frames_are_the_plan(core: Any, tmp_path: Path):
    path = tmp_path / "scan.json"
    write_events(path, as_slm(PLAN, SlmLight(rows=3, columns=3, device="Slm")))
    core.mda.set_engine(MDAEngine(core, use_hardware_sequencing=False))
    *frames, last = frames_of(core, read_events(path))
    assert len(frames) == len(PLAN)
    assert [facts["exposure_ms"] for _, _, facts in frames] == [each.exposure_ms for each in PLAN.captures]
    for (x, y, z), capture in zip(places(frames), PLAN.captures, strict=True):
        # the demonstration stages move in steps of 0.015 um
        assert (x, y) == pytest.approx(capture.xy_um, abs=0.02)
        assert z == pytest.approx(capture.z_um, abs=0.02)
    shown = [image.ravel() for image in LoggedSlm.log]
    assert [levels.tolist() for levels in shown[:-1]] == [each.pattern.levels[:, 1].tolist() for each in PLAN.captures]
    assert not shown[-1].any()
    assert last[1].metadata["lsm"]["role"] == "dark at the end"
    # and what the recorded events say is the plan again
    assert plan_of_events([event for _, event, _ in frames], BOARD, Meaning()).plan.captures == PLAN.captures


def test_actions_are_lit_by_the_board_and_say_what_it_showed(core: Any):
    diary: list[str] = []
    light = FakeLight(diary)
    light.board = BOARD
    core.mda.set_engine(LitEngine(core, light))
    frames = frames_of(core, as_action(PLAN))
    assert len(frames) == len(PLAN)
    assert [np.array(event.metadata["lsm"]["shown"]).tolist() for _, event, _ in frames] == [
        capture.pattern.levels.tolist() for capture in PLAN.captures
    ]
    assert diary[-1] == "dark"
    assert diary.count("show") == len(PLAN)


def test_a_light_that_goes_out_is_an_error_and_not_an_image(core: Any):
    light = FakeLight([], outages=1)
    light.board = BOARD
    core.mda.set_engine(LitEngine(core, light))
    with pytest.raises(IlluminatorError, match="went out"):
        frames_of(core, as_action(PLAN))
    assert light.diary[-1] == "dark"


def test_the_own_engine_of_pymmcore_plus_takes_no_image_of_actions(core: Any):
    core.mda.set_engine(MDAEngine(core, use_hardware_sequencing=False))
    assert frames_of(core, as_action(PLAN)) == []
