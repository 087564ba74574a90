"""The light of whole fields: a fixed pattern, one from a file or model, or one that is learned; and its capture.

Patterns are duties of `lsm.sensing`'s illumination layer, in the levels of a board and within its current, and every
capture passes its capture model: exposure, noise, and a scale that does not follow the field.
"""

import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from pydantic import model_validator
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum import LedBoard, LightCapture, LightFile
from lsm.illum.pattern import GREEN
from lsm.optics import AliasingWarning, pattern_stack
from lsm.sensing.bundle import Bundle
from lsm.sensing.capture import CaptureModel, ExposureConfig, normalise
from lsm.sensing.cells.pupil import PupilConfig, PupilLayer
from lsm.sensing.illumination import (
    IlluminationConfig,
    IlluminationLayer,
    Start,
    given_duty,
    led_symmetries,
    turn,
    turned_duty,
)
from lsm.sensing.training import Light
from lsm.twin import TwinConfig
from lsm.vision.data import AnnotatedImage, AnnotatedSet
from lsm.vision.field.render import Fields, Window

Kind = Literal["bright field", "dark field", "file", "model", "learned"]

_BACK = (0, 3, 2, 1, 4, 5, 6, 7)
"""The symmetry that undoes each; a mirror image that was turned is undone by the same."""

_FARTHEST = 0.01
"""From 0 and from 1, of duties with which learning begins."""

_UNSEEN = 1e-7
"""Weight of a learned LED whose level is 0: its gradient is needed, its light is below float32 beside the others."""


class FieldLightConfig(Config):
    """Which light fields are taken under.

    kind: "file" shows the captures of a light file, "model" the learned patterns of a design (see `model_duty`).
    source: path of that file; name or folder of that model. A learned light may name a model, to begin with its
    pattern in place of `start`.
    captures: learned patterns, each a capture. start: LEDs that are bright when learning begins; start_logit,
    start_noise: how bright, and its scatter, see `IlluminationConfig`. The few LEDs of the bright field outshine all
    others, so that a light that begins with much of them is slow to leave it.
    with_bright: take a bright-field capture too, before the others.
    bits, max_ma: what the board can show, see `IlluminationConfig`.
    pupil: learned with the light; None for the objective as it is.
    """

    kind: Kind = "learned"
    source: str = ""
    captures: Annotated[int, Ge(1), Le(4)] = 1
    start: Start = "annulus"
    start_logit: Annotated[float, Gt(0)] = 2.5
    start_noise: Annotated[float, Ge(0)] = 0.5
    with_bright: bool = False
    bits: Annotated[int, Ge(1), Le(8)] = 8
    max_ma: Annotated[float, Gt(0)] | None = None
    pupil: PupilConfig | None = None

    @model_validator(mode="after")
    def _has_what_it_shows(self) -> "FieldLightConfig":
        if self.kind != "learned" and (self.kind in ("file", "model")) != bool(self.source):
            raise ConfigError(
                f"A light of kind '{self.kind}' has the source '{self.source}'.",
                hint='name a source for the kinds "file", "model" and "learned", and for no other',
            )
        if self.kind == "bright field" and self.with_bright:
            raise ConfigError("The bright field is taken once.", hint="leave with_bright out")
        return self


class FieldLight(nn.Module):
    """Light, pupil and capture of whole fields.

    Raises ConfigError for a light that the board cannot show, FileMissing, WrongFormat or ModelMismatch for a light
    file or model that is not there, damaged or made for another board.
    """

    def __init__(
        self,
        rig: TwinConfig,
        config: FieldLightConfig,
        exposure: ExposureConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.rig = rig
        self.config = config
        self.light = Light(rig.led_board.board(), rig.camera, rig.led_flux_e_per_ms)
        na = rig.system.na
        starts = (config.start,) * config.captures if config.kind == "learned" else ()
        settings = IlluminationConfig(
            starts=starts,
            start_logit=config.start_logit,
            start_noise=config.start_noise,
            bright_na=na,
            bits=config.bits,
            max_ma=config.max_ma,
        )
        given = _given(self.light.board, config, settings)
        self.illumination = IlluminationLayer(self.light.board, settings, generator, given=given)
        # the layer's first pattern is the bright field
        first = 0 if config.kind == "bright field" or config.with_bright else 1
        self._shown = slice(first, self.illumination.n_patterns)
        if config.kind == "learned" and config.source:
            _begin_with(self.illumination, model_duty(self.light.board, config.source))
        self.capture = CaptureModel(self.n_captures, rig.camera, exposure)
        self.pupil = None if config.pupil is None else PupilLayer(rig.system, config.pupil, generator)

    @property
    def n_captures(self) -> int:
        """Captures of a field, which are the channels of its image."""
        return self.illumination.n_patterns - (self._shown.start or 0)

    def duty(self) -> Float[Tensor, "capture led"]:
        """Duties as the board will show them, differentiable where they are learned."""
        duty: Tensor = self.illumination()
        return duty[self._shown]

    def rates(
        self,
        fields: Fields,
        number: int,
        *,
        symmetry: int = 0,
        window: Window | None = None,
        wrong: torch.Generator | None = None,
    ) -> Float[Tensor, "capture y x"]:
        """Electrons per ms and pixel of a field, turned by a symmetry of the square (see `turn`).

        window: part of the field, before it is turned. wrong: where given, every LED's brightness is off by a draw of
        its own of the capture's `led_error`. Raises ConfigError for a symmetry that the board does not have.
        """
        duty = self.duty()
        if wrong is not None:
            error = self.capture.config.led_error
            duty = duty * (1 + error * torch.randn(duty.shape[1], generator=wrong)).clamp_min(0)
        if self.pupil is not None:
            return turn(self._through_pupil(fields, number, duty, symmetry, window), symmetry)
        if symmetry:
            # the light is turned back, so that the stack need not be computed again
            duty = turned_duty(duty, self._symmetries, symmetry)
        return turn(self.light.rates(fields.stack(number, window), duty), symmetry)

    @torch.no_grad()
    def freeze(self, fields: Fields, numbers: Iterable[int] | None = None) -> None:
        """Fix exposures and scales to the mean over these fields, all when None."""
        chosen = range(len(fields)) if numbers is None else numbers
        self.capture.freeze(self.rates(fields, number)[None] for number in chosen)

    @torch.no_grad()
    def signal(
        self, rates: Float[Tensor, "capture y x"], generator: torch.Generator, *, photons: float = 1.0
    ) -> Float[Tensor, "capture y x"]:
        """One noisy exposure of each capture in full wells, 0..1 but for read noise; needs frozen exposures.

        photons: part of the light of the frozen exposures, as from a shorter one; the scale stays that of all.
        """
        seen: Tensor = self.capture(rates[None] * photons, generator)[0]
        capture = self.capture
        signal = seen * capture.signal_std[:, None, None] + capture.signal_mean[:, None, None]
        return signal / photons

    def normalised(self, signal: Float[Tensor, "*batch capture y x"]) -> Float[Tensor, "*batch capture y x"]:
        """What a network sees: the signal with mean 0 and spread 1 in a typical field."""
        return normalise(signal, self.capture.signal_mean, self.capture.signal_std)

    def file(self, made: Mapping[str, Any] | None = None) -> LightFile:
        """The light as `lsm led show --pattern` reads it; needs frozen exposures."""
        board = self.light.board
        captures = []
        first = self._shown.start or 0
        rows = zip(self.illumination.levels()[self._shown].numpy(), self.capture.exposures_ms.tolist(), strict=True)
        for number, (row, exposure_ms) in enumerate(rows):
            levels = np.zeros((board.n_leds, board.n_colours), dtype=np.uint8)
            levels[:, GREEN] = row
            name = "bright field" if number + first == 0 else f"{self.config.kind} {number + first}"
            captures.append(LightCapture.of(levels, exposure_ms=round(exposure_ms, 3), name=name))
        return LightFile.of(board, captures, made=made)

    @cached_property
    def _symmetries(self) -> Int[Tensor, "8 led"]:
        return led_symmetries(self.light.board)

    def _through_pupil(
        self,
        fields: Fields,
        number: int,
        duty: Float[Tensor, "capture led"],
        symmetry: int,
        window: Window | None,
    ) -> Float[Tensor, "capture y x"]:
        """The field as it lies: light and pupil stand still while a sample turns, so its image is turned back."""
        sample, defocus_um = fields.sample(number)
        if torch.is_grad_enabled() and duty.requires_grad:
            duty = duty + _UNSEEN
        board = self.light.board
        weights = duty * torch.as_tensor(board.relative_irradiance, dtype=duty.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AliasingWarning)
            images = pattern_stack(
                turn(sample, symmetry).contiguous(),
                board,
                self.rig.system,
                weights,
                defocus_um=defocus_um,
                pupil=self.pupil,
            )
        rows, columns = fields.field(number).size
        inside = window or (slice(0, rows), slice(0, columns))
        upright: Tensor = turn(images, _BACK[symmetry])
        return self.light.flux_e_per_ms * upright[:, *inside]


def model_duty(board: LedBoard, source: str) -> Float[Tensor, "pattern led"]:
    """The learned pattern of a design that tells infected cells best by itself, by the design's own held-out figures.

    Where the model's card has none, all its learned patterns. Raises FileMissing, or ModelMismatch for another board.
    """
    bundle = Bundle.named(source)
    bundle.require(board=board)
    duty = bundle.duty_levels[1:].float() / 255
    held_out: Any = bundle.card.figures.get("held_out")
    if not held_out:
        return duty
    # bit k of a mask is pattern k, and pattern 0 is the bright field
    alone = [float(held_out["masks"][str(2 ** (k + 1))]["auc"][0]) for k in range(len(duty))]
    best = int(np.argmax(alone))
    return duty[best : best + 1]


@torch.no_grad()
def _begin_with(illumination: IlluminationLayer, duty: Float[Tensor, "pattern led"]) -> None:
    """Raises ConfigError unless as many patterns are learned as the model gives."""
    if len(duty) != len(illumination.logits):
        raise ConfigError(
            f"The model has {len(duty)} patterns to begin with, {len(illumination.logits)} are to be learned.",
            hint=f"set captures = {len(duty)}",
        )
    # fully dark and fully bright LEDs would have no gradient
    illumination.logits.copy_(torch.logit(duty, eps=_FARTHEST) / illumination.config.sharpness)


def _given(board: LedBoard, config: FieldLightConfig, settings: IlluminationConfig) -> Float[Tensor, "given led"]:
    if config.kind == "dark field":
        dark = torch.from_numpy(board.na > settings.bright_na).float()
        if not bool(dark.any()):
            raise ConfigError(
                f"No LED of board '{board.name}' lies outside NA {settings.bright_na:g}.",
                hint="a dark field needs a wider board",
            )
        return dark[None]
    if config.kind == "file":
        return given_duty(board, settings.model_copy(update={"light": str(Path(config.source)), "starts": ()}))
    if config.kind == "model":
        return model_duty(board, config.source)
    return torch.zeros(0, board.n_leds)


@torch.no_grad()
def annotated_fields(
    light: FieldLight,
    fields: Fields,
    generator: torch.Generator,
    *,
    numbers: Iterable[int] | None = None,
    photons: float = 1.0,
) -> AnnotatedSet:
    """The fields as this light takes them: captures are channels, in full wells; boxes and masks in camera pixels.

    The light's exposures must be frozen. numbers: of some fields, all when None. photons: see `FieldLight.signal`.
    """
    images = []
    for number in range(len(fields)) if numbers is None else numbers:
        signal = light.signal(light.rates(fields, number), generator, photons=photons)
        field = fields.field(number)
        images.append(AnnotatedImage.of(field.name, signal.numpy(), field.objects, group=field.group))
    return AnnotatedSet(tuple(images), fields.categories, f"{fields.origin}; light: {light.config.kind}")
