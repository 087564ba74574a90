"""The slides of a design: which smear belongs to which split, and the fields computed from them."""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.errors import ConfigError, FileMissing
from lsm.optics import led_stack
from lsm.samples import CellCrops, CellImageSmear, ProceduralSmear, SlideTraits, Smear
from lsm.sensing.config import DesignConfig, SlidesConfig, Split
from lsm.sensing.fields import FieldCells, FieldSet, Scene

_STREAM: dict[Split, int] = {"train": 1, "calibration": 2, "test": 3}
_FIELDS_VERSION = 3
"""Raised when the way fields are computed changes, so that old caches are not taken for new ones."""


def split_crops(crops: CellCrops, config: DesignConfig, split: Split) -> CellCrops:
    """The cell images of one split; no patient is in two. The demonstration uses `test` for unseen patients."""
    patients = config.patients
    rest, held_out = crops.split(patients.held_out, patients.seed)
    if split == "test":
        return held_out
    train, calibration = rest.split(patients.calibration, patients.seed + 1)
    return train if split == "train" else calibration


class Slides:
    """Smears by split and number; the same configuration and number give the same smear.

    cells: file or folder of the cell crops, needed when the configuration's data are real cell images.
    Raises FileMissing without it.
    """

    def __init__(self, config: DesignConfig, *, cells: Path | None = None) -> None:
        self.config = config
        self._crops: dict[Split, CellCrops] = {}
        if config.data == "nih":
            if cells is None:
                raise FileMissing(
                    f"The design '{config.name}' needs the NIH cell crops.",
                    hint="name their folder with --cells, or set LSM_DATA",
                )
            crops = CellCrops.from_path(cells)
            self._crops = {split: split_crops(crops, config, split) for split in _STREAM}

    def with_calibration(self, group: SlidesConfig) -> "Slides":
        """The same smears by number, but another group of them, and another variety, to calibrate on."""
        other = copy.copy(self)
        other.config = self.config.model_copy(update={"calibration": group})
        return other

    def traits(self, split: Split, number: int) -> SlideTraits:
        """What the slide has of its own besides stain and infected fraction."""
        group: SlidesConfig = getattr(self.config, split)
        return group.variety.draw(self.rng(split, number, 3)) if group.variety else SlideTraits()

    def smear(self, split: Split, number: int) -> Smear:
        """One slide; its infected fraction is drawn from its own stream."""
        low, high = getattr(self.config, split).parasitaemia
        rng = self.rng(split, number)
        parasitaemia = math.exp(rng.uniform(math.log(low), math.log(high)))
        smear = self.traits(split, number).on(self.config.smear).model_copy(update={"parasitaemia": parasitaemia})
        seed = int(rng.integers(2**31))
        if not self._crops:
            return ProceduralSmear(smear, seed)
        return CellImageSmear(_some_patients(self._crops[split], self.config.patients.per_slide, rng), smear, seed)

    def rng(self, split: Split, number: int, *more: int) -> np.random.Generator:
        """The random stream of one slide (and of a purpose on it)."""
        return np.random.default_rng([self.config.seed, _STREAM[split], number, *more])

    def scenes(self, split: Split) -> Iterator[Scene]:
        """Fields at random places of every slide of the split."""
        group = getattr(self.config, split)
        for number in range(group.slides):
            smear, traits, rng = self.smear(split, number), self.traits(split, number), self.rng(split, number, 1)
            for _ in range(group.fields_per_slide):
                yield _scene(self.config, smear, traits, number, rng, group.defocus_um)

    def fields(self, split: Split, cache: Path, *, advance: Callable[[], None] = lambda: None) -> FieldSet:
        """The split's fields from the folder `cache`, computed when they are not there yet."""
        group = getattr(self.config, split)
        board, side = self.config.rig.led_board.board(), self.config.rig.system.camera_px
        shape = (group.slides * group.fields_per_slide, board.n_leds, side, side)
        return FieldSet.cached(
            cache / f"{split}-{self._digest(split)}",
            self.scenes(split),
            lambda scene: _stack(self.config, scene),
            shape=shape,
            advance=advance,
        )

    def _digest(self, split: Split) -> str:
        """Identity of the split's fields: of the configuration only what they depend on."""
        names = {"seed", "data", "rig", "smear", "patients", split}
        kept = DesignConfig.model_validate(
            {"name": f"fields-{_FIELDS_VERSION}"} | self.config.model_dump(include=names)
        )
        return kept.digest()


def true_cells(smear: Smear, x_um: float, y_um: float, *, camera_px: int, camera_pixel_um: float) -> FieldCells:
    """The cells whose centre lies in the field around x_um, y_um, in its pixels; for training and scoring only."""
    half_um = camera_px * camera_pixel_um / 2
    table = smear.truth().within(x_um - half_um, x_um + half_um, y_um - half_um, y_um + half_um)
    middle_px = (camera_px - 1) / 2
    return FieldCells(
        field=np.zeros(len(table), dtype=np.int64),
        x_px=(table.x_um - x_um) / camera_pixel_um + middle_px,
        y_px=(table.y_um - y_um) / camera_pixel_um + middle_px,
        radius_px=table.radius_um / camera_pixel_um,
        kind=table.kind.astype(np.int64),
        infected=table.infected.astype(bool),
    )


def _scene(
    config: DesignConfig, smear: Smear, traits: SlideTraits, number: int, rng: np.random.Generator, defocus_um: float
) -> Scene:
    system = config.rig.system
    half_um = system.camera_px * system.camera_pixel_um / 2
    width_um, height_um = smear.extent_um
    if min(width_um, height_um) < 2 * half_um:
        raise ConfigError(
            f"A smear of {width_um:g} x {height_um:g} um is smaller than a field of {2 * half_um:g} um.",
            hint="enlarge smear.width_um and smear.height_um",
        )
    x_um, y_um = rng.uniform(half_um, width_um - half_um), rng.uniform(half_um, height_um - half_um)
    transmission = smear.transmission(
        x_um=x_um,
        y_um=y_um,
        n_px=system.sample_px,
        pixel_um=system.sample_pixel_um,
        wavelength_um=system.wavelength_um,
    )
    cells = true_cells(smear, x_um, y_um, camera_px=system.camera_px, camera_pixel_um=system.camera_pixel_um)
    off_um = float(rng.normal(0.0, defocus_um) - traits.focus_at((x_um, y_um), smear.extent_um))
    return Scene(number, transmission, off_um, cells)


@torch.no_grad()
def _stack(config: DesignConfig, scene: Scene) -> Float[Tensor, "led y x"]:
    rig = config.rig
    return led_stack(
        torch.from_numpy(scene.transmission), rig.led_board.board(), rig.system, defocus_um=scene.defocus_um
    )


def _some_patients(crops: CellCrops, count: int, rng: np.random.Generator) -> CellCrops:
    """The crops of `count` random patients; drawn again until both classes are there."""
    names = np.unique(crops.patient)
    while 0 < count < len(names):
        chosen = np.isin(crops.patient, rng.choice(names, count, replace=False))
        if 0 < crops.infected[chosen].sum() < chosen.sum():
            return crops.where(chosen)
    return crops
