"""How alike cells of one slide are, from counts of several slides."""

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import norm
from scipy.stats import t as student_t

UNKNOWN_CORRELATION = 0.05


def concentration(hits: Real[np.ndarray, " slide"], cells: Float[np.ndarray, " slide"]) -> float:
    """Effective cells behind the share of hits: it has the relative variance (1 - p) / (p * (concentration + 1)).

    The correlation between cells of one slide is fitted by the analysis of variance (Donner, Int. Stat. Rev. 54, 67
    (1986), eq. 2) and widened for the few slides that it rests on; the error of the mean is in it.
    """
    hits, cells = hits[cells > 0], cells[cells > 0]
    correlation = UNKNOWN_CORRELATION
    mean = hits.sum() / max(cells.sum(), 1.0)
    freedom = len(cells) - 1
    if freedom > 0 and cells.max() > 1 and 0 < mean < 1:
        between = float((cells * (hits / cells - mean) ** 2).sum()) / (mean * (1 - mean))
        spread = cells.sum() - (cells**2).sum() / cells.sum()
        found = max(0.0, (between - freedom) / (spread - freedom)) if spread > freedom else UNKNOWN_CORRELATION
        correlation = found * float(student_t.ppf(0.975, freedom) / norm.ppf(0.975)) ** 2
    effective_cells = float((cells / (1 + (cells - 1) * min(correlation, 1.0))).sum())
    return max(1.0, 1 / (correlation + 1 / (effective_cells + 1)) - 1)
