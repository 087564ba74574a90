"""Made-up crops, small configurations and stacks for the tests of single cells."""

import numpy as np

from lsm.samples import CellCrops
from lsm.sensing.cells import CellStack, CellStackConfig
from lsm.twin import GridBoardConfig

BOARD = GridBoardConfig(rows=3, columns=3, pitch_mm=12.0, distance_mm=50.0)
SMALL = CellStackConfig(board=BOARD, sample_px=64, sample_pixel_um=0.3)


def made_up_crops(n: int = 12) -> CellCrops:
    """Discs of grey 150 to 210; infected ones with a dark dot off the middle."""
    y, x = np.mgrid[:50, :50] - 24.5
    images = np.zeros((n, 50, 50), dtype=np.uint8)
    images[:, np.hypot(x, y) < 24] = np.linspace(150, 210, n).astype(np.uint8)[:, None]
    images[n // 2 :, np.hypot(x - 8, y) < 4] = 60
    return CellCrops(images, np.arange(n) >= n // 2, np.array([f"C{k % 4}" for k in range(n)]))


def random_stack(rows: int = 10, lamps: int = 6, side: int = 5, seed: int = 0) -> CellStack:
    """Random images, in memory."""
    rng = np.random.default_rng(seed)
    return CellStack(
        rng.random((rows, lamps, side, side), dtype=np.float32).astype(np.float16),
        led=np.arange(lamps),
        colour=np.zeros(lamps, dtype=np.int64),
        infected=np.arange(rows) % 2 == 0,
        patient=np.array([f"P{k % 3}" for k in range(rows)]),
        crop=np.arange(rows),
        board=None,
        system=None,
        source="random numbers",
    )
