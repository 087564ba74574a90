"""`lsm bench report` weighs the report of a scan and opens it in a browser."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lsm.bench import diagnose, report
from lsm.bench.browser import missing
from lsm.bench.report import Opened, ReportComparison, compare_report, show_report


@pytest.fixture(scope="module")
def measured() -> ReportComparison:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnose, "DIFFERENT", 2)
        patch.setattr(report, "QUICK_FIELDS", 2)
        return compare_report(quick=True)


def test_the_report_of_a_scan_under_all_patterns_is_weighed(measured: ReportComparison):
    assert (measured.fields, measured.captures) == (2, 8)
    # the page holds pictures of fields and cells; figures alone are smaller
    assert 0.05 < measured.size_mb["html"] < 20
    assert set(measured.size_mb) == {"html", "pdf", "json"}


@pytest.mark.skipif(bool(missing()), reason="chromium is missing: apt-get install chromium")
def test_it_opens_and_asks_for_nothing_else(measured: ReportComparison):
    assert measured.opened is not None
    assert len(measured.opened.seconds) == 1
    assert min(measured.opened.seconds) > 0
    assert measured.opened.requests == 0


def test_promises_are_judged_by_the_slowest_opening_of_the_whole_form(measured: ReportComparison):
    assert [one.kept for one in measured.promises()] == [None] * 3
    whole = replace(measured, quick=False, size_mb=measured.size_mb | {"html": 20.0})
    good, bad = Opened("Chromium", (0.5, 3.0), 0), Opened("Chromium", (0.5, 3.1), 1)
    assert [one.kept for one in replace(whole, opened=good).promises()] == [True] * 3
    heavy = replace(whole, opened=bad, size_mb=measured.size_mb | {"html": 20.1})
    assert [one.kept for one in heavy.promises()] == [False] * 3


def test_without_a_browser_it_says_so(measured: ReportComparison):
    told = io.StringIO()
    Console(file=told, width=120).print(show_report(replace(measured, opened=None)))
    assert "install chromium" in told.getvalue()
    assert "report.html" in told.getvalue()
