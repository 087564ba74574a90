"""What was measured of a rig: one frozen file that the rig and its twin both read.

`lsm calibrate run` writes it, a rig file names it (`calibration = "bench.calibration.json"`).
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import UInt16
from pydantic import Field

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.illum import LedBoard
from lsm.types import Image
from lsm.wholefile import write_whole

NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Pair = tuple[float, float]
Matrix = tuple[Pair, Pair]
Led = Annotated[int, Field(ge=0)]

BAD_INSTRUMENT_HINT = "run lsm calibrate run with this rig file again"


class Measured(Config):
    """A value and its standard uncertainty (GUM, JCGM 100:2008), in the unit that the name of its field tells."""

    value: float
    sigma: NonNegative

    def __str__(self) -> str:
        return f"{self.value:.5g} +- {self.sigma:.2g}"


class Orientation(Config):
    """What turns an image upright: first transposed, then flipped, so that +x is to the right and +y downwards."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False

    @property
    def upright(self) -> bool:
        """Whether nothing has to be turned."""
        return not (self.transpose or self.flip_columns or self.flip_rows)

    def apply(self, image: Image) -> UInt16[np.ndarray, "v u"]:
        """The image, upright."""
        turned = image.T if self.transpose else image
        turned = turned[:, ::-1] if self.flip_columns else turned
        return np.ascontiguousarray(turned[::-1] if self.flip_rows else turned)


class CameraFacts(Config):
    """Of the camera, as EMVA 1288 defines them.

    hot_pixels: row and column. light_delay_ms: by how much less light an exposure collects than its length says.
    """

    offset_adu: Measured
    gain_e_per_adu: Measured
    read_noise_e: Measured
    light_delay_ms: Measured
    hot_pixels: tuple[tuple[int, int], ...] = ()


class StageFacts(Config):
    """How the camera looks at the stage.

    um_per_px: see lsm.calibrate.StageAffine. angle_deg: from the stage's +x to the upright image's columns, towards +y.
    backlash_um: in x and y: how much further a place lies that is approached from above.
    """

    um_per_px: Matrix
    sigma_um_per_px: Matrix
    pixel_um: Measured
    angle_deg: Measured
    backlash_um: tuple[Measured, Measured]
    orientation: Orientation = Orientation()


class LightFacts(Config):
    """Light that each LED brings to the sample, relative to the median LED, and its relative standard uncertainty.

    dead: LEDs that bring none; their irradiance is given as 1.
    """

    irradiance: tuple[Positive, ...]
    sigma: tuple[NonNegative, ...]
    dead: tuple[Led, ...] = ()


class LedFacts(Config):
    """Where the LEDs are and how bright, as the upright image sees them.

    positions_mm, sigma_mm: of each LED, and the standard uncertainty of its place along the board.
    sigma_distance_mm: that of the distance of the board, common to all.
    brightness, sigma_brightness: radiant intensity relative to the median LED, and its relative uncertainty.
    dead: LEDs without light; their place is that of the board, their brightness 1. rotation_deg: of the board.
    """

    positions_mm: tuple[tuple[float, float, float], ...]
    sigma_mm: tuple[NonNegative, ...]
    sigma_distance_mm: NonNegative
    brightness: tuple[Positive, ...]
    sigma_brightness: tuple[NonNegative, ...]
    dead: tuple[Led, ...] = ()
    rotation_deg: Measured

    def board(self, nominal: LedBoard) -> LedBoard:
        """The board as it is. Raises ConfigError where it has another number of LEDs."""
        if len(self.positions_mm) != nominal.n_leds or len(self.brightness) != nominal.n_leds:
            raise ConfigError(
                f"The calibration is of {len(self.positions_mm)} LEDs, board '{nominal.name}' has {nominal.n_leds}.",
                hint=BAD_INSTRUMENT_HINT,
            )
        return replace(nominal, positions_mm=np.array(self.positions_mm), gain=np.array(self.brightness))


class FocusFacts(Config):
    """Where images are sharpest. tilt_um_per_mm: change of that focus along the image's columns and rows.

    curvature_um_per_mm2: c where the focus at distance r from the middle lies c r^2 higher.
    """

    z_um: Measured
    tilt_um_per_mm: tuple[Measured, Measured]
    curvature_um_per_mm2: Measured


class FlatFacts(Config):
    """Evenness of the empty field. fall_percent: from the brightest to the darkest ninth of the image, smoothed.

    spread_percent: standard deviation of the pixels' response around that (PRNU).
    """

    fall_percent: Measured
    spread_percent: Measured
    rate_e_per_ms: Measured


class Calibration(Config):
    """All that was measured of one rig; parts that were not are None.

    rig_digest: of what the rig file said of optics, board and camera; a rig that says otherwise refuses the file.
    date: ISO 8601, UTC. findings: what is not as the rig file says, in words.
    """

    kind: Literal["lsm calibration"] = "lsm calibration"
    version: Literal[1] = 1
    rig: str
    rig_digest: str
    date: str
    commit: str
    camera: CameraFacts | None = None
    flat: FlatFacts | None = None
    stage: StageFacts | None = None
    light: LightFacts | None = None
    leds: LedFacts | None = None
    focus: FocusFacts | None = None
    findings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """The calibration in a file, if its digest is the one that it carries. Raises FileMissing, WrongFormat."""
        if not path.is_file():
            raise FileMissing(f"The calibration {path} does not exist.", hint="make it: lsm calibrate run RIG")
        try:
            table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            digest = table.pop("digest")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise WrongFormat(f"{path} is no calibration.", hint=BAD_INSTRUMENT_HINT) from error
        found = cls.from_table(table, source=str(path))
        if found.digest() != digest:
            raise WrongFormat(
                f"The calibration {path} was changed after it was measured: its digest is {found.digest()}, "
                f"not {digest}.",
                hint=BAD_INSTRUMENT_HINT,
            )
        return found

    def write(self, path: Path) -> None:
        """Write it with its digest; the file is there whole or not at all."""
        write_whole(path, json.dumps(self.model_dump(mode="json") | {"digest": self.digest()}, indent=1) + "\n")
