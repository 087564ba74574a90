"""A trained model as two plain files: `model.safetensors` and `card.json`. Nothing is ever unpickled."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import Field, JsonValue
from torch import Tensor

from lsm.config import Config
from lsm.errors import FileMissing, ModelMismatch, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.illum.pattern import GREEN
from lsm.tensorfile import read_tensors, under, write_tensors

FORMAT_VERSION = 1
MAX_BYTES = 1_000_000
"""Ceiling for one bundle's weights, so that all that is shipped stays small."""

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
MODELS_FOLDER = Path(__file__).parent.parent / "models"


class BundleCard(Config):
    """Where a bundle's weights come from and which rig they belong to.

    board_digest, camera_digest, system_digest: identity of the rig the light was designed for.
    config_digest, config: the whole design configuration.
    data: what it was trained on, and the credit line its owners ask for.
    figures: held-out results, by name.
    weights_digest: SHA-256 over names, types, shapes and bytes of all tensors; filled in by Bundle.of.
    """

    name: str
    board_digest: str
    camera_digest: str
    system_digest: str
    config_digest: str
    seed: int
    data: str
    commit: str = "unknown"
    config: dict[str, JsonValue] = Field(default_factory=dict)
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    weights_digest: str = ""
    format_version: int = FORMAT_VERSION

    def provenance_digest(self) -> str:
        """Identity of the card itself, stored beside the weights to notice an edited card."""
        return self.model_copy(update={"weights_digest": ""}).digest()


@dataclass(frozen=True, eq=False)
class Bundle:
    """Named tensors and their card; immutable.

    `codebook.duty_levels` uint8 [capture, led] and `codebook.exposures_ms` float32 [capture] are always
    there; networks and calibration live under the prefixes `classifier.`, `baseline.`, `finder.`,
    `reader.`, `calibration.`, `baseline_calibration.`, `scan.`, `scan_calibration.`, `scan_baseline_calibration.` and
    `policy.`.
    """

    card: BundleCard
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, card: BundleCard, tensors: Mapping[str, Tensor]) -> "Bundle":
        """A bundle whose card carries the digest of these tensors. Raises WrongFormat for a bad codebook or size."""
        held = {key: tensors[key].detach().cpu().contiguous().clone() for key in sorted(tensors)}
        _check_tensors(card.name, held)
        return cls(card.model_copy(update={"weights_digest": tensors_digest(held)}), MappingProxyType(held))

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle. Raises FileMissing, WrongFormat (damaged or edited) or ModelMismatch (another version)."""
        card_path, weights_path = folder / CARD_FILE, folder / WEIGHTS_FILE
        for path in (card_path, weights_path):
            if not path.is_file():
                raise FileMissing(f"The model file {path} does not exist.", hint="run 'lsm design' or name a model")
        card = _read_card(card_path)
        if weights_path.stat().st_size > 2 * MAX_BYTES:
            raise WrongFormat(f"{weights_path} is larger than any bundle may be.", hint="it is not a bundle")
        words, tensors = read_tensors(weights_path, hint="restore the file")
        if words.get("provenance", "") != card.provenance_digest() or card.weights_digest != tensors_digest(tensors):
            raise WrongFormat(
                f"Weights and card of the model {folder} do not belong together.",
                hint="one of the two files was edited or damaged; restore both",
            )
        _check_tensors(card.name, tensors)
        return cls(card, MappingProxyType(dict(sorted(tensors.items()))))

    @classmethod
    def shipped(cls, name: str) -> "Bundle":
        """The bundle of that name that comes with the package."""
        return cls.load(MODELS_FOLDER / name)

    @classmethod
    def named(cls, name: str) -> "Bundle":
        """The bundle in the folder of that path, or the shipped one of that name. Raises FileMissing."""
        if Path(name).is_dir():
            return cls.load(Path(name))
        shipped = sorted(card.parent.name for card in MODELS_FOLDER.glob(f"*/{CARD_FILE}"))
        if name in shipped:
            return cls.shipped(name)
        raise FileMissing(
            f"There is no model '{name}'.", hint=f"give a folder, or one of: {', '.join(shipped) or 'none shipped'}"
        )

    def save(self, folder: Path) -> None:
        """Write both files, each complete before it replaces the old one.

        A crash between the two replacements leaves files that `load` refuses; none is ever half written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights, card = folder / f".{WEIGHTS_FILE}.{os.getpid()}", folder / f".{CARD_FILE}.{os.getpid()}"
        try:
            write_tensors(weights, self.tensors, {"provenance": self.card.provenance_digest()})
            card.write_text(self.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
            # safetensors writes for the owner alone; a model may be read by whoever may read its card
            weights.chmod(card.stat().st_mode)
            os.replace(weights, folder / WEIGHTS_FILE)
            os.replace(card, folder / CARD_FILE)
        finally:
            weights.unlink(missing_ok=True)
            card.unlink(missing_ok=True)

    def select(self, prefix: str) -> dict[str, Tensor]:
        """Tensors under `prefix.` with the prefix taken off. Raises ModelMismatch when there is none."""
        found = under(self.tensors, f"{prefix}.")
        if not found:
            raise ModelMismatch(f"Model '{self.card.name}' has no part '{prefix}'.", hint="train that part first")
        return found

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """As `select`, as NumPy arrays."""
        return {key: value.numpy() for key, value in self.select(prefix).items()}

    def with_part(
        self, prefix: str, tensors: Mapping[str, Tensor], *, figures: Mapping[str, Any] | None = None
    ) -> "Bundle":
        """A copy in which everything under `prefix.` is replaced, with `figures` merged into the card's."""
        start = f"{prefix}."
        kept = {key: value for key, value in self.tensors.items() if not key.startswith(start)}
        kept |= {start + key: value for key, value in tensors.items()}
        return Bundle.of(self.card.model_copy(update={"figures": {**self.card.figures, **(figures or {})}}), kept)

    def with_card(self, **changes: Any) -> "Bundle":
        """A copy with some fields of the card replaced."""
        return replace(self, card=BundleCard.model_validate(self.card.model_dump() | changes))

    def require(self, *, board: LedBoard, camera_digest: str | None = None, system_digest: str | None = None) -> None:
        """Raise ModelMismatch unless the bundle was designed for this board (and camera and optics, where given)."""
        pairs = (
            ("LED board", self.card.board_digest, board.digest),
            ("camera", self.card.camera_digest, camera_digest),
            ("optics", self.card.system_digest, system_digest),
        )
        for what, ours, theirs in pairs:
            if theirs is not None and ours != theirs:
                raise ModelMismatch(
                    f"Model '{self.card.name}' was designed for {what} {ours}, this rig has {theirs}.",
                    hint="use the rig of the model's card, or run 'lsm design' for this one",
                )

    @property
    def duty_levels(self) -> UInt8[Tensor, "capture led"]:
        return self.tensors["codebook.duty_levels"]

    @property
    def exposures_ms(self) -> Float[Tensor, " capture"]:
        return self.tensors["codebook.exposures_ms"]

    @property
    def n_patterns(self) -> int:
        return len(self.exposures_ms)

    def patterns(self, board: LedBoard) -> tuple[Pattern, ...]:
        """The codebook as patterns of this board, bright field first. Raises ModelMismatch for another board."""
        self.require(board=board)
        duty = self.duty_levels.numpy().astype(np.float64) / 255
        names = ["bright field", *(f"learned {k}" for k in range(1, len(duty)))]
        return tuple(
            Pattern.of_colour(board, row, colour=GREEN, name=name) for row, name in zip(duty, names, strict=True)
        )


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    sha = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        sha.update(f"{key}|{value.dtype}|{tuple(value.shape)}|".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return sha.hexdigest()


def contents_digest(tensors: Mapping[str, Tensor], *words: str) -> str:
    """SHA-256 over the tensors' digest and what is said of them."""
    return hashlib.sha256("|".join([tensors_digest(tensors), *words]).encode()).hexdigest()


def _read_card(path: Path) -> BundleCard:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WrongFormat(f"The model card {path} is not JSON: {error}.", hint="restore the file") from error
    version = table.get("format_version") if isinstance(table, dict) else None
    if version != FORMAT_VERSION:
        raise ModelMismatch(
            f"The model card {path} has format {version}, this program reads {FORMAT_VERSION}.",
            hint="use the program version that wrote it, or design the model anew",
        )
    return BundleCard.from_table(table, source=str(path))


def _check_tensors(name: str, tensors: Mapping[str, Tensor]) -> None:
    levels, exposures = tensors.get("codebook.duty_levels"), tensors.get("codebook.exposures_ms")
    if (
        levels is None
        or exposures is None
        or levels.dtype != torch.uint8
        or levels.ndim != 2
        or exposures.dtype != torch.float32
        or exposures.shape != levels.shape[:1]
        or not bool((exposures > 0).all())
    ):
        raise WrongFormat(
            f"Model '{name}' has no codebook of uint8 levels [capture, led] with one exposure each.",
            hint="give codebook.duty_levels and positive codebook.exposures_ms",
        )
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size > MAX_BYTES:
        raise WrongFormat(
            f"Model '{name}' holds {size} bytes, at most {MAX_BYTES} are allowed.", hint="make it smaller"
        )
    if any(value.is_floating_point() and not bool(value.isfinite().all()) for value in tensors.values()):
        raise WrongFormat(f"Model '{name}' holds numbers that are not finite.", hint="the training diverged")
