"""One measured image per LED, in the units in which they add up.

Light adds: what a camera collects under many LEDs is the sum of what it collects under each, and grows with
exposure and drive. An LED image is therefore kept as ADU per millisecond at full drive, above the dark signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32
from pydantic import Field

from lsm.config import Config
from lsm.illum import LedBoard
from lsm.types import LedMask

Plane = Float32[np.ndarray, "y x"]

ROUNDING_ADU2 = 1 / 12
"""Variance of rounding to whole ADU."""


class StackCamera(Config):
    """What must be known of the camera that measured a stack; None where it is not.

    offset_adu: dark signal; not needed where the stack holds dark frames.
    saturated_adu: from this value on a pixel counts as saturated. It lies below full scale where the well fills first.
    gain_e_per_adu, read_noise_e: without both, the noise of a sum is unknown.
    """

    offset_adu: Annotated[float, Field(ge=0)] | None = None
    saturated_adu: Annotated[float, Field(gt=0, le=65535)] | None = None
    gain_e_per_adu: Annotated[float, Field(gt=0)] | None = None
    read_noise_e: Annotated[float, Field(ge=0)] | None = None

    @property
    def read_variance_adu2(self) -> float | None:
        """Variance of the read noise in ADU^2; None where the noise is unknown."""
        if self.gain_e_per_adu is None or self.read_noise_e is None:
            return None
        return (self.read_noise_e / self.gain_e_per_adu) ** 2


@dataclass(frozen=True)
class Place:
    """Where an image was taken: stage and focus, as read back."""

    xy_um: tuple[float, float]
    z_um: float


@dataclass(frozen=True, eq=False)
class LedImage:
    """One LED's light in one colour at one place.

    light: ADU per ms at full drive above dark [y, x]; at saturated pixels it is only known to be at least this.
    shot, floor: the variance of `light` is shot * max(light, 0) + floor, (ADU/ms)^2; None where it is unknown.
    dark_share: how much of the dark image was subtracted, per ms.
    saturated: pixels that were saturated while they were measured; None where none was.
    """

    light: Plane
    shot: float | None
    floor: float | None
    dark_share: float = 0.0
    saturated: Bool[np.ndarray, "y x"] | None = None


@dataclass(frozen=True, eq=False)
class Dark:
    """The camera's dark image in ADU [y, x] and the variance of its noise in ADU^2; None where it is unknown."""

    image: Plane
    variance_adu2: float | None


@runtime_checkable
class LedImages(Protocol):
    """A measured stack.

    source: what it is, for people. camera: `gain_e_per_adu` and `read_noise_e` are in the ADU of its images.
    saturated_adu: where sums are clipped.
    """

    @property
    def source(self) -> str: ...

    @property
    def board(self) -> LedBoard: ...

    @property
    def places(self) -> Sequence[Place]: ...

    @property
    def camera(self) -> StackCamera: ...

    @property
    def saturated_adu(self) -> float: ...

    @property
    def dark(self) -> Dark: ...

    def measured(self, place: int, colour: int) -> LedMask:
        """True for LEDs [led] that were measured in this colour at the place of that index."""
        ...

    def image(self, place: int, led: int, colour: int) -> LedImage:
        """The image of an LED that was measured. Raises RecordError where it cannot be read."""
        ...

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        ...


@dataclass(frozen=True, eq=False)
class StackInMemory:
    """Images of one colour at one place.

    images: by LED of the board. See `LedImages` for the rest.
    """

    source: str
    board: LedBoard
    images: dict[int, LedImage]
    dark: Dark
    camera: StackCamera = field(default_factory=StackCamera)
    saturated_adu: float = 65535.0
    colour: int = 0
    places: Sequence[Place] = (Place((0.0, 0.0), 0.0),)

    def measured(self, place: int, colour: int) -> LedMask:
        mask = np.zeros(self.board.n_leds, dtype=bool)
        if place == 0 and colour == self.colour:
            mask[list(self.images)] = True
        return mask

    def image(self, place: int, led: int, colour: int) -> LedImage:
        return self.images[led]

    def close(self) -> None:
        """Nothing to let go of."""
