"""What the site shows from outside docs/: experiments, the firmware's pages, rig files, a page for each package."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
SHOWN: Final = (
    "experiments/*/*.md",
    "experiments/*/*.json",
    "experiments/*/*.jsonl",
    "experiments/*/*.png",
    "experiments/*/*.toml",
    "firmware/PROTOCOL.md",
    "firmware/arduino/README.md",
    "lsm/configs/rigs/*.toml",
    "pyproject.toml",
)
PACKAGES: Final = (
    "lsm.devices",
    "lsm.types",
    "lsm.optics",
    "lsm.samples",
    "lsm.illum",
    "lsm.led",
    "lsm.twin",
    "lsm.scope",
    "lsm.safety",
    "lsm.record",
    "lsm.calibrate",
    "lsm.sensing",
    "lsm.vision",
    "lsm.vision.data",
    "lsm.vision.detect",
    "lsm.agent",
    "lsm.agent.adaptive",
    "lsm.stats",
    "lsm.diagnose",
)
LINK: Final = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<to>(?!https?:|mailto:|#)[^)\s#]+)(?P<place>#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Folders in the navigation become the pages that are in them."""
    config.nav = [_unfolded(entry) for entry in config.nav]
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Adds what lies outside docs/."""
    from mkdocs.structure.files import File

    for path in _shown():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    for package in PACKAGES:
        files.append(File.generated(config, f"reference/{package}.md", content=f"# `{package}`\n\n::: {package}\n"))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Links lead to files as the repository has them; here those of docs/ lie beside the others."""
    source = page.file.src_uri
    inside = (ROOT / "docs" / source).exists()
    folder = posixpath.dirname(f"docs/{source}" if inside else source)

    def here(link: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(folder, link["to"]))
        if (ROOT / wanted).is_dir():
            return link["text"]
        to = posixpath.relpath(wanted.removeprefix("docs/"), posixpath.dirname(source) or ".")
        return f"[{link['text']}]({to}{link['place'] or ''})"

    return LINK.sub(here, markdown)


def _shown() -> Iterator[str]:
    for pattern in SHOWN:
        yield from sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def _unfolded(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {title: _pages(inside) for title, inside in entry.items()}
    return entry


def _pages(inside: Any) -> Any:
    if inside == "experiments/":
        return [
            {Path(path).parent.name: path} for path in _shown() if path.endswith("README.md") and "experiments" in path
        ]
    if inside == "decisions/":
        return [f"decisions/{path.name}" for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    if inside == "reference/":
        return [f"reference/{package}.md" for package in PACKAGES]
    return [_unfolded(each) for each in inside] if isinstance(inside, list) else inside
