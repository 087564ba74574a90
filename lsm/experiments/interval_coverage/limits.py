"""Limits of detection against cells scanned: where more cells stop helping."""

import math
from typing import Any

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.stats import limit_of_detection

CELLS = (20_000, 200_000, 2_000_000, 20_000_000, math.inf)
VARIATIONS = (0.0, 0.1, 0.2, 0.5, 1.0)


def limits_by_cells(config: CoverageConfig) -> list[dict[str, Any]]:
    """Parasites per microlitre that are found, with the errors of the sequential rule, for each rate and variation."""
    rows: list[dict[str, Any]] = []
    for rate in config.rates:
        for cv in VARIATIONS:
            errors = config.reader.errors(rate, cv=cv, sensitivity_sd=0.0)
            found = [
                limit_of_detection(cells, errors, alpha=config.scan.alpha, beta=config.scan.beta) for cells in CELLS
            ]
            rows.append(
                {
                    "rate": rate,
                    "cv": cv,
                    "per_ul": {_number(each.cells): round(each.per_ul, 1) for each in found},
                }
            )
    return rows


def _number(cells: float) -> str:
    return "any number" if math.isinf(cells) else f"{cells:,.0f}"
