"""The pupil as a layer that is learned: what the objective lets through, and how much it delays it.

Kim et al., Opt. Lett. 45, 5684 (2020) learn the transmission of the pupil together with the illumination. A pupil
acts on the field, so its images cannot be summed up from a stack: they are computed from the cells' transmissions
in every step, on a grid that holds no more than the light can reach.
"""

import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt, Le
from jaxtyping import Complex, Complex64, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError, WrongFormat
from lsm.optics import ImagingSystem, ZernikePupil, frequency_axis, pattern_stack
from lsm.optics.pupil import defocus_factor, sample_pupil
from lsm.sensing.cells.light import CellLightConfig, Lamps, split_captures
from lsm.sensing.cells.stack import CellStack
from lsm.sensing.cells.training import CellModel, Turns, spread
from lsm.sensing.illumination import turn

Part = Literal["amplitude", "phase", "zernike", "defocus"]
Shape = Literal["open", "stop", "half"]
Rows = Int[np.ndarray, " some"]

_FREEZE_ROWS = 512
_UNSEEN = 1e-7
"""Weight of a learned lamp whose level is 0: its gradient is needed, its light is below float32 beside the others."""


class PupilConfig(Config):
    """How a pupil starts, and which of its parts are learned; the others stay as they start.

    shape: "open" passes `clear` everywhere, "stop" blocks the inner two fifths of the radius, "half" the side of
    negative x; what is blocked passes `blocked`.
    zernike: terms by Noll index, with their start in waves RMS. defocus_um: start of the defocus.
    phase_noise_rad: spread of the phase map at the start, drawn for each bin of the frequency grid.
    sharpness: slope between what is learned and the amplitude's logit.
    """

    learned: tuple[Part, ...] = ("amplitude", "phase")
    shape: Shape = "open"
    clear: Annotated[float, Gt(0), Le(1)] = 0.95
    blocked: Annotated[float, Gt(0), Le(1)] = 0.05
    zernike: dict[int, float] = Field(default_factory=dict)
    defocus_um: float = 0.0
    phase_noise_rad: float = 0.0
    sharpness: Annotated[float, Gt(0)] = 3.0

    @model_validator(mode="after")
    def _has_terms(self) -> "PupilConfig":
        if "zernike" in self.learned and not self.zernike:
            raise ConfigError(
                "A pupil of learned Zernike terms has none.", hint="name them with their start, as {4 = 0.0}"
            )
        if "amplitude" in self.learned and max(self.clear, self.blocked) >= 1:
            raise ConfigError(
                f"A learned amplitude cannot start at {max(self.clear, self.blocked):g}.",
                hint="start below 1: at 1 there is no gradient",
            )
        return self


class PupilLayer(nn.Module):
    """A passive pupil: factor amplitude * exp(i phase) with an amplitude of 0..1, times Zernike terms and defocus.

    A PupilFunction, for the `pupil` of `pattern_stack`. Maps of amplitude and phase are given on the bins of
    `frequency_axis` and read bilinearly, each by itself, so nothing is amplified and no phase step dims the light.
    All parameters have the scale of radians, so that one learning rate suits them: `zernike` those of RMS, `edge`
    those that the defocus makes at the aperture's edge.
    """

    def __init__(self, system: ImagingSystem, config: PupilConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.system = system
        self.config = config
        shape = _shape(system, config)
        # a fixed part may be exactly 1, whose logit is not finite: the clamp is below the step of float32 at 1
        logit = torch.logit(shape.clamp(max=1 - 1e-7)) / config.sharpness
        noise = config.phase_noise_rad * torch.randn(shape.shape, generator=generator)
        terms = torch.tensor([2 * math.pi * waves for waves in config.zernike.values()])
        edge = torch.tensor(config.defocus_um / self._um_per_rad)
        self.amplitude = self._parameter("amplitude", logit)
        self.phase = self._parameter("phase", noise)
        self.zernike = self._parameter("zernike", terms)
        self.edge = self._parameter("defocus", edge)

    def forward(self, fx: Tensor, fy: Tensor, system: ImagingSystem) -> Tensor:
        """Complex factor [led, k, k] at the frequencies fx [led, 1, k] and fy [led, k, 1], in cycles/um."""
        maps = torch.complex(self._passed(), self.phase)
        read = sample_pupil(maps, fx, fy, system)
        factor = torch.polar(read.real, read.imag)
        if self.config.zernike:
            factor = factor * ZernikePupil(self.waves_rms())(fx, fy, system).to(factor.dtype)
        if "defocus" in self.config.learned or self.config.defocus_um:
            factor = factor * defocus_factor(fx, fy, system, self.defocus_um)
        return factor

    def factor(self) -> Complex64[Tensor, "fy fx"]:
        """The pupil on `frequency_axis`, 0 outside the aperture: what a drawing shows."""
        axis = frequency_axis(self.system).float()
        n = len(axis)
        # each bin is one source with a window of one bin
        rows, columns = (part.reshape(-1, 1, 1) for part in torch.meshgrid(axis, axis, indexing="ij"))
        whole: Tensor = self(columns, rows, self.system).reshape(n, n)
        return whole * self.inside()

    def inside(self) -> Tensor:
        """Bins of `frequency_axis` that the aperture passes, bool [fy, fx]."""
        return _radius(self.system) <= 1

    def passed(self) -> float:
        """Mean of |factor|^2 over the aperture: the share of evenly spread light that comes through."""
        light = self.factor().detach().abs().square()
        return float(light[self.inside()].mean())

    def waves_rms(self) -> dict[int, float | Tensor]:
        """Zernike coefficients by Noll index."""
        return {noll: self.zernike[k] / (2 * math.pi) for k, noll in enumerate(self.config.zernike)}

    @property
    def defocus_um(self) -> Tensor:
        """Distance from the sample to the plane in focus, along the light."""
        return self.edge * self._um_per_rad

    @property
    def _um_per_rad(self) -> float:
        # paraxial: the phase at the edge is pi * z * NA^2 / wavelength
        return self.system.wavelength_um / (math.pi * self.system.na**2)

    def _passed(self) -> Float[Tensor, "fy fx"]:
        return torch.sigmoid(self.config.sharpness * self.amplitude)

    def _parameter(self, part: Part, start: Tensor) -> nn.Parameter:
        return nn.Parameter(start.float(), requires_grad=part in self.config.learned)


def _radius(system: ImagingSystem) -> Float[Tensor, "fy fx"]:
    """Of each bin of `frequency_axis`, in units of the aperture's."""
    axis = frequency_axis(system) * (system.wavelength_um / system.na)
    return torch.hypot(axis[:, None], axis[None, :])


def _shape(system: ImagingSystem, config: PupilConfig) -> Float[Tensor, "fy fx"]:
    radius = _radius(system)
    x = frequency_axis(system).expand_as(radius)
    blocked = {"open": radius < 0, "stop": radius <= 0.4, "half": x < 0}[config.shape]
    return torch.where(blocked, config.blocked, config.clear)


def band_limited(
    transmission: Complex64[Tensor, "row y x"], sample_px: int
) -> Complex64[Tensor, "row sample_px sample_px"]:
    """The samples on a coarser grid over the same field, without the frequencies that it cannot hold.

    Images are the same, to the rounding of float32, as long as the coarser grid holds what the light can reach,
    which `pattern_stack` checks: fewer points to transform and to keep in every step of a training.
    Raises WrongFormat for a grid that is finer or odd.
    """
    n = transmission.shape[-1]
    if not 0 < sample_px <= n or sample_px % 2 or n % 2:
        raise WrongFormat(
            f"{n} px cannot be reduced to {sample_px} px.", hint=f"give an even number of at most {n}, from an even one"
        )
    if sample_px == n:
        return transmission
    bins = torch.fft.fftfreq(sample_px, d=1 / sample_px).round().long()
    kept = bins.abs() < sample_px / 2
    # both grids have their pixels' edges, not their centres, in common
    shift = math.pi * bins * (1 / sample_px - 1 / n)
    ramp = torch.polar(kept.float(), shift.float())
    spectrum = torch.fft.fft2(transmission, norm="forward")[:, bins % n][:, :, bins % n]
    reduced: Tensor = torch.fft.ifft2(spectrum * ramp * ramp[:, None], norm="forward")
    return reduced


class PupilCellModel(CellModel):
    """A CellModel that computes its images through a pupil; `train_cells` and `cell_odds` take it as it is.

    slides: transmission of each row of the stack [row, y, x] on the grid of `system`. The stack itself gives only
    labels and patients. pupil: None for the objective as it is. Cells are turned, light and pupil stand still.
    """

    def __init__(
        self,
        lamps: Lamps,
        system: ImagingSystem,
        slides: Complex[Tensor, "row y x"],
        light: CellLightConfig,
        generator: torch.Generator,
        *,
        pupil: PupilConfig | None = None,
        **options: Any,
    ) -> None:
        super().__init__(lamps, system.camera_px, light, generator, **options)
        if len(lamps.colours) != 1:
            raise ConfigError(
                f"Lamps of {len(lamps.colours)} colours do not shine through one pupil.",
                hint="its aperture and phase belong to one wavelength: choose lamps of one colour",
            )
        self.system = system
        self._slides = slides
        if pupil is not None:
            # whatever belongs to the light learns at the light's rate
            self.light.add_module("pupil", PupilLayer(system, pupil, generator))

    @property
    def pupil(self) -> PupilLayer | None:
        found = dict(self.light.named_children()).get("pupil")
        return found if isinstance(found, PupilLayer) else None

    def images(
        self, slides: Complex[Tensor, "some y x"], weights: Float[Tensor, "part lamp"]
    ) -> Float[Tensor, "some part cy cx"]:
        """Images of these transmissions under weights that hold the lamps' irradiance, differentiable in them."""
        if torch.is_grad_enabled() and weights.requires_grad:
            weights = weights + _UNSEEN
        board = self.lamps.board
        led = torch.from_numpy(self.lamps.led)
        whole = torch.zeros(len(weights), board.n_leds).index_copy(1, led, weights)
        images: Tensor = pattern_stack(slides, board, self.system, whole, pupil=self.pupil)
        return images

    def electrons(
        self,
        stack: CellStack,
        rows: Rows,
        generator: torch.Generator,
        turns: Turns | None = None,
        weights: Float[Tensor, "channel lamp"] | None = None,
    ) -> Float[Tensor, "row channel y x"]:
        del stack
        shown = self.light() if weights is None else weights
        if self.training and self.disturbance.led_error:
            gain = 1 + self.disturbance.led_error * torch.randn(shown.shape[1], generator=generator)
            shown = shown * gain.clamp_min(0)
        parts, channel, sign = split_captures(shown)
        slides = self._slides[torch.from_numpy(rows)]
        if turns is not None:
            slides = _turned(slides, torch.randint(8, (len(rows),), generator=generator))
        images = self.images(slides, parts * self.irradiance)
        electrons: Tensor = self.capture(images, parts.sum(dim=1), channel, sign, generator)
        return electrons

    @torch.no_grad()
    def freeze(self, stack: CellStack, rows: Rows, weights: Float[Tensor, "channel lamp"] | None = None) -> None:
        del stack
        parts, channel, _ = split_captures(self.light() if weights is None else weights)
        self.capture.freeze(
            [
                self.capture.exposures(
                    self.images(self._slides[torch.from_numpy(some)], parts * self.irradiance),
                    parts.sum(dim=1),
                    channel,
                )
                for some in spread(rows, _FREEZE_ROWS)
            ]
        )


def _turned(slides: Tensor, which: Int[Tensor, " row"]) -> Tensor:
    turned = torch.empty_like(slides)
    for k in range(8):
        some = which == k
        turned[some] = turn(slides[some], k)
    return turned
