"""What the pages of a search and of a scan have in common: the templates' environment and what they are filled with."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lsm.diagnose import _light_figures
from lsm.diagnose.compare import interval, led_seconds, percent
from lsm.illum import LedBoard, Pattern
from lsm.stats import PrevalenceEstimate
from lsm.types import DutyLevels

LIGHT_UNIT = "Light is counted in LED seconds: one LED channel at full drive for one second."

ENDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def environment() -> Environment:
    """Where templates are found, with the filters that they use."""
    found = Environment(
        loader=PackageLoader("lsm.diagnose"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"percent": percent, "interval": interval, "led_seconds": led_seconds, "rounded": rounded}
    return found


def bar(estimate: PrevalenceEstimate) -> dict[str, float]:
    """Interval and estimate as percent of a scale that ends at a round number above the interval."""
    end = next(top for top in ENDS if estimate.high <= top * 0.95 or top == 1.0)
    return {
        "end": end,
        "low": 100 * estimate.low / end,
        "width": 100 * (estimate.high - estimate.low) / end,
        "point": 100 * estimate.prevalence / end,
    }


def rounded(value: float) -> str:
    """Two significant digits, thousands separated: more would pretend to a precision that is not there."""
    return f"{float(f'{value:.2g}'):,.0f}"


def spent(
    *, cells: int, fields: str, captures: int, light_dose: float, time_s: float, travel_um: float
) -> dict[str, str]:
    """What was counted and what it cost, by label."""
    return {
        "Red cells counted": f"{cells:,}",
        "Fields": fields,
        "Captures": f"{captures}",
        "Light emitted": led_seconds(light_dose),
        "Time, modelled": f"{time_s:.1f} s",
        "Stage travel": f"{travel_um / 1000:.2f} mm",
    }


def pattern_cards(
    board: LedBoard,
    patterns: Sequence[Pattern],
    shown: Sequence[DutyLevels | None],
    *,
    na: float,
    exposures_ms: Sequence[float],
    captures: Sequence[int],
) -> list[dict[str, Any]]:
    """One card per light: its panel and what is said below it."""
    panels = _light_figures.pattern_panels(board, patterns, shown, na=na, exposures_ms=exposures_ms)
    return [
        {
            "name": pattern.name,
            "image": image,
            "agreement": _light_figures.agreement(pattern, levels),
            "exposure_ms": exposure_ms,
            "total_duty": pattern.total_duty,
            "digest": pattern.digest,
            "captures": number,
        }
        for pattern, image, levels, exposure_ms, number in zip(
            patterns, panels, shown, exposures_ms, captures, strict=True
        )
    ]


def board_facts(board: LedBoard, na: float) -> dict[str, str]:
    """The board's part of the provenance."""
    return {
        "Name": board.name,
        "LEDs": str(board.n_leds),
        "Illumination NA": f"up to {board.na.max():.3f}",
        "Objective NA": f"{na:g}",
        "Geometry digest": board.digest,
    }
