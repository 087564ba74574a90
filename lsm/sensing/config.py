"""Everything that determines a design: rig, slides, light, networks, training."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import Field

from lsm.config import Config
from lsm.samples import SlideVariety, SmearConfig
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.heads import ClassifierConfig
from lsm.sensing.illumination import IlluminationConfig
from lsm.sensing.training import TrainingConfig
from lsm.twin import TwinConfig

Split = Literal["train", "calibration", "test"]


class SlidesConfig(Config):
    """A group of slides and the fields taken from each.

    parasitaemia: smallest and largest infected fraction; each slide's is drawn between, evenly in its logarithm.
    defocus_um: standard deviation of the focus error, drawn once per field. variety: how slides differ besides their
    stain and how many cells are infected; None for not at all.
    """

    slides: Annotated[int, Gt(0)]
    fields_per_slide: Annotated[int, Gt(0)]
    parasitaemia: tuple[Annotated[float, Gt(0), Le(1)], Annotated[float, Gt(0), Le(1)]]
    defocus_um: Annotated[float, Ge(0)] = 2.0
    variety: SlideVariety | None = None


class PatientsConfig(Config):
    """How patients are shared out when the cells are real images.

    held_out: fraction of the patients that no part of the design ever sees; the demonstration draws its
    slides from them. calibration: fraction of the others used for calibration alone.
    per_slide: patients whose cells make up one slide; 0 takes all of the split.
    """

    held_out: Annotated[float, Gt(0), Lt(1)] = 0.25
    calibration: Annotated[float, Gt(0), Lt(1)] = 0.25
    per_slide: Annotated[int, Ge(0)] = 0
    seed: int = 0


class DesignConfig(Config):
    """One design. `seed` starts every random stream; the same configuration gives the same bundle.

    data: procedural smears, or smears of the NIH cell crops (their file or folder is an argument).
    train, calibration, test: slides of the three splits; training slides are heavily infected on purpose.
    """

    name: Annotated[str, Len(1)]
    seed: int = 0
    data: Literal["procedural", "nih"] = "procedural"
    rig: TwinConfig = Field(default_factory=TwinConfig)
    smear: SmearConfig = Field(default_factory=SmearConfig)
    patients: PatientsConfig = Field(default_factory=PatientsConfig)
    train: SlidesConfig = SlidesConfig(slides=60, fields_per_slide=2, parasitaemia=(0.5, 0.5))
    calibration: SlidesConfig = SlidesConfig(slides=24, fields_per_slide=8, parasitaemia=(0.01, 0.1), defocus_um=1.0)
    test: SlidesConfig = SlidesConfig(slides=24, fields_per_slide=8, parasitaemia=(0.01, 0.1), defocus_um=1.0)
    illumination: IlluminationConfig = Field(default_factory=IlluminationConfig)
    exposure: ExposureConfig = Field(default_factory=ExposureConfig)
    classifier: ClassifierConfig = Field(default_factory=ClassifierConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
