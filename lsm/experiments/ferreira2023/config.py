"""Settings of the experiment."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, MinLen
from pydantic import model_validator

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import Camera
from lsm.samples import SmearConfig
from lsm.vision.classify import CropFitConfig, CropNetworkConfig

Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]


class CropArm(Config):
    """What distinguishes one way of learning. augment: turned and scaled; where objects are counted, turned alone."""

    sharpen: Literal["none", "cross", "square"] = "none"
    augment: bool = False
    count: Literal["dense", "sum"] = "dense"


class SmearTiles(Config):
    """Phantom fields with known numbers of red cells, as a low-NA microscope takes them in bright field.

    slides, tiles: how many, and fields on each. smear: the slide. pixel_um, drawn_um: of the camera at the sample, and
    of the grid on which cells are drawn. electrons: of the empty field, per pixel.
    """

    slides: Count = 24
    tiles: Count = 25
    smear: SmearConfig = SmearConfig(width_um=900.0, height_um=600.0)
    na: Positive = 0.10
    pixel_um: Positive = 1.2
    drawn_um: Positive = 0.3
    electrons: Positive = 5000.0
    camera: Camera = Camera()


class Source(Config):
    """A set of crops.

    kind: "nih" crops of red cells, infected or not; "chula" crops around points, by shape; "dsb" tiles of fields of
    nuclei, by how they were taken, and counted; "smear" phantom fields, counted. cut_px: side of what is cut from an
    image ("chula", "dsb"). size_px: side of the crops that the network sees. block: numbers of images that are kept
    together ("chula"). most: how many are used, spread evenly; 0 is all. smear: the phantoms.
    """

    kind: Literal["nih", "chula", "dsb", "smear"]
    cut_px: Count = 64
    size_px: Count = 48
    block: Count = 20
    most: Annotated[int, Ge(0)] = 0
    smear: SmearTiles = SmearTiles()


class Task(Config):
    """What is learned from one set of crops, and in which ways."""

    crops: Source
    arms: Annotated[tuple[str, ...], MinLen(1)]
    folds: Annotated[int, Ge(2)] = 2
    network: CropNetworkConfig = CropNetworkConfig()
    fit: CropFitConfig = CropFitConfig()


class FerreiraConfig(Config):
    """The whole experiment.

    arms: ways of learning by name. tasks: sets by name; each names the arms that it runs. seeds, first_seed: partitions
    of the groups; every arm is trained once for each seed and fold.
    """

    arms: dict[str, CropArm]
    tasks: dict[str, Task]
    seeds: Annotated[int, Ge(2)] = 3
    first_seed: Annotated[int, Ge(0)] = 1

    @model_validator(mode="after")
    def _arms_are_there(self) -> "FerreiraConfig":
        for name, task in self.tasks.items():
            for arm in task.arms:
                if arm not in self.arms:
                    raise ConfigError(
                        f"The task '{name}' names the arm '{arm}'.", hint=f"arms are {', '.join(self.arms)}"
                    )
        return self

    def quick(self, seeds: int | None = None) -> "FerreiraConfig":
        """A form of half a minute: infected cells and phantoms alone, few of them, the first two arms."""
        short = {}
        for name, task in self.tasks.items():
            if task.crops.kind not in ("nih", "smear"):
                continue
            few = task.crops.smear.model_copy(update={"slides": 8, "tiles": 20})
            update = {
                "crops": task.crops.model_copy(update={"most": 800, "smear": few}),
                "arms": task.arms[:2],
                "folds": 2,
                "fit": task.fit.model_copy(update={"epochs": 6, "crops_per_step": 16}),
            }
            short[name] = task.model_copy(update=update)
        return self.model_copy(update={"tasks": short, "seeds": seeds or 2})
