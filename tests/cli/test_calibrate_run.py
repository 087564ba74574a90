"""`lsm calibrate run` on a simulated rig with hidden truths, as it is typed."""

import json
import re
from pathlib import Path

import pytest

from lsm.cli import main
from lsm.scope import find_rig

pytestmark = pytest.mark.firmware

HIDDEN = """
camera = { gain_e_per_adu = 2.2, read_noise_e = 4.1, offset_adu = 31.0 }
colours = []
sanitize = false

[simulator.options.stage.xy]
backlash_um = 2.5

[simulator.options.hidden]
pixel_factor = 1.012
stage_angle_deg = 1.7
mirror = "columns"
"""


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *words])
    return int(ended.value.code or 0)


@pytest.fixture
def rig(tmp_path: Path) -> str:
    text = find_rig("simulated").read_text(encoding="utf-8").rstrip() + HIDDEN
    (tmp_path / "rig.toml").write_text(text, encoding="utf-8")
    return str(tmp_path / "rig.toml")


def test_hidden_truths_are_found_step_by_step(rig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = ("--out", str(tmp_path / "out"), "--yes", "--json")
    assert run(rig, "--steps", "camera", *out) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["stage"] is None
    assert run("run", rig, "--steps", "camera,stage", *out) == 0
    found = json.loads(capsys.readouterr().out)
    # what was measured stays: it goes on with the step that is missing
    assert found["camera"] == first["camera"]
    # as promised: gain 3 %, read noise 10 %, pixel 0.3 %, angle 0.1 deg, backlash 0.5 um
    assert found["camera"]["gain_e_per_adu"]["value"] == pytest.approx(2.2, rel=0.03)
    assert found["camera"]["read_noise_e"]["value"] == pytest.approx(4.1, rel=0.10)
    assert found["stage"]["pixel_um"]["value"] == pytest.approx(1.2 * 1.012, rel=0.003)
    assert found["stage"]["angle_deg"]["value"] == pytest.approx(1.7, abs=0.1)
    assert [each["value"] for each in found["stage"]["backlash_um"]] == pytest.approx([2.5, 2.5], abs=0.5)
    assert any("mirrored" in finding for finding in found["findings"])
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"camera.png", "stage.npz", "report.html"}
    # told to people: what a twin still needs, and numbers without digits that mean nothing
    assert run("report", rig, "--out", str(tmp_path / "out")) == 2
    assert "lacks what a twin needs: focus, leds." in capsys.readouterr().err
    assert run("run", rig, "--steps", "camera,stage", *out[:-1]) == 0
    said = capsys.readouterr().out
    assert "orientation: flip columns" in said
    assert "hot_pixels: none" in said or "hot_pixels: [[" in said
    assert re.search(r"[1-9]\d*\.\d{6}", said) is None


def test_ctrl_c_says_that_what_is_done_is_kept(
    rig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    words = (rig, "--steps", "camera,stage", "--out", str(tmp_path / "out"), "--yes")
    monkeypatch.setattr("lsm.calibrate.session.Session._measured", interrupted)
    assert run(*words) == 130
    assert "goes on" not in capsys.readouterr().err  # nothing is done yet
    monkeypatch.undo()
    assert run(*words[:2], "camera", *words[3:]) == 0
    capsys.readouterr()
    monkeypatch.setattr("lsm.calibrate.session.Session._measured", interrupted)
    assert run(*words) == 130
    assert "the same command goes on with the others" in capsys.readouterr().err


def test_a_blocked_light_path_is_one_sentence(rig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = Path(rig)
    path.write_text(path.read_text(encoding="utf-8") + "blocked = true\n", encoding="utf-8")
    assert run(rig, "--steps", "camera", "--yes", "--out", str(tmp_path / "out")) == 1
    said = capsys.readouterr().err
    assert "light path is blocked" in said
    assert "Step 'camera'" in said


def test_nobody_is_guessed_for(rig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("run", "bench", "--yes", "--out", str(tmp_path)) == 2
    assert "not simulated" in capsys.readouterr().err
    assert run(rig, "--steps", "guess", "--yes", "--out", str(tmp_path)) == 2
    assert "camera" in capsys.readouterr().err
    assert run("report", rig, "--out", str(tmp_path / "none")) == 2
    assert "does not exist" in capsys.readouterr().err
