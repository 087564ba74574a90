"""One detector that learns on all folds but one, and is scored on that one."""

import time
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from lsm.commit import source_commit
from lsm.config import Config
from lsm.experiments.detections.config import ArmConfig, SetConfig
from lsm.experiments.detections.sets import open_fold
from lsm.vision.data import AnnotatedSet
from lsm.vision.detect import Detections, Detector, score
from lsm.vision.field import Disturbance, disturbed


class FoldJob(Config):
    """seed: of the partition, the first weights and the training. out: folder of the detectors and checkpoints.

    cache: folder of computed images.
    """

    data: SetConfig
    arm: ArmConfig
    folds: Annotated[int, Gt(1)]
    fold: Annotated[int, Ge(0)]
    seed: Annotated[int, Ge(0)]
    disturbed: tuple[Disturbance, ...] = ()
    cache: Path
    out: Path


def run_fold(arguments: dict[str, Any]) -> dict[str, Any]:
    """Scores of one training on the images held out; the detector is kept in the file it names.

    arguments: the table of a FoldJob. A training that was interrupted goes on. Raises as its parts do.
    """
    commit = source_commit()
    job = FoldJob.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    learnt, held_out = open_fold(job.data, job.cache, folds=job.folds, seed=job.seed, fold=job.fold)
    detector = Detector.of(job.arm.built(), learnt, seed=job.seed)
    name = job.model_copy(update={"out": Path(), "cache": Path()}).digest()
    checkpoint = job.out / f"{name}.checkpoint"
    fit = job.arm.fit.model_copy(update={"seed": job.seed})
    record = detector.fit(learnt, fit=fit, checkpoint=checkpoint)
    found, searching_s = _search(detector, held_out)
    scores = score(found, held_out, thresholds=detector.thresholds)
    worse = {
        str(how): detector.evaluate(disturbed(held_out, how, seed=job.seed)).model_dump(mode="json")
        for how in job.disturbed
    }
    detector.save(job.out / f"{name}.safetensors")
    checkpoint.unlink(missing_ok=True)
    return {
        "scores": scores.model_dump(mode="json"),
        "disturbed": worse,
        "thresholds": record.thresholds,
        "losses": [record.losses[0], record.losses[-1]],
        "parameters": sum(value.numel() for value in detector.network.parameters()),
        "detector": f"{name}.safetensors",
        "learning_s": record.cpu_s,
        "searching_s": round(searching_s, 2),
        "commit": commit,
    }


def _search(detector: Detector, data: AnnotatedSet) -> tuple[list[Detections], float]:
    """What was found, and the seconds of the processor that the detector took for it: without reading and scoring."""
    found, seconds = [], 0.0
    for image in data.images:
        pixels = image.pixels()
        started = time.process_time()
        found += detector.predict([pixels])
        seconds += time.process_time() - started
    return found, seconds
