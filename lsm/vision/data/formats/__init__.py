"""Annotated images from the formats of other programs, and into two of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lsm.vision.data.formats import bbbc041, coco, keras_rcnn, labelme, labels, points, voc
from lsm.vision.data.formats._draft import ReadOptions
from lsm.vision.data.formats.points import CHULA_CATEGORIES
from lsm.vision.data.formats.recognise import Format, recognise
from lsm.vision.data.objects import AnnotatedSet

AUTO: Final = "auto"

READERS: Final[Mapping[Format, Callable[[Path, ReadOptions | None], AnnotatedSet]]] = {
    Format.COCO: coco.read,
    Format.VOC: voc.read,
    Format.LABELME: labelme.read,
    Format.BBBC041: bbbc041.read,
    Format.KERAS_RCNN: keras_rcnn.read,
    Format.POINTS: points.read,
    Format.LABELS: labels.read,
}

WRITERS: Final[Mapping[Format, Callable[[AnnotatedSet, Path], None]]] = {
    Format.COCO: coco.write,
    Format.KERAS_RCNN: keras_rcnn.write,
}


def read_annotations(path: str | Path, kind: Format | str = AUTO, **options: Any) -> AnnotatedSet:
    """The annotated images of a file or folder, whose format shows by its contents.

    kind: one of `Format`, where the contents do not tell. options: those of `ReadOptions`, such as repair=True, which
    mends what is wrong, tell=found.append, which collects what was, and side_px for points.
    Raises FileMissing, WrongFormat or InputError at the first fault; with repair only where nothing can be mended.
    """
    how = ReadOptions(**options)
    path = Path(path)
    format_, place = recognise(path) if kind == AUTO else (Format(kind), path)
    return READERS[format_](place, how)


__all__ = [
    "AUTO",
    "CHULA_CATEGORIES",
    "READERS",
    "WRITERS",
    "Format",
    "ReadOptions",
    "read_annotations",
    "recognise",
]
