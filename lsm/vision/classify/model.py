"""Crops named and counted behind one interface: fit, predict, evaluate, save, load."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Float32, Int, Num
from torch import Tensor

from lsm.config import Config
from lsm.errors import ConfigError, InputError, ModelMismatch, WrongFormat
from lsm.sensing.bundle import contents_digest
from lsm.sensing.progress import Reporter
from lsm.tensorfile import read_tensors, write_tensors
from lsm.vision.classify.augment import COUNT_AUGMENT, CropAugmentConfig
from lsm.vision.classify.crops import CropSet, as_input
from lsm.vision.classify.network import CropNetwork, CropNetworkConfig
from lsm.vision.classify.scores import CropScores, score_classes, score_counts
from lsm.vision.classify.training import CropFitConfig, train

_AT_ONCE = 256
_FORMAT: Literal["lsm crop model 1"] = "lsm crop model 1"
Side = Annotated[int, Gt(0), Le(4096)]


class CropFacts(Config):
    """What a model knows of the crops that it was made for.

    mean, std: of each channel's pixels. mean_count: objects per crop, None for a model that does not count.
    """

    categories: tuple[str, ...]
    channels: Annotated[int, Gt(0), Le(4096)]
    height_px: Side
    width_px: Side
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Gt(0)], ...]
    mean_count: Annotated[float, Gt(0)] | None


class CropRecord(Config):
    """A training as it went. losses: mean of each epoch that was run, fewer than `epochs` where it was resumed."""

    epochs: Annotated[int, Ge(0)]
    crops: Annotated[int, Ge(0)]
    losses: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CropPredictions:
    """What a model says of crops; None for what it was not made for.

    probability: of each class, 1 in sum. count: objects, not below 0.
    """

    probability: Float[np.ndarray, "crop category"] | None
    count: Float[np.ndarray, " crop"] | None

    @property
    def category(self) -> Int[np.ndarray, " crop"]:
        """The most probable class. Raises InputError for a model that names none."""
        if self.probability is None:
            raise InputError("The model does not name classes.", hint="train it on crops that have one")
        category: Int[np.ndarray, " crop"] = self.probability.argmax(axis=1).astype(np.int64)
        return category


class _Header(Config):
    """The metadata of a model file. contents: digest of the tensors, of facts and of configuration."""

    format: Literal["lsm crop model 1"]
    facts: CropFacts
    network: CropNetworkConfig
    contents: str


class CropModel:
    """A network and the facts it needs; made for the classes, the counts, or both that its crops have."""

    def __init__(self, facts: CropFacts, config: CropNetworkConfig, network: CropNetwork) -> None:
        self.facts = facts
        self.config = config
        self.network = network.eval()
        self._norm = tuple(torch.tensor(each).reshape(1, -1, 1, 1) for each in (facts.mean, facts.std))

    @classmethod
    def of(cls, data: CropSet, config: CropNetworkConfig | None = None, *, seed: int = 0) -> "CropModel":
        """An untrained model for crops like these. Raises InputError for crops without class and count."""
        if config is None:
            config = CropNetworkConfig()
        facts = measure(data)
        return cls(facts, config, _network(facts, config, seed))

    def fit(
        self,
        data: CropSet,
        *,
        fit: CropFitConfig | None = None,
        progress: Reporter | None = None,
        checkpoint: Path | None = None,
        stop_at: int | None = None,
    ) -> CropRecord:
        """Train on these crops; the same seeds and crops give the same weights, resumed or not.

        checkpoint: file from which an interrupted run goes on. stop_at: leave off after so many epochs.
        Raises ConfigError for an augmentation that changes counts, and as `train`, and as `predict` for other crops.
        """
        if fit is None:
            fit = CropFitConfig()
        self._check(data.channels)
        if (data.category is None and self.facts.categories) or (data.count is None and self.facts.mean_count):
            raise InputError("The crops lack a class or count that the model learns.", hint="give crops as it was made")
        if data.category is not None and self.facts.categories not in ((), data.categories):
            raise ModelMismatch("The model knows other classes than the crops have.", hint="make a new model")
        counts = self.facts.mean_count is not None
        chosen = fit.augment or (COUNT_AUGMENT if counts else CropAugmentConfig())
        if counts and not chosen.keeps_counts:
            raise ConfigError(
                f"The augmentation 'turn={chosen.turn}', scale {chosen.scale} changes what is in view, and the count.",
                hint="quarter turns and the scale 1 to 1",
            )
        digest = f"{self.config.digest()} {self.facts.digest()} {fit.digest()} {_digest(data)}"
        norm = (self._norm[0], self._norm[1])
        losses = train(
            self.network,
            data,
            norm,
            self.facts.mean_count or 1.0,
            fit,
            chosen=chosen,
            progress=progress,
            checkpoint=checkpoint,
            digest=digest,
            stop_at=stop_at,
        )
        return CropRecord(epochs=fit.epochs, crops=len(data), losses=tuple(losses))

    def predict(self, crops: CropSet | Num[np.ndarray, "crop channel y x"]) -> CropPredictions:
        """Classes and counts; crops of another size are taken as they are, at the same scale.

        Whole numbers of 8 or 16 bits are parts of their largest. Raises WrongFormat for another number of channels, for
        other whole numbers, and for pixels that are not finite.
        """
        images = crops.images if isinstance(crops, CropSet) else crops
        self._check(images.shape[1])
        probability, count = [], []
        with torch.inference_mode():
            for start in range(0, len(images), _AT_ONCE):
                seen = self._normalised(as_input(images[start : start + _AT_ONCE]))
                said = self.network(seen)
                if said.logits is not None:
                    probability.append(said.logits.double().softmax(dim=1).numpy())
                if said.objects is not None and self.facts.mean_count is not None:
                    count.append(said.objects.double().clamp_min(0).numpy() * self.facts.mean_count)
        n = len(self.facts.categories)
        return CropPredictions(
            np.concatenate([*probability, np.zeros((0, n))]) if n else None,
            np.concatenate([*count, np.zeros(0)]) if self.facts.mean_count is not None else None,
        )

    def evaluate(self, data: CropSet, *, rng: np.random.Generator | None = None, draws: int = 1000) -> CropScores:
        """Scores of what the crops have labels for; rng, draws: of the groups resampled for the intervals.

        Raises InputError where the crops have no label that the model learnt, ModelMismatch for other classes.
        """
        said = self.predict(data)
        named = counted = None
        if data.category is not None and said.probability is not None:
            if data.categories != self.facts.categories:
                raise ModelMismatch("The model knows other classes than the crops have.", hint="name them alike")
            named = score_classes(said.probability, data.category, data.categories, data.units(), rng=rng, draws=draws)
        if data.count is not None and said.count is not None:
            counted = score_counts(said.count, data.count)
        if named is None and counted is None:
            raise InputError("The crops have no label that the model learnt.", hint="give classes or counts")
        return CropScores(named=named, counted=counted)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with facts and configuration as JSON; the old one stays until it is complete."""
        tensors = self.network.state_dict()
        header = _Header(
            format=_FORMAT, facts=self.facts, network=self.config, contents=_contents(tensors, self.facts, self.config)
        )
        write_tensors(Path(path), tensors, {"lsm": header.model_dump_json()})

    @classmethod
    def load(cls, path: str | Path) -> "CropModel":
        """Read a model; nothing in the file is executed. Raises FileMissing, WrongFormat, ModelMismatch."""
        path = Path(path)
        metadata, tensors = read_tensors(path, hint="give a file that CropModel.save wrote")
        header = _read_header(path, metadata.get("lsm", ""))
        if header.contents != _contents(tensors, header.facts, header.network):
            raise WrongFormat(f"The model {path} is damaged.", hint="one of its parts was edited; restore the file")
        # a network without memory behind it, so that a file cannot ask for more than it brings
        with torch.device("meta"):
            wanted = _network(header.facts, header.network).state_dict()
        if {key: value.shape for key, value in wanted.items()} != {key: value.shape for key, value in tensors.items()}:
            raise ModelMismatch(f"The weights in {path} belong to another network.", hint="train it anew")
        network = _network(header.facts, header.network)
        network.load_state_dict(tensors)
        return cls(header.facts, header.network, network)

    def _normalised(self, crops: Float32[Tensor, "crop channel y x"]) -> Float32[Tensor, "crop channel y x"]:
        return (crops - self._norm[0]) / self._norm[1]

    def _check(self, channels: int) -> None:
        if channels != self.facts.channels:
            raise WrongFormat(
                f"The crops have {channels} channels, the model takes {self.facts.channels}.",
                hint="give images as those that it was trained on",
            )


def measure(data: CropSet) -> CropFacts:
    """Facts of a training set. Raises InputError for none, or for crops without class and count."""
    if len(data) == 0:
        raise InputError("There are no crops.", hint="see whether the folder is the right one")
    if data.category is None and data.count is None:
        raise InputError("The crops have neither class nor count.", hint="give `category`, `count` or both")
    portions = [data.pixels(rows).double() for rows in np.array_split(np.arange(len(data)), -(-len(data) // _AT_ONCE))]
    pixels = len(data) * data.size[0] * data.size[1]
    mean = torch.stack([each.sum(dim=(0, 2, 3)) for each in portions]).sum(dim=0) / pixels
    off = torch.stack([((each - mean.reshape(1, -1, 1, 1)) ** 2).sum(dim=(0, 2, 3)) for each in portions]).sum(dim=0)
    # a channel that is the same everywhere stays 0
    std = [value if value > 0 else 1.0 for value in (off / pixels).sqrt().tolist()]
    mean_count = None if data.count is None else max(float(data.count.mean()), 1e-3)
    return CropFacts(
        categories=data.categories if data.category is not None else (),
        channels=data.channels,
        height_px=data.size[0],
        width_px=data.size[1],
        mean=tuple(mean.tolist()),
        std=tuple(std),
        mean_count=mean_count,
    )


def _network(facts: CropFacts, config: CropNetworkConfig, seed: int = 0) -> CropNetwork:
    size = (facts.height_px, facts.width_px)
    counts = facts.mean_count is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CropNetwork(facts.channels, len(facts.categories), config, counts=counts, size=size)
    return network.to(memory_format=torch.channels_last)


def _read_header(path: Path, text: str) -> _Header:
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongFormat(f"{path} is not a model of crops.", hint="give a file that CropModel.save wrote") from error
    known = table.get("format") if isinstance(table, dict) else None
    if known != _FORMAT:
        raise ModelMismatch(f"{path} has the format {known!r}, not '{_FORMAT}'.", hint="use the version that wrote it")
    header = _Header.from_table(table, source=str(path))
    if not len(header.facts.mean) == len(header.facts.std) == header.facts.channels:
        raise WrongFormat(f"{path} does not tell mean and spread of every channel.", hint="restore the file")
    return header


def _contents(tensors: dict[str, Tensor], facts: CropFacts, config: CropNetworkConfig) -> str:
    return contents_digest(tensors, facts.digest(), config.digest())


def _digest(data: CropSet) -> str:
    sha = hashlib.sha256()
    for held in (data.images, data.category, data.count):
        sha.update(b"-" if held is None else np.ascontiguousarray(held).tobytes())
    return sha.hexdigest()[:16]
