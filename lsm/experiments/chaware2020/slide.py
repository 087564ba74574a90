"""Pieces of the measured blood smear, one real image per LED, and which of them hold stained matter in the middle.

Nobody has labelled the slide and no malaria is known on it. What a piece is called comes from the sample that all of
its LED images together explain (Fourier ptychography, `lsm.experiments.sim_to_real.slide`), so that accuracy there is
agreement with the reading of the full stack, on one slide. Tested blocks of it share no pixel with those learned from.
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32

from lsm.config import shipped_config
from lsm.experiments.arrays import read_arrays, write_arrays
from lsm.experiments.sim_to_real.config import SimToRealConfig
from lsm.experiments.sim_to_real.phantoms import FINER_TRUTH
from lsm.experiments.sim_to_real.slide import computed_truth, open_slide, recovered
from lsm.sensing.cells import CellStack

COLOUR: Final = "red"
PIECE_PX: Final = 16
BLOCK_PX: Final = 32
STRIDE_PX: Final = 4
MIDDLE_PX: Final = 4
STAINED: Final = 0.5


def replayed_pieces(cache: Path) -> CellStack:
    """Pieces of 16 x 16 px, each whole in one of the slide's blocks, which stand for patients; see the module.

    The computed sample is kept in `cache`. Raises FileMissing without the slide.
    """
    settings = SimToRealConfig.from_file(shipped_config("experiment/sim_to_real.toml"))
    slide = open_slide(settings, COLOUR)
    path = cache / f"replayed-{settings.digest()}.npz"
    if not path.is_file():
        sample, _ = recovered(slide, settings, withhold=False)
        write_arrays(path, {"truth": computed_truth(sample).numpy()})
    truth = read_arrays(path)["truth"]
    light: Float32[np.ndarray, "led y x"] = slide.light.numpy().astype(np.float32)
    rim = (light.shape[-1] - truth.shape[-1] // FINER_TRUTH) // 2
    places = piece_corners(light.shape[-1], rim)
    images = np.stack([light[:, y : y + PIECE_PX, x : x + PIECE_PX] for y, x in places])
    brightest = light[int(light.mean((1, 2)).argmax())]
    irradiance = slide.board.relative_irradiance
    relative = images.clip(0) / (np.percentile(brightest, 99) * irradiance[:, None, None])
    return CellStack(
        relative.astype(np.float16),
        led=np.arange(slide.board.n_leds),
        colour=np.zeros(slide.board.n_leds, dtype=np.int64),
        infected=_stained(truth, places, rim),
        patient=np.array([f"block {y // BLOCK_PX} {x // BLOCK_PX}" for y, x in places]),
        crop=np.arange(len(places)),
        board=slide.board,
        system=None,
        source=f"{len(places)} pieces of a measured blood smear, named by what its {len(light)} images explain",
    )


def piece_corners(side: int, rim: int) -> list[tuple[int, int]]:
    """Upper left corners of the pieces that lie in one block and not on the rim, where no truth is computed."""
    corners = [
        corner
        for corner in range(0, side - PIECE_PX + 1, STRIDE_PX)
        if corner // BLOCK_PX == (corner + PIECE_PX - 1) // BLOCK_PX
        and rim <= corner + (PIECE_PX - MIDDLE_PX) // 2
        and corner + (PIECE_PX + MIDDLE_PX) // 2 <= side - rim
    ]
    return [(y, x) for y in corners for x in corners]


def _stained(truth: Float[np.ndarray, "fy fx"], places: list[tuple[int, int]], rim: int) -> Bool[np.ndarray, " piece"]:
    """Whether more than half of a piece's middle is stained."""
    offset = (PIECE_PX - MIDDLE_PX) // 2 - rim
    shares = []
    for y, x in places:
        first = FINER_TRUTH * (y + offset), FINER_TRUTH * (x + offset)
        middle = truth[first[0] : first[0] + FINER_TRUTH * MIDDLE_PX, first[1] : first[1] + FINER_TRUTH * MIDDLE_PX]
        shares.append(float(middle.mean(dtype=np.float64)))
    return np.array(shares) > STAINED
