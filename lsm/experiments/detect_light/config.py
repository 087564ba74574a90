"""Settings of the experiment."""

from typing import Annotated

from annotated_types import Ge, Gt, Len
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import ImagingSystem
from lsm.sensing.capture import ExposureConfig
from lsm.twin import TwinConfig
from lsm.vision.detect.grid import GridConfig
from lsm.vision.field import Disturbance, FieldLightConfig, FieldTraining, PhantomConfig

Count = Annotated[int, Ge(1)]


class Pair(Config):
    """Two arms to be compared: what is gained by `of` over `minus`."""

    of: str
    minus: str


class DetectLightConfig(Config):
    """The whole experiment.

    rig: its fields are small, which makes training quick; light of all arms is that of its board.
    train, test: slides; those of the test have numbers of their own and are infected as patients are.
    arms: lights by name. Everything else is the same for all: fields, detector, steps, exposure rule, noise.
    pairs: arms to be compared. rates: false positives per uninfected cell. draws: of slides, for intervals.
    disturbances, disturbed_fields: how images are made worse, and on how many fields of the test.
    """

    seed: Annotated[int, Ge(0)] = 0
    seeds: Count = 3
    rig: TwinConfig = TwinConfig(system=ImagingSystem(sample_px=512, margin_px=16))
    train: PhantomConfig = PhantomConfig()
    test: PhantomConfig = PhantomConfig(seed=1)
    arms: Annotated[dict[str, FieldLightConfig], Len(1)] = Field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    model: GridConfig = GridConfig()
    exposure: ExposureConfig = ExposureConfig()
    training: FieldTraining = FieldTraining()
    rates: tuple[Annotated[float, Gt(0)], ...] = (1e-3, 1e-4)
    draws: Count = 1000
    disturbances: tuple[Disturbance, ...] = ()
    disturbed_fields: Count = 40
    slides_per_job: Count = 4

    @model_validator(mode="after")
    def _fits(self) -> "DetectLightConfig":
        for pair in self.pairs:
            for name in (pair.of, pair.minus):
                if name not in self.arms:
                    raise ConfigError(
                        f"The pair '{pair.of}' minus '{pair.minus}' names no arm '{name}'.",
                        hint=f"arms: {', '.join(self.arms)}",
                    )
        first, last = self.test.first_slide, self.test.first_slide + self.test.slides
        known = self.train.first_slide + self.train.slides
        if self.test.seed == self.train.seed and first < known and last > self.train.first_slide:
            raise ConfigError(
                f"Test slides {first} to {last - 1} are among those of the training.",
                hint="set test.first_slide behind the last training slide, or another test.seed",
            )
        return self

    @property
    def all_seeds(self) -> range:
        """Seeds of the trainings."""
        return range(self.seed, self.seed + self.seeds)

    def quick(self, seeds: int | None = None) -> "DetectLightConfig":
        """A form that takes half a minute: bright field and one learned light, few fields, short trainings.

        So few cells tell no rate of 1e-3 false positives, and so short a training no figure at all.
        """
        kept = [name for name in self.arms if self.arms[name].pupil is None]
        chosen = [kept[0], next((name for name in kept if self.arms[name].kind == "learned"), kept[-1])]
        arms = {name: self.arms[name] for name in dict.fromkeys(chosen)}
        return self.model_copy(
            update={
                "seeds": seeds or 1,
                "train": self.train.model_copy(update={"slides": 6, "fields_per_slide": 2}),
                "test": self.test.model_copy(update={"slides": 6, "fields_per_slide": 2, "parasitaemia": (0.1, 0.1)}),
                "arms": arms,
                "pairs": tuple(pair for pair in self.pairs if {pair.of, pair.minus} <= set(arms)),
                "model": self.model.model_copy(update={"width": min(self.model.width, 16)}),
                "training": self.training.model_copy(update={"steps": 60, "fields_per_step": 2}),
                "draws": 200,
                "disturbances": self.disturbances[:1],
                "disturbed_fields": 4,
            }
        )
