"""Detecting in a stream of frames."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num

from lsm.errors import InputError, WrongFormat
from lsm.vision.data.pixels import as_channels
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.grid import suppress
from lsm.vision.detect.live.card import LiveCard
from lsm.vision.detect.live.runtimes import Backend, Precision, Runtime, open_runtime


class LiveDetector:
    """A grid detector that runs in torch, ONNX Runtime or OpenVINO, with the same result.

    weak: also give detections below their category's threshold, as `Detector.predict` does.
    """

    def __init__(self, runtime: Runtime, *, weak: bool = False) -> None:
        self._runtime = runtime
        model, thresholds = self.card.model, self.card.thresholds
        least = [model.least_score if weak else max(each, model.least_score) for each in thresholds]
        self._least = torch.tensor(least, dtype=torch.float64)
        self._least_px = 2 * model.shape(self.card.facts).shrink

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        backend: Backend | None = None,
        threads: int = 1,
        precision: Precision = "float32",
        weak: bool = False,
    ) -> "LiveDetector":
        """The detector of a file; loading runs no code from it.

        path: .onnx for OpenVINO (the default) or ONNX Runtime, .xml for OpenVINO, .safetensors for torch.
        threads: cores to use; torch uses as many as it has been given. precision: "bfloat16", for OpenVINO, is twice
        as fast on processors that have it, and moves boxes by parts of a pixel.
        Raises FileMissing, InputError for a file that the program cannot run, ToolMissing where it is not installed,
        and WrongFormat for a file that is no exported detector.
        """
        if threads < 1:
            raise InputError(f"A detector cannot run on {threads} cores.", hint="give at least 1")
        return cls(open_runtime(Path(path), backend, threads, precision), weak=weak)

    @property
    def card(self) -> LiveCard:
        """What the file says of the detector: categories, thresholds, the data it learnt from."""
        return self._runtime.card

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories."""
        return self.card.facts.categories

    def predict(self, image: Num[np.ndarray, "..."]) -> Detections:
        """Detections in one image [y, x] or [channel, y, x], strongest first.

        Whole numbers of 8 or 16 bits are parts of their largest; other numbers are taken as they are.
        Raises WrongFormat for another number of channels, for a type or shape that is no image, or for one too small.
        """
        pixels = as_channels(image, "The frame")
        facts, model = self.card.facts, self.card.model
        if len(pixels) != facts.channels or min(pixels.shape[1:]) < self._least_px:
            raise WrongFormat(
                f"The frame has the shape {pixels.shape}.",
                hint=f"this detector takes {facts.channels} channels, each side at least {self._least_px} pixels",
            )
        boxes, scores = self._runtime.run(pixels)
        found = suppress(
            torch.from_numpy(boxes),
            torch.from_numpy(scores),
            (pixels.shape[1], pixels.shape[2]),
            overlap=model.overlap,
            least_score=self._least,
            most=model.most,
        )
        score = found.score.double().numpy()
        cut_at = float(score.min()) if len(score) >= model.most else None
        return Detections(found.boxes.double().numpy(), found.category.numpy(), score, cut_at=cut_at)
