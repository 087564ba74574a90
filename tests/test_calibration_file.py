"""The file that a calibration leaves, and what a rig and the simulated world make of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsm.calibration import Calibration, CameraFacts, LedFacts, Measured, Orientation
from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.scope import RigConfig, find_rig


def described() -> RigConfig:
    return RigConfig.from_file(find_rig("simulated"))


def some(rig: RigConfig) -> Calibration:
    board = rig.led.board.nominal()
    places = board.positions_mm + np.array([2.0, -1.0, 0.5])
    none = (0.0,) * board.n_leds
    return Calibration(
        rig=rig.name,
        rig_digest=rig.optics_digest,
        date="2026-11-22T08:00:00+00:00",
        commit="abc",
        camera=CameraFacts(
            offset_adu=Measured(value=31.0, sigma=0.01),
            gain_e_per_adu=Measured(value=2.2, sigma=0.01),
            read_noise_e=Measured(value=4.1, sigma=0.02),
            light_delay_ms=Measured(value=0.0, sigma=0.01),
        ),
        leds=LedFacts(
            positions_mm=tuple(tuple(row) for row in places.tolist()),
            sigma_mm=none,
            sigma_distance_mm=0.0,
            brightness=tuple(np.linspace(0.9, 1.1, board.n_leds).tolist()),
            sigma_brightness=none,
            rotation_deg=Measured(value=0.0, sigma=0.1),
        ),
    )


def rig_with(calibration: Calibration, folder: Path) -> RigConfig:
    calibration.write(folder / "measured.json")
    text = find_rig("simulated").read_text(encoding="utf-8")
    (folder / "rig.toml").write_text('calibration = "measured.json"\n' + text, encoding="utf-8")
    return RigConfig.from_file(folder / "rig.toml")


def test_it_comes_back_as_it_was_written(tmp_path: Path):
    found = some(described())
    found.write(tmp_path / "c.json")
    assert Calibration.read(tmp_path / "c.json") == found


def test_a_rig_that_names_it_has_the_measured_board_and_camera(tmp_path: Path):
    rig = rig_with(some(described()), tmp_path)
    board = rig.led.board.build()
    assert np.abs(board.positions_mm - described().led.board.build().positions_mm - [2.0, -1.0, 0.5]).max() < 1e-12
    assert board.gain is not None
    assert board.gain[-1] == pytest.approx(1.1)
    assert (rig.camera.offset_adu, rig.camera.gain_e_per_adu, rig.camera.read_noise_e) == (31.0, 2.2, 4.1)
    assert rig.uncalibrated().led.board.build().digest == described().led.board.build().digest


def test_a_rig_without_one_keeps_the_digest_that_recordings_carry():
    rig = described()
    assert "calibration" not in rig.model_dump()
    assert "calibration" not in rig.led.board.model_dump()
    assert rig.optics_digest == rig.model_copy(update={"name": "other"}).optics_digest


def test_a_changed_file_is_refused(tmp_path: Path):
    some(described()).write(tmp_path / "c.json")
    table = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    table["camera"]["gain_e_per_adu"]["value"] = 3.0
    (tmp_path / "c.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(WrongFormat, match="changed after it was measured"):
        Calibration.read(tmp_path / "c.json")


def test_what_is_no_calibration_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "c.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(WrongFormat):
        Calibration.read(tmp_path / "c.json")
    with pytest.raises(FileMissing):
        Calibration.read(tmp_path / "d.json")


def test_the_calibration_of_another_rig_is_refused(tmp_path: Path):
    other = some(described()).model_copy(update={"rig_digest": "0" * 16})
    with pytest.raises(ConfigError, match="described otherwise"):
        rig_with(other, tmp_path)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("rows", [False, True])
def test_an_orientation_only_moves_pixels(transpose: bool, columns: bool, rows: bool):
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    turned = Orientation(transpose=transpose, flip_columns=columns, flip_rows=rows).apply(image)
    assert sorted(turned.ravel()) == sorted(image.ravel())
    assert turned.shape == ((4, 3) if transpose else (3, 4))
    assert turned[-1 if rows else 0, -1 if columns else 0] == image[0, 0]
