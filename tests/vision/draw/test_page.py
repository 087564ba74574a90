"""Pages stand on their own: no link leads out, every picture is also a file, words are escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drawn_objects import detections, grey_set, objects
from PIL import Image

from lsm.errors import InputError
from lsm.vision.data import Objects
from lsm.vision.detect.scores import score
from lsm.vision.draw import (
    Evaluation,
    Look,
    Page,
    Section,
    annotators_page,
    counts_figure,
    evaluation_page,
    render_page,
    write_page,
)

HALF = np.array([0.5, 0.5])


class Tags(HTMLParser):
    """Counts opening tags, and remembers those that stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evaluation() -> Evaluation:
    data = grey_set([objects([(0, 0), (40, 0), (0, 40)], [0, 1, 1]), objects([(70, 70)], [0])])
    found = (
        detections([(70, 70), (0, 0), (40, 0), (0, 42)], [0, 0, 0, 1], [0.6, 0.9, 0.8, 0.3]),
        detections([(0, 0), (70, 70)], [1, 0], [0.95, 0.7]),
    )
    scores = score(found, data, thresholds=HALF)
    facts = {"Model": {"kind": "grid <small>"}}
    return Evaluation("discs & rings", data, found, scores, HALF, facts, look=Look(longest_px=300))


def test_what_lies_in_objects_to_ignore_is_not_counted_as_found():
    boxes = np.array([[0.0, 0.0, 20.0, 20.0], [40.0, 0.0, 100.0, 60.0]])
    data = grey_set([Objects(boxes, np.array([0, 1]), None, np.array([False, True]))])
    found = (detections([(0, 0), (40, 0), (60, 0), (60, 30)], [0, 1, 1, 1], [0.9] * 4),)
    page = evaluation_page(
        Evaluation("a crowd", data, found, score(found, data, thresholds=HALF), HALF), np.random.default_rng(0)
    )
    assert (page.tiles["Marked"], page.tiles["Found"]) == ("1", "1")
    places = [axes.collections[0].get_offsets().tolist() for axes in counts_figure(data, found).axes]
    assert places == [[[1, 1]], [[0, 0]]]


def test_the_page_of_an_evaluation_needs_nothing_else(tmp_path: Path):
    path = write_page(tmp_path / "report", evaluation_page(evaluation(), np.random.default_rng(0)))
    html = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    sources = [str(each.get("src")) for tag, each in tags.seen if tag == "img"]
    assert all(source.startswith("data:image/") for source in sources)
    assert all(each.get("alt") for tag, each in tags.seen if tag == "img")
    assert re.findall(r"(?:href|src)=\"(?!data:)", html) == []
    assert "http" not in html
    assert "discs &amp; rings" in html
    assert "grid &lt;small&gt;" in html
    pictures = sorted(file.name for file in (path.parent / "pictures").iterdir())
    assert pictures == [
        "confusion.png",
        "counts.png",
        "errors-false.png",
        "errors-missed.png",
        "errors-wrongly-named.png",
        "image-1.png",
        "image-2.png",
    ]
    assert len(sources) == len(pictures)
    for file in (path.parent / "pictures").iterdir():
        with Image.open(file) as image:
            assert min(image.size) > 100


def test_the_page_tells_the_figures_of_the_scores():
    told = evaluation()
    html = render_page(evaluation_page(told, np.random.default_rng(0)))
    assert f"{told.scores.map_50:.3f}" in html
    # two discs and two rings are marked; a disc at (70, 70) and a ring at (0, 0) are false, a ring is called disc
    assert "3 objects are marked by both, 1 only by the labels, 2 only by the detector" in html
    assert html == render_page(evaluation_page(told, np.random.default_rng(0)))


def test_the_page_of_two_annotators_shows_where_they_differ():
    first = grey_set([objects([(0, 0), (40, 0)], [0, 1]), objects([(70, 70)], [0])])
    second = grey_set([objects([(0, 0), (40, 0)], [0, 1]), objects([(70, 70), (0, 0)], [1, 0])])
    page = annotators_page(first, second, names=("Ada", "Bob"), rng=np.random.default_rng(0), look=Look(longest_px=200))
    assert page.tiles["Marked by both"] == "3"
    assert [picture.caption for picture in page.sections[1].pictures] == ["image 1", "image 0"]
    assert "Ada against Bob" in render_page(page)


def test_detections_of_other_images_are_refused_and_pages_may_be_empty():
    told = evaluation()
    with pytest.raises(InputError, match="1 images were searched, the set has 2"):
        Evaluation("none", told.data, told.found[:1], told.scores, HALF)
    assert "Nothing here" in render_page(Page("Nothing here", "", {}, (Section("empty"),)))
