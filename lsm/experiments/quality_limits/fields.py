"""Fields of some slides, sound and spoilt, and what the limits of a scan say of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from lsm.agent.pipeline import design_of
from lsm.config import Config
from lsm.diagnose.scan import QualityConfig
from lsm.diagnose.scan.quality import FieldJudge
from lsm.experiments.quality_limits.config import BubblesConfig, DustConfig
from lsm.experiments.quality_limits.spoils import draw_bubble, draw_dust
from lsm.illum import Pattern
from lsm.samples import Kind, Smear, SpoiledSmear
from lsm.sensing import Bundle
from lsm.sensing.slides import Slides, true_cells
from lsm.threads import threads
from lsm.twin import FieldRenderer, TwinConfig
from lsm.types import Image
from lsm.vision import FieldReader
from lsm.vision.look import TypicalFields, look_at

SOUND, DUST = "sound", "dust"


class FieldsJob(Config):
    """Slides of one model's design. cells: of a design that needs crops. model_digest: so that another model is
    another job.
    """

    seed: int
    model: str
    model_digest: str
    cells: Path | None
    first_slide: Annotated[int, Ge(0)]
    slides: Annotated[int, Ge(1)]
    bubbles: BubblesConfig
    dust: DustConfig
    quality: QualityConfig


@dataclass(frozen=True, eq=False)
class _Eyes:
    """The model's bright field, and the judge of a scan that has seen nothing yet."""

    reader: FieldReader
    typical: TypicalFields
    judge: FieldJudge
    pattern: Pattern
    exposure_ms: float
    rig: TwinConfig

    @classmethod
    def of(cls, bundle: Bundle, rig: TwinConfig, quality: QualityConfig) -> "_Eyes":
        typical = TypicalFields.of_model(bundle)
        pattern = bundle.patterns(rig.led_board.board())[0]
        reader = FieldReader(bundle, baseline=True)
        return cls(reader, typical, FieldJudge(quality, typical), pattern, bundle.exposures_ms.tolist()[0], rig)

    def image(self, smear: Smear, place_um: tuple[float, float], z_um: float, noise: torch.Generator) -> Image:
        renderer = FieldRenderer(smear, self.rig.led_board.board(), self.rig)
        return renderer.image(self.pattern.levels, place_um, z_um, self.exposure_ms, noise)

    def said(self, image: Image) -> dict[str, Any]:
        """fault: as a scan names it, "" for none. off: standard deviations of the darkest body."""
        reading = self.reader.read({0: image})
        pixel_um = self.rig.system.camera_pixel_um
        look = look_at(image, reading.cells, offset_adu=self.reader.offset_adu, pixel_um=pixel_um)
        fault = self.judge.judge(look, reading.quality).fault
        return {"fault": fault.value if fault else "", "off": round(self.typical.off(look).body, 2)}


def judge_fields(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Under "fields" a row for every condition of every slide's field; a function of lsm.experiments.jobs."""
    job = FieldsJob.from_table(arguments)
    bundle = Bundle.named(job.model)
    design = design_of(bundle)
    slides = Slides(design, cells=job.cells)
    eyes = _Eyes.of(bundle, design.rig, job.quality)
    rows: list[dict[str, Any]] = []
    with threads(1):
        for number in range(job.first_slide, job.first_slide + job.slides):
            smear, rng = slides.smear("test", number), np.random.default_rng([job.seed, number])
            z_um = float(rng.normal(0.0, design.test.defocus_um))
            rows += ({"slide": number} | row for row in _conditions(job, eyes, smear, z_um, rng))
    return {"fields": rows}


def _conditions(
    job: FieldsJob, eyes: _Eyes, smear: Smear, z_um: float, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """One field of the slide as it is, and with each thing that spoils it; every image has its own noise.

    white_cells: whose centre truly lies in the field.
    """
    system = eyes.rig.system
    field_um = system.camera_px * system.camera_pixel_um
    place_um = _place_um(smear, field_um, rng)
    cells = true_cells(smear, *place_um, camera_px=system.camera_px, camera_pixel_um=system.camera_pixel_um)
    common = {"white_cells": int((cells.kind == Kind.WHITE_CELL).sum())}
    bubble = draw_bubble(job.bubbles, place_um, field_um, rng)
    speck = draw_dust(job.dust, place_um, field_um, rng)
    spoilt: dict[str, tuple[float, Smear]] = {SOUND: (0.0, smear)}
    for name, step in job.bubbles.index_steps.items():
        changed = bubble.model_copy(update={"index_step": step})
        spoilt[name] = (bubble.radius_um, SpoiledSmear(smear, bubbles=(changed,)))
    spoilt[DUST] = (speck.radius_um, SpoiledSmear(smear, dust=(speck,)))
    for name, (radius_um, film) in spoilt.items():
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        said = eyes.said(eyes.image(film, place_um, z_um, noise))
        yield {"condition": name, "radius_um": round(radius_um, 2)} | common | said


def _place_um(smear: Smear, field_um: float, rng: np.random.Generator) -> tuple[float, float]:
    """The centre of a field of the grid that a scan of the whole smear has."""
    columns, rows = (max(1, int(extent // field_um)) for extent in smear.extent_um)
    row, column = divmod(int(rng.integers(columns * rows)), columns)
    return (column + 0.5) * field_um, (row + 0.5) * field_um
