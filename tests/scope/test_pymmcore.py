"""The work-arounds that make a mixed core pycromanager's own; each of these fails without them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pycromanager import Acquisition, Core
from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

from lsm.errors import DeviceError
from lsm.scope._pymmcore import close_core, open_core, snake_case

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")

DEMO = Path("MMConfig_demo.cfg")


@pytest.fixture
def core() -> Iterator[Any]:
    core = open_core(DEMO)
    yield core
    close_core(core)


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("getXYPosition", "get_xy_position"),
        ("setTimeoutMs", "set_timeout_ms"),
        ("getXYStageDevice", "get_xy_stage_device"),
        ("waitForDevice", "wait_for_device"),
        ("snapImage", "snap_image"),
    ],
)
def test_methods_have_the_names_that_pycromanager_calls(camel: str, snake: str):
    assert snake_case(camel) == snake


def test_pycromanager_gets_the_mixed_core_with_inherited_methods(core: Any):
    assert Core() is core
    assert core.get_camera_device() == "Camera"
    core.set_exposure(1.0)
    core.snap_image()
    tagged = core.get_tagged_image(0, "Camera", core.get_image_height(), core.get_image_width())
    assert tagged.pix.shape == (512, 512)


def test_a_wrong_property_raises_when_the_core_is_told(core: Any):
    """Not so in an Acquisition, which drops the image without an error: the driver sets hardware by these calls."""
    with pytest.raises(RuntimeError, match="NoSuchProperty"):
        core.set_property("Camera", "NoSuchProperty", "1")
    with pytest.raises(RuntimeError, match="NoSuchDevice"):
        core.set_xy_position("NoSuchDevice", 1.0, 1.0)


def test_a_second_core_is_refused_while_one_is_open(core: Any):
    with pytest.raises(DeviceError, match="open in this process already"):
        open_core(DEMO)
    assert Core() is core


def test_an_acquisition_runs_on_the_core_opened_last():
    """A stale engine keeps the closed core and dead executors: the acquisition would never end."""
    close_core(open_core(DEMO))
    core = open_core(DEMO)
    images = []
    try:
        assert Engine.get_instance().core is core
        with Acquisition(image_process_fn=lambda image, _: images.append(image), show_display=False) as acquisition:
            acquisition.acquire({"axes": {"step": 0}, "exposure": 1.0})
    finally:
        close_core(core)
    assert [image.shape for image in images] == [(512, 512)]


def test_a_configuration_that_does_not_load_leaves_no_core_behind(tmp_path: Path):
    broken = tmp_path / "broken.cfg"
    broken.write_text("Device,Camera,NoSuchAdapter,DCam\n")
    with pytest.raises(DeviceError, match=r"cannot load .*broken\.cfg.*NoSuchAdapter"):
        open_core(broken)
    core = open_core(DEMO)
    close_core(core)
    close_core(core)


def test_python_devices_load_beside_adapters_and_their_names_are_found(tmp_path: Path):
    """Traps: getProperty('Core', 'Camera') is empty for a Python device; a missing world is a sentence."""
    cfg = tmp_path / "mixed.cfg"
    cfg.write_text(
        "Device,Wheel,DemoCamera,DWheel\n"
        "#py pyDevice,Cam,scope.devices,StillCamera\n"
        "Property,Core,Initialize,1\n"
        "#py Property,Core,Camera,Cam\n"
    )
    core = open_core(cfg)
    try:
        assert core.get_camera_device() == "Cam"
        assert set(core.get_loaded_devices()) >= {"Cam", "Wheel"}
        core.set_state("Wheel", 2)
        core.snap_image()
        assert core.get_tagged_image(0, "Cam", 3, 2).pix.shape == (3, 2)
    finally:
        close_core(core)
    cfg.write_text("#py pyDevice,Cam,lsm_sim.mmcamera,SimCamera\nProperty,Core,Initialize,1\n")
    with pytest.raises(DeviceError, match="no simulated world"):
        open_core(cfg)


def test_the_process_ends_with_status_0_closed_or_not():
    """With the relay still attached and events on their way it aborts with status 134."""
    program = (
        "from pathlib import Path\n"
        "from lsm.scope._pymmcore import open_core, close_core\n"
        "core = open_core(Path('MMConfig_demo.cfg'))\n"
        "for step in range(50):\n"
        "    core.set_xy_position(float(step), 0.0)\n"
        "    core.set_property('Camera', 'Binning', str(1 + step % 2))\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program + ending], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for ending in ("", "close_core(core)")
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
