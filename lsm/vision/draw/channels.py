"""How images of any number of channels are shown in red, green and blue."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, UInt8

from lsm.errors import InputError

LOW, HIGH = 0.5, 99.5
"""Percentiles that become black and white."""


def as_rgb(pixels: Float32[np.ndarray, "channel y x"], *, channels: Sequence[int] = ()) -> UInt8[np.ndarray, "y x 3"]:
    """An image as it is shown.

    One channel is grey. Of two, the first is green and the second magenta, so that where they agree is grey. Three are
    red, green and blue. Of more, the mean of the first third is red, of the middle third green, of the last blue.
    `channels` picks one, two, three or more of them in this order instead.

    Photographs (three channels between 0 and 1 of which at least one reaches a half) are shown as they are. Others are
    stretched from their 0.5 to their 99.5 percentile: three channels together, so that hues stay; two, and more than
    three, each colour alone. Raises InputError for a channel that the image does not have.
    """
    wrong = [k for k in channels if not 0 <= k < len(pixels)]
    if wrong:
        raise InputError(
            f"The image has no channel {wrong[0]}: it has {len(pixels)}.", hint=f"give 0 to {len(pixels) - 1}"
        )
    chosen = pixels[list(channels)] if channels else pixels
    if len(chosen) == 1:
        colours = np.repeat(_stretched(chosen), 3, axis=0)
    elif len(chosen) == 2:
        first, second = (_stretched(channel[None])[0] for channel in chosen)
        colours = np.stack([second, first, second])
    elif len(chosen) == 3:
        colours = chosen if _photograph(chosen) else _stretched(chosen)
    else:
        thirds = [part.mean(axis=0) for part in np.array_split(chosen, 3)]
        colours = np.stack([_stretched(third[None])[0] for third in thirds])
    shown: UInt8[np.ndarray, "y x 3"] = np.round(np.clip(np.moveaxis(colours, 0, 2), 0, 1) * 255).astype(np.uint8)
    return shown


def how_shown(channels: int) -> str:
    """The sentence that goes with a picture of so many channels."""
    return {
        1: "One channel, shown in grey, stretched between its 0.5 and 99.5 percentile.",
        2: "Two channels: the first in green, the second in magenta, each stretched.",
        3: "Three channels, shown as red, green and blue; images darker than half of their range are stretched.",
    }.get(
        channels,
        f"{channels} channels: the mean of the first third in red, of the middle third in green, of the last in blue.",
    )


def _photograph(pixels: Float32[np.ndarray, "3 y x"]) -> bool:
    return bool(pixels.min() >= 0 and 0.5 <= pixels.max() <= 1)


def _stretched(pixels: Float[np.ndarray, "channel y x"]) -> Float[np.ndarray, "channel y x"]:
    low, high = np.percentile(pixels, [LOW, HIGH])
    if high <= low:  # few pixels differ from the rest, or none
        low, high = float(pixels.min()), float(pixels.max())
    if high <= low:
        return np.full_like(pixels, 0.5)
    scaled: Float[np.ndarray, "channel y x"] = (pixels - low) / (high - low)
    return scaled
