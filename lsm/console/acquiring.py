"""Acquisitions as a page or a program asks for them: which fields, under which lights."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen

from lsm.config import Config
from lsm.console.owner import Owner
from lsm.diagnose.acquire import AcquireConfig, light_of
from lsm.diagnose.captures import Lit, lights_of_field
from lsm.diagnose.scan.config import RegionConfig
from lsm.errors import InputError
from lsm.scope import RigConfig

MOST_CAPTURES = 100_000
Fields = Annotated[int, Ge(1), Le(10_000)]


class AcquisitionRequest(Config):
    """Which captures to take of the slide on the stage; nothing is decided on the way.

    columns, rows: of fields. start: "here" begins with the field that is in view, at smallest x and y; "middle" takes
    the middle of what the rig reaches.
    light: "present" is the one chosen for the next frames, "bright field" the model's, "learned" all of the model, one
    after the other in every field. exposure_ms: None takes the present one, or the model's.
    """

    slide: Annotated[str, MaxLen(60)] = ""
    columns: Fields = 1
    rows: Fields = 1
    overlap: Annotated[float, Ge(0), Le(0.5)] = 0.1
    start: Literal["here", "middle"] = "here"
    light: Literal["present", "bright field", "learned"] = "present"
    exposure_ms: Annotated[float, Gt(0), Le(1e7)] | None = None


def acquisition_of(request: AcquisitionRequest, rig: RigConfig, owner: Owner, *, model: str) -> AcquireConfig:
    """The captures asked for. Raises InputError for none, or too many, and what the model raises."""
    lit = _lit(request, rig, owner, model)
    captures = request.columns * request.rows * len(lit.patterns)
    if captures > MOST_CAPTURES:
        raise InputError(f"These are {captures} captures.", hint=f"an acquisition has at most {MOST_CAPTURES}")
    region = RegionConfig(
        corner_um=_corner_um(rig, owner) if request.start == "here" else None,
        columns=request.columns,
        rows=request.rows,
        fields=request.columns * request.rows,
        overlap=request.overlap,
    )
    return AcquireConfig(slide=request.slide, light=light_of(rig, lit), region=region)


def _lit(request: AcquisitionRequest, rig: RigConfig, owner: Owner, model: str) -> Lit:
    if request.light != "present":
        return lights_of_field(rig, request.light, model, None, request.exposure_ms)
    if not owner.pattern.levels.any():
        raise InputError("The light that is chosen is dark.", hint="choose a light first, or one of the model's")
    return Lit((owner.pattern,), (request.exposure_ms or owner.exposure_ms,))


def _corner_um(rig: RigConfig, owner: Owner) -> tuple[float, float]:
    """Corner of the field in view, at smallest x and y."""
    here, shape_px = owner.state.now.machine.xy_um, rig.camera.shape_px
    if here is None or shape_px is None:
        raise InputError("Which field is in view is not known yet.", hint="take a frame first, or start in the middle")
    rows_px, columns_px = shape_px
    half_um = 0.5 * rig.camera_pixel_um
    return here[0] - columns_px * half_um, here[1] - rows_px * half_um
