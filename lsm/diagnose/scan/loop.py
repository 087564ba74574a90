"""The scan itself: field by field to where a rule decides, the fields end, or the slide turns out to be unusable."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lsm.agent.codebook import Codebook
from lsm.agent.results import Decision
from lsm.devices import Frame, Microscope, Observe
from lsm.diagnose.scan._watched import OnCapture, WatchedMicroscope
from lsm.diagnose.scan.cellfile import CellFile
from lsm.diagnose.scan.config import ScanConfig
from lsm.diagnose.scan.evidence import CellOdds
from lsm.diagnose.scan.focus import Focuser
from lsm.diagnose.scan.lights import BRIGHT, FieldLight
from lsm.diagnose.scan.plan import ScanPlan
from lsm.diagnose.scan.quality import BY_FOCUS, OF_THE_PLACE, Fault, FieldJudge, Judged
from lsm.diagnose.scan.result import Ending, ScanResult, as_run
from lsm.diagnose.scan.rule import Answer, Said, StoppingRule
from lsm.diagnose.scan.tally import Found, Tally, fault_of, found_cells, red_places
from lsm.diagnose.scan.unique import Placed, Seen, UniqueCells
from lsm.safety import Interval
from lsm.scope.scan_path import Position
from lsm.stats import ScoreCalibration, wilson
from lsm.vision import FieldReader, FieldReading
from lsm.vision.look import FieldLook, TypicalFields, look_at

FEWEST_FIELDS = 8
"""Faulty fields before a scan is given up early."""

SEARCHES_IN_VAIN = 3
"""Fields in a row that refocusing did not mend, from which on it is not tried any more until one is good."""


@dataclass(frozen=True, eq=False)
class ScanKit:
    """What a scan needs besides the microscope: all of one model, one rig and one configuration.

    good_fields_min: share of the fields that must be free of faults. typical: how the design's fields look.
    """

    config: ScanConfig
    plan: ScanPlan
    reader: FieldReader
    codebook: Codebook
    calibration: ScoreCalibration
    light: FieldLight
    rule: StoppingRule
    typical: TypicalFields | None
    good_fields_min: float
    camera_pixel_um: float
    na: float
    z_range_um: Interval
    z_um: float | None = None


@dataclass(frozen=True)
class Progress:
    """After a field. light_dose: as Frame.light_dose. suspicious: cells that the rule counts as such."""

    fields: int
    planned: int
    good: int
    cells: int
    suspicious: int
    said: Said
    light_dose: float
    time_s: float
    fault: str

    def plain(self) -> dict[str, Any]:
        """For a display or JSON."""
        estimate = self.said.estimate
        return {
            "field": self.fields - 1,
            "good": self.good,
            "cells": self.cells,
            "suspicious": self.suspicious,
            "prevalence": estimate.prevalence,
            "prevalence_low": estimate.low,
            "prevalence_high": estimate.high,
            "light_dose": self.light_dose,
            "time_s": self.time_s,
            "fault": self.fault,
        }


@dataclass(frozen=True, eq=False)
class _Shot:
    """A field as captured in bright field. taken: (index into the record, pattern); frames: by pattern."""

    xy_um: Position
    z_um: float | None
    frames: dict[int, Frame]
    taken: list[tuple[int, int]]
    reading: FieldReading
    look: FieldLook
    judged: Judged


def scan_slide(
    microscope: Microscope,
    kit: ScanKit,
    *,
    on_capture: OnCapture = lambda frame, told: None,
    on_field: Callable[[Progress], object] = lambda progress: None,
    cells: CellFile | None = None,
) -> ScanResult:
    """Scan the slide and return what was found.

    on_capture: called with every frame, those of focusing too, and with what it was taken for, before anything is
    decided on it. on_field: called after every field. cells: takes all new cells of each field.
    The same frames lead to the same requests and findings. Raises what the microscope raises, and CalibrationFailed
    for a focus plane that does not fit.
    """
    return _Scan(microscope, kit, on_capture, on_field, cells).run()


class _Scan:
    def __init__(
        self,
        microscope: Microscope,
        kit: ScanKit,
        on_capture: OnCapture,
        on_field: Callable[[Progress], object],
        cells: CellFile | None,
    ) -> None:
        config, plan = kit.config, kit.plan
        self._kit, self._on_field, self._cells = kit, on_field, cells
        self._eyes = WatchedMicroscope(
            microscope, on_capture, settle_s=config.settle_s, stage_mm_per_s=config.stage_mm_per_s
        )
        self._focus = Focuser(self._eyes, config.focus, na=kit.na, z_range_um=kit.z_range_um, start_um=kit.z_um)
        self._judge = FieldJudge(config.quality, kit.typical)
        self._unique = UniqueCells(plan.remembered, plan.field_um, overlap_um=plan.overlap * min(plan.field_um))
        self._tally = Tally(CellOdds(kit.calibration), suspects=config.suspects, pixel_um=kit.camera_pixel_um)
        self._decisions: list[Decision] = []
        self._said = kit.rule.after(self._tally.counts, 0)
        self._in_vain = 0
        self._reference: tuple[Position, float | None, Seen] | None = None
        self._unseen = 0
        self._tell("focus", -1)

    def run(self) -> ScanResult:
        self._focus.prepare(self._kit.plan)
        ending = Ending.SCANNED
        for index, xy_um in enumerate(self._kit.plan.centres_um):
            found = self._field(index, xy_um)
            if found is not None:
                ending = found
                break
        else:
            ending = self._moved_at_the_end() or ending
        if ending is Ending.SCANNED and not self._kit.config.decide:
            self._said = self._kit.rule.at_the_end(self._tally.counts, self._tally.fields)
        run = as_run(
            self._kit.light.name, self._kit.plan, self._tally, self._eyes, self._said.estimate, tuple(self._decisions)
        )
        rows, suspects = tuple(self._tally.rows), self._tally.suspects.ranked()
        return ScanResult(run, ending, self._said, rows, suspects, self._focus.searches, len(self._kit.plan))

    def _field(self, index: int, xy_um: Position) -> Ending | None:
        """Look at one field; why the scan ends with it, or None."""
        self._tell("focus", index)
        shot = self._in_focus(index, self._shoot(index, xy_um, self._focus.z_um(xy_um)))
        found, moved = None, False
        if shot.judged.fault is None:
            bright = self._found(shot.reading, shot.frames[BRIGHT])
            placed = self._unique.place(shot.frames[BRIGHT].xy_um, bright.xy_um)
            moved = not self._holds(placed) and self._slide_moved(index)
            if not self._holds(placed):
                shot = replace(shot, judged=fault_of(Fault.MOVED if moved else Fault.ELSEWHERE, shot.judged))
            else:
                self._unseen = self._unseen + 1 if placed.alike is None else 0
                shot = self._further(index, shot)
                found = self._count(shot, placed)
        rows = self._tally.add(xy_um, shot.taken, shot.reading, shot.look, shot.judged, shot.frames, found)
        if self._cells is not None:
            self._cells.add(index, rows)
        return self._after(index, shot, moved=moved)

    def _after(self, index: int, shot: _Shot, *, moved: bool) -> Ending | None:
        good = shot.judged.fault is None
        if good:
            self._judge.keep(shot.look)
            self._in_vain = 0
            self._said = self._kit.rule.after(self._tally.counts, self._tally.fields)
        capture, pattern = shot.taken[-1]
        eyes = self._eyes
        self._decisions.append(Decision(pattern, index, self._said.estimate, eyes.time_s, eyes.light_dose, capture))
        self._on_field(self._progress(shot.judged.fault or ""))
        if moved or (good and self._look_back_is_due() and self._slide_moved(index)):
            return Ending.MOVED
        if good and self._kit.config.decide and self._said.answer is not Answer.GO_ON:
            return self._moved_at_the_end() or Ending.DECIDED
        return Ending.FAULTY if self._hopeless() else None

    def _shoot(self, index: int, xy_um: Position, z_um: float | None) -> _Shot:
        frame, number = self._capture("scan", index, BRIGHT, xy_um, z_um)
        reading = self._kit.reader.read({BRIGHT: frame.image})
        kit = self._kit
        look = look_at(frame.image, reading.cells, offset_adu=kit.reader.offset_adu, pixel_um=kit.camera_pixel_um)
        judged = self._judge.judge(look, reading.quality)
        away_um = max(abs(frame.xy_um[0] - xy_um[0]), abs(frame.xy_um[1] - xy_um[1]))
        if not away_um <= self._kit.config.quality.elsewhere_um:
            judged = fault_of(Fault.ELSEWHERE, judged)
        return _Shot(xy_um, z_um, {BRIGHT: frame}, [(number, BRIGHT)], reading, look, judged)

    def _in_focus(self, index: int, shot: _Shot) -> _Shot:
        """The field again after focusing on it, where that may mend its fault."""
        fault = shot.judged.fault
        empty = fault is Fault.EMPTY and self._tally.fields > 0
        tried_enough = self._in_vain >= SEARCHES_IN_VAIN
        if fault not in BY_FOCUS or not self._kit.config.focus.recheck or empty or tried_enough:
            return shot
        self._in_vain += 1
        self._tell("focus", index)
        z_um = self._focus.refocus(shot.xy_um, shot.frames[BRIGHT].z_um)
        if z_um is None:
            return shot
        again = self._shoot(index, shot.xy_um, z_um)
        if again.judged.fault is Fault.UNRECOGNISED:
            again = replace(again, judged=fault_of(Fault.BADLY_STAINED, again.judged))
        return replace(again, taken=[*shot.taken, *again.taken])

    def _further(self, index: int, shot: _Shot) -> _Shot:
        """The field with the patterns that its light adds, read from all of them together."""
        tally = self._tally
        chosen = self._kit.light.further(
            shot.look.red_cells, tally.fields, tally.counts, self._said.estimate.prevalence
        )
        if not chosen:
            return shot
        frames, taken = dict(shot.frames), list(shot.taken)
        for pattern in chosen:
            frames[pattern], number = self._capture("scan", index, pattern, shot.xy_um, shot.z_um)
            taken.append((number, pattern))
        reading = self._kit.reader.read({pattern: frame.image for pattern, frame in frames.items()})
        return replace(shot, frames=frames, taken=taken, reading=reading)

    def _count(self, shot: _Shot, placed: Placed) -> Found:
        found = self._found(shot.reading, shot.frames[BRIGHT])
        place = shot.frames[BRIGHT].xy_um
        new = self._unique.new(place, found.xy_um, placed.shift_um)
        seen = self._unique.keep(place, found.xy_um, new, placed.shift_um)
        if self._reference is None or placed.alike is not None:
            self._reference = (shot.xy_um, shot.z_um, seen)
        return replace(found, new=new, xy_um=found.xy_um + placed.shift_um)

    def _found(self, reading: FieldReading, frame: Frame) -> Found:
        red = reading.p_infected[reading.cells.kind == 0]
        return found_cells(reading, frame, self._kit.reader.bins(red), pixel_um=self._kit.camera_pixel_um)

    def _holds(self, placed: Placed) -> bool:
        quality = self._kit.config.quality
        return placed.holds(alike=quality.alike, moved_um=quality.moved_um)

    def _look_back_is_due(self) -> bool:
        every = self._kit.config.quality.revisit_every
        return 0 < every <= self._unseen

    def _moved_at_the_end(self) -> Ending | None:
        """A last look back, unless the last field was seen to lie where its neighbours have it."""
        revisits = self._kit.config.quality.revisit_every > 0
        return Ending.MOVED if revisits and self._unseen > 1 and self._slide_moved(len(self._tally.rows)) else None

    def _slide_moved(self, index: int) -> bool:
        """Go back to a field that was in its place, and see whether it still is."""
        self._unseen = 0
        if self._reference is None:
            return False
        xy_um, z_um, seen = self._reference
        frame, _ = self._capture("look back", index, BRIGHT, xy_um, z_um)
        _, places = red_places(self._kit.reader.find(frame.image), frame, pixel_um=self._kit.camera_pixel_um)
        return not self._holds(self._unique.again(frame.xy_um, places, seen))

    def _capture(self, action: str, field: int, pattern: int, xy_um: Position, z_um: float | None) -> tuple[Frame, int]:
        """A frame and its index in the record."""
        codebook, number = self._kit.codebook, self._eyes.captures
        self._tell(action, field, pattern)
        request = Observe(codebook.patterns[pattern], codebook.exposures_ms[pattern], xy_um, z_um)
        return self._eyes.observe(request), number

    def _tell(self, action: str, field: int, pattern: int | None = None) -> None:
        """What the next frames are for, and what is known before them."""
        estimate = self._said.estimate
        self._eyes.told = {
            "action": action,
            "field": field,
            "pattern": pattern,
            "cells": estimate.cells,
            "prevalence": estimate.prevalence,
            "prevalence_low": estimate.low,
            "prevalence_high": estimate.high,
        }

    def _hopeless(self) -> bool:
        """Whether so many fields are faulty, for reasons that other places share, that the slide cannot be good."""
        bad = sum(fault not in OF_THE_PLACE for fault in self._tally.faults())
        good = self._tally.fields
        _, most = wilson(good, good + bad)
        return bad >= FEWEST_FIELDS and most < self._kit.good_fields_min

    def _progress(self, fault: str) -> Progress:
        tally, said = self._tally, self._said
        return Progress(
            fields=len(tally.rows),
            planned=len(self._kit.plan),
            good=tally.fields,
            cells=tally.cells,
            suspicious=said.suspicious,
            said=said,
            light_dose=self._eyes.light_dose,
            time_s=self._eyes.time_s,
            fault=fault,
        )
