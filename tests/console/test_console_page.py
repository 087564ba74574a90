"""The page in Debian's chromium over the simulated rig: an operator's afternoon, step by step."""

import io
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from console.pages import (
    DARK_WITHIN_S,
    IN_CHROMIUM,
    PATIENT_MS,
    TABLET,
    axe_faults,
    needs_axe,
    picture,
    press_go_on,
    start_scan,
)
from console.rigs import Served, rig_config, served, until
from lsm_sim.board import read_led_frames

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("runs"), rig=rig_config(exposure_takes_time=True)) as console:
        yield console


def frame_number(page: Page) -> int:
    return int(page.locator("#image").get_attribute("data-number") or 0)


def test_the_page_opens_dark_and_frames_move(here: Served, page: Page):
    expect(page.locator("#doing")).to_have_text("Idle, dark")
    page.click("#presets button[data-name='bright field']")
    expect(page.locator("#presets button[data-name='bright field']")).to_have_attribute("aria-pressed", "true")
    page.click("#live-toggle")
    until(lambda: frame_number(page) > 3, PATIENT_MS / 1000)
    expect(page.locator("#scale span")).to_have_text(re.compile(r"\d+ µm"))
    expect(page.locator("#shown-text")).to_contain_text("bright field, 9 LEDs read back")
    picture(page, "live")
    # in a small window come small pictures; the camera's are a click away
    whole = page.evaluate("document.getElementById('image').width")
    page.set_viewport_size({"width": 900, "height": 180})
    until(lambda: page.evaluate("document.getElementById('image').width") <= whole / 2, PATIENT_MS / 1000)
    page.set_viewport_size(TABLET)
    until(lambda: page.evaluate("document.getElementById('image').width") == whole, PATIENT_MS / 1000)
    answer = page.request.get(here.url + page.get_attribute("#full-size", "href"))
    assert Image.open(io.BytesIO(answer.body())).width == whole


def test_a_click_on_an_led_changes_the_firmware_s_frame(here: Served, page: Page):
    page.click("#presets button[data-name='dark']")
    page.click("#board .led[data-led='84']")
    page.click("#board .led[data-led='20']")
    expect(page.locator("#board .led[data-led='20']")).to_have_attribute("data-level", "255")
    expect(page.locator("#shown-text")).to_contain_text("2 LEDs read back")
    lit = [levels for _, levels in read_led_frames(here.board.frames_path) if levels.any()][-1]
    assert sorted(lit.any(axis=1).nonzero()[0].tolist()) == [20, 84]


def test_a_click_on_the_map_moves_the_stage_inside_its_limits(here: Served, page: Page):
    page.click("#presets button[data-name='bright field']")
    box = page.locator("#map .limit").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    expect(page.locator("#where")).to_contain_text(re.compile(r"^x 57\d\.\d"))
    x_um, y_um = here.scope.microscope.where()[0]  # type: ignore[attr-defined]
    # a pixel of the map is about 8 um
    assert x_um == pytest.approx(576, abs=20)
    assert y_um == pytest.approx(691, abs=20)
    page.mouse.click(box["x"] - 8, box["y"] + 5)
    expect(page.locator("#toast")).to_contain_text("outside the rig's limit x_um")


def test_two_quick_clicks_are_two_steps(here: Served, page: Page):
    page.click("#snap")
    expect(page.locator("#where")).to_contain_text("x ")
    page.evaluate("document.getElementById('step').value = '50'")
    began = here.scope.microscope.where()  # type: ignore[attr-defined]
    page.evaluate("for (const _ of [1, 2]) document.querySelector(\"[data-move='1,0']\").click()")
    page.evaluate("for (const _ of [1, 2, 3]) document.querySelector(\"[data-focus='1']\").click()")

    def gone() -> list[float]:
        now = here.scope.microscope.where()  # type: ignore[attr-defined]
        return [now[0][0] - began[0][0], now[0][1] - began[0][1], now[1] - began[1]]

    # places are told and asked for to 0.1 um, and the simulated stage errs by some tenths
    until(lambda: bool(np.allclose(gone(), [100, 0, 3], atol=2)))


def test_a_stop_by_key_is_dark_in_time(here: Served, page: Page):
    page.fill("#exposure", "500")
    page.press("#exposure", "Enter")
    until(lambda: here.console.owner.exposure_ms == 500)
    if here.console.state.now.machine.live is False:
        page.click("#live-toggle")
    until(lambda: here.board.lit().any())
    pressed_ns = time.monotonic_ns()
    page.keyboard.press("Escape")
    until(lambda: here.scope.halted)
    expect(page.locator("#doing")).to_have_text("STOPPED: dark and still")
    picture(page, "stopped")
    frames = read_led_frames(here.board.frames_path)
    dark_ns = min(t_ns for t_ns, levels in frames if t_ns > pressed_ns and not levels.any())
    assert (dark_ns - pressed_ns) / 1e9 < DARK_WITHIN_S
    assert not frames[-1][1].any()
    page.click("#release")
    expect(page.locator("#doing")).to_have_text("Idle, dark")


def test_a_scan_is_paused_resumed_reloaded_ended_and_gone_on_with(here: Served, page: Page):
    start_scan(page, "A-17", columns=4)
    pause(page)
    held = here.console.state.now.run.captures
    page.click("#pause")
    expect(page.locator("#doing")).to_have_text("Run is on")
    until(lambda: here.console.state.now.run.captures > held, PATIENT_MS / 1000)
    pause(page)
    page.reload()
    expect(page.locator("#who")).to_have_text("You steer")
    expect(page.locator("#doing")).to_have_text("Run is paused")
    page.wait_for_selector("#image[data-number]")
    picture(page, "run")
    page.click("#end")
    expect(page.locator("#run-title")).to_contain_text("Stopped")
    page.click("#earlier button >> nth=0")
    expect(page.locator("#going-on-facts")).to_contain_text("A-17")
    expect(page.locator("#going-on-facts")).to_contain_text(re.compile("[1-3] of 4 fields.*[1-3] fields to come"))
    assert page.locator("#plan .field").count() + page.locator("#plan .coming").count() == 4
    picture(page, "go-on")
    page.click("#not-now")
    expect(page.locator("#plan rect")).to_have_count(0)
    press_go_on(page)
    expect(page.locator("#doing")).to_have_text("Run is on")
    page.reload()
    expect(page.locator("#run-title")).to_contain_text(re.compile("Done.*A-17"))
    assert here.console.state.now.run.taken == 4
    # also those that were recorded before it was ended
    expect(page.locator("#map .field")).to_have_count(4)
    page.click("#tab-agent")
    expect(page.locator("#strip li")).to_have_count(here.console.state.now.run.captures)
    picture(page, "saw")


def pause(page: Page) -> None:
    page.click("#pause")
    expect(page.locator("#doing")).to_have_text("Run is paused")


def test_answers_by_key_change_the_verdict(here: Served, page: Page):
    page.click("#tab-review")
    expect(page.locator("#cells .cell").first).to_be_visible()
    before = page.inner_text("#review-verdict")
    page.locator("#cells .cell").first.focus()
    for _ in range(3):
        page.keyboard.press("i")
    expect(page.locator("#review-verdict")).to_contain_text("with 3 answers")
    assert page.inner_text("#review-verdict") != before
    assert page.locator("#cells .cell[data-answer='infected']").count() == 3
    picture(page, "review")


def test_scans_can_be_reviewed_after_another_run_was_stopped(here: Served, page: Page):
    page.click("#finish")
    expect(page.locator("#review-report a")).to_have_text("Reviewed report")
    page.click("#tab-run")
    page.select_option("#search", "acquire")
    page.fill("#columns", "4")
    page.fill("#rows", "3")
    page.click("#start")
    until(lambda: here.console.state.now.run.kind == "acquisition" and here.console.state.now.run.captures >= 1)
    page.click("#end")
    until(lambda: here.console.state.now.run.status == "stopped")
    page.reload()
    expect(page.locator("#who")).to_have_text("You steer")
    page.click("#tab-review")
    expect(page.locator("#review-run option")).not_to_have_count(0)
    expect(page.locator("#review-verdict")).to_contain_text("with 3 answers")


def test_one_who_takes_over_leaves_the_first_watching(here: Served, page: Page):
    other = here.client(name="a program")
    other.take_control(force=True)
    expect(page.locator("#who")).to_contain_text("'a program' steers")
    page.click("#snap")
    expect(page.locator("#toast")).to_contain_text("steers")
    other.drop_control()


@needs_axe
def test_axe_finds_no_fault_in_any_panel(here: Served, page: Page):
    """Last, when all panels are full."""
    for tab in ("agent", "review", "log", "run"):
        page.click(f"#tab-{tab}")
        assert axe_faults(page) == []
