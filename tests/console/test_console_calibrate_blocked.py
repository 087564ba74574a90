"""A rig that cannot be calibrated says why in the console, as the command does, and leaves no file."""

from pathlib import Path

import pytest

from console.rigs import rig_config, served, until

pytestmark = pytest.mark.firmware


def test_a_blocked_light_path_is_refused_with_the_reason_each_time(tmp_path: Path):
    rig = rig_config(colours=(), sanitize=False, hidden={"blocked": True})
    with served(tmp_path, rig=rig) as here, here.client() as client:
        client.open_calibration()
        for _ in range(2):
            client.measure("camera")
            until(lambda: here.console.state.now.calibration.status == "open", within_s=300.0)
            camera = client.state()["calibration"]["steps"][0]
            assert camera["status"] == "refused"
            assert "light path is blocked" in camera["said"]["message"]
        assert client.state()["calibration"]["file_digest"] == ""
        assert not list(tmp_path.rglob("calibration.json"))
        assert any("light path is blocked" in line["message"] for line in client.state()["log"]["lines"])
