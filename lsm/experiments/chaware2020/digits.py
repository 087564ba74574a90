"""Handwritten digits as thin samples, for the sanity check of the paper."""

import numpy as np

from lsm.errors import FileMissing
from lsm.samples import CellCrops

SIDE_PX = 50
ZOOM = 5
PAPER, INK = 250, 110
"""Grey levels of a pixel without ink and with all of it."""


def digit_crops(wanted: int = 0) -> CellCrops:
    """The 8 x 8 digits that come with scikit-learn, as samples of 50 x 50 px; odd ones count as infected.

    They are of the test set of E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits" (UCI, 1998).
    Who wrote which is not told, so that every digit is its own "patient". wanted: so many, spread evenly; 0 is all.
    Raises FileMissing without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise FileMissing(
            "The handwritten digits are not there.", hint="install scikit-learn, which brings them"
        ) from error
    found = load_digits()
    chosen = np.linspace(0, len(found.target) - 1, wanted or len(found.target)).round().astype(int)
    ink = np.kron(found.images[chosen] / 16, np.ones((1, ZOOM, ZOOM)))
    rim = (SIDE_PX - ink.shape[1]) // 2
    images = np.full((len(chosen), SIDE_PX, SIDE_PX), PAPER, dtype=np.uint8)
    images[:, rim:-rim, rim:-rim] = np.round(PAPER + (INK - PAPER) * ink)
    return CellCrops(images, found.target[chosen] % 2 == 1, np.array([f"digit {number}" for number in chosen]))
