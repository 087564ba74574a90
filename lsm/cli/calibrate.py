"""`lsm calibrate`: measure on a rig what its file only claims."""

import json
import math
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from lsm.calibrate import (
    MEASURES,
    FocusFound,
    FocusSearch,
    StageAffine,
    StageMoves,
    TwoLedFocus,
    depth_of_field_um,
    focus_pattern,
    measure_stage,
    sharpness_focus,
    two_led_focus,
)
from lsm.cli import _calibrate_run, _show
from lsm.devices import Microscope, Observe
from lsm.errors import InputError
from lsm.illum import bright_field, dark
from lsm.safety import DeviceFocus, Interlock, guarded_device_focus
from lsm.scope import RigConfig, connect, find_rig

app = typer.Typer(
    cls=_calibrate_run.RunsByDefault,
    help="Measure what a rig is really like, with its own images: all steps in order, or one of them.",
    no_args_is_help=True,
)
app.command("run")(_calibrate_run.run)
app.command("report")(_calibrate_run.report)

Rig = Annotated[str, typer.Argument(help="Rig file (TOML), or the name of a shipped one: simulated.")]
Place = Annotated[
    tuple[float, float] | None, typer.Option("--at", help="Stage x and y in um of a place with cells; else here.")
]
SHARPNESS, TWO_LEDS, DEVICE = METHODS = ("sharpness", "two-leds", "device")


@app.callback()
def _group() -> None:
    pass


@app.command()
def focus(
    rig: Rig,
    method: Annotated[
        str, typer.Option(help=f"'{SHARPNESS}' searches; '{TWO_LEDS}' needs few frames; '{DEVICE}': the rig's own.")
    ] = SHARPNESS,
    half_range_um: Annotated[float, typer.Option(min=0.1, help="Search so far to both sides of where it is.")] = 150.0,
    exposure_ms: Annotated[float, typer.Option(min=0.001, help="Exposure of each frame.")] = 30.0,
    measure: Annotated[str, typer.Option(help=f"Sharpness: {', '.join(sorted(MEASURES))}.")] = "normalised variance",
    backlash_um: Annotated[float, typer.Option(min=0, help="Approach every focus from so much below.")] = 0.0,
    at: Place = None,
    as_json: _show.AsJson = False,
) -> None:
    """Find the focus of a rig, go there, and tell how sure it is and how much light it took.

    The focus stays within the rig's limits and within --half-range-um of
    where it is now.

    Example: lsm calibrate focus simulated --method two-leds
    """
    if method not in METHODS:
        raise InputError(f"There is no method '{method}'.", hint=f"one of: {', '.join(METHODS)}")
    config = RigConfig.from_file(find_rig(rig))
    na = config.objective.na
    with connect(config) as microscope:
        here_um = microscope.observe(Observe(dark(microscope.board), exposure_ms, at)).z_um
        low_um, high_um = config.limits.free_z_um
        span_um = (max(low_um + backlash_um, here_um - half_range_um), min(high_um, here_um + half_range_um))
        if span_um[0] >= span_um[1]:
            raise InputError(
                f"No focus is left to search between {span_um[0]:g} and {span_um[1]:g} um.",
                hint=f"the rig allows [{low_um:g}, {high_um:g}] um and stands at {here_um:g} um",
            )
        if method == DEVICE:
            _tell_device(config, _by_device(microscope, config, span_um), as_json=as_json)
            return
        if method == SHARPNESS:
            search = FocusSearch.of_objective(span_um, na=na, backlash_um=backlash_um)
            search = search.model_copy(update={"measure": measure})
            pattern = focus_pattern(microscope.board, na=na)
            found = sharpness_focus(microscope, pattern, search, exposure_ms=exposure_ms, xy_um=at)
        else:
            found = _by_two_leds(microscope, config, span_um, here_um, exposure_ms, backlash_um, at)
    _tell_focus(config, found, as_json=as_json)


@app.command()
def stage(
    rig: Rig,
    exposure_ms: Annotated[float, typer.Option(min=0.001, help="Exposure of each frame.")] = 10.0,
    reach: Annotated[float, typer.Option(min=0.01, max=0.3, help="Farthest move, as a share of the image.")] = 0.2,
    backlash_um: Annotated[float, typer.Option(min=0, help="Approach every place from so much below.")] = 20.0,
    at: Place = None,
    as_json: _show.AsJson = False,
) -> None:
    """Measure how the camera looks at the stage: pixel size, rotation and mirror, from nine small moves.

    Needs cells in view and in focus. The stage ends in the middle of its moves.

    Example: lsm calibrate stage simulated
    """
    config = RigConfig.from_file(find_rig(rig))
    moves = StageMoves(pixel_um=config.camera_pixel_um, reach=reach, backlash_um=backlash_um)
    with connect(config) as microscope:
        pattern = bright_field(microscope.board, na=config.objective.na)
        found = measure_stage(microscope, pattern, moves, exposure_ms=exposure_ms, xy_um=at)
    _tell_stage(config, found, as_json=as_json)


def _by_two_leds(
    microscope: Microscope,
    config: RigConfig,
    span_um: tuple[float, float],
    here_um: float,
    exposure_ms: float,
    backlash_um: float,
    at: tuple[float, float] | None,
) -> FocusFound:
    na = config.objective.na
    how = TwoLedFocus.of_objective(span_um, na=na, pixel_um=config.camera_pixel_um, backlash_um=backlash_um)
    return two_led_focus(microscope, how, na=na, exposure_ms=exposure_ms, expected_um=here_um, xy_um=at)


def _by_device(microscope: Interlock, config: RigConfig, span_um: tuple[float, float]) -> DeviceFocus:
    """The rig's own autofocus under guard, on the core that connect has opened."""
    if config.backend != "python":
        raise InputError(
            f"The autofocus of rig '{config.name}' belongs to a running Micro-Manager, where lsm cannot guard it.",
            hint=f"focus by --method {SHARPNESS} or {TWO_LEDS}",
        )
    from pycromanager import Core

    try:
        return guarded_device_focus(Core(), z_um=span_um, focus=config.devices.focus)
    finally:
        microscope.moved_by_others()


def _tell_device(config: RigConfig, found: DeviceFocus, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"rig": config.name, "method": DEVICE, **asdict(found)}))
        return
    Console(markup=False).print(
        f"The autofocus of rig '{config.name}' ended at z = {found.z_um:.1f} um after {found.took_s:.1f} s, between "
        f"{found.lowest_um:.1f} and {found.highest_um:.1f} um on its way ({found.looks} looks); how sure it is, it "
        "does not say.",
        soft_wrap=True,
        highlight=False,
    )


def _tell_focus(config: RigConfig, found: FocusFound, *, as_json: bool) -> None:
    depth_um = depth_of_field_um(config.objective.na)
    if as_json:
        typer.echo(json.dumps({"rig": config.name, **asdict(found), "depth_of_field_um": depth_um}))
        return
    console = Console(markup=False)
    console.print(
        f"Rig '{config.name}' is in focus at z = {found.z_um:.1f} um, +- {found.sigma_um:.1f} um (scatter, 1 sigma), "
        f"by {found.method}; it is there now.",
        soft_wrap=True,
        highlight=False,
    )
    console.print(
        f"Depth of field {depth_um:.0f} um; {found.frames} frames, light {found.dose_led_ms:.0f} LED ms.",
        soft_wrap=True,
        highlight=False,
    )


def _tell_stage(config: RigConfig, found: StageAffine, *, as_json: bool) -> None:
    expected_um = config.camera_pixel_um
    facts: dict[str, Any] = {
        "rig": config.name,
        "um_per_px": np.asarray(found.um_per_px).tolist(),
        "sigma_um_per_px": np.asarray(found.sigma_um_per_px).tolist(),
        "pixel_um": found.pixel_um,
        "sigma_pixel_um": found.sigma_pixel_um,
        "pixel_um_of_the_rig_file": expected_um,
        "rotation_deg": math.degrees(found.rotation_rad),
        "shear_deg": math.degrees(found.shear_rad),
        "mirrored": found.mirrored,
        "residual_um": found.residual_um,
        "drift_um": found.drift_um,
        "frames": found.frames,
        "dose_led_ms": found.dose_led_ms,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    off = found.pixel_um / expected_um - 1
    lines = [
        f"Pixel at the sample: {found.pixel_um:.4f} +- {found.sigma_pixel_um:.4f} um; "
        f"the rig file says {expected_um:.4f} um ({off:+.1%}).",
        f"Image columns lie {facts['rotation_deg']:+.2f} deg from the stage's +x, the axes miss the right angle by "
        f"{facts['shear_deg']:+.2f} deg{', the image is mirrored' if found.mirrored else ''}.",
        f"The moves agree to {found.residual_um:.2f} um; drift {found.drift_um:.2f} um; "
        f"{found.frames} frames, light {found.dose_led_ms:.0f} LED ms.",
    ]
    upright = not found.mirrored and abs(facts["rotation_deg"]) < 1.0
    if not upright:
        lines.append("lsm expects +x to the right and +y downwards: turn the camera, or set its mirror and rotation.")
    for line in lines:
        Console(markup=False).print(line, soft_wrap=True, highlight=False)
