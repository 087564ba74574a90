"""The guided calibration from the page in Debian's chromium, over the simulated rig with the real firmware."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console.pages import DARK_WITHIN_S, IN_CHROMIUM, PATIENT_MS, axe_faults, needs_axe, picture
from console.rigs import Served, rig_config, served, until
from lsm.calibrate.session import DEFAULT_OUT
from lsm.calibration import Calibration
from lsm_sim.board import read_led_frames

pytestmark = IN_CHROMIUM
PATIENT_S = PATIENT_MS / 1000
# only the lights that are asked for are computed, and firmware without sanitizers: as in the tests of the command
QUICK: dict[str, Any] = {"colours": (), "sanitize": False, "exposure_takes_time": True}
CLICK_BOTH = "both => both.forEach(each => document.querySelector(each).click())"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        with served(Path("out") / "console", rig=rig_config(**QUICK), calibrations=DEFAULT_OUT) as console:
            yield console


def test_it_says_what_to_put_on_the_stage_measures_and_shows_what_it_saw(here: Served, page: Page):
    page.click("#tab-calibrate")
    page.click("#cal-open")
    expect(page.locator("#cal-title")).to_have_text("Dark signal, read noise and gain of the camera")
    expect(page.locator("#cal-put")).to_contain_text("thin sample with many cells")
    expect(page.locator("#cal-result")).to_contain_text("calibration.json")
    page.click("#cal-measure")
    expect(page.locator("#cal-captures")).to_contain_text(re.compile("Measuring, [1-9]"))
    page.reload()
    expect(page.locator("#tab-calibrate")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#cal-steps [data-status='measured']")).to_have_count(1)
    expect(page.locator("#cal-values")).to_contain_text(re.compile(r"gain e per adu\s*2\.\d+ ± 0\.\d+"))
    expect(page.locator("#cal-picture")).to_be_visible()
    until(lambda: page.evaluate("document.getElementById('cal-picture').naturalWidth") > 0, PATIENT_S)
    found = Calibration.read(Path("out/calibration/simulated/calibration.json"))
    expect(page.locator("#cal-result")).to_contain_text(
        f"out/calibration/simulated/calibration.json ({found.digest()})"
    )
    picture(page, "calibrate")
    page.click("#cal-next")
    expect(page.locator("#cal-title")).to_contain_text("Pixel size")
    expect(page.locator("#cal-measure")).to_have_text("Measure")


def test_a_step_that_is_refused_says_why_and_can_be_repeated(here: Served, page: Page):
    # at once: the state that names the step has not come back when the second click is made
    page.evaluate(CLICK_BOTH, ["#cal-steps [data-step='leds']", "#cal-measure"])
    expect(page.locator("#cal-said")).to_contain_text("LEDs are found after camera and focus. Run the steps")
    expect(page.locator("#cal-steps [data-step='leds']")).to_have_attribute("data-status", "refused")
    expect(page.locator("#cal-measure")).to_have_text("Measure again")
    expect(page.locator("#cal-measure")).to_be_enabled()
    picture(page, "calibrate-refused")


@needs_axe
def test_axe_finds_no_fault_in_the_wizard(page: Page):
    assert axe_faults(page) == []
    page.click("#cal-steps [data-step='camera']")
    expect(page.locator("#cal-picture")).to_be_visible()
    assert axe_faults(page) == []


def test_a_stop_by_key_is_dark_in_time_and_the_step_can_be_measured_again(here: Served, page: Page):
    page.click("#cal-steps [data-step='camera']")
    page.click("#cal-measure")
    expect(page.locator("#doing")).to_have_text("Measuring")
    until(lambda: here.console.state.now.calibration.captures >= 3, PATIENT_S)
    pressed_ns = time.monotonic_ns()
    page.keyboard.press("Escape")
    expect(page.locator("#doing")).to_have_text("STOPPED: dark and still")
    expect(page.locator("#cal-steps [data-step='camera']")).to_have_attribute("data-status", "stopped")
    in_time_ns = pressed_ns + int(1e9 * DARK_WITHIN_S)
    frames = read_led_frames(here.board.frames_path)
    assert not any(levels.any() for t_ns, levels in frames if t_ns > in_time_ns)
    page.click("#release")
    expect(page.locator("#doing")).to_have_text("Idle, dark")
    # what was measured before is kept and still told
    expect(page.locator("#cal-values")).to_contain_text("±")
    expect(page.locator("#cal-measure")).to_be_enabled()


def test_others_watch_and_leaving_tells_where_the_file_is(here: Served, page: Page):
    other = here.client(name="a program")
    other.take_control(force=True)
    page.click("#cal-measure")
    expect(page.locator("#toast")).to_contain_text("steers")
    assert here.console.state.now.calibration.status == "open"
    other.drop_control()
    page.click("#control")
    page.click("#cal-leave")
    expect(page.locator("#cal-open")).to_be_visible()
    expect(page.locator("#cal-result")).to_contain_text("calibration.json")
    page.click("#presets button[data-name='bright field']")
    page.click("#snap")
    expect(page.locator("#shown-text")).to_contain_text("9 LEDs read back")
