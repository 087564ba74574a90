"""A measured LED stack as a Microscope: the image under any pattern is a weighted sum of measured images.

With w the drive (0..1) times the exposure, a sum is dark + sum of w * light. Its noise is that of the images that
were measured, not that of one capture: n images bring n times the read noise, and images that were exposed for
longer than they are asked for bring less shot noise. Both are known, so that a sum can be taken as it is or, where
it is quieter than a capture would be, be given the noise that is missing.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from lsm.devices import Frame, Observe, Shown
from lsm.errors import IlluminatorError, InputError, LimitExceeded, NotMeasured
from lsm.illum import LEVELS, LedBoard
from lsm.record.stacks import ROUNDING_ADU2, LedImages, Place
from lsm.record.stacks_recording import XY_UM, Z_UM, is_at
from lsm.types import DutyLevels

Noise = Literal["as measured", "as captured"]
NAMED: Final = 5
"""How many LEDs that are missing an error names."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayedFrame(Frame):
    """A frame that was computed from measured ones.

    sum_adu: the sum before rounding and clipping, without fresh noise.
    variance_adu2: expected variance of `image`, rounding included; None where the camera's noise is unknown.
    It has no meaning where `image` is clipped.
    valid: False where a saturated measurement leaves the value unknown; only with saturated="mask".
    """

    sum_adu: Float32[np.ndarray, "y x"]
    variance_adu2: Float32[np.ndarray, "y x"] | None
    valid: Bool[np.ndarray, "y x"]


@dataclass(frozen=True, eq=False)
class _Sum:
    """mean, variance: of the sum in ADU, variance without the rounding of the sum itself. unsure: pixels [y, x]."""

    mean: Float[np.ndarray, "y x"]
    variance: Float[np.ndarray, "y x"] | None
    collected: Float[np.ndarray, "y x"]
    unsure: Bool[np.ndarray, "y x"]
    images: int


class Replay:
    """A Microscope whose light is chosen after the measurement. It begins at the stack's first place.

    Frames are `ReplayedFrame`s. The light shown is the pattern rounded to the board's 8-bit levels.

    noise: "as measured" leaves the sum as it is. "as captured" adds what is missing to the noise of one capture
    under that pattern; where the sum is noisier already, that is NotMeasured.
    saturated: a pixel that was saturated under one of the LEDs has no known sum, unless the sum reaches saturation
    anyhow. "error" refuses such a request, "mask" gives the pixel the value of saturation and marks it.
    seed: of the fresh noise; the same seed and the same requests give the same images.
    """

    def __init__(
        self,
        stack: LedImages,
        *,
        noise: Noise = "as measured",
        saturated: Literal["error", "mask"] = "error",
        seed: int = 0,
    ) -> None:
        self._stack = stack
        self._noise: Noise = noise
        self._mask = saturated == "mask"
        self._rng = np.random.default_rng(seed)
        self._place = 0
        self._latch = 0
        if noise == "as captured" and stack.camera.read_variance_adu2 is None:
            raise InputError(
                f"{stack.source} does not say its camera's gain and read noise.",
                hint="give camera.gain_e_per_adu and camera.read_noise_e, or take the noise as measured",
            )

    @property
    def board(self) -> LedBoard:
        return self._stack.board

    @property
    def stack(self) -> LedImages:
        """The measured images."""
        return self._stack

    def observe(self, request: Observe) -> ReplayedFrame:
        """The frame that the pattern would have given; see Microscope.

        Raises NotMeasured for an LED, colour, place or focus that the stack lacks, for pixels that were saturated
        (see `saturated`) and for noise that cannot be had; LimitExceeded for an impossible exposure;
        IlluminatorError for a pattern of another board; RecordError where an image cannot be read.
        """
        self._check(request)
        place = self._find(request)
        levels = request.pattern.levels
        self._refuse_missing(place, levels, request)
        started_ns = time.monotonic_ns()
        found = self._add(place, levels, request.exposure_ms)
        full = self._stack.saturated_adu
        unknown = found.unsure & (found.mean < full)
        if unknown.any() and not self._mask:
            raise NotMeasured(
                f"{int(unknown.sum())} pixels were saturated while LEDs of '{request.pattern.name}' were measured.",
                hint='measure those LEDs with a shorter exposure, or mask the pixels with saturated="mask"',
            )
        values, variance = self._with_noise(found, request)
        values[unknown] = full
        clipped = int((values >= full).sum())
        self._place, self._latch = place, self._latch + 1
        there = self._stack.places[place]
        return ReplayedFrame(
            image=np.rint(values.clip(0, full)).astype(np.uint16),
            request=request,
            shown=Shown(levels, latch=self._latch),
            xy_um=there.xy_um,
            z_um=there.z_um,
            started_ns=started_ns,
            ended_ns=time.monotonic_ns(),
            metadata=self._metadata(found, variance) | {"clipped_px": str(clipped)},
            sum_adu=found.mean.astype(np.float32),
            variance_adu2=None if variance is None else variance.astype(np.float32),
            valid=~unknown,
        )

    def relive(self, requests: Iterable[Observe]) -> None:
        """Come to the state that observing these leaves, its noise included. Raises as observe() does."""
        for request in requests:
            self.observe(request)

    def close(self) -> None:
        """Let go of the stack's file; may be called twice."""
        self._stack.close()

    def _check(self, request: Observe) -> None:
        if request.pattern.board != self.board.digest:
            raise IlluminatorError(
                f"Pattern '{request.pattern.name}' is for another board than '{self.board.name}'.",
                hint="build patterns with microscope.board",
            )
        if not (np.isfinite(request.exposure_ms) and request.exposure_ms > 0):
            raise LimitExceeded(
                f"An exposure of {request.exposure_ms:g} ms is impossible.", hint="give a positive number of ms"
            )

    def _find(self, request: Observe) -> int:
        places, here = self._stack.places, self._stack.places[self._place]
        xy_um = here.xy_um if request.xy_um is None else request.xy_um
        z_um = here.z_um if request.z_um is None else request.z_um
        fits = [index for index, place in enumerate(places) if is_at(place, xy_um, z_um)]
        if not fits:
            near = min(places, key=lambda place: _apart_um(place, xy_um) + abs(place.z_um - z_um))
            raise NotMeasured(
                f"Nothing was measured within {XY_UM:g} um of ({xy_um[0]:g}, {xy_um[1]:g}) um and {Z_UM:g} um of "
                f"focus {z_um:g} um in {self._stack.source}.",
                hint=f"of {len(places)} places the nearest is ({near.xy_um[0]:g}, {near.xy_um[1]:g}) um, "
                f"focus {near.z_um:g} um",
            )
        return min(fits, key=lambda index: _apart_um(places[index], xy_um))

    def _refuse_missing(self, place: int, levels: DutyLevels, request: Observe) -> None:
        measured = np.stack([self._stack.measured(place, colour) for colour in range(levels.shape[1])], axis=1)
        missing = np.argwhere((levels > 0) & ~measured)
        if len(missing) == 0:
            return
        named = ", ".join(f"LED {led} in colour {colour}" for led, colour in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        lit = int((levels > 0).sum())
        raise NotMeasured(
            f"'{request.pattern.name}' lights {lit} LED channels; not measured here: {named}{more}.",
            hint=f"{int(measured.sum())} channels were measured here; ask for light from those",
        )

    def _add(self, place: int, levels: DutyLevels, exposure_ms: float) -> _Sum:
        dark = self._stack.dark
        light = np.zeros(dark.image.shape)
        collected = np.zeros_like(light)
        variance: Float[np.ndarray, "y x"] | None = np.zeros_like(light)
        unsure = np.zeros(light.shape, dtype=bool)
        dark_left = 1.0
        lit = np.argwhere(levels)
        for led, colour in lit:
            one = self._stack.image(place, int(led), int(colour))
            weight_ms = float(levels[led, colour]) / LEVELS * exposure_ms
            positive = one.light.clip(min=0.0)
            light += weight_ms * one.light
            collected += weight_ms * positive
            dark_left -= weight_ms * one.dark_share
            if one.saturated is not None:
                unsure |= one.saturated
            if one.shot is None or one.floor is None or variance is None:
                variance = None
            else:
                variance += weight_ms**2 * (one.shot * positive + one.floor)
        # all images had the same dark image taken off: its noise adds up in step
        if variance is not None and dark.variance_adu2 is not None:
            variance += dark_left**2 * dark.variance_adu2
        else:
            variance = None
        return _Sum(dark.image + light, variance, collected, unsure, len(lit))

    def _with_noise(
        self, found: _Sum, request: Observe
    ) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"] | None]:
        """Values before rounding, a new array, and their variance with it."""
        camera = self._stack.camera
        read_adu2, gain = camera.read_variance_adu2, camera.gain_e_per_adu
        if self._noise == "as measured" or found.variance is None or read_adu2 is None or gain is None:
            return found.mean.copy(), None if found.variance is None else found.variance + ROUNDING_ADU2
        captured = found.collected / gain + read_adu2
        lacking = captured - found.variance
        if lacking.min() < 0:
            times = float(np.sqrt((found.variance / captured).max()))
            raise NotMeasured(
                f"The sum of {found.images} images for '{request.pattern.name}' at {request.exposure_ms:g} ms has "
                f"up to {times:.2g} times the noise of one capture.",
                hint="ask for a shorter exposure than was measured, measure more often, or take the noise as measured",
            )
        fresh = self._rng.standard_normal(lacking.shape) * np.sqrt(lacking)
        return found.mean + fresh, captured + ROUNDING_ADU2

    def _metadata(self, found: _Sum, variance: Float[np.ndarray, "y x"] | None) -> dict[str, str]:
        spread = "unknown" if variance is None else f"{float(np.sqrt(np.median(variance))):.4g}"
        return {
            "microscope": "replay",
            "source": self._stack.source,
            "images_summed": str(found.images),
            "noise": self._noise,
            "noise_sd_adu_median": spread,
        }


def _apart_um(place: Place, xy_um: tuple[float, float]) -> float:
    return float(np.hypot(place.xy_um[0] - xy_um[0], place.xy_um[1] - xy_um[1]))
