"""What an experiment on detectors compares."""

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.experiments.detections.smears import SmearImages
from lsm.vision.detect import FitConfig, ModelConfig, model_of
from lsm.vision.field import Disturbance


class SetConfig(Config):
    """Which images.

    name: a set below LSM_DATA, "folder" for the annotations at `path`, or "smears" for computed ones.
    block: so many neighbouring numbers are one group, as fields of one slide are likely to be; 0 leaves groups as read.
    channels: of every image, where greys and colours are mixed. images: so many, evenly spread; 0 takes all.
    """

    name: Literal["bccd", "dsb2018", "folder", "smears"]
    path: Path | None = None
    smears: SmearImages = SmearImages()
    block: Annotated[int, Ge(0)] = 0
    channels: Annotated[int, Gt(0)] | None = None
    images: Annotated[int, Ge(0)] = 0

    @model_validator(mode="after")
    def _path_where_needed(self) -> "SetConfig":
        if (self.name == "folder") != (self.path is not None):
            raise ValueError("path is given with name = 'folder', and only there")
        return self


class ArmConfig(Config):
    """One detector: the options of its network, with their kind, and how it learns."""

    model: dict[str, Any]
    fit: FitConfig = FitConfig()

    @model_validator(mode="after")
    def _model_is_known(self) -> "ArmConfig":
        self.built()
        return self

    def built(self) -> ModelConfig:
        """The network's options. Raises ConfigError."""
        return model_of(self.model)


class Published(Config):
    """A figure that somebody published: which system, on what, and what it reached."""

    system: str
    data: str
    figure: str
    source: str


class DetectionStudy(Config):
    """One set, divided into folds by groups, and the detectors that learn on all folds but one.

    seeds: partitions and trainings, from `first_seed` on. strata: share out images of the same kind evenly, where the
    set names kinds. disturbed: ways in which the images held out are made worse, each scored by itself.
    """

    data: SetConfig
    folds: Annotated[int, Gt(1)] = 3
    seeds: Annotated[int, Gt(0)] = 1
    first_seed: Annotated[int, Ge(0)] = 1
    arms: dict[str, ArmConfig]
    disturbed: tuple[Disturbance, ...] = ()
    published: tuple[Published, ...] = ()


class Quick(Config):
    """The short form: for each study that it has, its arms; images, and keys of FitConfig that it changes."""

    images: Annotated[int, Gt(0)] = 24
    folds: Annotated[int, Gt(1)] = 2
    fit: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class DetectionsConfig(Config):
    """An experiment made of studies."""

    studies: dict[str, DetectionStudy]
    quick: Quick = Quick()

    def short(self) -> dict[str, DetectionStudy]:
        """The studies of the short form. Raises ConfigError for a study or an arm that is not there."""
        kept = {}
        for name, arms in self.quick.arms.items():
            study = self.studies.get(name)
            if study is None or not set(arms) <= set(study.arms):
                raise ConfigError(
                    f"The short form names '{name}' with {', '.join(arms)}.",
                    hint="name studies and arms that are there",
                )
            short = {arm: self._short_arm(study.arms[arm]) for arm in arms}
            smears = study.data.smears.model_copy(update={"images": self.quick.images})
            data = study.data.model_copy(update={"images": self.quick.images, "smears": smears})
            update = {"arms": short, "data": data, "folds": self.quick.folds, "seeds": 1, "disturbed": ()}
            kept[name] = study.model_copy(update=update)
        return kept

    def _short_arm(self, arm: ArmConfig) -> ArmConfig:
        fit = arm.fit.model_dump() | self.quick.fit
        return ArmConfig.from_table({"model": arm.model | self.quick.model, "fit": fit}, source="the short form")
