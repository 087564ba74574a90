"""Rig files: what they may say, and what a wrong one is told."""

import math
import re
import tomllib
from pathlib import Path

import pytest

from lsm.errors import ConfigError, FileMissing
from lsm.scope import RigConfig, connect, find_rig
from scope.fakes import FakeLight, make_rig

MINIMAL = """
name = "mine"
cfg = "mine.cfg"
[objective]
na = 0.1
magnification = 4.0
[camera]
pixel_um = 4.8
[limits]
x_um = [0, 1]
y_um = [0, 1]
z_um = [0, 1]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "rig.toml"
    path.write_text(text)
    return path


def test_the_default_rig_has_the_numbers_everything_is_built_around():
    rig = RigConfig.from_file(find_rig("simulated"))
    board = rig.led.board.build()
    assert rig.camera_pixel_um == pytest.approx(1.2)
    assert rig.camera.shape_px == (192, 192)
    assert board.n_leds == 169
    assert int((board.na <= rig.objective.na).sum()) == 9
    assert board.na.max() == pytest.approx(0.454, abs=5e-4)  # the figure of the design, three digits


def test_an_unknown_key_is_refused_with_the_key_that_was_meant(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"limits\.x_uM") as error:
        RigConfig.from_file(write(tmp_path, MINIMAL.replace("x_um", "x_uM")))
    assert "'x_um'" in error.value.hint


def test_paths_are_those_beside_the_rig_file(tmp_path: Path):
    (tmp_path / "mine.cfg").touch()
    text = MINIMAL.replace("[objective]", 'micro_manager = "mm"\n[led.board]\ncsv = "leds.csv"\n[objective]')
    rig = RigConfig.from_file(write(tmp_path, text))
    assert rig.cfg == tmp_path / "mine.cfg"
    assert rig.micro_manager == tmp_path / "mm"
    assert rig.led.board.csv == tmp_path / "leds.csv"


def test_a_missing_configuration_or_folder_of_micro_manager_is_named_and_the_light_closed(tmp_path: Path):
    diary: list[str] = []
    rig = RigConfig.from_file(write(tmp_path, MINIMAL))
    with pytest.raises(FileMissing, match=r"mine\.cfg does not exist"):
        connect(rig, illuminator=FakeLight(diary))
    with pytest.raises(FileMissing, match=r"folder .*nowhere"):
        connect(rig.model_copy(update={"micro_manager": tmp_path / "nowhere"}), illuminator=FakeLight(diary))
    with pytest.raises(ConfigError, match="names no 'cfg'"):
        connect(make_rig(), illuminator=FakeLight(diary))
    assert diary == ["closed"] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "java", "cfg": "x.cfg"}, "backend = 'java' and 'cfg'"),
        ({"backend": "java", "simulator": {"entry": "simulated"}}, "'java' and is simulated"),
        ({"simulator": {"entry": "nonsense"}}, "unknown simulator 'nonsense'.*simulated"),
        ({"cfg": "x.cfg"}, "names no LED port"),
    ],
)
def test_a_rig_that_cannot_work_is_refused_with_a_sentence(changes: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        connect(make_rig(**changes))


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("objective", {"na": 1.2}, "NA 1.2 in a medium of index 1 is impossible"),
        ("objective", {"na": 1.6, "immersion_index": 1.515}, "NA 1.6 in a medium of index 1.515"),
        ("objective", {"na": math.nan}, "objective.na"),
        ("objective", {"magnification": math.inf}, "objective.magnification"),
        ("camera", {"pixel_um": 0.0}, "camera.pixel_um"),
        ("camera", {"shape_px": [0, 5]}, "camera.shape_px"),
        ("limits", {"x_um": [0.0, math.nan]}, "limits.x_um"),
        ("limits", {"exposure_ms": [10.0, 1.0]}, "limits.exposure_ms"),
        ("timeouts_s", {"stage": 1e9}, "timeouts_s.stage"),
        ("settle_ms", {"led": -1.0}, "settle_ms.led"),
        ("tolerance_um", {"z": math.nan}, "tolerance_um.z"),
        ("trigger", {"input": 256}, "trigger.input"),
        ("trigger", {"edge": "both"}, "trigger.edge"),
        ("trigger", {"camera_properties": [["Camera", "TriggerMode"]]}, "trigger.camera_properties"),
        ("java", {"port": 70_000}, "java.port"),
        ("led", {"kind": "mm_slm"}, "led.kind = 'mm_slm' needs the label of the device"),
        ("led", {"kind": "mm_property", "micro_manager": {"device": "LEDs"}}, "needs the property of 'LEDs'"),
        ("led", {"micro_manager": {"device": "LEDs"}}, "names the device 'LEDs', but led.kind is 'serial'"),
        ("led", {"micro_manager": {"devise": "LEDs"}}, "unknown key 'led.micro_manager.devise'"),
    ],
)
def test_a_value_that_no_rig_can_have_is_named(table: str, changes: dict[str, object], message: str):
    given = make_rig().model_dump(mode="json", exclude_unset=True)
    given[table] = given.get(table, {}) | changes
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        RigConfig.from_table(given)
    assert refused.value.hint


def test_with_immersion_the_aperture_may_exceed_one():
    given = {"na": 1.2, "magnification": 60.0, "immersion_index": 1.33}
    assert make_rig(objective=given).objective.na == 1.2


def test_a_real_rig_takes_no_sample():
    with pytest.raises(ConfigError, match="not simulated, yet was given sample, seed"):
        connect(make_rig(), sample=None, seed=1)


def test_a_misspelt_option_of_the_simulator_is_refused():
    with pytest.raises(ConfigError, match="repeatability_m"):
        connect(make_rig(simulator={"entry": "simulated", "options": {"repeatability_m": 1}}))


def test_an_unknown_rig_lists_those_that_are_shipped():
    with pytest.raises(FileMissing, match=r"bench, demo_camera, .*simulated"):
        find_rig("simulatd")
    assert find_rig("demo_camera.toml") == find_rig("demo_camera")


SHIPPED = sorted(path.stem for path in find_rig("simulated").parent.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_rig_is_valid_and_called_as_its_file(name: str):
    rig = RigConfig.from_file(find_rig(name))
    assert rig.name == name
    assert rig.simulator is not None or rig.led.port or rig.led.micro_manager.device
    assert rig.simulator is not None or rig.backend == "java" or rig.cfg is not None


def test_the_shipped_rigs_show_every_way_to_a_light_and_every_backend():
    rigs = [RigConfig.from_file(find_rig(name)) for name in SHIPPED]
    assert {rig.led.kind for rig in rigs} >= {"serial", "mm_property", "mm_slm"}
    assert {rig.backend for rig in rigs} == {"python", "java"}


def test_what_the_bench_file_shows_in_comments_is_valid_too():
    """Whoever takes the marks away must find keys that work."""
    text = find_rig("bench").read_text(encoding="utf-8")
    keys = re.sub(r"^# (?=\w+ = |\[trigger\]|    \[|\])", "", text, flags=re.MULTILINE)
    rig = RigConfig.from_table(tomllib.loads(keys))
    assert (rig.trigger.input, rig.trigger.output, rig.trigger.edge) == (0, 0, "falling")
    assert rig.trigger.camera_properties == (("Camera", "TriggerMode", "External"),)
    assert rig.objective.immersion_index == 1.515
    assert rig.limits.safe_z_um == -50.0
    assert rig.camera.gain_e_per_adu is not None
