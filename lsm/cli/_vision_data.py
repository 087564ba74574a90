"""Annotated images, detectors and training recipes as the options of `lsm vision` name them."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from rich.console import Console

from lsm.config import shipped_config
from lsm.errors import ConfigError, FileMissing, InputError, ModelMismatch, WrongFormat
from lsm.experiments.detections.config import ArmConfig
from lsm.experiments.jobs.search import option_value
from lsm.tensorfile import read_words
from lsm.vision.data import AnnotatedSet, Finding, Format, blocks, read_annotations
from lsm.vision.detect import MODELS, Detector, measure
from lsm.vision.detect.detector import FORMAT
from lsm.vision.detect.pretrained import coco_detector, start_from
from lsm.wholefile import write_whole

_DETECTORS: Final = (".safetensors", ".pth", ".pt")
_ANY_FORMAT: Final = FORMAT.rstrip("0123456789")
IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"})


@dataclass(frozen=True)
class Source:
    """How annotations are read; see `lsm.vision.data.ReadOptions`.

    block: so many neighbours are one group. as_channels: of every image, where greys and colours are mixed.
    """

    kind: Format | None = None
    repair: bool = False
    category: str | None = None
    side_px: float | None = None
    block: int | None = None
    images: Path | None = None
    categories: str = ""
    as_channels: int | None = None

    def read(self, path: Path, categories: tuple[str, ...] | None = None) -> AnnotatedSet:
        """The set of a path, with these categories in this order, else those of the options.

        What was mended is told on standard error. Raises what the readers raise.
        """
        found: list[Finding] = []
        data = read_annotations(
            path,
            self.kind or "auto",
            repair=self.repair,
            tell=found.append,
            images=self.images,
            categories=categories or words(self.categories) or None,
            side_px=self.side_px,
            category=self.category or "object",
        )
        if found:
            said = f"{path}: {found[0].message}"
            more = f" And {len(found) - 1} more; lsm data check {path} lists them." if len(found) > 1 else ""
            Console(stderr=True).print(said + more, soft_wrap=True, markup=False, highlight=False)
        data = data if self.as_channels is None else data.with_channels(self.as_channels)
        return data if self.block is None else blocks(data, self.block)


def new_file(path: Path) -> Path:
    """The path, at which nothing may be yet. Raises InputError."""
    if path.exists():
        raise InputError(f"{path} exists.", hint="name another with --out; nothing was changed")
    return path


def new_detector(path: Path) -> Path:
    """The path of a detector to be trained, at which nothing may be yet, nor where its facts go. Raises InputError."""
    if path.suffix != ".safetensors":
        raise InputError(f"'{path.name}' does not name a detector's file.", hint="end it in .safetensors")
    new_file(facts_file(path))
    return new_file(path)


def facts_file(detector: Path) -> Path:
    """Where it is written down how a detector was trained."""
    return detector.with_suffix(".json")


def recipe(name: str, changes: Sequence[str], *, steps: int | None, seed: int | None) -> ArmConfig:
    """Options of a network and of its training: a kind of network, a shipped recipe or a TOML file, then changes.

    A file has the tables `model`, with the kind, and `fit`. changes: such as fit.learning_rate=1e-3.
    Raises FileMissing for a name that is none of these, or ConfigError.
    """
    table = _recipe_table(name)
    if steps is not None:
        table["fit"]["steps"] = steps
    if seed is not None:
        table["fit"]["seed"] = seed
    for field, value in map(option_value, changes):
        *place, last = field.split(".")
        inner: Any = table
        for part in place:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else None
        if not place or place[0] not in ("model", "fit") or not isinstance(inner, dict):
            raise ConfigError(f"--set cannot change '{field}'.", hint="name a field of model or fit: fit.steps=500")
        inner[last] = value
    return ArmConfig.from_table(table, source=f"the recipe '{name}'")


def load_detector(path: Path) -> Detector:
    """The detector of a file: lsm's own, or torchvision's COCO weights (.pth, or their tensors as .safetensors).

    Raises FileMissing or WrongFormat.
    """
    _refuse_other(path)
    own = path.suffix == ".safetensors" and _is_detector(path)
    return Detector.load(path) if own or not path.is_file() else coco_detector(path)


def begin(arm: ArmConfig, data: AnnotatedSet, weights: Path | None) -> Detector:
    """The detector that training starts from: with new weights, those of another detector, or torchvision's.

    Raises FileMissing, WrongFormat, or ModelMismatch where file, recipe and data do not belong together.
    """
    model = arm.built()
    if weights is not None:
        _refuse_other(weights)
    if weights is not None and weights.suffix == ".safetensors" and _is_detector(weights):
        detector = Detector.load(weights)
        if detector.model != model:
            raise ModelMismatch(
                f"{weights} is a detector '{detector.model.kind}' with other options than the recipe's.",
                hint="give the recipe that it was trained with",
            )
        return detector
    detector = Detector.of(model, measure(data), seed=arm.fit.seed)
    if weights is not None:
        start_from(detector.network, weights)
    return detector


def image_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Images by a name of their own: the files, and those in the folders. Raises FileMissing or InputError."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileMissing(f"The image {path} does not exist.", hint="name images, or folders of images")
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"There is no image in {path}.", hint=f"images end in {', '.join(sorted(IMAGES))}")
        files += inside
    files = list(dict.fromkeys(files))
    single = {file.name for file in files if [other.name for other in files].count(file.name) == 1}
    return {file.name if file.name in single else str(file): file for file in files}


def picture_path(folder: Path, name: str) -> Path:
    """A new PNG in the folder, never outside of it, for an image of this name, which may be a path."""
    stem = "_".join(part for part in PurePath(name).parts if part.strip("./\\")) or "image"
    path, number = folder / f"{stem}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path


def words(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def save_json(path: Path, facts: Any) -> None:
    """Write plain values, whole or not at all; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(facts, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The values of a file; None where it is not there or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, FileNotFoundError):
        return None


def _recipe_table(name: str) -> dict[str, Any]:
    shipped = shipped_config("vision")
    file = Path(name) if name.endswith(".toml") else shipped / f"{name}.toml"
    if not file.is_file():
        if name in MODELS:
            return {"model": {"kind": name}, "fit": {}}
        known = sorted({*MODELS, *(each.stem for each in shipped.glob("*.toml"))})
        raise FileMissing(f"There is no recipe '{name}'.", hint=f"give a TOML file, or one of: {', '.join(known)}")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.", hint="it has the tables model and fit") from error
    if not all(isinstance(table.setdefault(part, {}), dict) for part in ("model", "fit")):
        raise ConfigError(f"{file} has no tables model and fit.", hint='write [model] and below it kind = "grid"')
    return table


def _is_detector(path: Path) -> bool:
    hint = "check the path; where it is a detector, copy it again, or train again"
    return read_words(path, hint=hint).get("format", "").startswith(_ANY_FORMAT)


def _refuse_other(path: Path) -> None:
    """Raise WrongFormat for what cannot be a detector by its name."""
    hint = "give the .safetensors file that lsm vision train wrote, or torchvision's COCO weights (.pth)"
    if path.is_dir():
        raise WrongFormat(f"{path} is a folder, not a detector's file.", hint=hint)
    if path.is_file() and path.suffix not in _DETECTORS:
        raise WrongFormat(f"{path} is no detector.", hint=hint)
