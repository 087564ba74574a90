"""`lsm calibrate` on the simulated rig, as it is typed."""

import json

import pytest

from lsm.cli import main

pytestmark = pytest.mark.firmware


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *words])
    return int(ended.value.code or 0)


def test_focus_by_two_leds_is_printed_with_its_uncertainty(capsys: pytest.CaptureFixture[str]):
    assert run("focus", "simulated", "--method", "two-leds", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    # a tenth of the depth of field, see test_autofocus
    assert abs(found["z_um"]) < 0.1 * found["depth_of_field_um"]
    assert 0 < found["sigma_um"] < 5
    assert found["dose_led_ms"] == pytest.approx(60.0)


def test_the_stage_of_the_simulated_rig_is_as_its_file_says(capsys: pytest.CaptureFixture[str]):
    assert run("stage", "simulated") == 0
    said = capsys.readouterr().out
    assert "the rig file says 1.2000 um (+0.0%)" in said or "(-0.0%)" in said
    assert "mirrored" not in said


def test_the_rigs_own_autofocus_runs_under_guard(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")
    assert run("focus", "demo_camera", "--method", "device", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "device"
    assert found["lowest_um"] <= found["z_um"] <= found["highest_um"]


def test_a_camera_that_shows_no_sample_has_no_focus(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")
    assert run("focus", "demo_camera") == 1
    assert "% sharper" in capsys.readouterr().err


def test_a_range_that_the_rig_forbids_is_one_sentence(capsys: pytest.CaptureFixture[str]):
    assert run("focus", "simulated", "--method", "guess") == 2
    assert "two-leds" in capsys.readouterr().err
    assert run("focus", "simulated", "--at", "-5", "0") == 1
    assert "x_um" in capsys.readouterr().err
