"""The parity experiment at one place: the same script on every rig, images to the bit, light as asked."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from lsm.devices import Frame

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(180)]

RUN = Path(__file__).parents[2] / "experiments" / "rig_parity" / "run.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(RUN))


@pytest.fixture(scope="module")
def config(script: dict[str, Any]) -> Any:
    whole = script["ParityConfig"].from_file(RUN.with_name("config.toml"))
    return whole.model_copy(update={"places_um": whole.places_um[:1], "z_um": whole.z_um[1:]})


def frames_of(script: dict[str, Any], config: Any, rig: str) -> list[Frame]:
    microscope = script["open_rig"](rig, config)
    try:
        return script["captures"](microscope, config)
    finally:
        microscope.close()


@pytest.fixture(scope="module")
def twin(script: dict[str, Any], config: Any) -> list[Frame]:
    return frames_of(script, config, "twin")


@pytest.mark.parametrize("rig", ["native", "avr_mega", "stm32f405"])
def test_the_rig_gives_the_frames_of_the_twin_to_the_bit(
    script: dict[str, Any], config: Any, twin: list[Frame], rig: str
):
    found = script["compare"](frames_of(script, config, rig), twin)
    assert found["images_equal_to_the_twin"] == found["frames"] == len(twin)
    assert found["light_equal_to_the_request"] == found["frames"]
    assert found["largest_stage_difference_um"] == 0


def test_vendor_devices_take_the_same_script(script: dict[str, Any], config: Any, twin: list[Frame]):
    found = script["compare"](frames_of(script, config, "demo_camera"), twin)
    assert found["light_equal_to_the_request"] == found["frames"]
    assert found["largest_stage_difference_um"] <= 0.015  # one step of its stage


def test_another_light_is_noticed(script: dict[str, Any], config: Any, twin: list[Frame]):
    found = script["compare"]([twin[1], *twin[1:]], twin)
    assert found["images_equal_to_the_twin"] == len(twin) - 1
    assert found["light_equal_to_the_twin"] == len(twin) - 1
