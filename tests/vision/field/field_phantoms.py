"""Small fields on a small board, computed in milliseconds, for the tests of this folder."""

from dataclasses import dataclass

import numpy as np

from lsm.optics import ImagingSystem
from lsm.samples import SmearConfig
from lsm.twin import GridBoardConfig, TwinConfig
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.field import PhantomConfig, Phantoms, Scene

RIG = TwinConfig(
    system=ImagingSystem(sample_px=192, margin_px=4),
    led_board=GridBoardConfig(rows=5, columns=5, pitch_mm=4.0, distance_mm=50.0),
)
"""Fields of 40 camera pixels or 48 um; the centre LED alone lies inside NA 0.10, 24 light a dark field."""

SMEAR = SmearConfig(width_um=160.0, height_um=120.0, white_per_red=0.02)


def phantoms(**changes: object) -> Phantoms:
    settings = {"smear": SMEAR, "slides": 2, "fields_per_slide": 2, "parasitaemia": (0.4, 0.4)} | changes
    return Phantoms(PhantomConfig.model_validate(settings), RIG.system)


@dataclass(frozen=True)
class OneDisc:
    """A single scene: an absorbing disc on an empty slide, marked with its box."""

    x_px: float = 12.0
    y_px: float = 25.0
    radius_px: float = 4.0
    absorbance: float = 1.0
    path_um: float = 0.0

    categories = ("disc",)
    origin = "a disc"

    @property
    def digest(self) -> str:
        return f"disc {self.x_px} {self.y_px} {self.radius_px} {self.absorbance} {self.path_um}"

    def __len__(self) -> int:
        return 1

    def scene(self, number: int) -> Scene:
        system = RIG.system
        # middle of sample pixel i lies at (i + 0.5) / decimation camera pixels, less the margin
        axis = (np.arange(system.sample_px) + 0.5) / system.decimation - system.margin_px
        inside = np.hypot(axis[None, :] - self.x_px, axis[:, None] - self.y_px) < self.radius_px
        phase = 2 * np.pi * self.path_um / system.wavelength_um
        transmission = np.where(inside, np.exp(-self.absorbance / 2 + 1j * phase), 1.0).astype(np.complex64)
        box = np.array([[self.x_px, self.y_px, self.x_px, self.y_px]]) + self.radius_px * np.array([[-1, -1, 1, 1]])
        objects = Objects(box, np.zeros(1, dtype=np.int64))
        return Scene(f"disc {number}", "one", transmission, (system.camera_px, system.camera_px), objects, 0.0)


def photograph(pixel_um: float = 0.1, *, channels: int = 3) -> AnnotatedSet:
    """One disc of 78 px on an empty slide of grey 0.8, green 0.4 inside."""
    y, x = np.mgrid[:400, :300]
    pixels = np.full((channels, 400, 300), 0.8, dtype=np.float32)
    pixels[:, np.hypot(x - 99.5, y - 199.5) < 39.1] = 0.4
    inside = np.hypot(x - 99.5, y - 199.5) < 39.1
    box = np.array([[60.4, 160.4, 139.6, 239.6]])
    objects = Objects(box, np.zeros(1, dtype=np.int64), (Mask.of(inside),))
    return AnnotatedSet((AnnotatedImage.of("one", pixels, objects),), ("RBC",), f"a drawing at {pixel_um}")
