"""The Java client's path, against a server that answers as Micro-Manager's does."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from pymmcore import CMMCore
from pymmcore_plus import find_micromanager

from lsm.devices import Observe
from lsm.errors import CameraError, DeviceError, StageError
from lsm.illum import bright_field
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig, open_light
from lsm.scope._java import JavaCore, close_behind, open_java_core, remembered_sockets
from lsm.scope.rig import JavaServer
from lsm_sim.zmq_core import ZmqCore, core_api
from scope.fakes import FakeLight, make_rig

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")

QUICK = {"stage": 0.4, "camera": 0.4}


@pytest.fixture(scope="module")
def demo() -> CMMCore:
    folder = find_micromanager()
    assert folder is not None
    core = CMMCore()
    core.setDeviceAdapterSearchPaths([folder])
    core.loadSystemConfiguration(str(Path(folder) / "MMConfig_demo.cfg"))
    core.setProperty("Camera", "PixelType", "16bit")
    return core


@pytest.fixture
def server(demo: CMMCore) -> Iterator[ZmqCore]:
    with ZmqCore(demo) as running:
        yield running


@pytest.fixture
def core(server: ZmqCore) -> Iterator[JavaCore]:
    opened = open_java_core(JavaServer(port=server.port, timeout_s=2.0))
    yield opened
    opened.close()


def java_rig(port: int, timeout_s: float = 10.0, **changes: object) -> RigConfig:
    table = {"backend": "java", "java": {"port": port, "timeout_s": timeout_s}, "timeouts_s": QUICK}
    return make_rig(**(table | {"camera": {"pixel_um": 4.8, "shape_px": [512, 512]}} | changes))


def test_an_unmodified_client_drives_the_server(server: ZmqCore, demo: CMMCore):
    from pycromanager import Core

    with remembered_sockets() as sockets:
        core = Core(port=server.port, timeout=2000)
    bridge = core._bridge
    assert core.get_version_info() == demo.getVersionInfo()
    core.set_exposure(3.0)
    core.set_property("Camera", "Binning", "1")
    core.snap_image()
    image = core.get_tagged_image()
    assert image.pix.dtype == np.uint16
    assert image.pix.shape == (512 * 512,)
    assert image.tags["Width"] == 512
    devices = core.get_loaded_devices()
    assert "XY" in [devices.get(index) for index in range(devices.size())]
    with pytest.raises(Exception, match="nonsense"):
        core.set_property("Camera", "nonsense", "1")
    assert server.open_objects == 3
    # by hand: two objects that the garbage collector finds together make the client wait for ever
    for each in (devices, image, core):
        each._close()
    close_behind(bridge, sockets)
    assert server.open_objects == 0


def test_the_server_offers_what_micro_manager_offers_with_its_overloads():
    by_name: dict[str, list[list[str]]] = {}
    for method in core_api():
        by_name.setdefault(method["name"], []).append(method["arguments"])
    string = "java.lang.String"
    assert sorted(by_name["setXYPosition"]) == [["double", "double"], [string, "double", "double"]]
    assert [string, string, string] in by_name["setProperty"]
    assert [string, string, "double"] in by_name["setProperty"]
    assert by_name["setSLMImage"] == [[string, "byte[]"]]
    assert len(by_name["startSequenceAcquisition"]) == 2
    assert sorted(by_name["getTaggedImage"]) == [[], ["int"]]


def test_answers_are_those_of_a_core_in_this_process(core: JavaCore, demo: CMMCore, server: ZmqCore):
    assert core.get_loaded_devices() == tuple(demo.getLoadedDevices())
    assert core.get_device_type("XY") == demo.getDeviceType("XY")
    core.snap_image()
    image = core.get_tagged_image()
    assert np.array_equal(image.pix, demo.getImage())
    core.set_xy_position("XY", np.float64(3.0), 4)
    core.wait_for_device("XY")
    assert core.get_x_position("XY") == pytest.approx(3.0, abs=0.02)  # its motor's steps are 0.015 um
    assert server.open_objects == 1


def test_a_sequence_is_fetched_with_its_tags(core: JavaCore, server: ZmqCore):
    core.set_exposure(1.0)
    core.start_sequence_acquisition(3, 0, True)
    images = []
    deadline = time.monotonic() + 5.0
    while len(images) < 3 and time.monotonic() < deadline:
        if core.get_remaining_image_count():
            images.append(core.pop_next_tagged_image())
    assert [(each.pix.shape, each.tags["Camera"]) for each in images] == [((512, 512), "Camera")] * 3
    assert server.open_objects == 1


def test_an_error_of_micro_manager_is_a_runtime_error_of_one_line(core: JavaCore):
    with pytest.raises(RuntimeError, match="nonsense") as refused:
        core.set_property("Camera", "nonsense", "1")
    assert "\n" not in str(refused.value)
    assert "java" not in str(refused.value)


@pytest.mark.firmware
def test_a_running_micro_manager_and_a_board_of_its_own_make_a_frame(server: ZmqCore):
    light = open_light(RigConfig.from_file(find_rig("simulated")))
    rig = java_rig(server.port, limits={"x_um": [-100, 100], "y_um": [-100, 100], "z_um": [-5, 5]})
    rig = rig.model_copy(update={"timeouts_s": rig.timeouts_s.model_copy(update={"stage": 5.0, "camera": 5.0})})
    with connect(rig, illuminator=light) as scope:
        pattern = bright_field(scope.board, na=0.1)
        frame = scope.observe(Observe(pattern, 5.0, (12.0, -8.0), 2.0))
    assert frame.image.shape == (512, 512)
    assert np.ptp(frame.image) > 0
    assert np.array_equal(frame.shown.levels, pattern.levels)
    assert frame.xy_um == pytest.approx((12.0, -8.0), abs=0.02)
    assert frame.z_um == pytest.approx(2.0, abs=0.02)
    assert server.open_objects == 0


def test_one_connection_after_the_other_works(server: ZmqCore):
    for _ in range(3):
        with connect(java_rig(server.port), illuminator=FakeLight([])) as scope:
            scope.observe(Observe(bright_field(scope.board, na=0.5), 1.0))
    assert server.open_objects == 0


@pytest.mark.parametrize(("hanging", "error"), [("snapImage", CameraError), ("setXYPosition", StageError)])
def test_a_server_that_hangs_ends_in_an_error_in_time(server: ZmqCore, hanging: str, error: type[DeviceError]):
    diary: list[str] = []
    scope = connect(java_rig(server.port), illuminator=FakeLight(diary))
    server.hang_in.add(hanging)
    began = time.monotonic()
    with pytest.raises(error, match=r"has not come back within 0\.4"):
        scope.observe(Observe(bright_field(scope.board, na=0.5), 1.0, (5.0, 5.0)))
    assert time.monotonic() - began < QUICK["stage"] + 1.0
    scope.close()
    assert diary[-1] == "closed"
    server.release()
    with connect(java_rig(server.port), illuminator=FakeLight([])) as again:
        assert again.observe(Observe(bright_field(again.board, na=0.5), 1.0)).image.shape == (512, 512)


def test_a_micro_manager_that_is_killed_ends_in_an_error_and_the_program_ends_too(tmp_path: Path):
    """In processes of their own, because the client waits at the end of the interpreter."""
    script = f"""
import os, signal, subprocess, sys, time
from lsm.devices import Observe
from lsm.errors import DeviceError
from lsm.illum import bright_field
from lsm.scope import connect
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from scope.fakes import FakeLight
from scope.test_java_core import java_rig
server = subprocess.Popen([sys.executable, "-m", "lsm_sim.zmq_core"], stdout=subprocess.PIPE, text=True)
scope = connect(java_rig(int(server.stdout.readline())), illuminator=FakeLight([]))
request = Observe(bright_field(scope.board, na=0.5), 1.0)
scope.observe(request)
server.kill()
server.wait()
server.stdout.close()
try:
    scope.observe(request)
except DeviceError as error:
    print("ended:", error.message)
print(time.monotonic())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    first, ended_s = done.stdout.split("\n")[:2]
    assert first.startswith("ended: ")
    assert "within 0.4" in first
    # the end of the interpreter: the goodbye, CLOSING_S, and unloading numpy and torch
    assert time.monotonic() - float(ended_s) < 6.0


@pytest.mark.parametrize("version", ["4.2.0", "6.0.0"])
def test_another_version_of_the_server_is_refused_with_both_versions(demo: CMMCore, version: str):
    with (
        ZmqCore(demo, version=version) as server,
        pytest.raises(DeviceError, match=f"speaks version {version}, pycromanager here speaks 5.1.0"),
    ):
        connect(java_rig(server.port), illuminator=FakeLight([]))


def test_a_port_where_nobody_listens_is_told_at_once():
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
    began = time.monotonic()
    diary: list[str] = []
    with pytest.raises(DeviceError, match=f"Nothing listens on port {port}") as refused:
        connect(java_rig(port), illuminator=FakeLight(diary))
    assert "pycro-manager server" in refused.value.hint
    assert diary == ["closed"]
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("silent", ["connect", "get-constructors", "constructor"])
def test_a_server_that_is_silent_while_connecting_is_given_up(demo: CMMCore, silent: str):
    with ZmqCore(demo) as server:
        server.hang_in.add(silent)
        began = time.monotonic()
        with pytest.raises(DeviceError, match=f"port {server.port}"):
            connect(java_rig(server.port, timeout_s=0.6), illuminator=FakeLight([]))
        assert time.monotonic() - began < 2.5
        server.release()
        connect(java_rig(server.port), illuminator=FakeLight([])).close()


def test_something_else_on_the_port_is_not_taken_for_micro_manager(tmp_path: Path):
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def answer() -> None:
            socket.recv()
            socket.send(b"[1, 2]")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeviceError, match="is not Micro-Manager"):
            open_java_core(JavaServer(port=port, timeout_s=1.0))
        thread.join()


def test_a_core_in_this_process_is_refused_beside_it(server: ZmqCore, monkeypatch: pytest.MonkeyPatch):
    from mmpycorex import launcher

    monkeypatch.setattr(launcher, "_PYMMCORES", [object()])
    with pytest.raises(DeviceError, match="open in this process already"):
        open_java_core(JavaServer(port=server.port))


def test_the_limits_hold_for_a_running_micro_manager_too(server: ZmqCore):
    with connect(java_rig(server.port), illuminator=FakeLight([])) as scope:
        assert isinstance(scope, Interlock)
        with pytest.raises(Exception, match="outside the rig's limit"):
            scope.observe(Observe(bright_field(scope.board, na=0.5), 1.0, (101.0, 0.0)))
