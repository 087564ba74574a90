"""What a light cost: electrons that the camera collected, light that the board emitted, time that it took."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps, split_captures

_SAMPLED = 512
"""Cells by which the mean signal is told."""
_ROWS_PER_STEP = 64


def light_used(
    stack: CellStack, lamps: Lamps, trainings: Sequence[Mapping[str, np.ndarray]], *, flux_e_per_ms: float
) -> dict[str, float]:
    """Means over the trainings, of all captures of a cell together.

    trainings: `weights` [channel, lamp] and `exposure` [capture] of each. flux_e_per_ms: electrons per pixel that the
    strongest lamp at full drive gives in the empty bright field.
    signal_e: electrons collected per pixel, before any are subtracted or lost in a full well; less than the budget
    where bright pixels ended an exposure. emitted_e: electrons that the emitted light would have given in the empty
    bright field. exposure_ms: time of all captures.
    """
    seen = _mean_of_lamps(stack) * lamps.irradiance
    found = []
    for held in trainings:
        parts = split_captures(torch.from_numpy(held["weights"]))[0].double().numpy()
        exposure = held["exposure"].astype(np.float64)
        found.append((exposure @ (parts @ seen), exposure @ parts.sum(axis=1), exposure.sum() / flux_e_per_ms))
    return dict(zip(("signal_e", "emitted_e", "exposure_ms"), np.mean(found, axis=0).tolist(), strict=True))


def _mean_of_lamps(stack: CellStack) -> Float[np.ndarray, " lamp"]:
    """Mean over cells, spread over the stack, and their pixels."""
    rows = np.arange(0, len(stack), max(1, len(stack) // _SAMPLED))
    total = np.zeros(stack.n_lamps)
    for start in range(0, len(rows), _ROWS_PER_STEP):
        images = stack.batch(rows[start : start + _ROWS_PER_STEP])
        total += images.mean(dim=2).double().sum(dim=0).numpy()
    mean: Float[np.ndarray, " lamp"] = total / len(rows)
    return mean
