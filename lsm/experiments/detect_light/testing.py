"""Search of test slides with every trained detector under its light, as jobs of a few slides each."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from lsm.config import Config
from lsm.experiments.arrays import read_arrays, write_arrays
from lsm.experiments.detect_light.config import DetectLightConfig
from lsm.experiments.detect_light.training import Training
from lsm.vision.data import AnnotatedImage, AnnotatedSet
from lsm.vision.detect.scores import score
from lsm.vision.field import (
    INFECTED,
    Alarms,
    FieldModel,
    FreshFields,
    PhantomConfig,
    Phantoms,
    alarms,
    annotated_fields,
    robustness,
)

_NOISE = 7_919


class Search(Config):
    """Some test slides, to be searched by all trainings.

    slides: the test's phantoms, cut down to those of this job.
    """

    config: DetectLightConfig
    slides: PhantomConfig
    folder: Path
    first: Annotated[int, Ge(0)]

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        last = self.first + self.slides.slides - 1
        return f"test slides {self.first} to {last}"

    @property
    def file(self) -> Path:
        """What was found."""
        digest = hashlib.sha256(f"{self.config.digest()} {self.slides.digest()}".encode()).hexdigest()[:16]
        return self.folder / "kept" / f"search-{digest}.npz"


def searches(config: DetectLightConfig, folder: Path) -> list[Search]:
    """Jobs that together search all test slides."""
    found = []
    end = config.test.first_slide + config.test.slides
    for first in range(config.test.first_slide, end, config.slides_per_job):
        count = min(config.slides_per_job, end - first)
        slides = config.test.model_copy(update={"first_slide": first, "slides": count})
        found.append(Search(config=config, slides=slides, folder=folder, first=first))
    return found


def trainings(config: DetectLightConfig, folder: Path) -> list[Training]:
    """All trainings, arm by arm within each seed."""
    return [Training.of(config, arm, seed, folder) for seed in config.all_seeds for arm in config.arms]


def search_slides(arguments: dict[str, Any]) -> dict[str, Any]:
    """Alarms of every training on some slides, in the file of the Search whose table the arguments are."""
    search = Search.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    config = search.config
    done = trainings(config, search.folder)
    models = [training.trained(training.fields()) for training in done]
    detectors = [model.detector() for model in models]
    fields = FreshFields(Phantoms(search.slides, config.rig.system), config.rig)
    found: list[list[Any]] = [[] for _ in done]
    shown: list[AnnotatedImage] = []
    for number in range(len(fields)):
        field = fields.field(number)
        for place, (training, model, detector) in enumerate(zip(done, models, detectors, strict=True)):
            # noise of its own for every field and seed
            noise = torch.Generator().manual_seed(_NOISE * (search.first * 1000 + number) + training.seed)
            image = annotated_fields(model.light, fields, noise, numbers=[number]).images[0]
            found[place] += detector.predict([image.pixels()])
        shown.append(AnnotatedImage.of(field.name, np.zeros((1, 1, 1), np.float32), field.objects, group=field.group))
    data = AnnotatedSet(tuple(shown), fields.categories, fields.origin)
    table: dict[str, np.ndarray] = {}
    for training, each in zip(done, found, strict=True):
        run = alarms(each, data, infected=[INFECTED], uninfected=["red cell"])
        for name in ("score", "hit", "slide"):
            table[f"{training.key}.{name}"] = getattr(run, name)
        table |= {"infected": run.infected, "uninfected": run.uninfected, "names": np.array(run.names)}
    write_arrays(search.file, table)
    return {"fields": len(fields), "cells": int(run.infected.sum() + run.uninfected.sum())}


def found_alarms(config: DetectLightConfig, folder: Path) -> dict[str, list[Alarms]]:
    """For each arm the alarms of its trainings on all test slides, seed by seed."""
    parts = [read_arrays(search.file) for search in searches(config, folder)]
    counts = [len(part["names"]) for part in parts]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    joined: dict[str, list[Alarms]] = {arm: [] for arm in config.arms}
    for training in trainings(config, folder):
        key = training.key
        joined[training.arm].append(
            Alarms(
                score=np.concatenate([part[f"{key}.score"] for part in parts]),
                hit=np.concatenate([part[f"{key}.hit"] for part in parts]),
                slide=np.concatenate([part[f"{key}.slide"] + start for part, start in zip(parts, starts, strict=True)]),
                infected=np.concatenate([part["infected"] for part in parts]),
                uninfected=np.concatenate([part["uninfected"] for part in parts]),
                names=tuple(str(name) for part in parts for name in part["names"]),
            )
        )
    return joined


class Worse(Config):
    """The training of an arm, searched under disturbances. folder: as in Search."""

    config: DetectLightConfig
    arm: str
    seed: Annotated[int, Ge(0)]
    folder: Path

    @property
    def training(self) -> Training:
        """What is searched."""
        return Training.of(self.config, self.arm, self.seed, self.folder)

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        return f"disturbed: {self.training.key}"


def search_disturbed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Rows of scores of one training on test fields that are made worse; see `robustness`."""
    worse = Worse.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    config, training = worse.config, worse.training
    model = training.trained(training.fields())
    detector = model.detector()
    fields = FreshFields(Phantoms(config.test, config.rig.system), config.rig)
    chosen = np.linspace(0, len(fields) - 1, min(config.disturbed_fields, len(fields))).round().astype(int)
    data = annotated_fields(
        model.light, fields, torch.Generator().manual_seed(_NOISE + training.seed), numbers=chosen.tolist()
    )

    def scores(shown: AnnotatedSet) -> dict[str, float]:
        found = detector.predict([image.pixels() for image in shown.images])
        table = score(found, shown, thresholds=detector.thresholds)
        return {name: row.ap_50 or 0.0 for name, row in table.categories.items()} | {"mAP": table.map_50}

    possible = [each for each in config.disturbances if each.kind != "colour" or data.channels() > 1]
    rows = robustness(scores, data, possible)
    return {"rows": [row.model_dump(mode="json") for row in rows], "fields": len(data)}


def pictured(models: Sequence[FieldModel], config: DetectLightConfig) -> Iterator[np.ndarray]:
    """The first capture of the test field with most infected cells of the first slide, without noise, per model."""
    fields = FreshFields(Phantoms(config.test.model_copy(update={"slides": 1}), config.rig.system), config.rig)
    sick = fields.categories.index(INFECTED)
    counts = [int((fields.field(number).objects.category == sick).sum()) for number in range(len(fields))]
    chosen = int(np.argmax(counts))
    with torch.no_grad():
        for model in models:
            yield model.light.rates(fields, chosen)[0].numpy()
