"""The report of a scan as a PDF of a few A4 pages, with the facts of the page; see docs/decisions/0015."""

import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from lsm.diagnose import _light_figures
from lsm.diagnose._page import LIGHT_UNIT, board_facts, rounded
from lsm.diagnose._style import bare
from lsm.diagnose.compare import interval, percent
from lsm.diagnose.scan_report.facts import RESEARCH_ONLY, ScanReport
from lsm.diagnose.scan_report.figures import Draw, density_map, faults, histogram, quality_map, settling
from lsm.diagnose.scan_report.page import Illustrated, Pixels, asked, choices, choices_caption, said_rows, tiles, turned
from lsm.diagnose.verdict import Outcome
from lsm.figures import INK, MUTED, house_style

A4 = (8.27, 11.69)
LEFT, RIGHT, TOP, BOTTOM = 0.07, 0.93, 0.955, 0.04
LINE = 0.0135
"""Height of a line of small text, as a share of the page."""
CELLS = 24
TONES = {
    Outcome.POSITIVE: "#a4281a",
    Outcome.NEGATIVE: "#0b6e4f",
    Outcome.INDETERMINATE: "#8a4b08",
    Outcome.UNUSABLE: "#4a5560",
}


def write_pdf(path: Path, content: Illustrated) -> Path:
    """Write the pages and return the path; the same content gives the same bytes."""
    report = content.report
    facts = {"Title": f"Slide report: {report.slide}", "Subject": RESEARCH_ONLY, "CreationDate": None}
    pages = (_verdict_page, _field_page, _cell_page, _identity_page)
    with house_style(), mpl.rc_context({"pdf.fonttype": 42}), PdfPages(path, metadata=facts) as book:
        for number, draw in enumerate(pages, start=1):
            figure = Figure(figsize=A4)
            _frame(figure, report, number, len(pages))
            draw(figure, content)
            book.savefig(figure)
    return path


def _frame(figure: Figure, report: ScanReport, number: int, pages: int) -> None:
    slide = textwrap.shorten(report.slide, 60, placeholder="...")
    figure.text(LEFT, 0.975, f"Slide report  {slide}", fontsize=9, fontweight="bold", va="center")
    figure.text(
        RIGHT, 0.975, RESEARCH_ONLY, fontsize=9, fontweight="bold", color="#8a4b08", ha="right", va="center"
    )  # fmt: skip
    figure.text(RIGHT, 0.02, f"{number} / {pages}", fontsize=7.5, color=MUTED, ha="right")


def _verdict_page(figure: Figure, content: Illustrated) -> None:
    report, verdict = content.report, content.report.verdict
    figure.text(LEFT, 0.935, verdict.outcome.value.capitalize(), fontsize=26, fontweight="bold", va="top",
                color=TONES[verdict.outcome])  # fmt: skip
    y = _paragraph(figure, verdict.reason, 0.892, size=10.5)
    if verdict.cells:
        share = f"{100 * verdict.estimate.confidence:.0f}% interval"
        lines = (
            f"{percent(verdict.estimate.prevalence)} of red cells infected, {share} "
            f"{interval(verdict.estimate.estimate())}",
            f"{rounded(verdict.per_ul)} infected cells per microlitre, {rounded(verdict.per_ul_low)} to "
            f"{rounded(verdict.per_ul_high)}",
        )
        for line in lines:
            y = _paragraph(figure, line, y, size=11, bold=True)
        y = _paragraph(figure, f"{verdict.convention}. The interval holds {verdict.interval.value}.", y)
    y = _paragraph(figure, asked(report), y)
    y = _paragraph(figure, ";  ".join(f"{label}: {value}" for label, value in tiles(report).items()), y - 0.006)
    y = _paragraph(figure, f"How: {report.way}; it ended because {report.ending}. {LIGHT_UNIT}", y)
    y = _reviewed(figure, report, y)
    _titled(figure, "How the density settled", (0.12, 0.375, 0.8, min(0.27, y - 0.41)), content, settling)
    _titled(figure, "Scores and false positives", (0.12, 0.115, 0.8, 0.19), content, histogram)
    false = report.false_positives
    _paragraph(
        figure,
        f"False positives of the calibration slides: {percent(false.per_cell)} of uninfected cells look more like "
        f"infected ones ({percent(false.low)} to {percent(false.high)} on 95% of slides to come). Here "
        f"{false.suspicious:,} did, {false.expected:,.0f} are expected without infection.",
        0.072,
    )


def _reviewed(figure: Figure, report: ScanReport, y: float) -> float:
    for label, said in said_rows(report):
        y = _paragraph(
            figure,
            f"{label}: {said.outcome.value}, {percent(said.estimate.prevalence)} "
            f"({interval(said.estimate.estimate())}), {rounded(said.per_ul)} per microlitre",
            y,
            bold=True,
        )
    return y


def _field_page(figure: Figure, content: Illustrated) -> None:
    report = content.report
    _titled(figure, "Where it looked", (0.1, 0.59, 0.82, 0.34), content, density_map)
    _titled(figure, "Quality of the fields", (0.1, 0.185, 0.82, 0.34), content, quality_map)
    good = sum(not field.fault for field in report.fields)
    reasons = "; ".join(f"{count} {fault} ({mark})" for mark, fault, count in faults(report)) or "none is faulty"
    y = _paragraph(figure, f"{good} of {len(report.fields)} fields count; {reasons}. Planned: {report.planned}.", 0.15)
    used = "; ".join(f"{names}: {fields} fields, {cells:,} cells" for names, fields, cells in choices(report))
    _paragraph(figure, f"{used}. {choices_caption(report)} Focus searches: {report.focus_searches}.", y)


def _cell_page(figure: Figure, content: Illustrated) -> None:
    report = content.report
    _heading(figure, "The cells that decided, the strongest evidence first", TOP)
    _paragraph(figure, f"Percentage: probability of infection at this slide's estimate; weight: what 'not infected' "
               f"adds to the log odds against the target density. {turned(report)}", 0.938)  # fmt: skip
    lights = [index for index, light in enumerate(report.lights) if light.captures]
    columns = 6 if len(lights) <= 1 else 4 if len(lights) <= 2 else 3
    width, height = (RIGHT - LEFT) / columns, 0.86 / -(-CELLS // columns)
    for place, (cell, crops) in zip(range(CELLS), content.crops(), strict=False):
        x, y = LEFT + (place % columns) * width, 0.895 - (place // columns + 1) * height
        side = min(0.92 * width / max(1, len(lights)), (height - 0.03) * A4[1] / A4[0])
        for number, light in enumerate(lights):
            axes = figure.add_axes((x + number * side, y + 0.027, side * 0.96, side * 0.96 * A4[0] / A4[1]))
            _crop(axes, crops[light])
        said = "" if report.review is None else f", {report.review.answers.get(cell.id, 'no answer')}"
        figure.text(
            x, y + 0.024, f"{place + 1}: {percent(cell.probability)}, weight {cell.weight:.2f}{said}\n"
            f"score {cell.score:.4g}, field {cell.field + 1}", fontsize=6.2, va="top", linespacing=1.3,
        )  # fmt: skip
    names = ", ".join(report.lights[light].name for light in lights)
    _paragraph(figure, f"Each cell from left to right under: {names}. {len(report.queue)} cells are kept.", 0.03)


def _crop(axes: Axes, pixels: Pixels | None) -> None:
    bare(axes)
    if pixels is None:
        axes.text(0.5, 0.5, "not\ntaken", fontsize=5, color=MUTED, ha="center", va="center")
    else:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")


def _identity_page(figure: Figure, content: Illustrated) -> None:
    report = content.report
    _heading(figure, "The light", TOP)
    shown = content.shown()
    width = (RIGHT - LEFT) / max(4, len(report.lights))
    for index, (light, pattern) in enumerate(zip(report.lights, content.patterns, strict=True)):
        axes = figure.add_axes((LEFT + index * width, 0.77, 0.92 * width, 0.92 * width * A4[0] / A4[1]))
        levels = shown[index]
        duty = pattern.duty.max(axis=1) if levels is None else levels.max(axis=1) / 255
        _light_figures.led_map(axes, content.board, duty, report.na, "asked for" if levels is None else "shown")
        words = (
            f"{light.name}: {light.exposure_ms:g} ms, {light.total_duty:.2f} LEDs' worth, {light.captures} captures; "
            f"{light.agreement}. {light.pattern_digest}"
        )
        lines = "\n".join(textwrap.wrap(words, int(150 * width)))
        figure.text(LEFT + index * width, 0.76, lines, fontsize=6.5, va="top", linespacing=1.3)
    _heading(figure, "Rig, model and identity", 0.675)
    y = 0.655
    for title, facts in {**report.provenance, "Board": board_facts(content.board, report.na)}.items():
        y = _paragraph(figure, title, y, bold=True)
        y = _paragraph(figure, ";  ".join(f"{label}: {value}" for label, value in facts.items()), y)
    y = _paragraph(figure, f"Report: {report.version}, digest {report.digest()}", y)
    _heading(figure, "What this report cannot say", y - 0.012)
    y -= 0.03
    for limit in report.limits:
        y = _paragraph(figure, limit, y)
    if report.review is not None:
        _heading(figure, "How the review was counted", y - 0.012)
        _paragraph(figure, report.review.method, y - 0.03)


def _titled(
    figure: Figure,
    title: str,
    place: tuple[float, float, float, float],
    content: Illustrated,
    draw: Draw,
) -> None:
    axes = figure.add_axes(place)
    draw(axes, content.report)
    axes.set_title(title)


def _heading(figure: Figure, words: str, y: float) -> None:
    figure.text(LEFT, y, words, fontsize=11, fontweight="bold", color=INK, va="top")


def _paragraph(figure: Figure, words: str, y: float, *, size: float = 8.0, bold: bool = False) -> float:
    """Draw words below `y` and return where the next may begin."""
    lines = textwrap.wrap(words, int((128 if not bold else 112) * 8.0 / size)) or [""]
    figure.text(
        LEFT, y, "\n".join(lines), fontsize=size, va="top", linespacing=1.35,
        fontweight="bold" if bold else "normal", parse_math=False,
    )  # fmt: skip
    return y - len(lines) * LINE * size / 8.0 - 0.005
