"""The crops of each task, made once and kept on disk."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from lsm.errors import FileMissing, WrongFormat
from lsm.experiments.arrays import read_arrays, write_arrays
from lsm.experiments.ferreira2023.config import SmearTiles, Source
from lsm.illum.pattern import GREEN
from lsm.optics import ImagingSystem, pattern_stack
from lsm.samples import CellCrops, ProceduralSmear
from lsm.twin import GridBoardConfig
from lsm.vision.classify import CropSet, cut_objects, cut_tiles
from lsm.vision.classify.crops import resized
from lsm.vision.data import AnnotatedImage, AnnotatedSet
from lsm.vision.data.formats import CHULA_CATEGORIES, ReadOptions
from lsm.vision.data.formats.labels import read as read_labels
from lsm.vision.data.formats.points import read as read_points
from lsm.vision.data.splits import blocks, doubles_together

_FOLDERS = {"nih": "nih_malaria_cells_50px", "chula": "chula_rbc12", "dsb": "dsb2018_nuclei"}
_MARGIN_PX = 8
"""Around each phantom field: the computation wraps around there."""


def data_folder(source: Source) -> Path:
    """Where the images are; the empty path for phantoms. Raises FileMissing."""
    if source.kind == "smear":
        return Path()
    name = _FOLDERS[source.kind]
    folder = Path(os.environ.get("LSM_DATA", "")) / name
    if not os.environ.get("LSM_DATA") or not folder.exists():
        raise FileMissing(f"The data {name} are not there.", hint=f"set LSM_DATA to the folder that holds {name}")
    return folder


def open_crops(source: Source, folder: Path, cache: Path) -> CropSet:
    """The crops, computed where they are not yet in `cache`. Raises as the readers of the data do."""
    path = cache / f"{source.kind}_{source.digest()}.npz"
    if not path.is_file():
        _write(_make(source, folder), path)
    return _read(path)


def _make(source: Source, folder: Path) -> CropSet:
    makers = {"nih": _infected, "chula": _shapes, "dsb": _nuclei, "smear": _smear}
    found = makers[source.kind](source, folder)
    if not source.most:
        return found
    # a set may hold one class after the other
    return found.where(np.linspace(0, len(found) - 1, min(source.most, len(found))).round().astype(np.int64))


def _infected(source: Source, folder: Path) -> CropSet:
    crops = CellCrops.from_path(folder)
    images = resized(crops.images[:, None].astype(np.float32) / 255, (source.size_px, source.size_px))
    return CropSet(
        _eight_bits(images),
        ("uninfected", "infected"),
        category=crops.infected.astype(np.int64),
        group=crops.patient.astype(str),
        origin="NIH red-cell crops, grey",
    )


def _shapes(source: Source, folder: Path) -> CropSet:
    options = ReadOptions(side_px=2.0, categories=CHULA_CATEGORIES)
    # four fields were taken twice, two of them under numbers of different blocks
    fields = doubles_together(blocks(read_points(folder, options), source.block))
    found = cut_objects(fields, source.cut_px, size_px=source.size_px)
    return replace(found, images=_eight_bits(found.images), origin="Chula RBC-12, crops around the points")


def _nuclei(source: Source, folder: Path) -> CropSet:
    """All in one grey channel, because some of the images have colours and some have none."""
    marked = read_labels(folder, ReadOptions(category="nucleus"))
    grey = [
        AnnotatedImage.of(each.name, each.pixels().mean(axis=0, keepdims=True), each.objects) for each in marked.images
    ]
    found = cut_tiles(AnnotatedSet(tuple(grey), marked.categories), source.cut_px, size_px=source.size_px)
    taken = _modalities(folder / "manifest.csv")
    names = sorted(set(taken.values()))
    return replace(
        found,
        images=_eight_bits(found.images),
        categories=tuple(names),
        category=np.array([names.index(taken[Path(each).stem]) for each in found.group], dtype=np.int64),
        origin=f"DSB2018 nuclei, tiles of {source.cut_px} px",
    )


def _modalities(manifest: Path) -> dict[str, str]:
    if not manifest.is_file():
        raise FileMissing(f"The table {manifest} does not exist.", hint="it tells how each image was taken")
    with manifest.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    if not rows or not {"id", "modality"} <= set(rows[0]):
        raise WrongFormat(f"{manifest} lacks the columns id and modality.", hint="restore the file")
    return {row["id"]: row["modality"] for row in rows}


def _smear(source: Source, folder: Path) -> CropSet:
    del folder
    return smear_fields(source.smear, source.size_px)


def smear_fields(config: SmearTiles, size_px: int) -> CropSet:
    """Fields of procedural smears in bright field, and how many red cells have their middle in each."""
    board = GridBoardConfig().board()
    system = ImagingSystem(
        na=config.na,
        wavelength_um=board.wavelengths_um[GREEN],
        sample_pixel_um=config.drawn_um,
        camera_pixel_um=config.pixel_um,
        sample_px=(size_px + 2 * _MARGIN_PX) * round(config.pixel_um / config.drawn_um),
        margin_px=_MARGIN_PX,
    )
    inside = torch.from_numpy(board.na <= config.na)
    weights = (inside / inside.sum()).float()[None]
    half = size_px * config.pixel_um / 2
    images, count, group = [], [], []
    for slide in range(config.slides):
        smear = ProceduralSmear(config.smear, slide)
        cells = smear.truth().red_cells
        rng = np.random.default_rng([slide, 7])
        generator = torch.Generator().manual_seed(slide)
        for _ in range(config.tiles):
            x = float(rng.uniform(half, config.smear.width_um - half))
            y = float(rng.uniform(half, config.smear.height_um - half))
            drawn = smear.transmission(
                x_um=x,
                y_um=y,
                n_px=system.sample_px,
                pixel_um=system.sample_pixel_um,
                wavelength_um=system.wavelength_um,
            )
            seen = pattern_stack(torch.from_numpy(drawn), board, system, weights)[0]
            images.append(config.camera.expose(config.electrons * seen, 1.0, generator).numpy())
            count.append(len(cells.within(x - half, x + half, y - half, y + half)))
            group.append(f"slide {slide}")
    return CropSet(
        np.stack(images)[:, None],
        count=np.array(count, dtype=np.float64),
        group=np.array(group),
        origin=f"phantom smears, NA {config.na:g}, {size_px * config.pixel_um:.0f} um wide",
    )


def _eight_bits(images: Float32[np.ndarray, "crop channel y x"]) -> UInt8[np.ndarray, "crop channel y x"]:
    return (images * 255).round().clip(0, 255).astype(np.uint8)


def _write(crops: CropSet, path: Path) -> None:
    held = {"images": crops.images, "group": crops.group, "categories": np.array(crops.categories, dtype=str)}
    held |= {"origin": np.array(crops.origin)}
    held |= {name: value for name in ("category", "count") if (value := getattr(crops, name)) is not None}
    write_arrays(path, held)


def _read(path: Path) -> CropSet:
    held = read_arrays(path)
    return CropSet(
        held["images"],
        tuple(str(each) for each in held["categories"]),
        category=held.get("category"),
        count=held.get("count"),
        group=held["group"],
        origin=str(held["origin"]),
    )
