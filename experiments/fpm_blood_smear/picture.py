"""One picture: the recovered sample, an image never seen, and how well all of them are predicted."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from data import CAMERA_UM, FINER, MARGIN_PX, Slide
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

from lsm.optics.recover import Recovered, correlation

SHOWN_NA = 0.27
BAR_UM = 20.0


def draw(shown: dict[str, tuple[Slide, Recovered, np.ndarray]], path: Path) -> None:
    """Write the picture of both colours, each with its recovery and the LEDs withheld from it."""
    mpl.use("Agg")
    figure, axes = plt.subplots(2, 5, figsize=(15.5, 6.4), width_ratios=[1, 1, 1, 1, 1.35], layout="constrained")
    for row, (colour, (slide, found, held)) in zip(axes, shown.items(), strict=True):
        _sample(row[0], row[1], slide, found)
        _unseen(row[2], row[3], slide, found, held)
        _against_na(row[4], slide, found, held)
        row[0].set_ylabel(f"{colour}, {slide.system.wavelength_um * 1000:.0f} nm", fontsize=12)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    # few colours are needed, and the file is a third as large
    Image.open(drawn).convert("RGB").quantize(96).save(path, optimize=True)
    plt.close(figure)


def _sample(amplitude: Axes, phase: Axes, slide: Slide, found: Recovered) -> None:
    # half of the field, so that single cells show
    side = (slide.images.shape[-1] // 2) * FINER
    first = (MARGIN_PX + slide.images.shape[-1] // 4) * FINER
    part = _without_tilt(found.transmission[first : first + side, first : first + side].numpy())
    magnitude = np.abs(part) / np.median(np.abs(part))
    _show(amplitude, magnitude, "gray", (0.3, 1.6), CAMERA_UM / FINER, "recovered amplitude")
    _show(phase, np.angle(part), "gray", (-2, 2), CAMERA_UM / FINER, "recovered phase, -2 to 2 rad")


def _without_tilt(part: np.ndarray) -> np.ndarray:
    """The sample with its median phase at zero."""
    return part * np.exp(-1j * np.angle(part.mean()))


def _unseen(first: Axes, second: Axes, slide: Slide, found: Recovered, held: np.ndarray) -> None:
    led = int(held[np.abs(slide.na[held] - SHOWN_NA).argmin()])
    predicted, measured = found.predict(torch.tensor([led])), slide.images[led : led + 1]
    match = float(correlation(predicted, measured)[0])
    title = f"withheld LED, NA {slide.na[led]:.2f}"
    for axes, image, what in ((first, measured, "measured"), (second, predicted, f"predicted, r = {match:.3f}")):
        light = image[0].numpy()[32:96, 32:96]
        light = np.sqrt(np.clip(light / np.quantile(light, 0.995), 0, 1))
        _show(axes, light, "gray", (0, 1), CAMERA_UM, f"{title}: {what}" if what == "measured" else what)


def _show(
    axes: Axes, image: np.ndarray, colours: str, limits: tuple[float, float], pixel_um: float, title: str
) -> None:
    axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], origin="lower", interpolation="nearest")
    length = BAR_UM / pixel_um
    start, height = 0.05 * image.shape[1], 0.05 * image.shape[0]
    axes.plot([start, start + length], [height, height], color="white", linewidth=5, solid_capstyle="butt")
    axes.plot([start, start + length], [height, height], color="black", linewidth=2, solid_capstyle="butt")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def _against_na(axes: Axes, slide: Slide, found: Recovered, held: np.ndarray) -> None:
    reached = correlation(found.predict(torch.from_numpy(held)), slide.images[held])
    ceiling = slide.noise_ceiling()
    order = np.argsort(slide.na)
    axes.plot(slide.na[order], ceiling[order], color="0.6", linewidth=1, label="noise ceiling")
    axes.plot(slide.na[found.leds], found.correlation, ".", color="0.75", markersize=5, label="fitted LEDs")
    axes.plot(slide.na[held], reached, "o", color="C0" if slide.colour != "red" else "C3", ms=5, label="withheld LEDs")
    for low, high in ((0.0, 0.1), (0.1, 0.2), (0.2, 0.4)):
        inside = (slide.na[held] >= low) & (slide.na[held] < high + 0.01 * (high == 0.4))
        axes.plot([low, high], [np.median(reached[inside])] * 2, color="black", linewidth=1.5)
    axes.axhline(0.93, color="black", linestyle=":", linewidth=1)
    axes.set(xlabel="illumination NA", ylim=(0.6, 1.005), xlim=(0, 0.41))
    axes.set_title("correlation, median per band (black), 0.93 (dotted)", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")
