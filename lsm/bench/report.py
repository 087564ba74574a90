"""How long the report of a scan of 500 fields takes to open in a browser, and how large it is."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rich.console import Group
from rich.table import Table

from lsm.bench.browser import FLAGS, find_chromium, missing
from lsm.bench.diagnose import CORES, Ready, Scanned, scan_ready
from lsm.bench.machine import Machine, this_machine
from lsm.bench.promises import Promise
from lsm.devices import Frame
from lsm.diagnose.scan_report import Illustrated, scan_report, write_reports
from lsm.illum import LedBoard

FIELDS, QUICK_FIELDS = 500, 6
OPEN_S, SIZE_MB = 3.0, 20.0
OPENINGS = 5
FORMS = ("html", "pdf", "json")
PAINTED = """async () => {
  await Promise.all([...document.images].filter(one => one.loading !== "lazy").map(one => one.decode()));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
"""Until every image that is not below the fold is decoded, and the page was drawn with them."""


@dataclass(frozen=True)
class Opened:
    """seconds: of each opening, in a browser that runs already and has kept nothing. requests: other than the page."""

    browser: str
    seconds: tuple[float, ...]
    requests: int


@dataclass(frozen=True)
class ReportComparison:
    """captures, cells: of the scan. written_s: to make and write all forms. size_mb: by form. opened: None without a
    browser.
    """

    quick: bool
    machine: Machine
    fields: int
    captures: int
    cells: int
    written_s: float
    size_mb: dict[str, float]
    opened: Opened | None

    def promises(self) -> list[Promise]:
        """The slowest opening, the size, and that nothing else is asked for."""
        whole = not self.quick
        opened = self.opened if whole else None
        return [
            Promise("opening", "s", OPEN_S, False, None if opened is None else max(opened.seconds)),
            Promise("size of the page", "MB", SIZE_MB, False, self.size_mb["html"] if whole else None),
            Promise("requests besides the page", "", 0, False, None if opened is None else float(opened.requests)),
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"promises": [asdict(one) | {"kept": one.kept} for one in self.promises()]}


def compare_report(
    *, quick: bool = False, seed: int = 0, on_step: Callable[[str], None] = lambda name: None
) -> ReportComparison:
    """Scan ready frames under all patterns of the shipped model, write the report, and open it.

    quick: of a few fields, and opened once. on_step: told what is done next.
    """
    frames: list[Frame] = []
    on_step("scan")
    ready = Ready.of(seed=seed)
    scanned = scan_ready(
        ready,
        "learned",
        CORES,
        QUICK_FIELDS if quick else FIELDS,
        on_capture=lambda frame, told: frames.append(frame),
    )
    with TemporaryDirectory(prefix="lsm-bench-") as name:
        on_step("report")
        began = perf_counter()
        page = write_reports(Path(name), _content(scanned, frames, ready.board))
        written_s = perf_counter() - began
        sizes = {form: page.with_suffix(f".{form}").stat().st_size / 1e6 for form in FORMS}
        on_step("browser")
        opened = open_page(page, times=1 if quick else OPENINGS)
    rate = scanned.rate
    return ReportComparison(quick, this_machine(), rate.fields, rate.captures, rate.cells, written_s, sizes, opened)


def open_page(page: Path, *, times: int) -> Opened | None:
    """How a page opens in headless Chromium; None where there is none, or no playwright to drive it."""
    if missing():
        return None
    driver: Any = import_module("playwright.sync_api")
    seconds, asked = [], []
    with driver.sync_playwright() as started:
        running = started.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        for _ in range(times):
            tab = running.new_context().new_page()
            tab.on("request", lambda request: asked.append(request.url))
            began = perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.evaluate(PAINTED)
            seconds.append(perf_counter() - began)
            tab.context.close()
        version = str(running.version)
        running.close()
    other = [url for url in asked if url != page.as_uri() and not url.startswith("data:")]
    return Opened(f"Chromium {version}", tuple(seconds), len(other))


def show_report(comparison: ReportComparison) -> Group:
    """For a terminal."""
    table = Table("", "MB", title=f"Report of {comparison.fields} fields, {comparison.captures:,} captures")
    for form, size in comparison.size_mb.items():
        table.add_row(f"report.{form}", f"{size:.2f}")
    opened, machine = comparison.opened, comparison.machine
    lines = [f"made and written in {comparison.written_s:.1f} s"]
    if opened is None:
        lines.append("not opened: install chromium, and the package playwright")
    else:
        told = ", ".join(f"{one:.2f}" for one in opened.seconds)
        lines.append(f"opened in {opened.browser}: {told} s, {opened.requests} requests besides")
    promises = [one.told() for one in comparison.promises()]
    return Group(f"{machine.cpu}, commit {machine.commit}", table, *lines, *promises)


def _content(scanned: Scanned, frames: list[Frame], board: LedBoard) -> Illustrated:
    report = scan_report(
        scanned.result,
        scanned.verdict,
        scanned.kit,
        scanned.rules,
        frames.__getitem__,
        slide="repeated fields",
        provenance={},
    )
    return Illustrated(report, frames.__getitem__, board, scanned.kit.codebook.patterns)
