"""Pictures: lights with what is seen under them, readings of the slide, and all scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lsm.experiments.sim_to_real.lights import LEARNED
from lsm.experiments.sim_to_real.slide import Levels, Slide
from lsm.figures import INK, MUTED
from lsm.illum import LEVELS
from lsm.sensing.picture import draw_light, save_picture

ACCENT, OTHER = "#0b6e4f", "#b3541e"
PART_PX = 64
COLOURS = 128
Plane = Float[np.ndarray, "y x"]


def draw_lights(
    slide: Slide,
    lights: Mapping[str, Levels],
    simulated: Mapping[str, Float[Tensor, "sy sx"]],
    measured: Mapping[str, Plane],
    na: float,
    path: Path,
) -> None:
    """Every light on its board, a phantom under it, and a part of the slide; contrast of each image is its own."""
    names = list(lights)
    duties = np.stack([lights[name] for name in names]) / LEVELS
    images = {
        "phantom": np.stack([_stretched(simulated[name].numpy()) for name in names]),
        "real slide": np.stack([_stretched(_middle(measured[name], PART_PX)) for name in names]),
    }
    title = f"{slide.colour}: lights of the first seed, a phantom and the measured slide under them"
    _save(draw_light(slide.board, duties, na, images, names, title=title), path)


def draw_readings(
    colour: str,
    truth: Bool[np.ndarray, "fy fx"],
    odds: Mapping[str, Float[np.ndarray, "fy fx"]],
    measured: Mapping[str, Plane],
    path: Path,
) -> None:
    """The slide under two lights, what was read from each, and where that is wrong."""
    side = PART_PX * truth.shape[0] // next(iter(measured.values())).shape[0]
    figure = Figure(figsize=(9.2, 6.4), layout="constrained")
    for row, (light, values) in zip(figure.subplots(len(odds), 3, squeeze=False), odds.items(), strict=True):
        there, read = _middle(truth, side), _middle(values, side)
        row[0].imshow(_stretched(_middle(measured[light], PART_PX)), cmap="gray", vmin=0, vmax=1)
        row[1].imshow(1 / (1 + np.exp(-read)), cmap="gray", vmin=0, vmax=1)
        row[2].imshow(_agreement(read > 0, there))
        for axes, title in zip(row, (f"{light}: capture", "read: probability of a cell", "agreement"), strict=True):
            axes.set_title(title, fontsize=9, loc="left", color=INK)
            axes.set(xticks=[], yticks=[])
    words = "agreement: white cell, dark grey empty slide; orange read but not there, blue there but not read"
    figure.suptitle(f"{colour}: a part of the measured slide, first seed. {words}", fontsize=8.5, color=MUTED)
    _save(figure, path)


def draw_scores(results: Mapping[str, Any], path: Path) -> None:
    """Overlap of every training, in simulation, on the slide, and through the firmware."""
    colours = results["colours"]
    figure = Figure(figsize=(4.9 * len(colours) + 1.2, 4.6), layout="constrained")
    for number, (colour, table) in enumerate(colours.items()):
        axes = figure.add_subplot(1, len(colours), number + 1)
        _dots_of(axes, table["scores"])
        axes.set_title(colour, fontsize=10, fontweight="bold", loc="left", color=INK)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=8, frameon=False)
    _save(figure, path)


def _dots_of(axes: Axes, scores: Mapping[str, Any]) -> None:
    places = (
        ("simulated", "simulated phantoms", "o", MUTED),
        ("replayed", "real slide", "s", ACCENT),
        ("8 bits", "real, firmware with 8 bits", "^", OTHER),
        ("1 bit", "real, firmware with 1 bit", "v", "#4477aa"),
    )
    names = sorted(scores, key=lambda light: float(np.mean(scores[light]["replayed"]["iou"])))
    for shift, (place, label, marker, colour) in enumerate(places):
        for at, light in enumerate(names):
            values = scores[light][place]["iou"]
            height = np.full(len(values), at + 0.27 - 0.18 * shift)
            face = "none" if place == "simulated" else colour
            axes.plot(
                values,
                height,
                marker,
                ms=4.5,
                mfc=face,
                mec=colour,
                mew=0.9,
                alpha=0.85,
                label=label if at == 0 else None,
            )
    axes.set_yticks(range(len(names)), names, fontsize=9)
    for tick, light in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if light == LEARNED else "normal")
    for at in range(len(names) - 1):
        axes.axhline(at + 0.5, color="#e3e7eb", lw=0.8)
    axes.set_xlabel("intersection over union of what is read as a cell; one mark per seed", fontsize=8.5, color=MUTED)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _save(figure: Figure, path: Path) -> None:
    save_picture(figure, path)
    # few colours are needed, and the file is a third as large
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)


def _middle(plane: np.ndarray, side: int) -> np.ndarray:
    first = (plane.shape[0] - min(side, plane.shape[0])) // 2
    return plane[first : first + side, first : first + side]


def _stretched(plane: Plane) -> Plane:
    low, high = np.percentile(plane, [0.5, 99.5])
    stretched: Plane = np.clip((plane - low) / max(float(high - low), 1e-6), 0, 1)
    return stretched


def _agreement(read: np.ndarray, there: np.ndarray) -> Float[np.ndarray, "y x 3"]:
    # apart in lightness as well as in hue
    colours = np.array([[0.23, 0.26, 0.29], [0.93, 0.6, 0.13], [0.2, 0.45, 0.75], [1.0, 1.0, 1.0]])
    painted: Float[np.ndarray, "y x 3"] = colours[read.astype(int) + 2 * there.astype(int)]
    return painted
