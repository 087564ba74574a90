"""Blood smears computed from cell shapes as fields to be imaged; every object's outline is known exactly."""

import hashlib
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Int

from lsm.config import Config
from lsm.errors import ConfigError, InputError
from lsm.optics import ImagingSystem
from lsm.samples import CellTable, Kind, ProceduralSmear, SmearConfig, Stage
from lsm.vision.data import Mask
from lsm.vision.field.scenes import Scene, scaled_mask, seen_objects

_VERSION = 1
"""Raised when fields come out differently, so that old stacks are not taken for new ones."""

_REACH_UM = 9.0
_SEEN = 0.02
"""Natural absorbance from which a point belongs to an object; the faintest, a white cell's body, has 0.15."""

INFECTED = "infected red cell"
_KINDS = ("red cell", INFECTED, "white cell", "platelet")
_STAGES = ("red cell", "ring", "trophozoite", "schizont", "gametocyte", "white cell", "platelet")


class PhantomConfig(Config):
    """Slides and the fields taken from each.

    smear: of every slide, but for its parasitaemia, which is drawn between the two limits, evenly in its logarithm.
    slides, fields_per_slide: how many; fields of a slide do not overlap, so that no cell is met twice.
    first_slide: number of the first one; slides of different numbers differ.
    defocus_um: standard deviation of the focus error of each field.
    stages: name infected cells by the parasite's stage. masks: give outlines beside boxes.
    """

    smear: SmearConfig = SmearConfig(width_um=1000.0, height_um=800.0, monolayer_per_mm2=4500.0)
    slides: Annotated[int, Gt(0)] = 20
    fields_per_slide: Annotated[int, Gt(0)] = 4
    first_slide: Annotated[int, Ge(0)] = 0
    parasitaemia: tuple[Annotated[float, Gt(0), Le(1)], Annotated[float, Gt(0), Le(1)]] = (0.05, 0.2)
    defocus_um: Annotated[float, Ge(0)] = 1.0
    stages: bool = False
    masks: bool = True
    seed: Annotated[int, Ge(0)] = 0


class Phantoms:
    """Scenes of procedural smears as a given imaging system takes them.

    Raises ConfigError for a smear on which so many fields do not lie side by side.
    """

    def __init__(self, config: PhantomConfig, system: ImagingSystem) -> None:
        self._field_um = system.camera_px * system.camera_pixel_um
        # beyond the field, the margin of the computation lies on the smear too
        self._rim_um = (system.field_um - self._field_um) / 2
        self._places = [
            int(max(0.0, extent - 2 * self._rim_um) / self._field_um + 1e-9)
            for extent in (config.smear.width_um, config.smear.height_um)
        ]
        if self._places[0] * self._places[1] < config.fields_per_slide:
            raise ConfigError(
                f"A smear of {config.smear.width_um:g} x {config.smear.height_um:g} um holds "
                f"{self._places[0]} x {self._places[1]} fields of {self._field_um:g} um side by side, not "
                f"{config.fields_per_slide}.",
                hint="lower fields_per_slide, or enlarge smear.width_um and smear.height_um",
            )
        if config.parasitaemia[0] > config.parasitaemia[1]:
            raise ConfigError(
                f"The parasitaemia runs from {config.parasitaemia[0]:g} to {config.parasitaemia[1]:g}.",
                hint="give the smaller one first",
            )
        self.config = config
        self.system = system

    @property
    def categories(self) -> tuple[str, ...]:
        return _STAGES if self.config.stages else _KINDS

    @property
    def origin(self) -> str:
        return f"procedural smears (lsm.samples.ProceduralSmear), computed optics at NA {self.system.na:g}"

    @property
    def digest(self) -> str:
        parts = f"phantoms {_VERSION} {self.config.digest()} {self.system.digest()}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.config.slides * self.config.fields_per_slide

    def scene(self, number: int) -> Scene:
        """Raises InputError for a number that is not there."""
        slide, place = self._place(number)
        smear = _smear(self.config.smear, self.config.parasitaemia, self.config.seed, slide)
        x_um, y_um = self.centre_um(number)
        system = self.system
        transmission = smear.transmission(
            x_um=x_um,
            y_um=y_um,
            n_px=system.sample_px,
            pixel_um=system.sample_pixel_um,
            wavelength_um=system.wavelength_um,
        )
        side = system.camera_px
        return Scene(
            name=f"slide {slide} field {place}",
            group=f"slide {slide}",
            transmission=transmission,
            size=(side, side),
            objects=_Marks(smear, system, (x_um, y_um), self.config).objects(),
            defocus_um=float(self._rng(slide, 2, place).normal(0.0, self.config.defocus_um)),
        )

    def centre_um(self, number: int) -> tuple[float, float]:
        """Middle of a field on its slide: one of a grid that is laid over the slide at random."""
        slide, place = self._place(number)
        rng, smear = self._rng(slide, 1), self.config.smear
        chosen = int(rng.permutation(self._places[0] * self._places[1])[place])
        cell = chosen % self._places[0], chosen // self._places[0]
        middles = []
        for k, count, extent in zip(cell, self._places, (smear.width_um, smear.height_um), strict=True):
            room_um = max(0.0, extent - 2 * self._rim_um - count * self._field_um)
            middles.append(float(self._rim_um + rng.uniform(0, room_um) + (k + 0.5) * self._field_um))
        return middles[0], middles[1]

    def _place(self, number: int) -> tuple[int, int]:
        """Slide, and number of the field on it."""
        if not 0 <= number < len(self):
            raise InputError(f"There is no field {number}.", hint=f"there are {len(self)}, counted from 0")
        slide, place = divmod(number, self.config.fields_per_slide)
        return self.config.first_slide + slide, place

    def _rng(self, slide: int, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, slide, *purpose])


class _Slide(ProceduralSmear):
    """A smear that can also show one object without the others."""

    def __init__(self, config: SmearConfig, seed: int) -> None:
        super().__init__(config, seed)
        self._only = -1

    def alone(self, index: int, **window: Any) -> np.ndarray:
        """The transmission of a window in which no other object lies."""
        self._only = index
        try:
            return self.transmission(**window)
        finally:
            self._only = -1

    def _near(self, canvas: Any) -> Int[np.ndarray, " cell"]:
        near: Int[np.ndarray, " cell"] = super()._near(canvas) if self._only < 0 else np.array([self._only])
        return near


@lru_cache(maxsize=4)
def _smear(config: SmearConfig, parasitaemia: tuple[float, float], seed: int, slide: int) -> _Slide:
    rng = np.random.default_rng([seed, slide, 0])
    low, high = np.log(parasitaemia)
    drawn = config.model_copy(update={"parasitaemia": float(np.exp(rng.uniform(low, high)))})
    return _Slide(drawn, int(rng.integers(2**31)))


class _Marks:
    """The objects of one field, from what each looks like by itself."""

    def __init__(
        self, smear: _Slide, system: ImagingSystem, centre_um: tuple[float, float], config: PhantomConfig
    ) -> None:
        self._smear = smear
        self._system = system
        self._centre_um = centre_um
        self._config = config
        self._window_px = 2 * int(np.ceil(_REACH_UM / system.sample_pixel_um))

    def objects(self) -> Any:
        table = self._smear.truth()
        half_um = self._system.camera_px * self._system.camera_pixel_um / 2 + _REACH_UM
        (x_um, y_um) = self._centre_um
        near = (np.abs(table.x_um - x_um) < half_um) & (np.abs(table.y_um - y_um) < half_um)
        chosen = np.flatnonzero(near & (table.kind != Kind.PRECIPITATE))
        outlines = [self._outline(table, int(index)) for index in chosen]
        step, margin = self._system.decimation, self._system.margin_px
        boxes = np.array([fine.box_px / step - margin for fine in outlines]).reshape(-1, 4)
        masks = None
        if self._config.masks:
            coarse = [scaled_mask(fine, (1 / step, 1 / step)) or fine for fine in outlines]
            masks = tuple(Mask(each.top - margin, each.left - margin, each.inside) for each in coarse)
        side = self._system.camera_px
        return seen_objects(
            boxes, self._category(table)[chosen], masks, np.zeros(len(chosen), dtype=bool), (side, side)
        )

    def _outline(self, table: CellTable, index: int) -> Mask:
        """Pixels of the sample grid that the object covers."""
        pitch_um, n, m = self._system.sample_pixel_um, self._system.sample_px, self._window_px
        first = [
            round((float(at) - middle) / pitch_um + (n - 1) / 2) - m // 2
            for at, middle in zip((table.x_um[index], table.y_um[index]), self._centre_um, strict=True)
        ]
        x_um, y_um = (
            middle + (start + (m - 1) / 2 - (n - 1) / 2) * pitch_um
            for start, middle in zip(first, self._centre_um, strict=True)
        )
        shown = self._smear.alone(
            index, x_um=x_um, y_um=y_um, n_px=m, pixel_um=pitch_um, wavelength_um=self._system.wavelength_um
        )
        inside = -2 * np.log(np.abs(shown)) > _SEEN
        if not inside.any():
            # smaller than a pixel: the one in which it lies
            inside[m // 2, m // 2] = True
        piece = Mask.of(inside)
        return Mask(first[1] + piece.top, first[0] + piece.left, piece.inside)

    def _category(self, table: CellTable) -> Int[np.ndarray, " cell"]:
        if self._config.stages:
            white, platelet, infected = 5, 6, table.stage.astype(np.int64)
        else:
            white, platelet, infected = 2, 3, (table.stage != Stage.NONE).astype(np.int64)
        of_kind = np.array([0, white, platelet, -1])[table.kind]
        return np.where(table.kind == Kind.RED_CELL, infected, of_kind)
