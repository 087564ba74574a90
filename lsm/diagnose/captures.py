"""Fields and lights of captures that are all known beforehand, as a scan of a slide has them."""

from dataclasses import dataclass
from pathlib import Path

from lsm.agent.codebook import Codebook
from lsm.devices import Observe
from lsm.diagnose.scan.config import Light, RegionConfig
from lsm.diagnose.scan.plan import plan_scan
from lsm.diagnose.ways import refuse_other_optics
from lsm.errors import InputError
from lsm.illum import LightFile, Pattern
from lsm.scope import RigConfig
from lsm.scope.capture_plan import CapturePlan
from lsm.sensing import Bundle


@dataclass(frozen=True)
class Lit:
    """The captures of every field: patterns, their exposures, and what their names do not say."""

    patterns: tuple[Pattern, ...]
    exposures_ms: tuple[float, ...]
    notes: tuple[str, ...] = ()


def lights_of_field(
    rig: RigConfig, light: Light, model: str, light_file: Path | None, exposure_ms: float | None
) -> Lit:
    """What every field is looked at with: a light file's captures, or the model's patterns.

    Raises InputError for a light that is chosen while it runs, and what model or file raise.
    """
    board = rig.led.board.build()
    if light_file is not None:
        file = LightFile.load(light_file)
        exposures = tuple(exposure_ms or capture.exposure_ms for capture in file.captures)
        minus = [capture.name for capture in file.captures if capture.sign < 0]
        notes = (f"The images under {', '.join(map(repr, minus))} are to be subtracted.",) if minus else ()
        return Lit(file.patterns(board), exposures, notes)
    if light == "agent":
        raise InputError(
            "The light 'agent' is chosen for each field after it was seen; events are fixed before the first.",
            hint="export --light learned, all patterns in every field, or run lsm diagnose --light agent",
        )
    bundle = Bundle.named(model)
    refuse_other_optics(bundle, rig)
    codebook = Codebook.from_bundle(bundle, board)
    chosen = codebook.first(1) if light == "bright field" else codebook
    return Lit(chosen.patterns, tuple(exposure_ms or each for each in chosen.exposures_ms))


def scan_captures(rig: RigConfig, region: RegionConfig, lit: Lit, *, z_um: float | None) -> CapturePlan:
    """Every field of the region under every light, within the rig's limits.

    Raises ConfigError for a region that cannot be, LimitExceeded.
    """
    fields = plan_scan(region, rig)
    plan = CapturePlan.of(
        rig.led.board.build(),
        (
            Observe(pattern, exposure_ms, xy_um, z_um)
            for xy_um in fields.centres_um
            for pattern, exposure_ms in zip(lit.patterns, lit.exposures_ms, strict=True)
        ),
    )
    plan.refuse_beyond(rig.limits)
    return plan
