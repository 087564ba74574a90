"""Captures that are all known beforehand, taken and recorded one by one; nothing is decided on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsm.config import Config
from lsm.devices import Frame, Microscope, Observe
from lsm.diagnose.captures import Lit, scan_captures
from lsm.diagnose.provenance import rig_header
from lsm.diagnose.scan.config import RegionConfig
from lsm.diagnose.slide import RECORD, refuse_used
from lsm.errors import ConfigError, InputError
from lsm.illum import LightCapture, LightFile
from lsm.record import Recorder, Recording, open_record
from lsm.scope import RigConfig
from lsm.scope.capture_plan import CapturePlan
from lsm.wholefile import write_whole

MADE_BY = "lsm acquisition"
SUMMARY = "acquisition.json"

OnTaken = Callable[[int, int], None]
"""Called after every capture: captures so far, captures in all."""


class AcquireConfig(Config):
    """What an acquisition takes: every field of the region under every capture of the light, in this order.

    slide: its name. z_um: focus of every capture; None leaves it where it is.
    """

    slide: str = ""
    light: LightFile
    region: RegionConfig = RegionConfig()
    z_um: float | None = None


class Acquired(Config):
    """What an acquisition left. dimmed: captures that the LED board dimmed to its current limit.

    resumed_after: recorded frames that it went on from; 0 of one in one go.
    """

    slide: str
    captures: int
    fields: int
    lights: tuple[str, ...]
    dimmed: int
    light_dose_led_ms: float
    resumed_after: int = 0


@dataclass(frozen=True)
class RecordedAcquisition:
    """What a recording was begun with, and the captures that it is to hold."""

    config: AcquireConfig
    plan: CapturePlan


def light_of(rig: RigConfig, lit: Lit) -> LightFile:
    """The lights of a field as a file can hold them, at the levels that the rig's board shows."""
    captures = (
        LightCapture.of(pattern.levels, exposure_ms=exposure_ms, name=pattern.name)
        for pattern, exposure_ms in zip(lit.patterns, lit.exposures_ms, strict=True)
    )
    return LightFile.of(rig.led.board.build(), captures)


def planned_captures(config: AcquireConfig, rig: RigConfig) -> CapturePlan:
    """The captures of an acquisition on this rig. Raises ConfigError, LimitExceeded, ModelMismatch for its light."""
    light = config.light
    lit = Lit(light.patterns(rig.led.board.build()), tuple(capture.exposure_ms for capture in light.captures))
    return scan_captures(rig, config.region, lit, z_um=config.z_um)


def take_captures(
    microscope: Microscope,
    captures: Sequence[Observe],
    keep: Callable[[Frame], Any],
    *,
    on_taken: OnTaken = lambda *_: None,
    before: int = 0,
) -> int:
    """Take and keep them in order; how many of them the LED board dimmed. before: captures that were taken earlier.

    Raises what the microscope and `keep` raise; what was kept before stays.
    """
    dimmed = 0
    for taken, capture in enumerate(captures, start=before + 1):
        frame = microscope.observe(capture)
        keep(frame)
        dimmed += frame.shown.limited
        on_taken(taken, before + len(captures))
    return dimmed


def acquire(
    config: AcquireConfig,
    rig: RigConfig,
    folder: Path,
    *,
    on_rig: Microscope,
    on_taken: OnTaken = lambda *_: None,
) -> Acquired:
    """Take all captures and write record.h5, and acquisition.json at the end, into `folder`.

    Every frame is on the disk before the next one is taken. on_rig: the microscope of that rig.
    Raises InputError where `folder` already holds something, what planned_captures raises before anything moves,
    DeviceError, RecordError; what was recorded before stays and can be gone on with.
    """
    refuse_used(folder)
    plan = planned_captures(config, rig)
    folder.mkdir(parents=True, exist_ok=True)
    header = rig_header(MADE_BY, rig) | {"config": config.model_dump(mode="json"), "config_digest": config.digest()}
    with Recorder(folder / RECORD, header) as recorder:
        take_captures(on_rig, plan.captures, recorder.add, on_taken=on_taken)
        recorder.finish({"frames": len(plan)})
    return _told(folder, RecordedAcquisition(config, plan), resumed_after=0)


def go_on_acquiring(
    folder: Path, rig: RigConfig, *, on_rig: Microscope, on_taken: OnTaken = lambda *_: None
) -> Acquired:
    """Take the captures that the interrupted acquisition in `folder` still lacks.

    Raises InputError for one that is complete or still being written, ConfigError for another rig than it was begun
    on, and what acquire raises.
    """
    with open_record(folder / RECORD) as recording:
        if recording.growing:
            raise InputError(f"The recording in {folder} is still being written.", hint="wait until that has ended")
        if recording.complete and (folder / SUMMARY).exists():
            raise InputError(f"The acquisition in {folder} is complete.", hint="there is nothing to go on with")
        begun, frames, complete = recorded_acquisition(recording, rig), recording.n_frames, recording.complete
    if not complete:
        with Recorder.resume(folder / RECORD) as recorder:
            rest = begun.plan.captures[frames:]
            take_captures(on_rig, rest, recorder.add, on_taken=on_taken, before=frames)
            recorder.finish({"frames": len(begun.plan)})
    return _told(folder, begun, resumed_after=frames)


def is_acquisition(recording: Recording) -> bool:
    """Whether a recording was begun here."""
    return bool(recording.header.get("made_by") == MADE_BY)


def recorded_acquisition(recording: Recording, rig: RigConfig) -> RecordedAcquisition:
    """What a recording was begun with. Raises InputError for none of an acquisition, ConfigError for another rig."""
    header = recording.header
    if not is_acquisition(recording):
        raise InputError(f"{recording.path} is not a recording of an acquisition.", hint="start a new one")
    if rig.digest() != header["rig_digest"]:
        raise ConfigError(
            f"Rig '{rig.name}' is not as it was when {recording.path} was begun.",
            hint="go on with the unchanged rig file, or start a new acquisition",
        )
    config = AcquireConfig.from_table(header["config"], source=f"the header of {recording.path}")
    return RecordedAcquisition(config, planned_captures(config, rig))


def _told(folder: Path, begun: RecordedAcquisition, *, resumed_after: int) -> Acquired:
    """Write what it left; a folder that has this file is complete."""
    plan = begun.plan
    with open_record(folder / RECORD) as recording:
        dimmed = sum(bool(recording.row(index)["limited"]) for index in range(recording.n_frames))
    told = Acquired(
        slide=begun.config.slide,
        captures=len(plan),
        fields=plan.places,
        lights=tuple(pattern.name for pattern in plan.patterns),
        dimmed=dimmed,
        light_dose_led_ms=plan.light_dose_led_ms,
        resumed_after=resumed_after,
    )
    write_whole(folder / SUMMARY, told.model_dump_json(indent=1) + "\n")
    return told
