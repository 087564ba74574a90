"""A learned light as the board will show it: compiled levels, and the file that takes them to a board."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.illum import LEVELS, Drive, LightCapture, LightFile, compile_light
from lsm.sensing.cells.light import Lamps, split_captures


def compiled_weights(
    weights: Float[Tensor, "channel lamp"], lamps: Lamps, drive: Drive
) -> Float[Tensor, "channel lamp"]:
    """What a board with this drive shows of each channel, in units of the weights: quantised, within its current.

    A channel that the current limit dims is given in its full brightness: the exposure makes up for it.
    Raises as `compile_light`.
    """
    shown = []
    for channel in weights.detach().double().numpy():
        asked = np.zeros((lamps.board.n_leds, lamps.board.n_colours))
        asked[lamps.led, lamps.colour] = channel
        light = compile_light(lamps.board, asked, drive, exposure_ms=100.0, keep_exposure=True)
        shown.append((light.predicted_light / light.scale)[lamps.led, lamps.colour])
    return torch.from_numpy(np.stack(shown)).float()


def light_file(
    weights: Float[Tensor, "channel lamp"],
    exposure: Float[Tensor, " part"],
    lamps: Lamps,
    *,
    flux_e_per_ms: float,
    made: Mapping[str, Any] | None = None,
) -> LightFile:
    """The light as `lsm led show --pattern` reads it: one capture for each sign of each channel.

    exposure: electrons in the empty bright field under the strongest lamp at full drive, for each capture.
    flux_e_per_ms: what that lamp gives in a millisecond. Raises WrongFormat for what does not fit the board.
    """
    parts, channel, sign = split_captures(weights.detach())
    captures = []
    for number, part in enumerate(parts.numpy()):
        levels = np.zeros((lamps.board.n_leds, lamps.board.n_colours), dtype=np.uint8)
        levels[lamps.led, lamps.colour] = np.round(part * LEVELS)
        captures.append(
            LightCapture.of(
                levels,
                exposure_ms=round(float(exposure[number]) / flux_e_per_ms, 3),
                sign=int(sign[number]),
                name=f"image {int(channel[number]) + 1}, {'added' if sign[number] > 0 else 'subtracted'}",
            )
        )
    return LightFile.of(lamps.board, captures, made=made)
