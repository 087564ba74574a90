"""Programs that detect cells, timed on the same images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor, nn
from torchvision.models import detection as torchvision_models

from lsm.bench.timing import Effort, Job, in_turns
from lsm.vision.data import AnnotatedImage, AnnotatedSet
from lsm.vision.detect import Detector, match
from lsm.vision.detect.live import Backend, LiveDetector, Precision, export_onnx

Frame = Num[np.ndarray, "..."]
TORCH, ONNX, OPENVINO, HALF = "torch, eager", "ONNX Runtime", "OpenVINO", "OpenVINO, bfloat16"
PROGRAMS: Final[dict[str, tuple[Backend, Precision]]] = {
    TORCH: ("torch", "float32"),
    ONNX: ("onnxruntime", "float32"),
    OPENVINO: ("openvino", "float32"),
    HALF: ("openvino", "bfloat16"),
}
REFERENCES: Final[dict[str, Callable[..., nn.Module]]] = {
    "Faster R-CNN MobileNet v3 320 FPN": torchvision_models.fasterrcnn_mobilenet_v3_large_320_fpn,
    "Faster R-CNN MobileNet v3 FPN": torchvision_models.fasterrcnn_mobilenet_v3_large_fpn,
}
_SILENT = 10.0


@dataclass(frozen=True)
class Form:
    """One detector and how well it finds what is in images that it has not seen.

    taught: on what. gmac: multiplications and additions of its convolutions for one image. counted_percent: detections
    at the thresholds, of all objects marked.
    """

    name: str
    taught: str
    scored: str
    parameters: int
    gmac: float
    map: float
    map_50: float
    counted_percent: float
    by_category: dict[str, float | None]


@dataclass(frozen=True)
class Rate:
    """One program with one form: median time of an image, from its pixels to what is found, and what that makes.

    hits: objects of an image that are found and named rightly, on average. cells_s: of them, not of what is marked.
    apart_px, apart_score: largest difference from torch in boxes and scores of matched detections; None for torch.
    """

    form: str
    program: str
    images: str
    milliseconds: float
    fastest_ms: float
    hits: float
    cells_s: float
    apart_px: float | None
    apart_score: float | None


@dataclass(frozen=True)
class Reference:
    """torchvision's network with random weights, which finds nothing, so that nothing is suppressed.

    cells_s: if it found every cell.
    """

    name: str
    milliseconds: float
    cells_s: float


def judge(name: str, detector: Detector, data: AnnotatedSet, *, taught: str) -> Form:
    """How well the detector finds what is marked. Raises ModelMismatch for a set of other categories."""
    scores = detector.evaluate(data)
    labelled, found = (sum(getattr(each, key) for each in scores.categories.values()) for key in ("labelled", "found"))
    return Form(
        name=name,
        taught=taught,
        scored=f"{len(data)} images, {data.origin}",
        parameters=sum(each.numel() for each in detector.network.parameters()),
        gmac=_gmac(detector, data),
        map=scores.map,
        map_50=scores.map_50,
        counted_percent=100 * found / labelled if labelled else math.nan,
        by_category={category: each.ap_50 for category, each in scores.categories.items()},
    )


def rates_of(detectors: Sequence[tuple[str, Detector]], data: AnnotatedSet, folder: Path, effort: Effort) -> list[Rate]:
    """All programs with all these detectors, in turns; their files are written into `folder`."""
    images = [_frame(image) for image in data.images]
    live = {(form, program): each for form, it in detectors for program, each in _live(it, folder / form).items()}
    jobs = [_job(" / ".join(key), detector, images) for key, detector in live.items()]
    seconds = in_turns(jobs, effort)
    rates = []
    for (form, program), detector in live.items():
        taken = seconds[f"{form} / {program}"]
        known = live[form, TORCH]
        hits = float(np.mean([_hits(detector, each, image) for each, image in zip(images, data.images, strict=True)]))
        apart = None if program == TORCH else _apart(known, detector, images[0])
        rates.append(
            Rate(
                form=form,
                program=program,
                images=f"{data.origin}, {data.images[0].size[0]} x {data.images[0].size[1]}",
                milliseconds=1e3 * float(np.median(taken)),
                fastest_ms=1e3 * float(taken.min()),
                hits=hits,
                cells_s=hits / float(np.median(taken)),
                apart_px=None if apart is None else apart[0],
                apart_score=None if apart is None else apart[1],
            )
        )
    return rates


def _live(detector: Detector, place: Path) -> dict[str, LiveDetector]:
    trained, exported = place.with_suffix(".safetensors"), place.with_suffix(".onnx")
    detector.save(trained)
    export_onnx(detector, exported)
    return {
        program: LiveDetector.load(
            trained if backend == "torch" else exported, backend=backend, threads=1, precision=precision
        )
        for program, (backend, precision) in PROGRAMS.items()
    }


def _job(name: str, detector: LiveDetector, images: Sequence[Frame]) -> Job:
    following = cycle(images)
    return Job(name, lambda: detector.predict(next(following)), 1)


def _frame(image: AnnotatedImage) -> Frame:
    """As a camera gives it, where it is held so."""
    return image.source if isinstance(image.source, np.ndarray) else image.pixels()


def _hits(detector: LiveDetector, frame: Frame, image: AnnotatedImage) -> int:
    objects = image.objects.where(~image.objects.ignore)
    return int((match(detector.predict(frame), objects) >= 0).sum())


def _apart(known: LiveDetector, other: LiveDetector, image: Frame) -> tuple[float, float]:
    """Largest differences of edges and scores between each detection and the other program's nearest."""
    ours, theirs = known.predict(image), other.predict(image)
    if len(ours) == 0 or len(theirs) == 0:
        return (0.0, 0.0) if len(ours) == len(theirs) else (math.inf, math.inf)
    apart = np.abs(ours.box_px[:, None] - theirs.box_px).max(axis=2)
    apart[ours.category[:, None] != theirs.category] = math.inf
    nearest = apart.argmin(axis=1)
    return float(apart.min(axis=1).max()), float(np.abs(ours.score - theirs.score[nearest]).max())


def references_of(data: AnnotatedSet, cells: int, effort: Effort) -> tuple[Reference, ...]:
    """Torchvision's networks on the same frames, in turns."""
    images = [torch.from_numpy(image.pixels()).expand(3, -1, -1).contiguous() for image in data.images]
    jobs = []
    for name, make in REFERENCES.items():
        network: Any = make(weights=None, weights_backbone=None, num_classes=4, box_detections_per_img=500)
        with torch.no_grad():
            network.roi_heads.box_predictor.cls_score.bias[0] += _SILENT
        jobs.append(_reference_job(name, network.eval(), images))
    seconds = in_turns(jobs, effort)
    medians = {name: float(np.median(taken)) for name, taken in seconds.items()}
    return tuple(Reference(name, 1e3 * median, cells / median) for name, median in medians.items())


def _reference_job(name: str, network: Any, images: Sequence[Tensor]) -> Job:
    following = cycle(images)

    @torch.inference_mode()
    def run() -> object:
        return network([next(following)])

    return Job(name, run, 1)


def _gmac(detector: Detector, data: AnnotatedSet) -> float:
    """Of the convolutions alone; all else is a few per cent of it."""
    counted: list[float] = []

    def count(layer: nn.Module, given: object, out: Tensor) -> None:
        del given
        weight: Any = layer.weight
        counted.append(out.numel() * weight[0].numel() / 1e9)

    hooks = [each.register_forward_hook(count) for each in detector.network.modules() if isinstance(each, nn.Conv2d)]
    try:
        detector.predict([data.images[0].pixels()])
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)
