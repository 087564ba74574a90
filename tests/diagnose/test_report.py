"""The report stands alone and shows the run's own numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn_run import example_content, no_estimate

from lsm.devices import Frame
from lsm.diagnose import ReportContent, VerdictRules, judge, render_report, write_report
from lsm.errors import WrongFormat

SECTIONS = {"verdict", "map", "settling", "light", "frames", "cells", "decisions", "provenance", "limits"}


class Page(HTMLParser):
    """Elements with their attributes, the ids, and the text outside of style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.in_style = self.in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if not self.in_style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return replace(example_content(), slide="drawn & odd slide <0>", gallery_size=5)


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    return render_report(content)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_in_the_page_reaches_for_the_network(html: str, page: Page):
    outside_images = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", html)
    assert "http" not in outside_images
    assert "//" not in outside_images
    assert "@import" not in outside_images
    assert "url(" not in outside_images
    assert {name for name, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "embed"})


def test_every_image_is_inside_the_page_and_described(page: Page):
    images = page.all("img")
    assert len(images) > 10
    for image in images:
        assert re.match(r"data:image/(png|svg\+xml);base64,", image["src"] or "")
        assert len(image["alt"] or "") > 10
        assert {"width", "height"} <= image.keys()  # the page does not jump while it loads


def test_all_sections_are_there_and_labelled(page: Page):
    found = {section["id"]: section["aria-labelledby"] for section in page.all("section")}
    assert set(found) == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(found.values()) <= set(ids)
    assert page.all("html")[0]["lang"] == "en"


def test_it_says_twice_that_it_is_no_diagnosis(page: Page):
    assert page.text.count("Research use only, not a diagnosis.") == 2


def test_numbers_are_those_of_the_run(content: ReportContent, page: Page):
    run, estimate = content.run, content.run.estimate
    for words in (
        f"{estimate.prevalence:.2%} of red cells infected",
        f"95% interval {estimate.low:.2%} to {estimate.high:.2%}",
        f"Red cells counted{run.red_cells:,}",
        f"Fields{len(run.visits)}",
        f"Captures{run.captures}",
        f"Light emitted{run.light_dose / 1000:.2f} LED s",
        f"Stage travel{run.travel_um / 1000:.2f} mm",
        f"All {len(run.decisions)} steps",
        content.verdict.reason,
        content.board.digest,
        *(pattern.digest for pattern in content.patterns),
        "90ab12cd34ef5678",
    ):
        assert words in page.text


def test_gallery_ranks_the_most_suspicious_cells(content: ReportContent, page: Page):
    shown = [float(value) for value in re.findall(r"score (\d\.\d\d)", page.text)]
    top = sorted((cell.p_infected for cell in content.run.cells), reverse=True)[:5]
    assert shown == [round(value, 2) for value in top]


def test_levels_that_the_board_changed_are_told(content: ReportContent):
    """The page shows what was read back, not what was asked for."""

    def limited(index: int) -> Frame:
        frame = content.frames(index)
        return replace(frame, shown=replace(frame.shown, levels=frame.shown.levels // 2))

    text = Page(render_report(replace(content, frames=limited, gallery_size=1))).text
    assert "read back: all" not in text
    assert "levels differ, by up to 128 of 255" in text


def test_names_with_markup_do_no_harm(html: str):
    assert "slide <0>" not in html
    assert "drawn &amp; odd slide &lt;0&gt;" in html


def test_empty_slide_gives_a_page_without_numbers(content: ReportContent, tmp_path: Path):
    run = replace(content.run, visits=(), cells=(), decisions=(), captures=0, estimate=no_estimate())
    run = replace(run, counts=run.counts * 0)
    verdict = judge(run, VerdictRules())
    path = write_report(tmp_path / "new" / "report.html", replace(content, run=run, verdict=verdict))
    page = Page(path.read_text(encoding="utf-8"))
    assert {section["id"] for section in page.all("section")} == SECTIONS
    assert "No field was captured." in page.text
    assert "No cells, no estimate" in page.text
    assert "50.0%" not in page.text


def test_codebook_of_another_model_is_refused(content: ReportContent):
    with pytest.raises(WrongFormat, match="codebook"):
        render_report(replace(content, patterns=content.patterns[:2], exposures_ms=content.exposures_ms[:2]))
