"""The three forms of a report beside each other."""

from pathlib import Path

from lsm.diagnose.scan_report.page import Illustrated, write_page
from lsm.diagnose.scan_report.sheets import write_pdf


def write_reports(folder: Path, content: Illustrated, *, name: str = "report") -> Path:
    """Write NAME.json, NAME.pdf and, last, NAME.html; returns the last."""
    content.report.write(folder / f"{name}.json")
    write_pdf(folder / f"{name}.pdf", content)
    return write_page(folder / f"{name}.html", content)
