"""What kind of annotations a file or folder holds, by its contents."""

from collections import Counter
from enum import StrEnum
from pathlib import Path

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.data.formats._files import is_there
from lsm.vision.data.formats._json import Node, load
from lsm.vision.data.formats.bbbc041 import CATEGORIES, UNSURE
from lsm.vision.data.formats.labels import label_folder
from lsm.vision.data.formats.points import point_lists
from lsm.vision.data.formats.voc import parse
from lsm.vision.data.pixels import IMAGE_SUFFIXES


class Format(StrEnum):
    """How annotations are written down."""

    COCO = "coco"
    VOC = "voc"
    LABELME = "labelme"
    BBBC041 = "bbbc041"
    KERAS_RCNN = "keras-rcnn"
    POINTS = "points"
    LABELS = "labels"


_KNOWN = "say what it is with kind (--kind): " + ", ".join(Format)


def recognise(path: Path) -> tuple[Format, Path]:
    """The format, and the file or folder that its reader takes, which may be below the one given.

    Raises FileMissing, WrongFormat with what was seen where it is none, or InputError where it is more than one.
    """
    if path.is_file():
        return _of_file(path), path
    if not path.is_dir():
        raise FileMissing(f"There are no annotations {path}.", hint="check the path")
    found = _of_folder(path)
    if found is None:
        below = [(folder, _of_folder(folder)) for folder in sorted(path.iterdir()) if folder.is_dir()]
        known = [(folder, each) for folder, each in below if each is not None]
        if len(known) > 1:
            names = ", ".join(folder.name for folder, _ in known)
            raise InputError(f"{path} holds more than one set: {names}.", hint="name one of them")
        found = known[0][1] if known else None
    if found is None:
        raise WrongFormat(f"{path} holds {_seen(path)}, which is none of the known formats.", hint=_KNOWN)
    return found


def _of_folder(folder: Path) -> tuple[Format, Path] | None:
    if is_there(folder / "Annotations", "*.xml") or is_there(folder, "*.xml"):
        return Format.VOC, folder
    tables = sorted(folder.glob("*.json"))
    if tables:
        return _of_tables(folder, tables)
    labels = label_folder(folder)
    if labels is not None and any(file.suffix.lower() in IMAGE_SUFFIXES for file in labels.iterdir()):
        return Format.LABELS, folder
    lists = [file for file in point_lists(folder) if _is_list(file)]
    return (Format.POINTS, folder) if lists and (labels is not None or _beside_images(lists)) else None


def _of_tables(folder: Path, tables: list[Path]) -> tuple[Format, Path] | None:
    first = _of_file(tables[0])
    if first is Format.LABELME:
        return first, folder
    if len(tables) > 1:
        names = ", ".join(file.name for file in tables[:5])
        raise InputError(f"{folder} holds more than one file of annotations: {names}.", hint="name one of them")
    return first, tables[0]


def _of_file(path: Path) -> Format:
    ending = path.suffix.lower()
    if ending == ".json":
        return _of_json(load(path))
    if ending == ".xml":
        tag = parse(path).tag
        if tag == "annotation":
            return Format.VOC
        raise WrongFormat(f"{path} is XML that begins with <{tag}>, which is none of the known formats.", hint=_KNOWN)
    if _is_list(path):
        return Format.POINTS
    what = f"a file {ending}" if ending else "a file without ending"
    raise WrongFormat(f"{path} is {what}, which is none of the known formats.", hint=_KNOWN)


def _of_json(root: Node) -> Format:
    if root.get("images") is not None and root.get("annotations") is not None:
        return Format.COCO
    if root.get("shapes") is not None:
        return Format.LABELME
    if root.is_list:
        entries = list(root.items())
        if not entries:
            raise WrongFormat(f"{root.where} is an empty list.", hint="it names no image")
        if entries[0].get("image") is not None:
            return Format.BBBC041 if _is_bbbc041(entries) else Format.KERAS_RCNN
        seen = "a list without 'image'"
    else:
        keys = [str(key) for key in root.value] if isinstance(root.value, dict) else []
        seen = f"an object with the keys {', '.join(keys[:6])}" if keys else "a single value"
    raise WrongFormat(f"{root.where} is {seen}, which is none of the known formats.", hint=_KNOWN)


def _is_bbbc041(entries: list[Node]) -> bool:
    kinds: set[object] = set()
    for entry in entries:
        objects = entry.get("objects")
        for each in objects.items() if objects is not None and objects.is_list else ():
            category = each.get("category")
            kinds.add(None if category is None else category.value)
    return CATEGORIES[0] in kinds and kinds <= {*CATEGORIES, *UNSURE}


def _is_list(file: Path) -> bool:
    """Whether the first line of a file is one of a list of points."""
    if file.suffix.lower() not in (".txt", ".csv"):
        return False
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = lines.readline(1000)
    except (UnicodeDecodeError, OSError):
        return False
    if file.suffix.lower() == ".csv":
        return {"x", "y"} <= {name.strip().lower() for name in first.split(",")}
    words = first.replace(",", " ").split()
    return len(words) in (2, 3) and all(word.lstrip("-").replace(".", "", 1).isdecimal() for word in words[:2])


def _beside_images(lists: list[Path]) -> bool:
    folder = lists[0].parent
    places = [folder, folder.parent / "images"]
    return any(file.suffix.lower() in IMAGE_SUFFIXES for place in places if place.is_dir() for file in place.iterdir())


def _seen(folder: Path) -> str:
    """What is in a folder, in words."""
    files = Counter(file.suffix.lower() or "without ending" for file in folder.iterdir() if file.is_file())
    folders = [each.name for each in sorted(folder.iterdir()) if each.is_dir()]
    parts = [f"{number} file{'s' * (number > 1)} {ending}" for ending, number in files.most_common(3)]
    parts += [f"the folder {name}" for name in folders[:3]]
    return ", ".join(parts) if parts else "nothing"
