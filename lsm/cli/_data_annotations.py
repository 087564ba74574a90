"""Annotated images on the command line: from one format to another, and checked."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from lsm.cli._data_sources import Kind
from lsm.errors import InputError
from lsm.sensing.progress import Reporter
from lsm.vision.data import (
    WRITERS,
    AnnotatedSet,
    Finding,
    Format,
    Severity,
    blocks,
    check,
    read_annotations,
)
from lsm.vision.data.formats import AUTO

_SHOWN: Final = 8
"""Findings of one kind that are shown; --json has all."""


class To(StrEnum):
    """Formats that annotations can be written in."""

    COCO = "coco"
    KERAS_RCNN = "keras-rcnn"


@dataclass(frozen=True)
class Wishes:
    """What the options say of annotations; see `ReadOptions`."""

    kind: Kind = Kind.AUTO
    repair: bool = False
    images: Path | None = None
    categories: str = ""
    category: str | None = None
    side_px: float | None = None

    def options(self) -> dict[str, bool]:
        """Whether each option was given, by its name on the command line."""
        return {
            "--repair": self.repair,
            "--images": self.images is not None,
            "--categories": bool(self.categories),
            "--category": self.category is not None,
            "--side-px": self.side_px is not None,
        }

    def read(self, path: Path, found: list[Finding], *, pixels: bool = True) -> AnnotatedSet:
        """The set of a path. Findings, such as of what was mended, are added to `found`."""
        if self.kind is not Kind.AUTO and self.kind.annotated is None:
            raise InputError(
                f"'{self.kind}' is no kind of annotations.", hint=f"the kinds are: {', '.join(Format)}, or auto"
            )
        return read_annotations(
            path,
            self.kind.annotated or AUTO,
            repair=self.repair,
            pixels=pixels,
            tell=found.append,
            images=self.images,
            categories=tuple(name.strip() for name in self.categories.split(",")) if self.categories else None,
            side_px=self.side_px,
            category=self.category or "object",
        )


@dataclass(frozen=True)
class Checked:
    """Sets and what was found in them."""

    parts: list[AnnotatedSet] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    def number(self, severity: Severity) -> int:
        """How many findings are of that severity."""
        return sum(each.severity is severity for each in self.found)


def target(out: Path, to: To | None) -> To | None:
    """The format to write, None for a stack of cells: by --to, else a JSON file is COCO."""
    return To.COCO if to is None and out.suffix.lower() == ".json" else to


def refuse_unread(given: Mapping[str, bool], what: str, hint: str) -> None:
    """Raise InputError for an option that was given and does nothing here."""
    unread = [option for option, was_given in given.items() if was_given]
    if unread:
        raise InputError(f"'{unread[0]}' does nothing for {what}.", hint=hint)


def convert_annotations(source: Path, out: Path, to: To, wishes: Wishes, *, as_json: bool) -> None:
    """Write the annotations of a source to a new file, and tell what was made.

    Raises what the readers raise.
    """
    found: list[Finding] = []
    data = wishes.read(source, found)
    WRITERS[Format(to)](data, out)
    counts = data.counts()
    facts = {
        "annotations": str(out),
        "format": str(to),
        "images": len(data),
        "objects": counts,
        "masks": data.has_masks,
        "source": data.origin,
        "findings": [each.as_table() for each in found],
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console()
    _tell_findings(found, console)
    masks = "with masks" if data.has_masks else "without masks"
    console.print(f"{len(data)} images, {_counted(counts)}, {masks}.", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Data:        {data.origin}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Annotations: {out} ({to})", soft_wrap=True, markup=False, highlight=False)


def check_paths(paths: Sequence[Path], wishes: Wishes, block: int | None, progress: Reporter) -> Checked:
    """The sets of the paths, and what is wrong in each and between them. Raises what the readers raise."""
    result = Checked()
    for path in paths:
        # the check reads all pixels, once is enough
        data = wishes.read(path, result.found, pixels=False)
        result.parts.append(data if block is None else blocks(data, block))
    result.found.extend(check(result.parts[0], others=result.parts[1:], progress=progress))
    return result


def tell_checked(result: Checked, paths: Sequence[Path], *, as_json: bool) -> None:
    """Say what was found: for machines all of it, for people the first of each kind."""
    errors, warnings = result.number(Severity.ERROR), result.number(Severity.WARNING)
    if as_json:
        sets = [
            {"path": str(path), "source": part.origin, "images": len(part), "objects": part.counts()}
            for path, part in zip(paths, result.parts, strict=True)
        ]
        held = {"sets": sets, "errors": errors, "warnings": warnings, "findings": [f.as_table() for f in result.found]}
        typer.echo(json.dumps(held))
        return
    console = Console()
    for path, part in zip(paths, result.parts, strict=True):
        text = f"{path}: {len(part)} images, {_counted(part.counts())} ({part.origin})"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    _tell_findings(result.found, console)
    console.print(f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}.", markup=False, highlight=False)


def _tell_findings(found: Sequence[Finding], console: Console) -> None:
    """The first findings of each kind, errors before warnings, each kind with its hint."""
    for severity in Severity:
        kinds = Counter(each.kind for each in found if each.severity is severity)
        for kind, number in kinds.items():
            alike = [each for each in found if each.severity is severity and each.kind == kind]
            console.print(f"{severity}: {kind}", style="bold red" if severity is Severity.ERROR else "bold yellow")
            for each in alike[:_SHOWN]:
                console.print(f"  {each.message}", soft_wrap=True, markup=False, highlight=False)
            if number > _SHOWN:
                console.print(f"  ... and {number - _SHOWN} more; --json has all", markup=False, highlight=False)
            console.print(f"  Hint: {alike[0].hint}", soft_wrap=True, markup=False, highlight=False)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "no categories"


def _plural(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
