"""One page of text, tables and pictures that needs no network, and each of its pictures as a PNG beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from lsm.figures import Embedded, embed_png, figure_png
from lsm.vision.draw._style import embed_picture
from lsm.vision.draw.pictures import Picture, save_png

PAGE_FILE = "report.html"
PICTURES = "pictures"


@dataclass(frozen=True, eq=False)
class Illustration:
    """A figure or a drawn image with its file name (without .png), its words for those who do not see it, and a
    caption.
    """

    name: str
    content: Figure | Picture
    alt: str
    caption: str = ""

    def save(self, folder: Path) -> Path:
        """Write it as PNG and return its path."""
        path = folder / f"{self.name}.png"
        if isinstance(self.content, Figure):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(figure_png(self.content))
            return path
        return save_png(self.content, path)

    def embedded(self) -> Embedded:
        """It as part of a page."""
        if isinstance(self.content, Figure):
            return embed_png(self.content, self.alt)
        return embed_picture(self.content, self.alt)


@dataclass(frozen=True)
class Table:
    """Words in rows; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page. On a wide screen `columns` pictures stand in a row, with `beside` at the side of the table."""

    title: str
    text: tuple[str, ...] = ()
    table: Table | None = None
    pictures: tuple[Illustration, ...] = ()
    columns: int = 1
    beside: bool = False


@dataclass(frozen=True, eq=False)
class Page:
    """A whole page. tiles: the figures that a reader wants first. facts: where everything comes from, by title."""

    title: str
    subject: str
    tiles: Mapping[str, str]
    sections: tuple[Section, ...]
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: tuple[str, ...] = ()


def write_page(folder: Path, page: Page) -> Path:
    """Write report.html and, below pictures/, every picture as PNG; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in page.sections:
        for illustration in section.pictures:
            illustration.save(folder / PICTURES)
    path = folder / PAGE_FILE
    path.write_text(render_page(page), encoding="utf-8")
    return path


def render_page(page: Page) -> str:
    """The page as HTML with every picture inside it; the same content gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("lsm.vision.draw"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=page)
