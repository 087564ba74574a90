"""A demonstration's report answered by key in Debian's chromium, and the saved answers given to the command line."""

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from lsm.bench.browser import FLAGS, find_chromium
from lsm.cli import main
from lsm.diagnose.demo import DemoResult
from lsm.diagnose.scan_report import ScanReport

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.firmware,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt-get install chromium"),
    pytest.mark.timeout(300),
]


def answered_by_key(page_file: Path, key: str, cells: int, saved: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        page.goto(page_file.as_uri())
        page.locator("#c001").focus()
        for _ in range(cells):
            page.keyboard.press(key)
        with page.expect_download() as download:
            page.click("#save")
        download.value.save_as(saved)
        browser.close()


def test_answers_saved_from_the_report_change_the_verdict_and_both_are_kept(
    demo: DemoResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = Path(shutil.copytree(demo.learned.report.parent, tmp_path / "run"))
    before = (folder / "report.json").read_bytes()
    queue = ScanReport.read(folder / "report.json").queue
    answered_by_key(folder / "report.html", "n", len(queue), tmp_path / "answers.json")
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", "review", str(folder), "--answers", str(tmp_path / "answers.json"), "--json"])
    assert stopped.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert (folder / "report.json").read_bytes() == before
    assert told["after"]["per_ul"] < told["before"]["per_ul"]
    review = ScanReport.read(folder / "review.json").review
    assert review is not None
    assert {cell.id for cell in queue} == set(review.answers)
    assert "What the review changed" in (folder / "review.html").read_text(encoding="utf-8")
