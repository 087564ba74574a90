"""`lsm scope check`: what a rig that works is told, and every kind of rig that does not."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymmcore import CMMCore

from lsm.cli import main
from lsm.scope import Report, RigConfig, check_rig, find_rig
from lsm.scope import check as check_module
from lsm_sim.board import NativeBoard
from lsm_sim.rig import SimulatedMicroscope
from lsm_sim.zmq_core import ZmqCore
from scope.test_java_core import demo  # noqa: F401 -- a fixture
from scope.test_mm_light import CFG, mm_rig

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")
pytestmark = pytest.mark.firmware

RIG: dict[str, Any] = {
    "name": "bench",
    "cfg": "MMConfig_demo.cfg",
    "properties": [["Camera", "PixelType", "16bit"]],
    "objective": {"na": 0.1, "magnification": 4.0},
    "camera": {"pixel_um": 4.8, "shape_px": [512, 512]},
    "limits": {"x_um": [-100, 4], "y_um": [-100, 100], "z_um": [-20, 20]},
    "timeouts_s": {"stage": 3.0, "camera": 3.0},
}
OTHER_INTERFACE = """
long GetModuleVersion(void) { return 10; }
long GetDeviceInterfaceVersion(void) { return 70; }
"""


@pytest.fixture(scope="module")
def board() -> Iterator[NativeBoard]:
    with NativeBoard(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0) as board:
        yield board


def checked(board: NativeBoard | None, *, watchdog: bool = False, **changes: Any) -> Report:
    led = changes.pop("led", {})
    port = {} if board is None else {"port": board.port}
    return check_rig(RigConfig.from_table(RIG | {"led": port | led} | changes), exposure_ms=5.0, watchdog=watchdog)


def told(report: Report, level: str) -> list[tuple[str, str]]:
    return [(each.about, each.text) for each in report.findings if each.level == level]


def config(folder: Path, *devices: str) -> str:
    path = folder / "devices.cfg"
    path.write_text("\n".join(["Property,Core,Initialize,0", *devices, "Property,Core,Initialize,1"]))
    return str(path)


def test_a_bench_that_works_is_listed_and_measured(board: NativeBoard):
    report = checked(board, watchdog=True)
    assert not report.wrong
    by_label = {row["label"]: row for row in report.devices}
    assert by_label["Camera"]["library"] == "DemoCamera"
    assert by_label["Camera"]["role"] == "camera"
    assert "MaximumExposureMs" in by_label["Camera"]["loaded_with"]
    assert not any(row["busy"] for row in report.devices)
    assert report.facts["light"]["protocol"] == 2
    assert report.facts["goes_dark_alone"] is True
    assert "interface" in report.facts["micro_manager"]
    assert 5.0 <= report.latency_ms["snap, exposure of 5 ms"] <= report.latency_ms["observe, exposure of 5 ms"]
    # the limits leave 4 um upwards and 100 um downwards
    assert any("x moved by -10.0 um" in text for _, text in told(report, "ok"))
    # Micro-Manager's camera does not see the light, which the check must notice
    assert [about for about, _ in told(report, "warning")] == ["light"]
    assert not board.lit().any()


def test_an_exposure_outside_the_limits_and_a_saturated_image_are_told(board: NativeBoard):
    camera, limits = RIG["camera"] | {"saturated_adu": 1000.0}, RIG["limits"] | {"exposure_ms": [8, 20]}
    report = checked(board, camera=camera, limits=limits)
    warnings = dict(told(report, "warning")[:1]), [text for _, text in told(report, "warning")]
    assert "of 5 ms is outside the rig's limits.exposure_ms = [8, 20]; 8 ms was used." in warnings[0]["exposure"]
    assert any("The image under one LED is saturated" in text for text in warnings[1])


def test_without_moves_nothing_moves(board: NativeBoard):
    rig = RigConfig.from_table(RIG | {"led": {"port": board.port}})
    report = check_rig(rig, exposure_ms=5.0, move=False, watchdog=False)
    assert not [name for name in report.latency_ms if "moved" in name]
    assert ("stage", "was not moved, as you asked.") in told(report, "ok")


@pytest.mark.parametrize(
    ("changes", "about", "sentence"),
    [
        ({"led": {"port": "/dev/ttyNOBODY"}}, "light", "port /dev/ttyNOBODY does not exist"),
        ({"led": {"port": ""}}, "light", "names no LED port"),
        ({"led": {"board": {"rows": 8, "columns": 8}}}, "light", "has 169 LEDs, 'grid' has 64"),
        ({"led": {"board": {"pitch_mm": 5.0}}}, "light", "is 12.00 mm from where 'grid' has it"),
        ({"cfg": "nothing.cfg"}, "devices", "configuration nothing.cfg does not exist"),
        ({"micro_manager": "nowhere"}, "devices", "folder nowhere does not exist"),
        ({"devices": {"camera": "Cam2"}}, "devices", "devices.camera = 'Cam2' is not among"),
        ({"devices": {"focus": "Piezo"}}, "devices", "devices.focus = 'Piezo' is not among"),
        ({"camera": {"pixel_um": 4.8, "shape_px": [100, 100]}}, "camera", "uint16 (512, 512), the rig expects"),
        ({"properties": [["Camera", "PixelTyp", "16bit"]]}, "microscope", "PixelTyp"),
        ({"backend": "java", "cfg": None, "java": {"port": 4999}}, "devices", "Nothing listens on port 4999"),
        (
            {"limits": {"x_um": [1000, 2000], "y_um": [-1, 1], "z_um": [-1, 1]}},
            "limits",
            "outside the rig's limits.x_um = [1000, 2000]; nothing was moved",
        ),
    ],
)
def test_a_rig_file_that_is_wrong_is_told_where(board: NativeBoard, changes: dict[str, Any], about: str, sentence: str):
    report = checked(board, **changes)
    assert report.wrong
    found = [each for each in report.findings if each.level == "wrong" and sentence in each.text]
    assert [each.about for each in found] == [about]
    assert found[0].hint
    assert not [name for name in report.latency_ms if "moved" in name] or about == "exposure"
    # whatever is wrong with one half, the other is looked at
    assert about == "light" or told(report, "ok")[0][0] == "light"
    assert about != "light" or report.devices


def test_a_running_micro_manager_is_checked_as_one_in_this_process(board: NativeBoard, demo: CMMCore):  # noqa: F811
    with ZmqCore(demo) as server:
        report = checked(board, backend="java", cfg=None, java={"port": server.port})
        assert server.open_objects == 0
    assert not report.wrong
    assert report.facts["micro_manager"]["backend"] == "java"
    assert {row["label"]: row["kind"] for row in report.devices}["XY"] == "XY stage"
    assert any("x moved by -10.0 um" in text for _, text in told(report, "ok"))


def test_an_adapter_that_is_missing_is_named(board: NativeBoard, tmp_path: Path):
    report = checked(board, cfg=config(tmp_path, "Device,Cam,NoSuchCamera,Cam"))
    assert any("'Cam' from the adapter 'NoSuchCamera', which is not in" in text for _, text in told(report, "wrong"))
    assert "DemoCamera" in report.findings[-1].hint


def test_an_adapter_for_another_device_interface_is_told_with_both_versions(board: NativeBoard, tmp_path: Path):
    source = tmp_path / "old.c"
    source.write_text(OTHER_INTERFACE)
    library = tmp_path / "libmmgr_dal_OldCamera.so.0"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    report = checked(board, cfg=config(tmp_path, "Device,Cam,OldCamera,Cam"), micro_manager=str(tmp_path))
    sentence = "was built for device interface 70; the core of this program has interface"
    assert any(sentence in text for _, text in told(report, "wrong"))
    assert "pymmcore release" in report.findings[-1].hint


def test_a_configuration_without_camera_says_how_to_name_one(board: NativeBoard, tmp_path: Path):
    report = checked(board, cfg=config(tmp_path, "Device,Z,DemoCamera,DStage"), properties=[])
    assert told(report, "wrong") == [("devices", "Micro-Manager's configuration has no camera of that role.")]
    assert {text for _, text in told(report, "warning")} == {
        "The rig has no XY stage: fields cannot be changed.",
        "The rig has no focus drive.",
    }


def test_a_rig_without_stage_and_focus_is_not_outside_their_limits(board: NativeBoard, tmp_path: Path):
    cfg = config(tmp_path, "Device,Camera,DemoCamera,DCam", "Property,Core,Camera,Camera")
    report = checked(board, cfg=cfg, limits={"x_um": [10, 20], "y_um": [10, 20], "z_um": [10, 20]})
    assert not report.wrong
    assert report.facts["place_um"] == {}
    assert not [name for name in report.latency_ms if "moved" in name]


def test_firmware_of_another_protocol_is_told_what_to_flash(board: NativeBoard, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lsm.led.client.PROTOCOL_VERSION", 3)
    report = checked(board)
    assert any("speaks another version of the protocol" in text for _, text in told(report, "wrong"))
    assert "flash the firmware" in [each for each in report.findings if each.level == "wrong"][-1].hint


def test_a_board_whose_watchdog_does_not_work_is_wrong(board: NativeBoard, monkeypatch: pytest.MonkeyPatch):
    """A board that is asked all the time stands for one that never goes dark."""
    monkeypatch.setattr("lsm.scope._checks.MARGIN_S", -1.9)
    report = checked(board, watchdog=True)
    assert any("still on after 2 s of silence" in text for _, text in told(report, "wrong"))


def test_a_stage_that_is_busy_for_ever_is_told(monkeypatch: pytest.MonkeyPatch):
    connect = check_module.connect

    def stalled(rig: RigConfig) -> Any:
        scope = connect(rig)
        assert isinstance(scope.microscope, SimulatedMicroscope)
        assert scope.microscope.world is not None
        scope.microscope.world.faults.stage.stalls = True
        return scope

    monkeypatch.setattr(check_module, "connect", stalled)
    rig = RigConfig.from_file(find_rig("simulated"))
    short = rig.timeouts_s.model_copy(update={"stage": 0.5})
    report = check_rig(rig.model_copy(update={"timeouts_s": short}), exposure_ms=1.0, watchdog=False)
    assert report.wrong
    assert any(about == "stage" for about, _ in told(report, "wrong"))
    assert any("'XY' says that it is busy" in text for _, text in told(report, "warning"))


@pytest.mark.parametrize("kind", ["mm_property", "mm_slm"])
def test_lights_of_micro_manager_are_said_to_stay_lit(tmp_path: Path, kind: str):
    cfg = tmp_path / "leds.cfg"
    cfg.write_text(CFG)
    rig = mm_rig(cfg, kind)
    # its camera has one exposure
    rig = rig.model_copy(update={"limits": rig.limits.model_copy(update={"exposure_ms": (1.0, 1.0)})})
    report = check_rig(rig, exposure_ms=1.0)
    warnings = " ".join(text for _, text in told(report, "warning"))
    assert "the LEDs stay lit" in warnings
    assert ("An SLM cannot be read back" in warnings) == (kind == "mm_slm")
    assert report.facts["goes_dark_alone"] is False
    assert not report.wrong


def test_the_command_prints_json_and_fails_for_a_rig_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rig.toml"
    text = find_rig("demo_camera").read_text(encoding="utf-8").split("[simulator]")[0]
    path.write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["scope", "check", str(path), "--json"])
    assert left.value.code == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["wrong"] is True
    assert {"level": "wrong", "about": "light"}.items() <= printed["findings"][0].items()


def test_the_command_finds_a_dead_led_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "small.toml"
    path.write_text(find_rig("simulated").read_text(encoding="utf-8").replace(" = 13\n", " = 5\n"))
    connect = check_module.connect

    def with_a_dead_led(rig: RigConfig) -> Any:
        scope = connect(rig)
        assert isinstance(scope.microscope, SimulatedMicroscope)
        assert scope.microscope.world is not None
        light = scope.microscope.world.faults.light
        light.dead = frozenset({12})
        return scope

    monkeypatch.setattr(check_module, "connect", with_a_dead_led)
    with pytest.raises(SystemExit) as left:
        main(["scope", "check", str(path), "--leds", "--no-move", "--exposure-ms", "50"])
    assert left.value.code == 1
    printed = capsys.readouterr().out
    assert "12 at (0, 0) mm" in printed
    assert "is not ready" in printed
