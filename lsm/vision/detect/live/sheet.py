"""What a stranger needs beside an exported detector, and how far the file is from the detector."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lsm.config import Config
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.live.card import CARD, LiveCard
from lsm.vision.detect.live.export import grid_of
from lsm.vision.detect.live.graph import BOXES, IMAGE, SCORES
from lsm.vision.detect.live.runtimes import PROGRAMS, TorchRuntime, open_runtime


class Difference(Config):
    """Largest difference over all grid points and categories of one image, in pixels of a box edge and in score."""

    box_px: float
    score: float


def sheet(card: LiveCard) -> dict[str, Any]:
    """Plain values for a JSON file beside an exported detector: inputs, outputs, categories, and what to do behind."""
    facts, model = card.facts, card.model
    return {
        "input": {
            "name": IMAGE,
            "type": "float32",
            "shape": [1, facts.channels, "height", "width"],
            "least_side_px": 2 * model.shape(facts).shrink,
            "values": "pixels of 8 and 16 bits divided by 255 and 65535; others as in the images it learnt from",
            "normalisation": {
                "inside_the_file": True,
                "levels": model.levels,
                "mean": list(facts.mean),
                "std": list(facts.std),
            },
        },
        "outputs": {
            BOXES: {
                "type": "float32",
                "shape": ["points", len(facts.categories), 4],
                "values": "x0, y0, x1, y1 in pixels of the input; the first pixel lies between 0 and 1",
            },
            SCORES: {"type": "float32", "shape": ["points", len(facts.categories)], "values": "0 to 1"},
        },
        "categories": list(facts.categories),
        "thresholds": {
            name: max(least, model.least_score) for name, least in zip(facts.categories, card.thresholds, strict=True)
        },
        "overlap": model.overlap,
        "most": model.most,
        "afterwards": [
            "keep the boxes whose score is at least their category's threshold",
            "cut them at the edges of the image",
            "within a category drop every box whose intersection over union with a stronger one is above overlap",
            "keep the strongest, at most so many as most says",
        ],
        "usual_size_px": [facts.height_px, facts.width_px],
        "metadata": f"the entry '{CARD}' in the file's metadata holds the detector's options as JSON",
        "weights_sha256": card.weights,
    }


def differences(detector: Detector, path: Path, *, seed: int = 0) -> dict[str, Difference]:
    """How far an exported file is from its detector, by each installed program that runs the file.

    Both see one image of noise, as large, bright and varied as those it learnt from. Raises WrongFormat for a damaged
    file.
    """
    facts = detector.facts
    least = 2 * grid_of(detector).shape.shrink
    size = max(facts.height_px, least), max(facts.width_px, least)
    middle, spread = (np.array(each)[:, None, None] for each in (facts.mean, facts.std))
    noise = np.random.default_rng(seed).standard_normal((facts.channels, *size))
    pixels = (middle + spread * noise).astype(np.float32)
    boxes, scores = TorchRuntime(detector).run(pixels)
    found: dict[str, Difference] = {}
    for program in PROGRAMS.get(path.suffix, ()):
        if find_spec(program) is not None:
            their_boxes, their_scores = open_runtime(path, program, 1, "float32").run(pixels)
            found[program] = Difference(
                box_px=float(np.abs(their_boxes - boxes).max()), score=float(np.abs(their_scores - scores).max())
            )
    return found
