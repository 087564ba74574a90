"""A run over a drawn slide: discs as cells, dark dots as parasites, the same values as a real run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from lsm.agent.results import CellFinding, Decision, FieldVisit, SlideRun
from lsm.devices import Frame, Observe, Shown
from lsm.diagnose import ReportContent, VerdictRules, judge
from lsm.illum import LedBoard, Pattern, annulus, bright_field, half_disc
from lsm.samples import CellTable
from lsm.samples.table import ROW
from lsm.stats import PrevalenceEstimate, ScoreCalibration, estimate_prevalence

FIELD_UM = 230.4
COLUMNS, ROWS = 10, 6
PX = 192
PIXEL_UM = FIELD_UM / PX
CELLS_PER_FIELD = 45
BINS = 10
MASKS = 16
BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0, name="grid 13 x 13")
ACTIONS = (
    "bright field",
    "learned 1",
    "learned 2",
    "learned 3",
    "move +x",
    "move -x",
    "move +y",
    "move -y",
    "jump",
    "stop",
)


@dataclass(frozen=True, eq=False)
class DrawnSlide:
    """Truth of the drawn slide and the scores that a reader would give its cells."""

    truth: CellTable
    scores: np.ndarray
    field: np.ndarray


def codebook() -> tuple[Pattern, ...]:
    """Bright field and three patterns that stand for learned ones."""
    rng = np.random.default_rng(3)
    ring = annulus(BOARD, na_min=0.1, na_max=0.3)
    mixed = np.where(rng.random(BOARD.n_leds) < 0.25, np.round(rng.random(BOARD.n_leds) * 255) / 255, 0.0)
    return (
        bright_field(BOARD, na=0.1),
        Pattern(ring.board, ring.n_colours, ring.duty_bytes, "learned 1"),
        Pattern.of_colour(BOARD, mixed, name="learned 2"),
        Pattern.of_colour(BOARD, half_disc(BOARD, na=0.25, angle_rad=0.0).duty[:, 1] * 0.6, name="learned 3"),
    )


@cache
def drawn_slide(prevalence: float = 0.03, seed: int = 0) -> DrawnSlide:
    """Cells on a jittered grid in every field, so that none overlap."""
    rng = np.random.default_rng(seed)
    count = COLUMNS * ROWS * CELLS_PER_FIELD
    field = np.repeat(np.arange(COLUMNS * ROWS), CELLS_PER_FIELD)
    place = np.tile(np.arange(CELLS_PER_FIELD), COLUMNS * ROWS)
    rows = np.zeros(count, dtype=ROW)
    rows["x_um"] = (field % COLUMNS) * FIELD_UM + (place % 7 + 0.5) * FIELD_UM / 7 + rng.uniform(-8, 8, count)
    rows["y_um"] = (field // COLUMNS) * FIELD_UM + (place // 7 + 0.5) * FIELD_UM / 7 + rng.uniform(-8, 8, count)
    rows["radius_um"] = rng.uniform(3.4, 4.2, count)
    rows["infected"] = rng.random(count) < prevalence
    log_odds = np.where(rows["infected"], 2.4, -2.4) + rng.normal(0, 1.3, count)
    return DrawnSlide(CellTable(rows), 1 / (1 + np.exp(-log_odds)), field)


@cache
def calibration() -> ScoreCalibration:
    """Twelve slides of the same reader, all masks alike."""
    rng = np.random.default_rng(9)

    def counts(mean: float, cells: int) -> np.ndarray:
        scores = 1 / (1 + np.exp(-rng.normal(mean + rng.normal(0, 0.2), 1.3, cells)))
        return np.tile(np.histogram(scores, BINS, (0, 1))[0], (MASKS, 1))

    infected = np.array([counts(2.4, 200) for _ in range(12)])
    return ScoreCalibration.from_slides(infected, np.array([counts(-2.4, 3000) for _ in range(12)]))


def frame_reader(run: SlideRun, slide: DrawnSlide) -> Callable[[int], Frame]:
    """The record of the run: every capture drawn when it is asked for."""
    where = {
        capture: (visit.xy_um, pattern)
        for visit in run.visits
        for capture, pattern in zip(visit.captures, visit.patterns, strict=True)
    }
    patterns = codebook()

    @cache
    def read(index: int) -> Frame:
        (x, y), pattern = where[index]
        image = draw(slide, x, y, pattern, index)
        request = Observe(patterns[pattern], 10.0, (x, y))
        return Frame(image, request, Shown(patterns[pattern].levels), (x, y), 0.0, 0, 10_000_000)

    return read


def draw(slide: DrawnSlide, x_um: float, y_um: float, pattern: int, seed: int) -> np.ndarray:
    """One field: discs with a rim and, where infected, a dot; bright field dark on light, others light on dark."""
    yy, xx = np.mgrid[:PX, :PX] * PIXEL_UM
    density = np.zeros((PX, PX))
    part = slide.truth.within(x_um - 120, x_um + 120, y_um - 120, y_um + 120).rows
    for cell in part:
        cx, cy = cell["x_um"] - x_um + FIELD_UM / 2, cell["y_um"] - y_um + FIELD_UM / 2
        r = np.hypot(xx - cx, yy - cy) / cell["radius_um"]
        density += np.exp(-(r**6)) * (0.6 + 0.4 * np.clip(r, 0, 1) ** 2)
        if cell["infected"]:
            density += 0.9 * np.exp(-(np.hypot(xx - cx - 1, yy - cy + 1) ** 2) / 1.5)
    light = 3000 * (1 - 0.35 * density) if pattern == 0 else (120 + 300 * pattern) * (0.3 + density)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(np.maximum(light, 1)))
    return np.clip(light + noise, 0, 4095).astype(np.uint16)


def example_run(slide: DrawnSlide, *, policy: str, adaptive: bool, captures: int = 48) -> SlideRun:
    """A serpentine over the slide; the adaptive one takes one to four captures per field and skips some."""
    rng = np.random.default_rng(1)
    counts = np.zeros((MASKS, BINS), dtype=np.int64)
    visits: list[FieldVisit] = []
    cells: list[CellFinding] = []
    steps: list[Decision] = []
    taken = 0
    dose = time_s = travel_um = 0.0
    order = [
        row * COLUMNS + (column if row % 2 == 0 else COLUMNS - 1 - column)
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    if adaptive:
        order = [field for field in order if rng.random() < 0.7]
    for field in order:
        if taken >= captures:
            break
        patterns = tuple(sorted(rng.choice(4, rng.integers(1, 5), replace=False).tolist())) if adaptive else (0,)
        patterns = patterns[: captures - taken]
        index = len(visits)
        before = counts.copy()
        for number, pattern in enumerate(patterns, start=1):
            mask = sum(1 << seen for seen in patterns[:number])
            inside = np.flatnonzero(slide.field == field)
            counts = before.copy()
            counts[mask] += np.histogram(slide.scores[inside], BINS, (0, 1))[0]
            dose, time_s = dose + 90.0, time_s + 0.03
            steps.append(_decision(rng, pattern, index, taken, counts, time_s, dose, adaptive=adaptive))
            taken += 1
        xy = ((field % COLUMNS + 0.5) * FIELD_UM, (field // COLUMNS + 0.5) * FIELD_UM)
        visits.append(
            FieldVisit(
                xy, tuple(range(taken - len(patterns), taken)), patterns, {"red cell": CELLS_PER_FIELD, "platelet": 3}
            )
        )
        cells += [_finding(slide, cell, xy, index, mask) for cell in inside]
        time_s, travel_um = time_s + 0.15, travel_um + FIELD_UM
        steps.append(_decision(rng, 4 + int(rng.integers(0, 5)), index, None, counts, time_s, dose, adaptive=adaptive))
    return SlideRun(
        policy,
        tuple(visits),
        tuple(cells),
        counts,
        taken,
        dose,
        time_s,
        travel_um,
        (COLUMNS * FIELD_UM, ROWS * FIELD_UM),
        (FIELD_UM, FIELD_UM),
        estimate_prevalence(counts, calibration()),
        ACTIONS,
        tuple(steps),
    )


def example_content(*, prevalence: float = 0.03) -> ReportContent:
    """A complete report's content."""
    slide = drawn_slide(prevalence)
    run = example_run(slide, policy="agent", adaptive=True)
    return ReportContent(
        slide="drawn slide 0",
        run=run,
        verdict=judge(run, VerdictRules(), calibration=calibration()),
        frames=frame_reader(run, slide),
        board=BOARD,
        patterns=codebook(),
        exposures_ms=(4.0, 40.0, 25.0, 60.0),
        na=0.1,
        provenance={
            "Rig": {
                "Name": "simulated",
                "Camera": "192 x 192 px, 1.2 um at the sample",
                "Config digest": "90ab12cd34ef5678",
            },
            "Model": {
                "Name": "procedural",
                "Trained on": "400 procedural smears",
                "AUC, held out": "0.981 (0.974 to 0.987)",
            },
            "Identity": {"Seed": "0", "Record": "run.h5", "Codebook digest": "0123456789abcdef"},
        },
    )


def no_estimate() -> PrevalenceEstimate:
    """What an empty slide gives."""
    return PrevalenceEstimate(0.5, 0.0, 1.0, 0)


def _decision(
    rng: np.random.Generator,
    action: int,
    field: int,
    capture: int | None,
    counts: np.ndarray,
    time_s: float,
    dose: float,
    *,
    adaptive: bool,
) -> Decision:
    chances: tuple[float, ...] = ()
    if adaptive:
        weights = rng.dirichlet(np.full(len(ACTIONS), 0.4)) * 0.5
        weights[action] += 0.5
        chances = tuple(float(value) for value in weights)
    estimate = estimate_prevalence(counts, calibration())
    return Decision(action, field, estimate, time_s, dose, capture, chances)


def _finding(slide: DrawnSlide, cell: int, xy: tuple[float, float], index: int, mask: int) -> CellFinding:
    row = slide.truth.rows[cell]
    x, y = float(row["x_um"]), float(row["y_um"])
    column, line = (x - xy[0] + FIELD_UM / 2) / PIXEL_UM, (y - xy[1] + FIELD_UM / 2) / PIXEL_UM
    half = float(row["radius_um"]) / PIXEL_UM + 1
    box = (column - half, line - half, column + half, line + half)
    return CellFinding(x, y, box, float(slide.scores[cell]), index, mask)
