"""The review in a scan's page, in Debian's chromium: cells answered by keys, kept, saved, and applied."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_run import calibration
from drawn_scan import RULES, illustrated, rule, scanned
from playwright.sync_api import Locator, Page, expect, sync_playwright

from lsm.bench.browser import FLAGS, find_chromium
from lsm.diagnose.scan_report import Answer, ScanReport, write_page
from lsm.diagnose.scan_report.review import Answers, apply_answers
from lsm.stats import OperatorAccuracy

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt-get install chromium"),
    pytest.mark.timeout(300),
]
PATIENT_MS = 120_000
"""A loaded machine draws pages slowly; only a hang needs so long."""


@pytest.fixture(scope="module")
def report() -> ScanReport:
    return scanned()[0]


@pytest.fixture(scope="module")
def file(report: ScanReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page") / "report.html", illustrated(report))


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """Everything that the page asked for."""
    return []


@pytest.fixture(scope="module")
def tab(file: Path, asked: list[str]) -> Iterator[Page]:
    expect.set_options(timeout=PATIENT_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(PATIENT_MS)
        page.faults = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        yield page
        browser.close()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """With no answers."""
    for number in range(1, 25):
        card(tab, number).focus()
        tab.keyboard.press("x")
    yield tab
    assert tab.faults == []  # type: ignore[attr-defined]


def card(page: Page, number: int) -> Locator:
    return page.locator(f"#c{number:03d}")


def said(page: Page, number: int) -> str:
    label = page.locator(f"#c{number:03d}").get_attribute("aria-label") or ""
    return label.removeprefix(f"Cell {number}, ")


def in_focus(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_keys_answer_the_cell_in_focus_and_go_on_to_the_next(page: Page):
    card(page, 1).focus()
    for key in ("i", "N", "u"):
        page.keyboard.press(key)
    assert [said(page, number) for number in (1, 2, 3, 4)] == ["infected", "not infected", "unsure", "no answer yet"]
    assert in_focus(page) == "c004"
    expect(page.locator("#progress")).to_have_text("3 of 24 answered")


def test_keys_go_forth_and_back_and_take_an_answer_back(page: Page):
    card(page, 1).focus()
    page.keyboard.press("i")
    page.keyboard.press("k")
    assert in_focus(page) == "c001"
    page.keyboard.press("x")
    assert (said(page, 1), in_focus(page)) == ("no answer yet", "c001")
    page.keyboard.press("j")
    assert in_focus(page) == "c002"
    card(page, 24).focus()
    page.keyboard.press("n")
    assert (said(page, 24), in_focus(page)) == ("not infected", "c024")


def test_buttons_do_what_keys_do(page: Page):
    unsure = card(page, 2).locator("button[data-say='unsure']")
    unsure.click()
    expect(unsure).to_have_attribute("aria-pressed", "true")
    assert said(page, 2) == "unsure"
    unsure.click()
    expect(unsure).to_have_attribute("aria-pressed", "false")
    assert said(page, 2) == "no answer yet"


def test_typing_a_name_and_shortcuts_of_the_browser_answer_nothing(page: Page):
    page.locator("#operator").fill("")
    page.locator("#operator").press_sequentially("inux")
    card(page, 1).focus()
    page.keyboard.press("Alt+i")
    expect(page.locator("#progress")).to_have_text("0 of 24 answered")
    assert page.locator("#operator").input_value() == "inux"


def test_answers_outlive_the_page(page: Page):
    card(page, 5).focus()
    page.keyboard.press("i")
    page.reload()
    assert said(page, 5) == "infected"
    expect(page.locator("#progress")).to_have_text("1 of 24 answered")


def test_saved_answers_are_those_given_and_are_applied(page: Page, report: ScanReport, tmp_path: Path):
    page.locator("#operator").fill("R. Koch")
    card(page, 1).focus()
    for key in ("i", "n", "u"):
        page.keyboard.press(key)
    with page.expect_download() as saved:
        page.click("#save")
    assert saved.value.suggested_filename == "answers.json"
    saved.value.save_as(tmp_path / "answers.json")
    answers = Answers.read(tmp_path / "answers.json")
    assert (answers.operator, answers.report_digest) == ("R. Koch", report.digest())
    assert answers.answers == {"c001": Answer.INFECTED, "c002": Answer.NOT_INFECTED, "c003": Answer.UNSURE}
    page.click("#copy")
    assert page.locator("#text").input_value() == (tmp_path / "answers.json").read_text(encoding="utf-8")
    page.click("#copy")
    after = apply_answers(report, answers, RULES, rule(), calibration(), OperatorAccuracy()).after
    assert after.review is not None
    assert after.review.answers == answers.answers


def test_paper_shows_cells_without_keys(page: Page):
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()
    assert not page.locator(".keys").first.is_visible()
    assert page.locator(".queued").first.is_visible()
    page.emulate_media(media="screen")
    assert page.locator(".tools").is_visible()


def test_the_page_asked_for_nothing_but_itself(page: Page, file: Path, asked: list[str]):
    page.mouse.wheel(0, 100_000)
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {file.as_uri()}
