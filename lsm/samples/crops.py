"""Real red-cell images: the NLM malaria cell crops, read, checked and split by patient."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, UnidentifiedImageError

from lsm.errors import ConfigError, FileMissing, WrongFormat

SIDE_PX = 50
_WHERE = "set LSM_DATA or give dev.npz, its folder, or a folder with Parasitized/ and Uninfected/"
_CLASSES = (("Parasitized", True), ("Uninfected", False))

CropImages = UInt8[np.ndarray, "crop 50 50"]


@dataclass(frozen=True, eq=False)
class CellCrops:
    """Grey images of single red cells, 0 outside the cell, with a label and a patient each.

    images: uint8 [crop, 50, 50]. infected: bool [crop]. patient: identifiers [crop].
    Rajaraman et al., PeerJ 6:e4568 (2018); courtesy of the U.S. National Library of Medicine.
    Some crops labelled infected look clean: the labels carry that noise and it is left as it is.
    """

    images: CropImages
    infected: Bool[np.ndarray, " crop"]
    patient: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def from_path(cls, path: Path) -> "CellCrops":
        """Read an .npz, a folder that holds dev.npz, or the original tree of PNG files (resized, turned grey).

        Raises FileMissing or WrongFormat.
        """
        if path.is_dir():
            if (path / "dev.npz").is_file():
                return _from_npz(path / "dev.npz")
            if any((path / name).is_dir() for name, _ in _CLASSES):
                return _from_tree(path)
            raise FileMissing(f"The folder {path} holds no cell crops.", hint=_WHERE)
        if not path.is_file():
            raise FileMissing(f"The cell crops {path} do not exist.", hint=_WHERE)
        return _from_npz(path)

    def split(self, fraction: float, seed: int) -> tuple["CellCrops", "CellCrops"]:
        """(rest, held_out): about `fraction` of the patients are held out, none is in both.

        Raises ConfigError unless both parts get a patient.
        """
        patients = np.unique(self.patient)
        held = round(fraction * len(patients))
        if not 0 < held < len(patients):
            raise ConfigError(
                f"Holding out {fraction:g} of {len(patients)} patients leaves a part empty.",
                hint="give a fraction between 0 and 1 that leaves at least one patient on each side",
            )
        chosen = np.random.default_rng(seed).permutation(patients)[:held]
        out = np.isin(self.patient, chosen)
        return self.where(~out), self.where(out)

    def where(self, chosen: Bool[np.ndarray, " any"]) -> "CellCrops":
        """Only the chosen crops."""
        return CellCrops(self.images[chosen], self.infected[chosen], self.patient[chosen])

    @property
    def infected_only(self) -> "CellCrops":
        """Crops labelled parasitized."""
        return self.where(self.infected)

    @property
    def uninfected_only(self) -> "CellCrops":
        """Crops labelled uninfected."""
        return self.where(~self.infected)


def _from_npz(path: Path) -> CellCrops:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in ("images", "labels", "patient") if name not in arrays]
            if missing:
                raise WrongFormat(
                    f"{path} lacks the arrays {', '.join(missing)}.", hint="it needs images, labels and patient"
                )
            images, labels, patient = arrays["images"], arrays["labels"], arrays["patient"]
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise WrongFormat(f"{path} is not an .npz of plain arrays: {error}.", hint=_WHERE) from error
    if images.ndim != 3 or images.shape[1:] != (SIDE_PX, SIDE_PX) or images.dtype != np.uint8:
        raise WrongFormat(
            f"The images in {path} are {images.dtype} {images.shape}.",
            hint=f"give uint8 [crop, {SIDE_PX}, {SIDE_PX}], 0 outside the cell",
        )
    if labels.shape != (len(images),) or patient.shape != (len(images),) or not np.isin(labels, (0, 1)).all():
        raise WrongFormat(
            f"The labels {labels.shape} and patients {patient.shape} in {path} do not fit {len(images)} images.",
            hint="give one label (1 parasitized, 0 uninfected) and one patient per image",
        )
    return CellCrops(images, labels.astype(bool), patient)


def _from_tree(folder: Path) -> CellCrops:
    files = [(file, label) for name, label in _CLASSES for file in sorted((folder / name).glob("*.png"))]
    if not files:
        raise WrongFormat(f"{folder} holds no PNG files.", hint="put them in Parasitized/ and Uninfected/")
    images = np.stack([_read_grey(file) for file, _ in files])
    infected = np.array([label for _, label in files])
    return CellCrops(images, infected, np.array([_patient(file.name) for file, _ in files]))


def _read_grey(file: Path) -> UInt8[np.ndarray, "50 50"]:
    try:
        with Image.open(file) as image:
            grey = image.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise WrongFormat(f"{file} is not an image: {error}.", hint="remove it or fetch it again") from error
    return np.asarray(grey, dtype=np.uint8)


def _patient(name: str) -> str:
    """P<n> if the name has it, else C<n>, after the data set's description; the whole name otherwise."""
    for pattern in (r"P\d+", r"C\d+"):
        found = re.search(pattern, name)
        if found:
            return found.group()
    return name
