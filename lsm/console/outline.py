"""What a run that was interrupted would go on with: to be looked at before it does."""

import math
from pathlib import Path

from lsm.config import Config
from lsm.console.state import Place
from lsm.diagnose.acquire import is_acquisition, recorded_acquisition
from lsm.diagnose.scan.plan import plan_scan
from lsm.diagnose.slide import RECORD, DiagnoseConfig
from lsm.record import Recording, open_record
from lsm.scope import RigConfig

MOST_PLACES = 4000
"""That are told of; of those that were seen, the last ones."""


class RunOutline(Config):
    """A run that can be gone on with, from its recording.

    kind: as in Run. recorded: captures that are safe, of `captures`; None where that is decided on the way.
    fields: in all; None of a search. seen, coming: fields that were looked at, and those that are still planned, in
    order; the first of `coming` is where it goes on, or the one after a field that is not complete yet.
    """

    name: str
    kind: str
    slide: str
    started: str
    light: str
    recorded: int
    captures: int | None
    fields: int | None
    seen: tuple[Place, ...]
    coming: tuple[Place, ...]


def outline_of(folder: Path, rig: RigConfig) -> RunOutline:
    """Of the recording in `folder`. Raises ConfigError for one of another rig or kind, RecordError."""
    with open_record(folder / RECORD) as recording:
        if is_acquisition(recording):
            return _of_acquisition(folder.name, recording, rig)
        return _of_diagnosis(folder.name, recording, rig)


def _of_acquisition(name: str, recording: Recording, rig: RigConfig) -> RunOutline:
    begun = recorded_acquisition(recording, rig)
    plan, recorded = begun.plan, recording.n_frames
    places = [capture.xy_um for capture in plan.captures if capture.xy_um is not None]
    seen = tuple(dict.fromkeys(places[:recorded]))
    coming = tuple(dict.fromkeys(place for place in places[recorded:] if place not in seen[-1:]))
    return RunOutline(
        name=name,
        kind="acquisition",
        slide=begun.config.slide,
        started=str(recording.header["started"]),
        light=", ".join(pattern.name or "a pattern" for pattern in plan.patterns),
        recorded=recorded,
        captures=len(plan),
        fields=len(set(places)),
        seen=seen[-MOST_PLACES:],
        coming=coming[:MOST_PLACES],
    )


def _of_diagnosis(name: str, recording: Recording, rig: RigConfig) -> RunOutline:
    config = DiagnoseConfig.from_table(recording.header["config"], source=f"the header of {recording.path}")
    scan = config.search == "scan"
    planned = plan_scan(config.scan.region, rig).centres_um if scan else ()
    visited = _visited(recording)
    return RunOutline(
        name=name,
        kind=config.search,
        slide=config.slide,
        started=str(recording.header["started"]),
        light=config.scan.light if scan else "chosen as it goes",
        recorded=recording.n_frames,
        captures=None if scan else config.captures,
        fields=len(planned) if scan else None,
        seen=(tuple(place for place in planned if place in visited) if scan else tuple(visited))[-MOST_PLACES:],
        coming=tuple(place for place in planned if place not in visited)[:MOST_PLACES],
    )


def _visited(recording: Recording) -> dict[Place, None]:
    """Where the last frames were asked for, in order."""
    first = max(0, recording.n_frames - MOST_PLACES)
    rows = (recording.row(index) for index in range(first, recording.n_frames))
    places = ((float(row["requested_x_um"]), float(row["requested_y_um"])) for row in rows)
    return dict.fromkeys(place for place in places if not math.isnan(place[0]))
