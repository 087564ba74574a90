"""Devices that the rig file names, where Micro-Manager's own roles are held by others."""

from pathlib import Path

import pytest

from lsm.devices import Observe
from lsm.illum import bright_field
from lsm.scope import MicroManagerMicroscope
from lsm.scope.connect import open_devices
from scope.fakes import BOARD, FakeLight, make_rig

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")


def test_the_camera_and_drive_that_the_rig_names_are_used_and_the_roles_given_back(tmp_path: Path):
    cfg = tmp_path / "two.cfg"
    roles = {"Camera": "Cam1", "Focus": "Z1"}
    devices = {"Cam1": "DCam", "Cam2": "DCam", "Z1": "DStage", "Z2": "DStage"}
    cfg.write_text(
        "\n".join(
            [
                "Property,Core,Initialize,0",
                *(f"Device,{label},DemoCamera,{name}" for label, name in devices.items()),
                "Property,Core,Initialize,1",
                *(f"Property,Core,{role},{label}" for role, label in roles.items()),
            ]
        )
    )
    rig = make_rig(
        cfg=str(cfg),
        devices={"camera": "Cam2", "focus": "Z2"},
        properties=[["Cam2", "Binning", "2"]],
        camera={"pixel_um": 4.8},
        timeouts_s={"stage": 5.0, "camera": 5.0},
    )
    core, release = open_devices(rig)
    try:
        microscope = MicroManagerMicroscope(core, FakeLight([]), rig)
        frame = microscope.observe(Observe(bright_field(BOARD, na=0.1), 2.0, z_um=3.0))
        assert (frame.metadata["Camera"], frame.image.shape) == ("Cam2", (256, 256))
        assert (core.get_focus_device(), core.get_position("Z1")) == ("Z2", 0.0)
        microscope.close()
        assert (core.get_camera_device(), core.get_focus_device()) == ("Cam1", "Z1")
    finally:
        release()
