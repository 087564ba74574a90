"""Fields as the microscope takes them: one image per LED, computed once, and from it the image under any pattern."""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex64, Float, Float16
from torch import Tensor

from lsm.errors import LsmError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import AliasingWarning, ImagingSystem, PupilFunction, field_tiles, led_stack
from lsm.optics.stackfile import LedStack, read_stack, write_stack
from lsm.sensing.wholefolder import whole_folder
from lsm.twin import TwinConfig
from lsm.vision.data import Mask, Objects
from lsm.vision.field.scenes import Scene, Scenes

Window = tuple[slice, slice]
"""Rows and columns of a field that are taken."""

_VERSION: Final = 1
_MARKS: Final = "marks.npz"


@torch.no_grad()
def scene_stack(
    scene: Scene, board: LedBoard, system: ImagingSystem, *, pupil: PupilFunction | None = None
) -> Float[Tensor, "led y x"]:
    """One image per LED of board `board`, [led, *scene.size]; 1.0 is the empty bright field.

    A sample larger than the system's grid is computed in tiles, each lit from its own directions.
    Raises what `led_stack` and `field_tiles` raise.
    """
    sample = torch.from_numpy(scene.transmission)
    rows, columns = scene.size
    with warnings.catch_warnings():
        # such a camera is what is asked for; who computes a stack says where it undersamples
        warnings.simplefilter("ignore", AliasingWarning)
        if sample.shape == (system.sample_px, system.sample_px) and max(scene.size) <= system.camera_px:
            images = led_stack(sample, board, system, defocus_um=scene.defocus_um, pupil=pupil)
            return images[:, :rows, :columns].contiguous()
        step = system.decimation
        whole = torch.zeros(board.n_leds, sample.shape[0] // step, sample.shape[1] // step)
        for tile in field_tiles(sample, board, system, defocus_um=scene.defocus_um, pupil=pupil):
            whole[:, tile.rows, tile.columns] = tile.images
    return whole[:, :rows, :columns].contiguous()


@dataclass(frozen=True, eq=False)
class MarkedField:
    """A field without its images: what it is called, where it belongs, how large it is, what is marked in it."""

    name: str
    group: str
    size: tuple[int, int]
    objects: Objects


@runtime_checkable
class Fields(Protocol):
    """Fields by number, each as one image per LED."""

    categories: tuple[str, ...]
    origin: str

    def __len__(self) -> int: ...

    def field(self, number: int) -> MarkedField:
        """What is marked in a field."""
        ...

    def stack(self, number: int, window: Window | None = None) -> Float[Tensor, "led y x"]:
        """One image per LED, in the window where one is given; 1.0 is the empty bright field."""
        ...

    def sample(self, number: int) -> tuple[Complex64[Tensor, "y x"], float]:
        """Transmission and distance from focus. Raises WrongFormat for a field that is computed in tiles."""
        ...


class FreshFields:
    """Fields that are computed when they are asked for; the last one is remembered."""

    def __init__(self, scenes: Scenes, rig: TwinConfig) -> None:
        self.categories = scenes.categories
        self.origin = scenes.origin
        self._scenes = scenes
        self._rig = rig
        self._last: tuple[int, Scene, Float[Tensor, "led y x"]] | None = None

    def __len__(self) -> int:
        return len(self._scenes)

    def field(self, number: int) -> MarkedField:
        scene, _ = self._computed(number)
        return MarkedField(scene.name, scene.group, scene.size, scene.objects)

    def stack(self, number: int, window: Window | None = None) -> Float[Tensor, "led y x"]:
        _, images = self._computed(number)
        return images if window is None else images[:, *window]

    def sample(self, number: int) -> tuple[Complex64[Tensor, "y x"], float]:
        scene, _ = self._computed(number)
        return _one_tile(scene.transmission, number, self._rig.system), scene.defocus_um

    def _computed(self, number: int) -> tuple[Scene, Float[Tensor, "led y x"]]:
        if self._last is None or self._last[0] != number:
            scene = self._scenes.scene(number)
            self._last = number, scene, scene_stack(scene, self._rig.led_board.board(), self._rig.system)
        return self._last[1:]


def _one_tile(sample: np.ndarray | None, number: int, system: ImagingSystem) -> Complex64[Tensor, "y x"]:
    if sample is None or sample.shape != (system.sample_px, system.sample_px):
        raise WrongFormat(
            f"Field {number} is larger than the grid of the imaging system.",
            hint="a pupil is computed on one tile: enlarge system.sample_px, or take smaller fields",
        )
    return torch.from_numpy(sample)


class LedFields:
    """Fields as LED stacks in a folder: one HDF5 stack file for each, and one file for what is marked in all.

    The folder is named by a digest of all that makes the stacks, and is there whole or not at all. What was read is
    kept in memory up to `memory_mb`, stacks as float16, off by at most 2^-11 of themselves.
    """

    def __init__(
        self, folder: Path, rig: TwinConfig, categories: tuple[str, ...], origin: str, *, memory_mb: int = 1500
    ) -> None:
        self.folder = folder
        self.rig = rig
        self.categories = categories
        self.origin = origin
        self._memory: dict[int, Float16[np.ndarray, "led y x"]] = {}
        self._samples: dict[int, tuple[Complex64[Tensor, "y x"], float]] = {}
        self._room = memory_mb * 2**20

    @classmethod
    def cached(
        cls, scenes: Scenes, rig: TwinConfig, cache: Path, *, advance: Callable[[], None] = lambda: None
    ) -> "LedFields":
        """The fields below the folder `cache`; where they are not there, they are computed, one at a time.

        Raises what computing raises, and WrongFormat for a damaged folder.
        """
        key = f"{_VERSION} {scenes.digest} {rig.led_board.board().digest} {rig.system.digest()}"
        folder = cache / f"led-fields-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        if not folder.is_dir():
            with whole_folder(folder) as part:
                _write(part, scenes, rig, advance)
        return cls(folder, rig, scenes.categories, scenes.origin)

    def __len__(self) -> int:
        return len(self.fields)

    def field(self, number: int) -> MarkedField:
        """What is marked in a field. Raises WrongFormat for a damaged folder."""
        return self.fields[number]

    @cached_property
    def fields(self) -> tuple[MarkedField, ...]:
        """What is marked in each field. Raises WrongFormat for a damaged folder."""
        try:
            return tuple(_read_marks(self.folder / _MARKS))
        except (OSError, ValueError, KeyError) as error:
            raise WrongFormat(
                f"The cached fields {self.folder} are damaged: {error}.", hint="delete the folder"
            ) from error

    def stack(self, number: int, window: Window | None = None) -> Float[Tensor, "led y x"]:
        """One image per LED, in the window where one is given. Raises WrongFormat for a damaged folder."""
        rows, columns = self.fields[number].size
        inside = window or (slice(0, rows), slice(0, columns))
        images = self._memory.get(number)
        if images is None:
            images = self._held(number).images[:, :rows, :columns].astype(np.float16)
            if self._keeps(images.nbytes):
                self._memory[number] = images
        return torch.from_numpy(images[:, *inside].astype(np.float32))

    def sample(self, number: int) -> tuple[Complex64[Tensor, "y x"], float]:
        """Transmission and distance from focus of a field. Raises WrongFormat where it was computed in tiles."""
        sample = self._samples.get(number)
        if sample is None:
            held = self._held(number)
            sample = _one_tile(held.truth, number, self.rig.system), held.defocus_um
            if self._keeps(sample[0].nbytes):
                self._samples[number] = sample
        return sample

    def _keeps(self, size: int) -> bool:
        """Whether there is room for so many bytes, which are then taken."""
        fits = size <= self._room
        self._room -= size if fits else 0
        return fits

    def _held(self, number: int) -> LedStack:
        try:
            return read_stack(self.folder / f"{number:05d}.h5")
        except LsmError as error:
            raise WrongFormat(f"{error.message}", hint=f"delete the folder {self.folder}") from error


def _write(folder: Path, scenes: Scenes, rig: TwinConfig, advance: Callable[[], None]) -> None:
    board = rig.led_board.board()
    marked = []
    for number in range(len(scenes)):
        scene = scenes.scene(number)
        stack = scene_stack(scene, board, rig.system).numpy()
        made = {"scenes": scenes.digest, "origin": scenes.origin, "name": scene.name, "size": scene.size}
        write_stack(
            folder / f"{number:05d}.h5",
            LedStack(
                _square(stack),
                np.arange(board.n_leds),
                board,
                _covering(rig.system, max(scene.size)),
                scene.defocus_um,
                made,
                scene.transmission,
            ),
        )
        marked.append(MarkedField(scene.name, scene.group, scene.size, scene.objects))
        advance()
    _write_marks(folder / _MARKS, marked)


def _covering(system: ImagingSystem, side: int) -> ImagingSystem:
    """The system whose image is that of all tiles together; stack files hold square images."""
    update = {"sample_px": side * system.decimation, "margin_px": 0}
    return system if side == system.camera_px else system.model_copy(update=update)


def _square(images: Float[np.ndarray, "led y x"]) -> Float[np.ndarray, "led side side"]:
    side = max(images.shape[1:])
    return np.pad(images, ((0, 0), (0, side - images.shape[1]), (0, side - images.shape[2])))


def _write_marks(path: Path, fields: list[MarkedField]) -> None:
    objects = [field.objects for field in fields]
    table = {
        "name": np.array([field.name for field in fields]),
        "group": np.array([field.group for field in fields]),
        "size": np.array([field.size for field in fields]).reshape(-1, 2),
        "count": np.array([len(each) for each in objects]),
        "box_px": np.concatenate([each.box_px for each in objects]),
        "category": np.concatenate([each.category for each in objects]),
        "ignore": np.concatenate([each.ignore for each in objects]),
    }
    if all(each.masks is not None for each in objects):
        masks = [mask for each in objects for mask in each.masks or ()]
        table["place"] = np.array([[mask.top, mask.left, *mask.inside.shape] for mask in masks]).reshape(-1, 4)
        table["inside"] = np.packbits(np.concatenate([np.zeros(0, bool), *(mask.inside.ravel() for mask in masks)]))
    np.savez(path, allow_pickle=False, **table)


def _read_marks(path: Path) -> Iterator[MarkedField]:
    with np.load(path, allow_pickle=False) as held:
        table = {name: held[name] for name in held.files}
    masks = list(_masks(table["place"], np.unpackbits(table["inside"]).astype(bool))) if "place" in table else None
    ends = np.cumsum(table["count"])
    for number, (end, count) in enumerate(zip(ends, table["count"], strict=True)):
        mine = slice(int(end - count), int(end))
        objects = Objects(
            table["box_px"][mine],
            table["category"][mine],
            None if masks is None else tuple(masks[mine]),
            table["ignore"][mine],
        )
        rows, columns = table["size"][number].tolist()
        yield MarkedField(str(table["name"][number]), str(table["group"][number]), (rows, columns), objects)


def _masks(place: np.ndarray, inside: np.ndarray) -> Iterator[Mask]:
    start = 0
    for top, left, height, width in place.tolist():
        yield Mask(top, left, inside[start : start + height * width].reshape(height, width))
        start += height * width
