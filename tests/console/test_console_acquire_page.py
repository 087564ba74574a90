"""Recording fields from the page in Debian's chromium, over the real firmware and painted images."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from console.pages import IN_CHROMIUM, PATIENT_MS, axe_faults, needs_axe, picture, press_go_on
from console.rigs import Served, rig_config, served, until
from scope.painted import Painted

pytestmark = IN_CHROMIUM
PATIENT_S = PATIENT_MS / 1000


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # moves take time, so that it can be ended in its middle
    with served(tmp_path_factory.mktemp("runs"), rig=rig_config(move_ms=300.0), renderer=Painted()) as console:
        yield console


def test_fields_are_recorded_paused_reloaded_ended_and_gone_on_with(here: Served, page: Page):
    page.click("#presets button[data-name='bright field']")
    page.select_option("#search", "acquire")
    page.select_option("#record-start", "middle")
    page.fill("#slide", "C-4")
    page.fill("#columns", "4")
    page.fill("#rows", "2")
    page.click("#start")
    run = here.console.state
    until(lambda: run.now.run.captures >= 2, PATIENT_S)
    page.click("#pause")
    expect(page.locator("#doing")).to_have_text("Run is paused")
    page.reload()
    expect(page.locator("#run-title")).to_contain_text(re.compile("Paused.*acquisition"))
    expect(page.locator("#counts")).to_contain_text(re.compile("[2-7] of 8"))
    expect(page.locator("#settles")).to_be_hidden()
    picture(page, "record")
    page.click("#end")
    expect(page.locator("#run-title")).to_contain_text("Stopped")
    page.click("#earlier button >> nth=0")
    expect(page.locator("#going-on-facts")).to_contain_text(re.compile(r"C-4.*record fields.*bright field"))
    recorded = run.now.run.captures
    expect(page.locator("#plan .field")).to_have_count(recorded)
    expect(page.locator("#plan .coming")).to_have_count(8 - recorded)
    picture(page, "go-on")


@needs_axe
def test_axe_finds_no_fault_in_what_is_asked_before_going_on(page: Page):
    assert axe_faults(page) == []


def test_it_goes_on_to_its_end(here: Served, page: Page):
    page.click("#not-now")
    expect(page.locator("#plan rect")).to_have_count(0)
    press_go_on(page)
    expect(page.locator("#run-title")).to_contain_text("Done")
    expect(page.locator("#said")).to_contain_text("8 captures are recorded in")
    expect(page.locator("#map .field")).to_have_count(8)
    expect(page.locator("#reports a")).to_have_count(0)
