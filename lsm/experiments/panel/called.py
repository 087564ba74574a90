"""How many cells of a scan look infected at one threshold of the model, and what the model expects of that."""

from typing import Any

import numpy as np

from lsm.agent.results import MaskBinCounts
from lsm.stats import ScoreCalibration

MOST_FALSE = 0.01
"""The threshold is the lowest score bin from which on the calibration slides have at most this share of false calls."""


def called_cells(counts: MaskBinCounts, calibration: ScoreCalibration) -> dict[str, Any]:
    """Cells at or above the model's threshold among all, with sensitivity and false calls of the calibration slides.

    counts: [mask, bin]. The verdict does not rest on this: it is for comparing false positives between slides.
    """
    first = threshold_bin(calibration)
    weight = counts.sum(axis=1) / max(int(counts.sum()), 1)
    return {
        "cells": int(counts.sum()),
        "called": int(counts[:, first:].sum()),
        "expected_found": float(weight @ calibration.p_infected[:, first:].sum(axis=1)),
        "expected_false": float(weight @ calibration.p_uninfected[:, first:].sum(axis=1)),
    }


def threshold_bin(calibration: ScoreCalibration) -> int:
    """The same for every slide: of all patterns together; the last bin where no bin is rare enough."""
    above = np.cumsum(calibration.p_uninfected[-1, ::-1])[::-1]
    return int(np.append(np.flatnonzero(above <= MOST_FALSE), len(above) - 1)[0])
