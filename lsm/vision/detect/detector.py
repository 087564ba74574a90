"""One interface for every detector: it learns from annotated images, searches new ones, and is one file."""

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from lsm.errors import ConfigError, InputError, ModelMismatch, WrongFormat
from lsm.sensing.bundle import contents_digest
from lsm.sensing.clock import Clock
from lsm.sensing.progress import Reporter, Silent
from lsm.tensorfile import read_tensors, write_tensors
from lsm.vision.data import AnnotatedSet, Pixels
from lsm.vision.data.looks import digest_of
from lsm.vision.data.pixels import as_channels
from lsm.vision.detect import pieces
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.device import device_of, targets_on
from lsm.vision.detect.facts import DataFacts, measure
from lsm.vision.detect.fitting import FitConfig, FitRecord
from lsm.vision.detect.learning import learn
from lsm.vision.detect.levels import Normal
from lsm.vision.detect.matching import counted
from lsm.vision.detect.model import CUT_AT, ModelConfig
from lsm.vision.detect.models import MODELS
from lsm.vision.detect.scores import DetectionScores, score

FORMAT: Final = "lsm detector 2"
_FIRST_THRESHOLD: Final = 0.5
_GROUPS_TO_DIVIDE: Final = 10
_FEW_OBJECTS: Final = 30
"""Below so many a count strays by a fifth by chance alone, and so does a threshold set by it."""

_COPY: Final = "copy it again, or train again"
_WHOSE: Final = "give a file that lsm vision train, or Detector.save in Python, wrote"


class Detector:
    """A detection network with what it needs to be used: options, facts of its data, and thresholds.

    thresholds: by category, the least score of a detection that is counted; see `FitConfig.count_share`.
    device: where it learns and searches; see `to`. learnt: what it has learnt from; see `has_learnt`.
    """

    def __init__(self, model: ModelConfig, facts: DataFacts, *, seed: int = 0) -> None:
        self.model = model
        self.facts = facts
        self.device = torch.device("cpu")
        self.thresholds: Float[np.ndarray, " category"] = np.full(len(facts.categories), _FIRST_THRESHOLD)
        self.learnt: frozenset[str] = frozenset()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # half the time of a step on a processor, against channels first
            self.network = model.build(facts).eval().to(memory_format=torch.channels_last)
        self._levels = Normal(facts, model.levels)

    @classmethod
    def of(cls, model: ModelConfig | str, data: AnnotatedSet | DataFacts, *, seed: int = 0) -> "Detector":
        """A detector with new weights, its sizes and limits set from the data. Raises ConfigError for another kind."""
        facts = data if isinstance(data, DataFacts) else measure(data)
        return cls(model if isinstance(model, ModelConfig) else model_of({"kind": model}), facts, seed=seed)

    def to(self, device: str) -> "Detector":
        """The detector itself, which from now on learns and searches there.

        device: "cpu", as every new and loaded one, "cuda", or "cuda:1" of several. Images are given and detections
        returned as before, files and checkpoints are the same, and what was begun on one device goes on on another.
        Never yet run on a CUDA device: the test that does so waits for one. Sums in another order give other last
        digits there, and the same seed need not give the same weights.
        Raises InputError for a device that is unknown or not there.
        """
        self.device = device_of(device)
        self.network.to(self.device)
        self._levels.to(self.device)
        return self

    def fit(
        self,
        data: AnnotatedSet,
        *,
        fit: FitConfig | None = None,
        validate: AnnotatedSet | None = None,
        progress: Reporter | None = None,
        checkpoint: Path | None = None,
    ) -> FitRecord:
        """Learn from the images, starting from the weights it has, and set the thresholds; returns what the run told.

        validate: images to score at the end; nothing is chosen by them. checkpoint: file that a broken run is
        continued from. Raises InputError for an empty set, ModelMismatch for other categories or channels.
        """
        options = fit or FitConfig()
        self._check(data)
        clock = Clock()
        learnt, aside = _apart(data, options)
        with (
            (progress or Silent()).stage(f"{self.model.kind}: learning", options.steps) as stage,
            targets_on(self.network, self.device),
        ):
            losses = learn(
                self.network,
                learnt,
                options,
                stage,
                normal=self._levels,
                identity=f"{self.model.digest()} {self.facts.digest()}",
                checkpoint=checkpoint,
                clock=clock,
            )
        self.learnt |= {_known_by(image.pixels()) for image in data.images}
        on_learnt, not_set = self._set_thresholds(aside, data)
        return FitRecord(
            steps=options.steps,
            seconds=round(clock.wall_s, 1),
            cpu_s=round(clock.cpu_s, 1),
            losses=losses,
            thresholds=dict(zip(self.facts.categories, self.thresholds.tolist(), strict=True)),
            counted_on=len(aside),
            counted_on_learnt=aside is learnt,
            set_on_learnt=on_learnt,
            not_set=not_set,
            map_50=None if validate is None else self.evaluate(validate, progress=progress).map_50,
        )

    def strange(self, pixels: Num[np.ndarray, "..."]) -> bool:
        """Whether an image seems to be in other numbers than those learnt from; see `Normal.strange`."""
        return self._levels.strange(torch.from_numpy(as_channels(pixels, "The image")))

    def has_learnt(self, pixels: Pixels) -> bool:
        """Whether it has learnt from an image of the same pixels, so that scores on it say little of new ones."""
        return _known_by(pixels) in self.learnt

    @torch.no_grad()
    def predict(self, images: Sequence[Num[np.ndarray, "..."]]) -> list[Detections]:
        """All detections in each image [y, x] or [channel, y, x], strongest first; those above `thresholds` count.

        Images may differ in size. Whole numbers of 8 or 16 bits are parts of their largest; other numbers are taken
        as they are. Raises WrongFormat for an image with other channels than the detector's, for a type or shape that
        is no image, and for pixels that are not finite.
        """
        self.network.eval()
        seen = (torch.from_numpy(as_channels(pixels, "The image")) for pixels in images)
        return [self._detections(self.network([self._levels(pixels, pixels)])[0]) for pixels in seen]

    def evaluate(self, data: AnnotatedSet, *, progress: Reporter | None = None) -> DetectionScores:
        """Scores on images with known objects. Raises InputError for an empty set, ModelMismatch for another kind."""
        self._check(data)
        found = []
        with (progress or Silent()).stage(f"{self.model.kind}: searching", len(data)) as stage:
            for image in data.images:
                found += self.predict([image.pixels()])
                stage.advance()
        return score(found, data, thresholds=self.thresholds)

    def save(self, path: str | Path) -> None:
        """Write the detector as one safetensors file, whole or not at all."""
        tensors = self.network.state_dict()
        words = {
            "format": FORMAT,
            "model": self.model.model_dump_json(),
            "facts": self.facts.model_dump_json(),
            "thresholds": json.dumps(self.thresholds.tolist()),
            "learnt": json.dumps(sorted(self.learnt)),
        }
        write_tensors(Path(path), tensors, words | {"digest": _digest(words, tensors)})

    @classmethod
    def load(cls, path: str | Path) -> "Detector":
        """The detector of a file that `save` wrote; no code in it is run. Raises FileMissing or WrongFormat."""
        metadata, tensors = _read(Path(path))
        try:
            table = json.loads(metadata["model"])
            detector = cls(model_of(table), DataFacts.from_table(json.loads(metadata["facts"]), source=str(path)))
            thresholds = np.array(json.loads(metadata["thresholds"]), dtype=np.float64)
            if thresholds.shape != detector.thresholds.shape:
                raise ValueError("thresholds and categories differ in number")
            detector.thresholds = thresholds
            detector.learnt = frozenset(json.loads(metadata.get("learnt", "[]")))
            detector.network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError, ConfigError) as error:
            raise WrongFormat(f"{path} is a damaged detector: {error}", hint=_COPY) from error
        return detector

    def _check(self, data: AnnotatedSet) -> None:
        if len(data) == 0:
            raise InputError("The set has no images.", hint="see whether its folder is the right one")
        if data.categories != self.facts.categories:
            raise ModelMismatch(
                f"The detector knows {', '.join(self.facts.categories)}; the set has {', '.join(data.categories)}.",
                hint="give the set the same categories in the same order, or train on it",
            )

    def _detections(self, found: Mapping[str, Tensor]) -> Detections:
        score = found["scores"].cpu().double().numpy()
        # a network whose scores fall after the strongest were kept says what it kept them by
        least = float(found[CUT_AT]) if CUT_AT in found else float(score.min(initial=1.0))
        detections = Detections(
            found["boxes"].cpu().double().numpy(),
            found["labels"].cpu().long().numpy() - 1,
            score,
            pieces.masks(found) if pieces.WINDOWS in found else None,
            cut_at=least if len(score) >= self.model.kept else None,
        )
        return detections.where(np.argsort(-score, kind="stable"))

    def _set_thresholds(self, aside: AnnotatedSet, whole: AnnotatedSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """For each category the score above which there are as many detections as objects; see `FitRecord`."""
        names, known, marked = self.facts.categories, aside.counts(), whole.counts()
        few = {name for name in names if known[name] < min(_FEW_OBJECTS, marked[name])}
        done = self._set_on(aside, set(names) - few)
        done |= self._set_on(whole, few) if few else set()
        return tuple(name for name in names if name in few & done), tuple(name for name in names if name not in done)

    def _set_on(self, data: AnnotatedSet, names: Set[str]) -> set[str]:
        """The categories of these names whose thresholds could be set on the images."""
        found = [counted(self.predict([image.pixels()])[0], image.objects) for image in data.images]
        done = set()
        for k, (name, objects) in enumerate(data.counts().items()):
            scores = np.sort(np.concatenate([each.score[each.category == k] for each in found]))[::-1]
            if name not in names or objects == 0 or len(scores) == 0:
                continue
            self.thresholds[k] = scores[-1] if objects >= len(scores) else (scores[objects - 1] + scores[objects]) / 2
            done.add(name)
        return done


def model_of(table: Mapping[str, Any]) -> ModelConfig:
    """Options of a network from plain values with their `kind`. Raises ConfigError."""
    kind = table.get("kind")
    if kind not in MODELS:
        raise ConfigError(f"There is no detector of the kind '{kind}'.", hint=f"kinds: {', '.join(MODELS)}")
    return MODELS[kind].from_table(dict(table), source=f"the detector '{kind}'")


def _apart(data: AnnotatedSet, options: FitConfig) -> tuple[AnnotatedSet, AnnotatedSet]:
    """Images to learn from and images to count; the same ones where there are too few groups to divide."""
    groups = np.array([image.group or image.name for image in data.images])
    known = np.unique(groups)
    if options.count_share == 0 or len(known) < _GROUPS_TO_DIVIDE:
        return data, data
    order = np.random.default_rng(options.seed).permutation(known)
    aside = np.isin(groups, order[: max(1, round(options.count_share * len(known)))])
    return data.where(np.flatnonzero(~aside)), data.where(np.flatnonzero(aside))


def _known_by(pixels: Pixels) -> str:
    return digest_of(pixels).hex()[:16]


def _digest(words: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    return contents_digest(tensors, json.dumps(dict(words), sort_keys=True))


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    metadata, tensors = read_tensors(path, hint=_WHOSE)
    known = metadata.get("format", "")
    if known.startswith("lsm detector ") and known != FORMAT:
        hint = "train the detector anew, or use the version of lsm that wrote it"
        raise WrongFormat(f"{path} has the format '{known}', not '{FORMAT}'.", hint=hint)
    if known != FORMAT:
        raise WrongFormat(f"{path} holds no detector of lsm.", hint=_WHOSE)
    words = {key: value for key, value in metadata.items() if key != "digest"}
    if metadata.get("digest") != _digest(words, tensors):
        raise WrongFormat(f"{path} is damaged: its contents are not those that were saved.", hint=_COPY)
    return metadata, tensors
