"""Where the images of annotations are, and where those of a written set go."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from lsm.errors import InputError
from lsm.sensing.wholefolder import whole_folder
from lsm.vision.data.findings import Tell, warning
from lsm.vision.data.objects import AnnotatedImage, AnnotatedSet
from lsm.vision.data.pixels import IMAGE_SUFFIXES

_ENDING: Final = re.compile(r"\.[A-Za-z]\w{0,4}$")


class ImageFinder:
    """Finds the files that annotations name, in the given folders, the first that has it wins.

    tell: hears once, by way of a warning, of a file that is not in the folder which the annotations name.
    """

    def __init__(self, folders: Sequence[Path | None], tell: Tell) -> None:
        self._tell: Tell | None = tell
        self._folders = [folder for folder in folders if folder is not None and folder.is_dir()]

    def find(self, named: str) -> Path | None:
        """The file of that path or name, or of that name with another ending of an image; None where there is none."""
        if os.path.isabs(named) and os.path.isfile(named):
            return Path(named)
        # some programs write /images/a.png for a file in images beside the annotations
        relative = named.replace("\\", "/").lstrip("/")
        for candidate in (relative, PurePosixPath(relative).name):
            for folder in self._folders if candidate else ():
                # os.path says False for names that no file can have, where Path would raise
                if os.path.isfile(folder / candidate):
                    return self._doubted(relative, folder / candidate)
        name = PurePosixPath(relative).name
        # z0.5 is a name without an ending
        bare = _ENDING.sub("", name)
        found = self._by_stem.get(name) or self._by_stem.get(bare)
        return None if found is None else self._doubted(relative, found)

    def _doubted(self, named: str, found: Path) -> Path:
        """The file; a warning where only its name is the one that was named."""
        folder = PurePosixPath(named).parent.name
        if self._tell is not None and folder not in ("", "..", found.absolute().parent.name):
            message = f"The annotations name {named}, and {found} was taken for it; there may be more such files."
            self._tell(warning("image-elsewhere", message, "see that it is the same picture", found.name))
            self._tell = None
        return found

    @cached_property
    def _by_stem(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in self._folders:
            for path in images_in(folder):
                found.setdefault(path.stem, path)
        return found


def images_in(folder: Path) -> Iterator[Path]:
    """Image files of a folder by name."""
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def is_there(folder: Path, pattern: str) -> bool:
    """Whether a folder has a file of that pattern."""
    return folder.is_dir() and next(folder.glob(pattern), None) is not None


def place_images(data: AnnotatedSet, annotations: Path) -> list[Path]:
    """A file for each image of a set whose annotations are to be written.

    Images in memory are written into a new folder beside them: uint8 as PNG, other numbers as NPY, which this
    project's readers know. Raises InputError where there is no folder for the annotations, or the new one exists.
    """
    _check_folder(annotations)
    if all(isinstance(image.source, Path) for image in data.images):
        return [image.source for image in data.images if isinstance(image.source, Path)]
    folder = folder_beside(annotations, "images")
    with whole_folder(folder) as part:
        return [_placed(image, number, folder, part) for number, image in enumerate(data.images)]


def folder_beside(annotations: Path, what: str) -> Path:
    """The name of a folder for what belongs to annotations.

    Raises InputError where there is one already, or no folder for the annotations.
    """
    _check_folder(annotations)
    folder = annotations.absolute().parent / f"{annotations.stem}_{what}"
    if folder.exists():
        raise InputError(f"{folder} exists.", hint="give the annotations another name; nothing was changed")
    return folder


def written_name(file: Path, annotations: Path) -> str:
    """How annotations name a file: from their own folder where it is below it, else by its whole path."""
    here, there = annotations.absolute().parent.resolve(), file.absolute().resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else there.as_posix()


def _check_folder(annotations: Path) -> None:
    if not annotations.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {annotations}.", hint="make the folder first")


def _placed(image: AnnotatedImage, number: int, folder: Path, part: Path) -> Path:
    """The file of an image, where that in memory is in `folder` once it is no longer called `part`."""
    if isinstance(image.source, Path):
        return image.source
    held = np.asarray(image.source)
    if held.dtype == np.uint8 and (held.ndim == 2 or held.shape[0] in (1, 3)):
        name = f"{number:05d}.png"
        Image.fromarray(held[0] if held.shape[0] == 1 and held.ndim == 3 else _last(held)).save(part / name)
    else:
        name = f"{number:05d}.npy"
        np.save(part / name, held, allow_pickle=False)
    return folder / name


def _last(held: np.ndarray) -> np.ndarray:
    return np.moveaxis(held, 0, 2) if held.ndim == 3 else held
