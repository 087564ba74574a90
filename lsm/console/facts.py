"""What a page has to know of a rig, once."""

from lsm.config import Config
from lsm.console.light import COLOURS, TURNS_DEG
from lsm.illum import LedBoard, Pattern
from lsm.safety import Interval, Obstacle
from lsm.scope import RigConfig

FULL_SCALE_ADU = 65_535.0


class RigFacts(Config):
    """A rig that is connected.

    file: as it was named. leds: direction of each LED's light in numerical apertures (x, y), in board order.
    na: of the objective. designed: names of the model's patterns. field_um: width and height of an image, where known.
    """

    name: str
    file: str
    simulated: bool
    model: str
    leds: tuple[tuple[float, float], ...]
    colours: tuple[str, ...]
    presets: tuple[str, ...]
    designed: tuple[str, ...]
    na: float
    um_per_px: float
    saturated_adu: float
    field_um: tuple[float, float] | None
    x_um: Interval
    y_um: Interval
    z_um: Interval
    exposure_ms: Interval
    obstacles: tuple[Obstacle, ...]
    total_dose_led_ms: float

    @classmethod
    def of(cls, rig: RigConfig, board: LedBoard, designed: tuple[Pattern, ...], *, file: str, model: str) -> "RigFacts":
        """The facts of a rig with this board."""
        limits, shape = rig.limits, rig.camera.shape_px
        pixel_um = rig.camera_pixel_um
        return cls(
            name=rig.name,
            file=file,
            simulated=rig.simulator is not None,
            model=model,
            leds=tuple((round(float(x), 5), round(float(y), 5)) for x, y in -board.directions[:, :2]),
            colours=tuple(COLOURS) if board.n_colours == 3 else ("white",),
            presets=("bright field", "dark field", "annulus", *TURNS_DEG, "dark"),
            designed=tuple(pattern.name or f"pattern {k}" for k, pattern in enumerate(designed)),
            na=rig.objective.na,
            um_per_px=pixel_um,
            saturated_adu=rig.camera.saturated_adu or FULL_SCALE_ADU,
            field_um=None if shape is None else (shape[1] * pixel_um, shape[0] * pixel_um),
            x_um=limits.x_um,
            y_um=limits.y_um,
            z_um=limits.free_z_um,
            exposure_ms=limits.exposure_ms,
            obstacles=limits.obstacles,
            total_dose_led_ms=limits.total_dose_led_ms,
        )
