"""The report of a scan: the same facts as JSON, page and PDF, readable without a network by everybody."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
from drawn_run import drawn_slide, example_run
from drawn_scan import RULES, illustrated, scanned

from lsm.bench.browser import FLAGS, find_chromium
from lsm.diagnose import ComparisonRow, score_run
from lsm.diagnose.scan_report import ScanReport, render_page, write_pdf
from lsm.diagnose.scan_report.facts import SCHEMA_FILE, TurningFacts, schema, schema_text
from lsm.diagnose.scan_report.page import turned
from lsm.errors import WrongFormat
from lsm.samples import CellTable

CHROMIUM = find_chromium()


@pytest.fixture(scope="module")
def report() -> ScanReport:
    return scanned()[0]


@pytest.fixture(scope="module")
def page(report: ScanReport) -> str:
    return render_page(illustrated(report))


def test_the_schema_file_is_that_of_the_classes_and_a_report_fits_it(report: ScanReport, tmp_path: Path):
    assert SCHEMA_FILE.read_text() == schema_text()
    plain = json.loads(report.write(tmp_path / "report.json").read_text())
    jsonschema.validate(plain, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain | {"version": "other"}, schema())


def test_a_report_is_read_as_it_was_written_and_no_other_file_is(report: ScanReport, tmp_path: Path):
    path = report.write(tmp_path / "report.json")
    assert ScanReport.read(path) == report
    path.write_text("{}")
    with pytest.raises(WrongFormat, match="no report"):
        ScanReport.read(path)


def test_the_page_reaches_for_no_network_and_is_small(page: str):
    outside_images = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert "http:" not in outside_images
    assert "https:" not in outside_images
    assert "url(" not in outside_images
    assert "default-src 'none'" in page
    assert len(page) < 20e6


def test_page_and_pdf_say_what_the_facts_say(report: ScanReport, page: str, tmp_path: Path):
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    words = re.sub(r"\s+", " ", text)
    verdict, estimate = report.verdict, report.verdict.estimate
    facts = [
        verdict.reason,
        f"{estimate.prevalence:.2%}",
        f"{estimate.low:.2%} to {estimate.high:.2%}",
        verdict.convention,
        f"{verdict.cells:,}",
        "495 good of 500",
        "Research use only, not a diagnosis.",
        "out of focus",
        report.provenance["Rig"]["Digest"],
        *(light.pattern_digest for light in report.lights),
        report.ending,
    ]
    assert [fact for fact in facts if fact not in words] == []
    path = write_pdf(tmp_path / "report.pdf", illustrated(report))
    assert path.read_bytes().count(b"/Type /Page ") == 4
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: the PDF's words are not compared")
    told = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True)  # noqa: S607
    flat = re.sub(r"\s+", " ", told.stdout)
    assert [fact for fact in facts if fact not in flat] == []


def test_every_cell_of_the_queue_can_be_answered_by_keyboard(report: ScanReport, page: str):
    assert page.count('class="queued"') == len(report.queue) == 24
    assert len(re.findall(r'tabindex="0" role="group" aria-label="Cell \d+, no answer yet"', page)) == 24
    assert {"infected", "not infected", "unsure"} == set(re.findall(r'data-say="([^"]+)"', page))


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt-get install chromium")
@pytest.mark.skipif(find_spec("axe_core_python") is None, reason="axe-core-python is missing")
def test_axe_finds_no_fault_in_the_page(page: str, tmp_path: Path):
    spec = find_spec("axe_core_python")
    assert spec is not None
    assert spec.origin is not None
    axe = (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    check = (
        "<script>axe.run().then(found => { const told = document.createElement('pre'); told.id = 'axe'; "
        "told.textContent = JSON.stringify(found.violations.map(one => [one.id, one.nodes.map(node => node.html)])) "
        "+ found.passes.length; document.body.append(told); });</script></body>"
    )
    checked = tmp_path / "checked.html"
    checked.write_text(page.replace("</body>", f"<script>{axe}</script>{check}"), encoding="utf-8")
    dumped = subprocess.run(
        [str(CHROMIUM), "--headless", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=60000", "--dump-dom", checked.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    told = re.search(r'<pre id="axe">(.*?)(\d+)</pre>', dumped, re.DOTALL)
    assert told is not None
    assert json.loads(html.unescape(told[1])) == []
    assert int(told[2]) > 20


def test_another_truth_changes_the_score_lines_and_nothing_else(report: ScanReport):
    """Every cell's truth turned around and the page made again: what it says about the slide stays, byte for byte."""
    slide, content = drawn_slide(), illustrated(report)
    runs = [example_run(slide, policy=name, adaptive=False, captures=6) for name in ("one light", "another")]
    rows = slide.truth.rows.copy()
    rows["infected"] = ~rows["infected"]
    pages = [
        render_page(
            replace(
                content,
                comparison=tuple(ComparisonRow.of(run, score_run(run, truth), verdict="positive") for run in runs),
            )
        )
        for truth in (slide.truth, CellTable(rows))
    ]
    score_line = re.compile(r'<tr class="score">.*?</tr>', re.DOTALL)
    assert score_line.findall(pages[0]) != score_line.findall(pages[1])
    assert score_line.sub("", pages[0]) == score_line.sub("", pages[1])
    assert 'class="score"' not in render_page(content)


def test_one_field_is_shown_under_each_light_with_the_cells_of_the_queue(report: ScanReport, page: str):
    section = re.search(r'<section id="frames".*?</section>', page, re.DOTALL)
    assert section is not None
    assert re.findall(r"<figcaption>(.*?)</figcaption>", section[0]) == [light.name for light in report.lights]
    shown = {int(field) for field in re.findall(r"Camera frame, field (\d+) under", section[0])}
    assert len(shown) == 1
    inside = [str(place) for place, cell in enumerate(report.queue, 1) if {cell.field + 1} == shown]
    assert inside
    assert f"Boxed: cells {', '.join(inside)} of the list." in section[0]


def test_target_error_rates_and_interval_are_told(report: ScanReport, page: str):
    rule = report.rule
    assert (rule.target_per_ul, rule.alpha, rule.beta) == (RULES.target_per_ul, RULES.alpha, RULES.beta)
    assert rule.suspicious == sum(sum(mask.cells[rule.first_bin :]) for mask in report.scores)
    words = re.sub(r"\s+", " ", html.unescape(page))
    assert "fewer than 20,000 parasites per microlitre" in words
    assert "at most 2.5% of slides without parasites are called positive and at most 5%" in words
    assert f"The interval holds {report.verdict.interval.value}." in words


def test_what_a_review_could_do_is_told_with_its_conditions(report: ScanReport):
    assert report.turning
    for turn in report.turning:
        assert f"rightly called {turn.answer.value}, the slide would be {turn.outcome.value}." in turned(report)
    assert "the first cell rightly" in turned(report.model_copy(update={"turning": (one_cell(report),)}))
    assert "would not change the verdict" in turned(report.model_copy(update={"turning": ()}))


def one_cell(report: ScanReport) -> TurningFacts:
    return report.turning[0].model_copy(update={"cells": 1})
