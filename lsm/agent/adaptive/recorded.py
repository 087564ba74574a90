"""What a folder of `lsm.agent.adaptive.record` holds, read back; also of a run that was cut short."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from lsm.agent.adaptive._record_logs import HINT, RESUMED, STOPPED, whole_lines
from lsm.agent.adaptive.record import DECISIONS, RECORD, SCHEMA
from lsm.agent.adaptive.run import CellDecision, CellLook
from lsm.devices import Frame
from lsm.errors import FileMissing, WrongFormat
from lsm.record import open_record

READABLE: Final = ("lsm-cell-decisions/1", SCHEMA)
"""Of the first layout there is no look for cells."""

FrameOf = Callable[[int], Frame]


@dataclass(frozen=True, eq=False)
class RecordedCell:
    """One cell of a recording.

    decisions: as CellRun has them. of_search: the look in which it was found; None where nobody looked for it.
    declared, belief: empty and the last belief where the run was stopped. stopped_by: the error in words, or empty.
    """

    number: int
    decisions: tuple[CellDecision, ...]
    declared: str
    belief: float
    stopped_by: str = ""
    of_search: int | None = None


@dataclass(frozen=True, eq=False)
class RecordedSearch:
    """One look for cells. cells_px: rows and columns of those to look at, in their order."""

    number: int
    light: str
    light_led_s: float
    cells_px: tuple[tuple[float, float], ...]
    frame: Frame


@dataclass(frozen=True, eq=False)
class CellRecord:
    """All cells of a folder. kinds: names of the actions. places_mm: of every lamp on its board, x and y.

    captures_most: budget of a cell. side_px: of a cell's own pixels. searches: looks for cells, if there were any.
    """

    policy: str
    kinds: tuple[str, ...]
    places_mm: Float[np.ndarray, "lamp 2"]
    captures_most: int
    about: Mapping[str, Any]
    cells: tuple[RecordedCell, ...]
    side_px: tuple[int, int]
    searches: tuple[RecordedSearch, ...] = ()


def read_cells_record(folder: Path) -> CellRecord:
    """What a folder holds, also one whose run was cut short.

    Raises FileMissing, WrongFormat for other files, RecordError for a damaged recording.
    """
    path = folder / DECISIONS
    if not path.is_file():
        raise FileMissing(f"{folder} holds no decisions.", hint=HINT)
    lines = [line for line in whole_lines(path) if RESUMED not in line]
    if not lines or lines[0].get("schema") not in READABLE:
        raise WrongFormat(f"{path} is no list of decisions at cells.", hint=HINT)
    about, rest = lines[0], lines[1:]
    try:
        with _frames_of(folder, rest) as frame_of:
            searches = tuple(_search(line, frame_of) for line in rest if "search" in line)
            cells = _cells(rest, frame_of)
        return CellRecord(
            policy=str(about["policy"]),
            kinds=tuple(about["kinds"]),
            places_mm=np.array(about["places_mm"], dtype=np.float64),
            captures_most=int(about["captures_most"]),
            about=about,
            cells=tuple(cells),
            side_px=_pair(about.get("side_px", (0, 0))),
            searches=searches,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WrongFormat(f"{path} is damaged: {error}.", hint=HINT) from error


def _pair(numbers: Sequence[int]) -> tuple[int, int]:
    first, second = numbers
    return int(first), int(second)


@contextmanager
def _frames_of(folder: Path, lines: list[dict[str, Any]]) -> Iterator[FrameOf]:
    """How to read frames by number; a record without any need not be opened."""
    if not any("frame" in line for line in lines):
        yield _no_frame
        return
    with open_record(folder / RECORD) as recording:
        yield recording.frame


def _no_frame(number: int) -> Frame:
    raise ValueError(f"there is no frame {number}")


def _search(line: Mapping[str, Any], frame_of: FrameOf) -> RecordedSearch:
    cells_px = tuple((float(row), float(column)) for row, column in line["cells_px"])
    number, led_s = int(line["search"]), float(line["light_led_s"])
    return RecordedSearch(number, str(line["light"]), led_s, cells_px, frame_of(int(line["frame"])))


def _cells(lines: list[dict[str, Any]], frame_of: FrameOf) -> list[RecordedCell]:
    of_cell: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if "cell" in line:
            of_cell.setdefault(int(line["cell"]), []).append(line)
    of_cell.pop(-1, None)
    return [_cell(number, held, frame_of) for number, held in of_cell.items()]


def _cell(number: int, lines: list[dict[str, Any]], frame_of: FrameOf) -> RecordedCell:
    decisions = tuple(_decision(line, frame_of) for line in lines if "step" in line)
    ends: dict[str, Any] = {}
    for line in lines:
        if "step" not in line and (STOPPED not in line or line is lines[-1]):
            ends |= line
    belief = float(ends.get("belief", decisions[-1].belief_after if decisions else 0.5))
    stopped = f"{ends[STOPPED]}: {ends['message']}" if STOPPED in ends else ""
    of_search = ends.get("of_search")
    declared = str(ends.get("declared", ""))
    return RecordedCell(number, decisions, declared, belief, stopped, None if of_search is None else int(of_search))


def _decision(line: Mapping[str, Any], frame_of: FrameOf) -> CellDecision:
    look = None
    if "frame" in line:
        frame = frame_of(int(line["frame"]))
        (row, column), (height, width) = _pair(line["corner_px"]), _pair(line["side_px"])
        pixels = frame.image[row : row + height, column : column + width].astype(np.int32)
        levels = np.array(line["levels"], dtype=np.uint8)
        look = CellLook(str(line["light"]), levels, float(line["exposure_ms"]), pixels, (row, column), frame)
    return CellDecision(
        step=int(line["step"]),
        kind=int(line["kind"]),
        name=str(line["name"]),
        allowed=bool(line["allowed"]),
        probabilities=tuple(float(value) for value in line["probabilities"]),
        value=float(line["value"]),
        odds_before=int(line["odds_before"]),
        odds_after=int(line["odds_after"]),
        belief_before=float(line["belief_before"]),
        belief_after=float(line["belief_after"]),
        captures=int(line["captures"]),
        light_led_s=float(line["light_led_s"]),
        time_s=float(line["time_s"]),
        look=look,
    )
