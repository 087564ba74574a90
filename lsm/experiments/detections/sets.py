"""The annotated sets that experiments know."""

import csv
import os
from pathlib import Path

import numpy as np

from lsm.errors import FileMissing
from lsm.experiments.detections.config import SetConfig
from lsm.experiments.detections.smears import smear_images
from lsm.vision.data import AnnotatedSet
from lsm.vision.data.formats import read_annotations
from lsm.vision.data.splits import blocks, doubles_together, k_folds

_PLACES = {"bccd": "bccd/BCCD", "dsb2018": "dsb2018_nuclei"}


def open_set(config: SetConfig, cache: Path) -> AnnotatedSet:
    """The images, with their groups; those that show the same are in one. Boxes that cannot be right are left out.

    cache: folder of what has to be computed first. Raises FileMissing or WrongFormat.
    """
    category = {"category": "nucleus"} if config.name == "dsb2018" else {}
    place = smear_images(config.smears, cache) if config.name == "smears" else _place(config)
    data = read_annotations(place, repair=True, **category)
    if config.block:
        data = blocks(data, config.block)
    # fields that were taken twice may lie in two groups, such as at the border of two blocks
    data = doubles_together(data)
    if config.channels is not None:
        data = data.with_channels(config.channels)
    if config.images and config.images < len(data):
        data = data.where(np.linspace(0, len(data) - 1, config.images).round().astype(np.int64))
    return data


def open_fold(config: SetConfig, cache: Path, *, folds: int, seed: int, fold: int) -> tuple[AnnotatedSet, AnnotatedSet]:
    """(to learn from, held out): groups are on one side, kinds of images shared out evenly."""
    data = open_set(config, cache)
    return k_folds(data, folds, seed, strata=kinds(config, data))[fold]


def kinds(config: SetConfig, data: AnnotatedSet) -> list[str] | None:
    """The kind of every image, where the set tells it."""
    if config.name != "dsb2018":
        return None
    with (_place(config) / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        known = {row["id"]: f"{row['modality']} {row['width']}" for row in csv.DictReader(lines)}
    return [known[Path(image.name).stem] for image in data.images]


def _place(config: SetConfig) -> Path:
    if config.path is not None:
        return config.path
    folder = Path(os.environ.get("LSM_DATA", "")) / _PLACES[config.name]
    if not os.environ.get("LSM_DATA") or not folder.exists():
        raise FileMissing(
            f"The set {config.name} is not there.", hint=f"set LSM_DATA to the folder that holds {_PLACES[config.name]}"
        )
    return folder
