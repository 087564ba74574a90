"""Synthetic images with known cells, and a bundle around untrained networks."""

import numpy as np
import torch

from lsm.illum import LedBoard
from lsm.sensing import Bundle, BundleCard
from lsm.sensing.fields import FieldCells
from lsm.sensing.heads import CellClassifier, ClassifierConfig
from lsm.vision import CellFinder, FinderConfig

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
CLASSIFIER = ClassifierConfig(widths=(8, 8, 8), hidden=8)
FINDER = FinderConfig(width=12)


def phantom_rates(fields: int, *, cells: int = 10, side_px: int = 64, seed: int = 0) -> tuple[torch.Tensor, FieldCells]:
    """Fields [field, capture=1, y, x] in e-/ms of dark discs on bright ground, and where they are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side_px, :side_px]
    images, tables = [], []
    for _ in range(fields):
        grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2) * 15 + 9
        x_px, y_px = (rng.permutation(grid)[:cells] + rng.uniform(-2, 2, (cells, 2))).T
        image = np.full((side_px, side_px), 900.0)
        for x, y in zip(x_px, y_px, strict=True):
            image *= 1 - 0.4 / (1 + np.exp(2 * (np.hypot(columns - x, rows - y) - 3)))
        images.append(image)
        zeros = np.zeros(cells, dtype=np.int64)
        tables.append(FieldCells(zeros, x_px, y_px, np.full(cells, 3.0), zeros, zeros.astype(bool)))
    return torch.tensor(np.array(images), dtype=torch.float32)[:, None], FieldCells.joined(tables)


def untrained_bundle(*, seed: int = 0, finder: CellFinder | None = None) -> Bundle:
    """A bundle of three patterns whose classifiers (and finder, where none is given) are random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {
            "classifier": CellClassifier(3, CLASSIFIER),
            "baseline": CellClassifier(1, CLASSIFIER),
            "finder": finder or CellFinder(FINDER),
        }
    tensors = {
        "codebook.duty_levels": torch.full((3, BOARD.n_leds), 255, dtype=torch.uint8),
        "codebook.exposures_ms": torch.tensor([5.0, 20.0, 40.0]),
        "codebook.signal_mean": torch.tensor([0.5, 0.4, 0.3]),
        "codebook.signal_std": torch.tensor([0.05, 0.05, 0.05]),
        "codebook.adu_offset": torch.tensor(20.0),
        "codebook.adu_full_well": torch.tensor(4000.0),
        "reader.score_edges": torch.tensor([0.25, 0.5, 0.75]),
    }
    for prefix, network in networks.items():
        tensors |= {f"{prefix}.{key}": value for key, value in network.state_dict().items()}
    config = {"classifier": CLASSIFIER.model_dump(mode="json"), "finder": FINDER.model_dump(mode="json")}
    card = BundleCard(
        name="phantom",
        board_digest=BOARD.digest,
        camera_digest="c",
        system_digest="s",
        config_digest="d",
        seed=seed,
        data="none",
        config=config,
    )
    return Bundle.of(card, tensors)
