"""From a configuration to a bundle: light and classifiers, finder, calibration, held-out figures."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from pydantic import Field
from torch import Tensor, nn

from lsm.commit import source_commit
from lsm.config import Config
from lsm.errors import ModelMismatch
from lsm.samples import SlideVariety
from lsm.sensing.bundle import Bundle, BundleCard
from lsm.sensing.config import DesignConfig
from lsm.sensing.design import Design, run_design
from lsm.sensing.progress import Reporter, Silent
from lsm.sensing.slides import Slides
from lsm.stats import ScoreCalibration
from lsm.vision.evaluate import Tally, shoot_slides, tally_slides
from lsm.vision.finder import CellFinder, FinderConfig
from lsm.vision.finder_training import FinderTrainingConfig, codebook_rates, train_finder
from lsm.vision.look import FIGURE, TypicalFields, look_at
from lsm.vision.reader import SCAN, FieldReader

_SOURCES = {
    "procedural": "procedural smears (lsm.samples.ProceduralSmear), computed optics",
    "nih": "NIH/NLM malaria cell crops as absorption in computed smears and optics; "
    "courtesy of the U.S. National Library of Medicine (Rajaraman et al., PeerJ 6:e4568, 2018)",
}


class ScanCalibrationConfig(Config):
    """What a scan's thresholds rest on.

    slides: of the calibration split, with as many fields each as `calibration` takes. variety: how they differ besides
    their stain, which is what a scan's error rates hold for. score_edges: inner borders of the score bins; above 0.98
    the odds grow by two thirds from one to the next, since the threshold that serves a scan best lies where hardly any
    uninfected cell falls.
    """

    slides: Annotated[int, Ge(1)] = 96
    variety: SlideVariety = SlideVariety()
    score_edges: tuple[Annotated[float, Gt(0), Lt(1)], ...] = (
        *(0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98),
        *(0.986, 0.9914, 0.9948, 0.9968, 0.9981, 0.9988, 0.9993, 0.99957, 0.99974, 0.99984),
    )


class PipelineConfig(DesignConfig):
    """A design and everything that reads its images.

    score_edges: inner borders of the score bins that a policy sees, finest where few uninfected cells fall.
    """

    finder: FinderConfig = Field(default_factory=FinderConfig)
    finder_training: FinderTrainingConfig = Field(default_factory=FinderTrainingConfig)
    score_edges: tuple[Annotated[float, Gt(0), Lt(1)], ...] = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98)
    scan: ScanCalibrationConfig = Field(default_factory=ScanCalibrationConfig)


def run_pipeline(
    config: PipelineConfig, *, cache: Path, cells: Path | None = None, progress: Reporter | None = None
) -> Bundle:
    """The finished bundle of a configuration; the same configuration and thread count give the same bytes.

    cache: folder for LED stacks and checkpoints; a run that was interrupted goes on from there.
    cells: the NIH crops, for data = "nih". Raises FileMissing, ConfigError, ModelMismatch or WrongFormat.
    """
    reporter = progress or Silent()
    design = run_design(config, cache=cache, cells=cells, progress=reporter)
    finder = _finder(config, design, reporter)
    bundle = assemble(config, design, finder)
    slides = Slides(config, cells=cells)
    bundle = _calibrated(config, slides, bundle, reporter)
    group = config.test
    with reporter.stage("held-out slides", group.slides * group.fields_per_slide) as stage:
        ours, theirs = tally_slides(slides, "test", bundle, stage)
    figures = held_out_figures(ours, theirs, group.slides, np.random.default_rng([config.seed, 4]))
    return bundle.with_card(figures={"held_out": figures} | _looks(slides, bundle))


def calibrate_again(
    config: PipelineConfig, bundle: Bundle, *, cells: Path | None = None, progress: Reporter | None = None
) -> Bundle:
    """The bundle with its readers calibrated, and the look of fields taken, on the configuration's calibration slides.

    Nothing else changes.

    Raises ModelMismatch where the model was designed for other slides or another rig: whom it has learned on and been
    tested on would be unknown. How many calibration slides there are may differ.
    """
    planned = config.model_dump(mode="json")
    for key in ("data", "seed", "rig", "smear", "patients"):
        if bundle.card.config.get(key) != planned[key]:
            raise ModelMismatch(
                f"'{key}' of this configuration is not that of the model '{bundle.card.name}'.",
                hint="give the configuration that the model was designed with",
            )
    slides = Slides(config, cells=cells)
    calibrated = _calibrated(config, slides, bundle, progress or Silent())
    return calibrated.with_card(
        config={**bundle.card.config, **{key: planned[key] for key in ("calibration", "scan")}},
        figures={**bundle.card.figures, **_looks(slides, bundle)},
    )


def typical_fields(slides: Slides, bundle: Bundle) -> TypicalFields | None:
    """How the calibration slides look in bright field; None for too few fields with cells."""
    reader = FieldReader(bundle, baseline=True)
    rig = slides.config.rig
    pixel_um = rig.system.camera_pixel_um
    bright = bundle.patterns(rig.led_board.board())[:1]
    shots = shoot_slides(slides, "calibration", bright, bundle.exposures_ms.tolist()[:1])
    return TypicalFields.of(
        (shot.slide, look_at(image, reader.find(image), offset_adu=reader.offset_adu, pixel_um=pixel_um))
        for shot in shots
        for image in [shot.frames[0]]
    )


def _looks(slides: Slides, bundle: Bundle) -> dict[str, Any]:
    typical = typical_fields(slides, bundle)
    return {} if typical is None else {FIGURE: typical.model_dump(mode="json")}


def assemble(config: PipelineConfig, design: Design, finder: CellFinder) -> Bundle:
    """A bundle of codebook and networks, before calibration."""
    rig, capture = config.rig, design.learned.capture
    camera = rig.camera
    codebook = {
        "duty_levels": design.learned.illumination.levels(),
        "exposures_ms": capture.exposures_ms,
        "signal_mean": capture.signal_mean,
        "signal_std": capture.signal_std,
        "adu_offset": torch.tensor(camera.offset_adu),
        "adu_full_well": torch.tensor(camera.full_well_e / camera.gain_e_per_adu),
    }
    card = BundleCard(
        name=config.name,
        board_digest=rig.led_board.board().digest,
        camera_digest=camera.digest(),
        system_digest=rig.system.digest(),
        config_digest=config.digest(),
        config=config.model_dump(mode="json"),
        seed=config.seed,
        data=_SOURCES[config.data],
        commit=source_commit(),
    )
    tensors = _prefixed("codebook", codebook) | {"reader.score_edges": torch.tensor(config.score_edges)}
    networks: dict[str, nn.Module] = {
        "classifier": design.learned.classifier,
        "baseline": design.baseline.classifier,
        "finder": finder,
    }
    for prefix, network in networks.items():
        tensors |= _prefixed(prefix, network.state_dict())
    return Bundle.of(card, tensors)


def held_out_figures(ours: Tally, theirs: Tally, slides: int, rng: np.random.Generator) -> dict[str, Any]:
    """AUC with a 95 % interval over slides and finder figures, by mask (bit k is pattern k), and the baseline's."""

    def row(tally: Tally, mask: int) -> dict[str, Any]:
        area = tally.auc(mask, rng)
        figures: dict[str, Any] = {"auc": [round(value, 4) for value in (area.auc, area.low, area.high)]}
        return figures | {name: round(value, 4) for name, value in tally.finder(mask).items()}

    masks: dict[str, Any] = {str(mask): row(ours, mask) for mask in ours.masks()}
    return {"masks": masks, "baseline": row(theirs, 1), "slides": slides}


def _finder(config: PipelineConfig, design: Design, reporter: Reporter) -> CellFinder:
    rates = codebook_rates(design.learned, design.fields)
    with reporter.stage("cell finder", config.finder_training.steps) as stage:
        return train_finder(
            config.finder,
            rates,
            design.fields.cells,
            design.learned.capture,
            config.finder_training,
            torch.Generator().manual_seed(3 * config.seed + 17),
            advance=stage.advance,
        )


def _calibrated(config: PipelineConfig, slides: Slides, bundle: Bundle, reporter: Reporter) -> Bundle:
    scan = config.scan
    varied = config.calibration.model_copy(update={"slides": scan.slides, "variety": scan.variety})
    bundle = bundle.with_part(SCAN, {"score_edges": torch.tensor(scan.score_edges)})
    for title, start, reader, group in (
        ("calibration slides", "", "reader", config.calibration),
        ("calibration slides for scans", f"{SCAN}_", SCAN, varied),
    ):
        with reporter.stage(title, group.slides * group.fields_per_slide) as stage:
            tallies = tally_slides(slides.with_calibration(group), "calibration", bundle, stage)
        edges = bundle.tensors[f"{reader}.score_edges"].double().numpy()
        for part, tally in zip(("calibration", "baseline_calibration"), tallies, strict=True):
            arrays = ScoreCalibration.from_slides(*tally.counts(edges, group.slides)).to_arrays()
            parts = {key: torch.from_numpy(value).float() for key, value in arrays.items()}
            bundle = bundle.with_part(f"{start}{part}", parts)
    return bundle


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}
