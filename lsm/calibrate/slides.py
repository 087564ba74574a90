"""What lies on the stage for a step of a calibration, on a simulated rig; on a real one somebody puts it there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lsm.calibrate.session import Open
from lsm.calibrate.steps import Slide
from lsm.devices import Microscope
from lsm.samples import ProceduralSmear, Smear, SmearConfig
from lsm.samples.diffuser import Diffuser
from lsm.scope import RigConfig, connect

CLEAR = SmearConfig(monolayer_per_mm2=1e-3, platelets_per_red=0.0, precipitate_per_mm2=0.0, white_per_red=0.0)


def slide_of(slide: Slide, seed: int) -> Smear:
    """What a simulated stage carries for a step."""
    if slide == "diffuser":
        return Diffuser(extent_um=(SmearConfig().width_um, SmearConfig().height_um), seed=seed)
    return ProceduralSmear(CLEAR if slide == "clear" else SmearConfig(), seed)


def with_slide(rig: RigConfig, slide: Slide, seed: int) -> dict[str, Any]:
    """What `connect` is to be given so that this slide is on the stage: nothing for a rig that is not simulated."""
    return {} if rig.simulator is None else {"seed": seed, "sample": slide_of(slide, seed)}


def opener(rig: RigConfig, seed: int) -> Open:
    """Opens the rig with a slide on its stage; a simulated one is given the slide, a real one has what lies there."""

    @contextmanager
    def opened(slide: Slide) -> Iterator[Microscope]:
        with connect(rig, **with_slide(rig, slide, seed)) as microscope:
            yield microscope

    return opened
