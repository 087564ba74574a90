"""The short form of the calibration campaign: one small rig against its hidden truth, and proof that it can fail."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lsm.errors import CalibrationFailed, DeviceError, InputError
from lsm_sim import calibration_campaign as campaign

# half a minute of one core; a loaded machine takes minutes
pytestmark = [pytest.mark.firmware, pytest.mark.timeout(600)]

# of every four rigs the campaign turns the board of one by 90 degrees; this is such a one
SEED, SIDE, WINDOW_PX = 6, 7, 48
STEPS = ["camera", "stage", "focus", "light", "leds"]
SINGLE = ("gain_e_per_adu", "read_noise_e", "offset_adu", "pixel_um", "angle_deg", "backlash_x_um", "backlash_y_um")


# the two rigs, the second of which is blocked; in a process of its own, where shapes are not checked at every call
COMMAND = f"--first {SEED} --rigs 1 --side {SIDE} --window-px {WINDOW_PX} --patterns 0 --steps {','.join(STEPS)}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("campaign")
    words = [sys.executable, "-m", "lsm_sim.calibration_campaign", *COMMAND.split(), "--out", str(folder)]
    subprocess.run([*words, "--json", str(folder / "told.json")], check=True, capture_output=True)
    return json.loads((folder / "told.json").read_text()), folder


@pytest.fixture(scope="module")
def row(told: tuple[dict[str, Any], Path]) -> dict[str, Any]:
    return dict(told[0]["rigs"][0])


@pytest.fixture(scope="module")
def folder(told: tuple[dict[str, Any], Path]) -> Path:
    return told[1] / f"rig-{SEED}"


def test_every_fault_is_named(told: tuple[dict[str, Any], Path]):
    assert told[0]["faults_not_named"] == []
    assert "light path is blocked" in told[0]["rigs"][1]["stopped"]


def test_a_small_rig_is_found_as_near_to_its_truth_as_promised(row: dict[str, Any]):
    assert row["stopped"] == ""
    kept = {name: promise["kept"] for name, promise in campaign.promises([row]).items()}
    # 49 LEDs near the axis tell the distance of their board less well than the 169 that the promise is of
    del kept["position_mm"]
    assert set(kept.values()) == {1}
    assert row["off"]["place_along_board_mm"]["largest"] < 0.2
    assert campaign.named(row, STEPS) == {"rotated": True}


def test_errors_are_not_far_beyond_what_was_stated(row: dict[str, Any]):
    for name in SINGLE:
        off = row["off"][name]
        # one in 16,000 of normal errors lies beyond
        assert abs(off["error"]) < 4 * off["sigma"], name
    # of the LEDs 95 % are meant to be covered; pupils of neighbours overlap, so that 49 tell about as much as ten
    for name in ("irradiance", "brightness", "place_along_board_mm"):
        assert row["off"][name]["covered"] > 0.95 - 4 * (0.95 * 0.05 / 10) ** 0.5, name


def test_the_same_calibration_of_another_rig_breaks_the_promises(
    row: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rig, hidden, truth = campaign.random_rig(SEED, side=SIDE)
    shift_x, shift_y = hidden.shift_mm
    # each by half more than promised
    other = hidden.model_copy(
        update={
            "shift_mm": (shift_x + 0.3, shift_y),
            "pixel_factor": hidden.pixel_factor * 1.0045,
            "stage_angle_deg": hidden.stage_angle_deg + 0.15,
            "seed": hidden.seed + 1,
        }
    )
    camera = {"gain_e_per_adu": truth["gain_e_per_adu"] * 1.045, "read_noise_e": truth["read_noise_e"] * 1.15}
    wrong = truth | camera | {"backlash_um": truth["backlash_um"] + 0.75}
    monkeypatch.setattr(campaign, "random_rig", lambda seed, **settings: (rig, other, wrong))
    # what lies in the folder is taken as it is: nothing is measured again
    off = campaign.one_rig(SEED, STEPS, WINDOW_PX, folder, side=SIDE)
    assert {promise["kept"] for promise in campaign.promises([off]).values()} == {0}
    covered = campaign.coverage([off])
    assert all(covered[name] == 0.0 for name in SINGLE if name != "offset_adu")
    assert max(covered[name] for name in ("brightness", "place_along_board_mm")) < campaign.COVERED[0]


def test_a_campaign_goes_on_with_what_it_has_and_with_no_other_settings(tmp_path: Path):
    settings, file = {"steps": ["camera"]}, tmp_path / "row.json"

    def measure() -> dict[str, Any]:
        return {"seed": 3}

    def never() -> dict[str, Any]:
        raise AssertionError("measured again")

    assert campaign.kept(file, settings, measure) == {"seed": 3}
    assert campaign.kept(file, settings, never) == {"seed": 3}
    with pytest.raises(InputError, match="other settings"):
        campaign.kept(file, {"steps": ["stage"]}, never)


def test_a_device_that_fails_ends_a_campaign_and_a_calibration_that_fails_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(error: Exception) -> None:
        def run(*given: object) -> None:
            raise error

        monkeypatch.setattr(campaign.Session, "run", run)

    fails(CalibrationFailed("The light path is blocked.", hint="open it"))
    assert campaign.one_rig(0, ["camera"], WINDOW_PX, tmp_path)["stopped"] == "The light path is blocked."
    fails(DeviceError("The camera has not come back.", hint="look at its cable"))
    with pytest.raises(DeviceError):
        campaign.one_rig(0, ["camera"], WINDOW_PX, tmp_path)


def test_the_mean_gap_of_a_campaign_is_told_with_its_interval():
    rows = [{"gap": {"rms": rms, "with_noise": rms + 0.005}} for rms in (0.014, 0.016, 0.024)] + [{"gap": None}]
    told = json.loads(json.dumps(campaign.gaps(rows)))
    assert (told["rigs"], told["rms"]["kept"], told["rms"]["worst"]) == (3, 2, 0.024)
    low, high = told["rms"]["interval"]
    # Student's t of two degrees of freedom: 4.303 times 0.0053 / sqrt(3)
    assert (low, high) == pytest.approx((0.018 - 0.01314, 0.018 + 0.01314), abs=1e-4)
