"""The report of a scan: facts as JSON, a page, a PDF, and an operator's review."""

from lsm.diagnose.scan_report.facts import Answer, ScanReport
from lsm.diagnose.scan_report.gather import scan_report
from lsm.diagnose.scan_report.page import Illustrated, render_page, write_page
from lsm.diagnose.scan_report.sheets import write_pdf
from lsm.diagnose.scan_report.write import write_reports

__all__ = [
    "Answer",
    "Illustrated",
    "ScanReport",
    "render_page",
    "scan_report",
    "write_page",
    "write_pdf",
    "write_reports",
]
