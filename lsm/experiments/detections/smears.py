"""Blood films under a strong objective, computed: every red cell, white cell and platelet with its exact outline."""

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Gt

from lsm.config import Config
from lsm.optics import ImagingSystem
from lsm.samples import SmearConfig
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.wholefolder import whole_folder
from lsm.twin import GridBoardConfig, TwinConfig
from lsm.vision.data.formats import WRITERS, Format
from lsm.vision.field import (
    INFECTED,
    FieldLight,
    FieldLightConfig,
    FreshFields,
    PhantomConfig,
    Phantoms,
    annotated_fields,
)

ANNOTATIONS = "annotations.json"


class SmearImages(Config):
    """Bright-field images of computed films, each of a film of its own.

    side_px, pixel_um: the camera's, at the sample. The defaults give images much as those of Pfeil et al. (2022): 1000
    pixels wide, with about 160 red cells, 3 white cells and 12 platelets, these some 20 pixels wide.
    """

    images: Annotated[int, Gt(0)] = 40
    side_px: Annotated[int, Gt(0)] = 1000
    pixel_um: Annotated[float, Gt(0)] = 0.12
    na: Annotated[float, Gt(0)] = 0.5
    defocus_um: Annotated[float, Gt(0)] = 0.3
    smear: SmearConfig = SmearConfig(
        width_um=400.0,
        height_um=400.0,
        parasitaemia=0.01,
        monolayer_per_mm2=14000.0,
        thick_factor=1.0,
        density_spread=0.0,
        holes_per_mm2=0.0,
        precipitate_per_mm2=0.0,
        white_per_red=0.018,
        platelets_per_red=0.07,
    )
    seed: int = 0


def smear_images(config: SmearImages, cache: Path) -> Path:
    """The annotations of the images below `cache`, in COCO's format; computed where they are not there."""
    films = _films(config)
    # the films' digest changes with the way in which they are computed, too
    folder = cache / f"smears-{config.digest()}-{films.digest}"
    if not (folder / ANNOTATIONS).is_file():
        with whole_folder(folder) as part:
            _write(config, films, part)
    return folder / ANNOTATIONS


def _films(config: SmearImages) -> Phantoms:
    margin = 12
    system = ImagingSystem(
        na=config.na,
        sample_px=config.side_px + 2 * margin,
        margin_px=margin,
        sample_pixel_um=config.pixel_um,
        camera_pixel_um=config.pixel_um,
    )
    films = PhantomConfig(
        smear=config.smear,
        slides=config.images,
        fields_per_slide=1,
        parasitaemia=(config.smear.parasitaemia, config.smear.parasitaemia),
        defocus_um=config.defocus_um,
        seed=config.seed,
    )
    return Phantoms(films, system)


def _write(config: SmearImages, films: Phantoms, folder: Path) -> None:
    # nine LEDs near the axis: a bright field, coherent in part
    rig = TwinConfig(system=films.system, led_board=GridBoardConfig(rows=3, columns=3))
    fields = FreshFields(films, rig)
    generator = torch.Generator().manual_seed(config.seed)
    light = FieldLight(rig, FieldLightConfig(kind="bright field"), ExposureConfig(), generator)
    light.freeze(fields, range(min(4, len(fields))))
    data = annotated_fields(light, fields, generator).renamed({INFECTED: "red cell"})
    WRITERS[Format.COCO](data, folder / ANNOTATIONS)
