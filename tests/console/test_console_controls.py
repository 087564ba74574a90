"""The page's fields and buttons: they show what is true, ask for nothing that nobody typed, and say who steers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from console.pages import IN_CHROMIUM, opened
from console.rigs import Served, rig_config, served, until
from scope.painted import Painted

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rig = rig_config(move_ms=100.0)
    with served(tmp_path_factory.mktemp("runs"), rig=rig, renderer=Painted()) as console:
        yield console


@pytest.fixture
def page(here: Served) -> Iterator[Page]:
    with opened(here) as page:
        yield page
        assert page.faults == []  # type: ignore[attr-defined]
    client = here.client()
    client.take_control(force=True)
    client.drop_control()


def enter(page: Page, field: str, text: str) -> None:
    page.fill(field, text)
    page.press(field, "Tab")


def test_an_emptied_field_asks_for_nothing_and_a_refused_value_goes(here: Served, page: Page):
    enter(page, "#z", "40")
    until(lambda: here.console.state.now.machine.z_um == pytest.approx(40, abs=2))
    enter(page, "#exposure", "7")
    until(lambda: here.console.owner.exposure_ms == 7)
    enter(page, "#z", "")
    enter(page, "#exposure", "")
    expect(page.locator("#exposure")).to_have_value("7")
    page.click("#snap")
    until(lambda: here.console.state.now.machine.doing == "idle")
    assert here.console.state.now.machine.z_um == pytest.approx(40, abs=2)
    assert here.console.owner.exposure_ms == 7
    for field, kept in (("#z", r"^(39|4[01])(\.\d)?$"), ("#exposure", "^7$")):
        enter(page, field, "99999")
        expect(page.locator("#toast")).to_contain_text("limit")
        assert page.locator(field).input_value() != "99999"
        assert page.evaluate("([value, like]) => new RegExp(like).test(value)", [page.input_value(field), kept])
        page.click("#snap")  # what is done takes the refusal's words away
        expect(page.locator("#toast")).to_be_empty()


def test_colour_and_brightness_are_those_of_the_light_whoever_chose_it(here: Served, page: Page):
    page.select_option("#colour", "red")
    page.click("#presets button[data-name='bright field']")
    page.evaluate(
        "const it = document.getElementById('brightness'); it.value = 0.1; it.dispatchEvent(new Event('change'))"
    )
    until(lambda: here.console.state.now.light.brightness == 0.1)
    asked = here.console.state.now.light.asked
    assert all(levels[1:] == (26, 0, 0) for levels in asked)
    page.reload()
    expect(page.locator("#who")).to_have_text("You steer")
    expect(page.locator("#colour")).to_have_value("red")
    expect(page.locator("#brightness")).to_have_value("0.1")
    expect(page.locator("#brightness-text")).to_have_text("10 %")
    # what is changed is the light that is on, and nothing else of it
    page.select_option("#colour", "blue")
    until(lambda: here.console.state.now.light.colour == "blue")
    now = here.console.state.now.light
    assert now.name == "bright field"
    assert [each[0] for each in now.asked] == [each[0] for each in asked]
    assert all(levels[1:] == (0, 0, 26) for levels in now.asked)
    client = here.client()
    client.take_control(force=True)
    client.light(leds=[3, 84], colour="green", brightness=0.5)
    expect(page.locator("#colour")).to_have_value("green")
    expect(page.locator("#brightness-text")).to_have_text("50 %")


def test_a_click_into_a_graded_pattern_says_that_its_levels_are_gone(here: Served, page: Page):
    page.click("#presets button[data-name='learned 1']")
    until(lambda: here.console.state.now.light.name == "learned 1")
    assert len({max(levels[1:]) for levels in here.console.state.now.light.asked}) > 1
    expect(page.locator("#toast")).to_be_empty()
    dark = next(led for led in range(169) if led not in {each[0] for each in here.console.state.now.light.asked})
    page.click(f"#board .led[data-led='{dark}']")
    until(lambda: here.console.state.now.light.name != "learned 1")
    assert len({max(levels[1:]) for levels in here.console.state.now.light.asked}) == 1
    expect(page.locator("#toast")).to_contain_text("shine alike")


def test_who_loses_control_is_told(here: Served, page: Page):
    other = here.client(name="a program")
    other.take_control(force=True)
    expect(page.locator("#toast")).to_have_text("'a program' has taken over.")
    page.click("#snap")
    expect(page.locator("#toast")).to_contain_text("take control first", ignore_case=True)
    page.click("#control")
    expect(page.locator("#who")).to_have_text("You steer")
    expect(page.locator("#toast")).to_be_empty()


def test_a_form_is_held_by_nothing_that_is_hidden_and_half_a_region_is_refused(here: Served, page: Page):
    page.fill("#columns", "3")
    page.click("#start")
    expect(page.locator("#toast")).to_contain_text("give both columns and rows, or neither")
    assert here.console.state.now.run.name == ""
    page.fill("#columns", "-1")
    page.select_option("#search", "bright field")
    page.fill("#captures", "1")
    page.click("#start")
    until(lambda: here.console.state.now.run.kind == "bright field")
    until(lambda: here.console.state.now.run.status not in ("running", "ending"), 300)


def test_no_calibration_is_opened_during_a_run_that_is_paused(here: Served, page: Page):
    page.fill("#columns", "4")
    page.fill("#rows", "3")
    page.select_option("#search", "acquire")
    before = here.console.state.now.run.name
    page.click("#start")
    until(lambda: here.console.state.now.run.name != before and here.console.state.now.run.captures >= 1)
    page.click("#pause")
    until(lambda: here.console.state.now.machine.doing == "paused")
    page.click("#tab-calibrate")
    page.click("#cal-open")
    expect(page.locator("#toast")).to_contain_text("A run is on")
    assert here.console.state.now.calibration.status == "closed"
    page.click("#tab-run")
    page.click("#end")
    until(lambda: here.console.state.now.run.status == "stopped")
