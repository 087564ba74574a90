"""A calibration in a folder: steps one after the other, each kept when it is done, so that it can go on later."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lsm.calibrate.leds import LedSearch
from lsm.calibrate.pictures import evidence_png, page
from lsm.calibrate.steps import NAMED, Bench, Outcome, Slide, Step, failed, with_outcome
from lsm.calibration import Calibration
from lsm.commit import source_commit
from lsm.devices import Microscope
from lsm.errors import CalibrationFailed, ConfigError, InputError
from lsm.scope import RigConfig
from lsm.wholefile import whole_file, write_whole

Open: TypeAlias = Callable[[Slide], AbstractContextManager[Microscope]]
FILE, PAGE = "calibration.json", "report.html"
DEFAULT_OUT = Path("out/calibration")
"""A rig's folder in it has the rig's name."""


@dataclass
class Session:
    """The calibration of one rig in one folder.

    rig: as described, without a calibration. opened: the microscope with that slide on its stage.
    announce: told before each step; it may wait for the operator. tell: progress within a step.
    """

    rig: RigConfig
    folder: Path
    opened: Open
    leds: LedSearch = field(default_factory=LedSearch)
    announce: Callable[[Step], None] = lambda step: None
    tell: Callable[[int, int], None] = lambda done, of: None

    @property
    def path(self) -> Path:
        """The file that a rig names as its calibration."""
        return self.folder / FILE

    def so_far(self) -> Calibration:
        """What was measured in this folder, or an empty calibration.

        Raises ConfigError for a folder of another rig, WrongFormat for a file that was changed.
        """
        if not self.path.is_file():
            return Calibration(
                rig=self.rig.name, rig_digest=self.rig.optics_digest, date=_now(), commit=source_commit()
            )
        found = Calibration.read(self.path)
        if found.rig_digest != self.rig.optics_digest:
            raise ConfigError(
                f"{self.folder} holds a calibration of a rig that was described otherwise.",
                hint="name another folder with --out, or delete this one",
            )
        return found

    def run(self, names: Sequence[str], *, again: bool = False) -> Calibration:
        """The calibration after these steps; those that are done are left out unless `again`.

        Raises InputError for an unknown step, CalibrationFailed naming the step, and what the microscope raises;
        steps before stay.
        """
        for name in names:
            if name not in NAMED:
                raise InputError(f"There is no step '{name}'.", hint=f"one of: {', '.join(NAMED)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        calibration = self.so_far()
        for step in [NAMED[name] for name in NAMED if name in names]:
            if getattr(calibration, step.name) is not None and not again:
                continue
            self.announce(step)
            calibration = self._keep(step, self._measured(step, calibration), calibration)
        return calibration

    def _measured(self, step: Step, calibration: Calibration) -> Outcome:
        with self.opened(step.slide) as microscope:
            try:
                return step.run(bench(self.rig, microscope, calibration, leds=self.leds, tell=self.tell))
            except CalibrationFailed as error:
                raise failed(step, error) from error

    def _keep(self, step: Step, outcome: Outcome, before: Calibration) -> Calibration:
        calibration = with_outcome(before, step, outcome).model_copy(update={"date": _now()})
        _write_evidence(self.folder, step.name, outcome.evidence)
        calibration.write(self.path)
        write_whole(self.folder / PAGE, page(calibration, self.folder))
        return calibration


def bench(
    rig: RigConfig,
    microscope: Microscope,
    so_far: Calibration,
    *,
    leds: LedSearch,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Bench:
    """What steps work with on this rig; its board is the one that the microscope was opened with."""
    return Bench(
        microscope=microscope,
        nominal=microscope.board,
        na=rig.objective.na,
        pixel_um=rig.camera_pixel_um,
        limits_ms=rig.limits.exposure_ms,
        z_um=rig.limits.free_z_um,
        so_far=so_far,
        leds=leds,
        tell=tell,
    )


def kept_evidence(folder: Path, name: str) -> dict[str, Any] | None:
    """What a step of the calibration in `folder` saw; None where that is not there."""
    path = folder / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        return {key: held[key] for key in held.files}


def _write_evidence(folder: Path, name: str, evidence: Mapping[str, Any]) -> None:
    with whole_file(folder / f"{name}.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **evidence)
    with whole_file(folder / f"{name}.png") as part:
        part.write_bytes(evidence_png(name, evidence))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
