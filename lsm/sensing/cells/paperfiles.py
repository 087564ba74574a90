"""The published one-LED images of single malaria cells, as files.

Documented by the authors with their data (Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019)): thin smears are
MATLAB arrays [y, x, LED, cell] of 28 x 28 x 96, one file of infected and one of healthy cells. Images 1 to 32 are
under red LEDs, 33 to 64 under green, 65 to 96 under blue; of each colour the 1st, 11th and 20th are noise, and the
2nd, the LED on the axis, was not used. (The description says 2, 34 and 53; 66 in place of 53 leaves 28 of each
colour, as the paper has.) Thick smears hold 41 LEDs of each colour, the first on the axis.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import scipy.io
from jaxtyping import Bool, Float32, Int64
from scipy.io.matlab import MatReadError

from lsm.errors import FileMissing, WrongFormat

HEALTHY: Final = re.compile(r"without|no_?infection|uninfected|healthy|negative", re.IGNORECASE)
INFECTED: Final = re.compile(r"with_?malaria|infect|parasit|positive", re.IGNORECASE)
FORMATS: Final = (".mat", ".npy", ".npz")
THIN_LEDS, THICK_LEDS = 32, 41
NOISE, AXIS = (0, 10, 19), 1
_HINT = "give [cell, y, x, image] or [y, x, image, cell] with 96 images of a cell: 32 red, 32 green, 32 blue"


@dataclass(frozen=True, eq=False)
class PaperCells:
    """images in the files' own units; led and colour (red, green, blue) of each; patient where it is given.

    leds_in_file: of each colour, those that were left out included.
    """

    images: Float32[np.ndarray, "cell lamp y x"]
    led: Int64[np.ndarray, " lamp"]
    colour: Int64[np.ndarray, " lamp"]
    leds_in_file: int
    infected: Bool[np.ndarray, " cell"]
    patient: np.ndarray | None


def read_paper_cells(path: Path, *, central: bool = False) -> PaperCells:
    """Cells from one of these, healthy ones first; images that are noise are left out.

    - a folder of one smear: a file of healthy and one of infected cells (.mat or .npy), told apart by their names;
    - a folder with images.npy and labels.npy;
    - an .npz with `images`, `labels` (1 infected) and perhaps `patient`.

    central: keep the LED on the axis. Raises FileMissing or WrongFormat.
    """
    if path.is_dir():
        arrays, infected, patient = _from_folder(path)
    elif path.suffix == ".npz" and path.is_file():
        arrays, infected, patient = _from_npz(path)
    elif path.is_file():
        raise WrongFormat(f"{path} does not say which cells are infected.", hint="give its folder, or an .npz")
    else:
        raise FileMissing(f"The cell images {path} do not exist.", hint="give a folder or an .npz")
    if infected.shape != (len(arrays),) or not np.isin(infected, (0, 1)).all():
        raise WrongFormat(
            f"The labels {infected.shape} of {path} do not fit {len(arrays)} cells.",
            hint="give 1 (infected) or 0 for each cell",
        )
    if patient is not None and patient.shape != (len(arrays),):
        raise WrongFormat(
            f"The patients {patient.shape} of {path} do not fit {len(arrays)} cells.", hint="give one for each cell"
        )
    leds, positions, led = _layout(arrays.shape[-1], path, central=central)
    images = np.ascontiguousarray(np.moveaxis(arrays, -1, 1)[:, positions], dtype=np.float32)
    return PaperCells(images, np.tile(led, 3), np.repeat(np.arange(3), len(led)), leds, infected.astype(bool), patient)


def _layout(
    count: int, path: Path, *, central: bool
) -> tuple[int, Int64[np.ndarray, " lamp"], Int64[np.ndarray, " led"]]:
    """LEDs of a colour in the file's rig, positions of the images that are kept, and their LEDs in one colour."""
    thin = np.setdiff1d(np.arange(THIN_LEDS), NOISE)
    known = {
        3 * THIN_LEDS: (THIN_LEDS, np.arange(THIN_LEDS), AXIS),
        3 * len(thin): (THIN_LEDS, thin, AXIS),
        3 * (len(thin) - 1): (THIN_LEDS, thin[thin != AXIS], AXIS),
        3 * THICK_LEDS: (THICK_LEDS, np.arange(THICK_LEDS), 0),
    }
    if count not in known:
        raise WrongFormat(f"{path} has {count} images of each cell, not {' or '.join(map(str, known))}.", hint=_HINT)
    leds, there, axis = known[count]
    kept = np.ones(len(there), dtype=bool) if central else there != axis
    if leds == THIN_LEDS:
        kept &= ~np.isin(there, NOISE)
    positions = np.flatnonzero(np.tile(kept, 3))
    return leds, positions, there[kept]


def _from_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, None]:
    if (folder / "images.npy").is_file() and (folder / "labels.npy").is_file():
        return _cells_first(_read(folder / "images.npy"), folder), _plain(folder / "labels.npy"), None
    files = sorted(file for file in folder.rglob("*") if file.suffix in FORMATS)
    healthy = [file for file in files if HEALTHY.search(file.name)]
    infected = [file for file in files if file not in healthy and INFECTED.search(file.name)]
    if len(healthy) != 1 or len(infected) != 1:
        raise WrongFormat(
            f"{folder} has {len(healthy)} files of healthy and {len(infected)} of infected cells.",
            hint="give the folder of one smear, with one file of each, such as all_without_malaria.mat",
        )
    first, second = (_cells_first(_read(file), file) for file in (*healthy, *infected))
    if first.shape[1:] != second.shape[1:]:
        raise WrongFormat(
            f"The healthy cells of {folder} are {first.shape[1:]}, the infected ones {second.shape[1:]}.", hint=_HINT
        )
    labels = np.repeat([0, 1], [len(first), len(second)])
    return np.concatenate([first, second]), labels, None


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
            patient = file.get("patient")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WrongFormat(f"{path} holds no cell images: {error}.", hint="it needs images and labels") from error
    return _cells_first(images, path), labels, patient


def _read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return _plain(path)
    try:
        if h5py.is_hdf5(path):
            # so MATLAB writes since 7.3, with the axes in the other order
            with h5py.File(path, "r") as file:
                return _largest((value[()].T for value in file.values() if isinstance(value, h5py.Dataset)), path)
        return _largest(scipy.io.loadmat(path).values(), path)
    except (OSError, ValueError, TypeError, KeyError, MatReadError, zlib.error) as error:
        raise WrongFormat(f"{path} is no MATLAB file: {error}.", hint="fetch it again") from error


def _largest(values: Iterable[object], path: Path) -> np.ndarray:
    arrays = [value for value in values if isinstance(value, np.ndarray) and value.ndim == 4]
    if not arrays:
        raise WrongFormat(f"{path} holds no array of four axes.", hint=_HINT)
    return max(arrays, key=lambda array: array.size)


def _plain(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WrongFormat(f"{path} is no plain array: {error}.", hint="write it with numpy.save") from error
    return found


def _cells_first(array: np.ndarray, path: Path) -> np.ndarray:
    """[cell, y, x, image], from that or [y, x, image, cell]."""
    if array.ndim == 4 and array.dtype.kind in "uif":
        if array.shape[0] == array.shape[1] and array.shape[1] != array.shape[2]:
            array = np.moveaxis(array, -1, 0)
        if array.shape[1] == array.shape[2]:
            return array
    raise WrongFormat(f"The images in {path} are {array.dtype} {array.shape}.", hint=_HINT)
