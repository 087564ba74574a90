"""The measured slide: images under any light through lsm.record.replay, and a truth computed from all of its LEDs."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lsm.devices import Observe
from lsm.errors import FileMissing
from lsm.experiments.sim_to_real.config import Colour, SimToRealConfig
from lsm.experiments.sim_to_real.phantoms import stained_share
from lsm.illum import LEVELS, LedBoard, Pattern
from lsm.optics import ImagingSystem
from lsm.optics.recover import Recovered, correlation, recover
from lsm.record.replay import Replay
from lsm.record.stacks import StackInMemory
from lsm.record.stacks_files import fpm_stack

CHANNEL: dict[Colour, int] = {"red": 0, "green": 1}
FILLED = 0.9
"""Part of the replayed frame's 16 bits that its brightest pixel is to fill."""
EVERY = 5
BINS = 128
Levels = UInt8[np.ndarray, " led"]
Shot = tuple[Levels, float]
"""8-bit drive of each LED and the exposure, in any unit common to all shots of one capture."""


@dataclass(frozen=True, eq=False)
class Slide:
    """One colour of fpm_blood_smear. place: index of each of its LEDs on the whole board that a controller drives."""

    colour: Colour
    replay: Replay
    light: Float[Tensor, "led y x"]
    defocus_um: float
    place: Int[np.ndarray, " led"]

    @property
    def board(self) -> LedBoard:
        """The LEDs that were measured, in one colour."""
        return self.replay.board

    def images(self, shots: list[Shot]) -> list[Float[Tensor, "y x"]]:
        """Frames of the replayed microscope, one per shot, in one unit in which they may be added."""
        board, trial_ms = self.board, 1.0
        patterns = [Pattern.of_colour(board, levels / LEVELS, colour=0, name="shot") for levels, _ in shots]
        trial = [self.replay.observe(Observe(pattern, trial_ms)).sum_adu.max() for pattern in patterns]
        full = self.replay.stack.saturated_adu
        # whole numbers of 16 bits round least where each frame is as bright as it may be
        exposures_ms = [trial_ms * FILLED * full / float(peak) for peak in trial]
        frames = [
            self.replay.observe(Observe(pattern, exposure_ms)).image.astype(np.float32)
            for pattern, exposure_ms in zip(patterns, exposures_ms, strict=True)
        ]
        return [
            torch.from_numpy(frame) * (exposure / exposure_ms)
            for frame, exposure_ms, (_, exposure) in zip(frames, exposures_ms, shots, strict=True)
        ]

    def close(self) -> None:
        self.replay.close()


def open_slide(config: SimToRealConfig, colour: Colour) -> Slide:
    """One colour of the measured slide. Raises FileMissing where the data folder is not known or lacks it."""
    folder = os.environ.get("LSM_DATA")
    path = Path(folder or "") / "fpm_blood_smear" / f"{colour}.npz"
    if not folder or not path.is_file():
        raise FileMissing(
            f"The measured blood smear {path if folder else 'fpm_blood_smear'} is not there.",
            hint="set LSM_DATA to the data folder that holds fpm_blood_smear/red.npz and green.npz",
        )
    stack = fpm_stack(path)
    with np.load(path) as held:
        defocus_um, grid = float(held["defocus_um"]), held["led_grid_xy"]
    if config.slide.crop_px:
        stack = _cropped(stack, config.slide.crop_px)
    rig = config.rig
    place = (grid[:, 1] + rig.rows // 2) * rig.columns + grid[:, 0] + rig.columns // 2
    light = torch.stack([torch.from_numpy(stack.images[led].light) for led in range(stack.board.n_leds)])
    return Slide(colour, Replay(stack), light, defocus_um, place)


def _cropped(stack: StackInMemory, side: int) -> StackInMemory:
    """The middle of each image, where the LEDs' directions are those of the whole."""
    rows = next(iter(stack.images.values())).light.shape[0]
    inside = slice((rows - side) // 2, (rows - side) // 2 + side)

    def cut(plane: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(plane[inside, inside])

    images = {led: replace(image, light=cut(image.light)) for led, image in stack.images.items()}
    return replace(stack, images=images, dark=replace(stack.dark, image=cut(stack.dark.image)))


def recovered(slide: Slide, config: SimToRealConfig, *, withhold: bool) -> tuple[Recovered, Int[np.ndarray, " held"]]:
    """The sample that explains the slide's images, and the LEDs that were withheld: none, or every fifth by NA."""
    na = slide.board.na
    order = np.argsort(na, kind="stable")
    held = np.sort(order[config.slide.withheld :: EVERY]) if withhold else np.zeros(0, dtype=np.int64)
    fitted = np.setdiff1d(np.flatnonzero(na <= config.slide.largest_na), held)
    found = recover(
        slide.light[torch.from_numpy(fitted)] / float(slide.light.mean((1, 2)).max()),
        slide.board,
        _system(slide, config),
        leds=torch.from_numpy(fitted),
        defocus_um=slide.defocus_um,
        config=config.slide.recover,
    )
    return found, held


def _system(slide: Slide, config: SimToRealConfig) -> ImagingSystem:
    side = slide.light.shape[-1]
    wavelength_um = slide.board.wavelengths_um[0]
    return config.rig.system(wavelength_um, camera_px=side, margin_px=config.slide.recover_margin_px)


def computed_truth(found: Recovered) -> Float[Tensor, "fy fx"]:
    """Share of each truth pixel that is stained: where the recovered sample absorbs more than empty slide does.

    Of the three classes that Otsu's thresholds make of the absorbance (empty slide, cells, dark nuclei) the last two
    are stained.
    """
    absorbance = -2 * np.log(found.transmission.abs().clamp_min(1e-3).numpy())
    rim = found.system.margin_px * found.system.decimation
    lower, _ = two_thresholds(absorbance[rim:-rim, rim:-rim])
    return stained_share(absorbance > lower, found.system)


def two_thresholds(values: Float[np.ndarray, "y x"]) -> tuple[float, float]:
    """The two thresholds that leave the least variance within three classes.

    Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979). The outermost half percent on each side counts as its limit.
    """
    low, high = np.quantile(values, [0.005, 0.995])
    counts, edges = np.histogram(values.clip(low, high), BINS)
    middle = (edges[:-1] + edges[1:]) / 2
    # of all bins below each edge: how many values, and their sum
    number, total = (np.concatenate([[0.0], np.cumsum(each)]) for each in (counts, counts * middle))
    first, second = np.triu_indices(BINS - 1, k=1)
    first, second = first + 1, second + 1
    spread = np.zeros(len(first))
    for start, end in ((0, first), (first, second), (second, BINS)):
        held = number[end] - number[start]
        spread += (total[end] - total[start]) ** 2 / np.maximum(held, 1)
    best = int(spread.argmax())
    return float(edges[first[best]]), float(edges[second[best]])


def predictions(
    slide: Slide, sample: Recovered, held: Int[np.ndarray, " held"], lights: dict[str, list[Levels]], na: float
) -> dict[str, Any]:
    """Correlation of images that a recovered sample predicts with those that were measured.

    held: LEDs that the recovery has not seen; "withheld" takes of each light their part alone. single: of them one
    by one, medians inside the objective's NA, to twice and beyond.
    """
    with torch.no_grad():
        predicted = sample.predict(torch.arange(slide.board.n_leds))
    of_light = {
        light: {
            "all": [_match(slide, predicted, levels, None) for levels in each],
            "withheld": [_match(slide, predicted, levels, held) for levels in each],
        }
        for light, each in lights.items()
    }
    there = torch.from_numpy(held)
    one_by_one, at = correlation(predicted[there], slide.light[there]), slide.board.na[held]
    bands = {"inside": at <= na, "to twice the NA": (at > na) & (at <= 2 * na), "beyond": at > 2 * na}
    single = {name: round(float(np.median(one_by_one[band])), 4) for name, band in bands.items() if band.any()}
    return {"withheld_leds": len(held), "lights": of_light, "single": single}


def _match(
    slide: Slide, predicted: Float[Tensor, "led y x"], levels: Levels, only: Int[np.ndarray, " held"] | None
) -> float | None:
    weights = torch.from_numpy(levels / LEVELS).float()
    if only is not None:
        kept = torch.zeros_like(weights)
        kept[torch.from_numpy(only)] = 1.0
        weights = weights * kept
    if not bool(weights.any()):
        return None
    first, second = (torch.tensordot(weights, stack, dims=1)[None] for stack in (predicted, slide.light))
    return round(float(correlation(first, second)[0]), 4)
