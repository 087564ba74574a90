"""Thick samples by multi-slice beam propagation: thin slices with free space between them.

Cowley and Moodie, Acta Cryst. 10, 609 (1957); for LED arrays Tian and Waller, Optica 2, 104 (2015).
A slice multiplies the field by one complex transmission for all directions. So the phase of a layer
lacks the 1 / cos of the oblique path (0.5 % at NA 0.1 in air, 5 % at NA 0.3), and light thrown back
is left out.

The wave of an LED at frequency u is not periodic on the sample's grid unless u lies on a bin. What is
propagated is therefore the envelope, the field divided by exp(2 pi i u.x): it is periodic, slices act on
it as on the field, and free space multiplies its bin k by H(k / field_um + u). Nothing is approximated,
and distances are not limited: a periodic sample stays periodic at any distance.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics.forward import sample_spectrum, warn_undersampled
from lsm.optics.grid import ImagingSystem
from lsm.optics.illumination import led_directions
from lsm.optics.intensity import intensity_images
from lsm.optics.plan import Plan
from lsm.optics.pupil import PupilFactor, PupilFunction
from lsm.optics.windows import Edge, check_reach, find_windows, pupil_table

# four 256 x 256 complex64 fields, 2 MB: what one step works on stays in a level-2 cache
CHUNK_POINTS = 4 * 256 * 256

Scalar: TypeAlias = Float[Tensor, ""]
Spacing: TypeAlias = float | Sequence[float] | Float[Tensor, " gap"]
Slices: TypeAlias = Complex[Tensor, "slice y x"]
Frequencies: TypeAlias = Float[Tensor, "led 2"]
Images: TypeAlias = Float[Tensor, "led cy cx"]


def slice_transmissions(
    index_difference: Float[Tensor, "*batch slice y x"],
    *,
    slice_um: float,
    wavelength_um: float,
    absorption_per_um: float | Float[Tensor, "*batch slice y x"] = 0.0,
) -> Complex[Tensor, "*batch slice y x"]:
    """Transmission of each slice: exp(i 2 pi / wavelength * dn * slice_um - mu_a * slice_um / 2).

    index_difference: refractive index minus that of the medium, mean over the slice's thickness `slice_um`.
    absorption_per_um: coefficient of the intensity.
    """
    phase = 2 * math.pi / wavelength_um * slice_um * index_difference
    decay = torch.as_tensor(absorption_per_um, dtype=phase.dtype, device=phase.device) * slice_um / 2
    return torch.polar(torch.exp(-decay).expand_as(phase), phase)


def thick_stack(
    slices: Complex[Tensor, "*batch slice y x"],
    spacing_um: Spacing,
    board: LedBoard,
    system: ImagingSystem,
    *,
    leds: Int[Tensor, " led"] | None = None,
    positions_mm: Float[Tensor, "all 3"] | None = None,
    tile_um: tuple[float, float] = (0.0, 0.0),
    medium_index: float | None = None,
    defocus_um: float | Float[Tensor, "..."] = 0.0,
    pupil: PupilFactor | PupilFunction | None = None,
    pixel: Literal["area", "point"] = "area",
    tilt: Literal["exact", "bin"] = "exact",
    edge: Edge = "hard",
) -> Float[Tensor, "*batch led cy cx"]:
    """One intensity image per LED [..., led, camera_px, camera_px] of a thick sample; 1.0 is the empty bright field.

    slices: transmissions [..., slice, sample_px, sample_px]; the light meets slice 0 first.
    spacing_um: distance from each slice to the next, one number for all or one per gap, zero or positive.
    medium_index: refractive index between the slices, that of the system when None.
    defocus_um: distance along the light from the LAST slice to the plane in focus, in the system's medium. A
    sample of total thickness T is in focus at its middle with defocus_um = -T / 2 where both media are the same.
    leds, positions_mm, tile_um, pupil, pixel, tilt, edge: as for `led_stack`, which this equals for one slice.

    The sample's grid must hold every LED's frequency and the pupil around it, as for one slice. It must also
    hold what the slices scatter one after the other: what the product of two slices has beyond
    1 / (2 sample_pixel_um) from u wraps around. Evanescent waves decay from slice to slice.
    Differentiable in slices, spacing_um, defocus_um, pupil and positions_mm. LEDs are worked on a few at a time
    and once more for gradients, so that memory does not grow with their number beyond the images.
    Raises WrongFormat for slices of another size or spacings that do not fit, ConfigError where the grid is too
    coarse or the medium cannot carry the light.
    """
    _check_slices(slices, system)
    warn_undersampled(system)
    gaps = _gaps(spacing_um, slices.shape[-3])
    frequencies = _frequencies(board, system, leds, positions_mm, tile_um)
    count, side = len(frequencies), system.camera_px
    windows = find_windows(frequencies, system, snap=tilt == "bin", edge=edge)
    if tilt == "bin":
        frequencies = torch.round(frequencies.detach() * system.field_um) / system.field_um
    medium = _checked_medium(medium_index, frequencies, system)
    plan = Plan(windows, np.arange(count + 1, dtype=np.int32), system, pixel == "area")

    def images(sample: Slices, focus: float | Tensor, first: int, end: int) -> Images:
        seen = plan.part(first, end)
        envelope = exit_envelope(sample, gaps, frequencies[first:end], system, medium_index=medium)
        spectra = sample_spectrum(envelope, system)
        table = pupil_table(
            seen.windows, system, defocus_um=focus, pupil=pupil, edge=edge, dtype=sample.dtype, device=sample.device
        )
        return torch.cat([_image(spectra[i : i + 1], table, seen, i) for i in range(end - first)])

    step = max(1, CHUNK_POINTS // system.sample_px**2)
    pieces = [
        # recomputed for gradients, so that one field per slice and LED need not be kept
        checkpoint(images, *sample, first, min(first + step, count), use_reentrant=False, preserve_rng_state=False)
        for sample in zip(slices.reshape(-1, *slices.shape[-3:]), _focus_of(defocus_um, slices), strict=True)
        for first in range(0, count, step)
    ]
    stack = torch.cat(pieces) if pieces else slices.real.new_empty(0)
    return stack.reshape(*slices.shape[:-3], count, side, side)


def exit_envelope(
    slices: Slices,
    spacing_um: Sequence[float | Scalar],
    frequencies: Frequencies,
    system: ImagingSystem,
    *,
    medium_index: float,
) -> Complex[Tensor, "led y x"]:
    """Field behind the last slice divided by exp(2 pi i u.x), per LED, without the phase of the axis.

    frequencies: transverse frequency u (x, y) of each LED in cycles/um. The envelope's bin k is the wave at
    k / field_um + u.
    """
    bins = torch.fft.fftfreq(system.sample_px, d=system.sample_pixel_um, dtype=torch.float64, device=slices.device)
    u = frequencies.to(slices.device)
    fx, fy = (bins + u[:, :1])[:, None, :], (bins + u[:, 1:])[:, :, None]
    fx, fy = fx.to(slices.real.dtype), fy.to(slices.real.dtype)
    # the same for all LEDs up to the first gap
    envelope, last_um, free = slices[:1], None, None
    for transmission, gap_um in zip(slices[1:], spacing_um, strict=True):
        # equal gaps share the factor, which costs as much as the transforms
        if free is None or gap_um is not last_um:
            free, last_um = free_space(fx, fy, gap_um, axial=medium_index / system.wavelength_um), gap_um
        waves = torch.fft.fft2(envelope)
        # in place where it can be: new memory costs as much as a transform
        waves = waves.mul_(free) if waves.shape == free.shape else waves * free
        envelope = torch.fft.ifft2(waves).mul_(transmission)
    return envelope.expand(len(u), -1, -1)


def free_space(
    fx: Float[Tensor, "led 1 n"], fy: Float[Tensor, "led n 1"], distance_um: float | Scalar, *, axial: float
) -> Complex[Tensor, "led n n"]:
    """Angular-spectrum factor exp(2 pi i d (sqrt(axial^2 - f^2) - axial)), decaying where the root is imaginary.

    axial: refractive index / wavelength_um. Goodman, Introduction to Fourier Optics, eq. 3-74 and 3-78.
    """
    square = fx**2 + fy**2
    left = axial**2 - square
    # the floor keeps the derivative of the root finite on the circle between the two kinds of wave
    root = torch.sqrt(left.abs().clamp_min(1e-12 * axial**2))
    # sqrt(a^2 - f^2) - a, written so that float32 does not lose it against a
    phase = (-2 * math.pi) * distance_um * (square / (root + axial))
    waves = torch.complex(torch.cos(phase), torch.sin(phase))
    if bool((left > 0).all()):
        return waves
    return torch.where(left > 0, waves, torch.exp(-2 * math.pi * distance_um * root))


def _image(
    spectrum: Complex[Tensor, "1 fy fx"], table: Complex[Tensor, "1 led k k"] | None, plan: Plan, led: int
) -> Float[Tensor, "1 cy cx"]:
    of_led = None if table is None else table[:, led : led + 1]
    return intensity_images(spectrum, of_led, None, plan.part(led, led + 1))[0]


def _check_slices(slices: Complex[Tensor, "*batch slice y x"], system: ImagingSystem) -> None:
    n = system.sample_px
    if slices.shape[-2:] != (n, n) or slices.shape[-3] < 1:
        raise WrongFormat(
            f"The slices are {tuple(slices.shape[-3:])}, not at least one of {(n, n)} px.",
            hint="render them with sample_px and sample_pixel_um of the imaging system",
        )
    if not bool(torch.isfinite(torch.view_as_real(slices.detach())).all()):
        raise WrongFormat("The slices hold a value that is not finite.", hint="give finite transmissions")


def _gaps(spacing_um: Spacing, n_slices: int) -> list[float | Scalar]:
    gaps = list(spacing_um) if isinstance(spacing_um, Tensor | Sequence) else [spacing_um] * (n_slices - 1)
    if len(gaps) != n_slices - 1:
        raise WrongFormat(
            f"{len(gaps)} spacings do not fit {n_slices} slices.", hint=f"give one number or {n_slices - 1}"
        )
    for gap_um in (float(gap.detach()) if isinstance(gap, Tensor) else gap for gap in gaps):
        if not 0 <= gap_um < math.inf:
            raise ConfigError(
                f"A spacing of {gap_um:g} um between slices is impossible.",
                hint="slice 0 is met first; give distances of zero or more",
            )
    return gaps


def _focus_of(
    defocus_um: float | Float[Tensor, "..."], slices: Complex[Tensor, "*batch slice y x"]
) -> Sequence[float | Tensor]:
    batch = slices.shape[:-3]
    if isinstance(defocus_um, Tensor) and defocus_um.ndim:
        if defocus_um.shape != batch:
            raise WrongFormat(
                f"Defocus of shape {tuple(defocus_um.shape)} does not fit {tuple(batch)} samples.",
                hint="give one number for all samples or one per sample",
            )
        return list(defocus_um.reshape(-1))
    return [defocus_um] * math.prod(batch)


def _checked_medium(medium_index: float | None, frequencies: Frequencies, system: ImagingSystem) -> float:
    medium = system.refractive_index if medium_index is None else medium_index
    steepest = float(torch.linalg.vector_norm(frequencies.detach(), dim=-1).max()) if len(frequencies) else 0.0
    needed = max(system.na, steepest * system.wavelength_um)
    if not needed < medium < math.inf:
        raise ConfigError(
            f"A medium of index {medium:g} between the slices cannot carry light of NA {needed:.3f}.",
            hint=f"medium_index is above {needed:.3f}",
        )
    return medium


def _frequencies(
    board: LedBoard,
    system: ImagingSystem,
    leds: Int[Tensor, " led"] | None,
    positions_mm: Float[Tensor, "all 3"] | None,
    tile_um: tuple[float, float],
) -> Frequencies:
    chosen = torch.arange(board.n_leds) if leds is None else leds.cpu()
    if chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < board.n_leds:
        raise WrongFormat(
            f"LEDs {int(chosen.min())} to {int(chosen.max())} do not all exist on board '{board.name}'.",
            hint=f"LEDs are 0 to {board.n_leds - 1}",
        )
    directions = led_directions(board, positions_mm=positions_mm, tile_um=tile_um)
    frequencies: Tensor = directions[chosen, :2].cpu() / system.wavelength_um
    if len(frequencies):
        check_reach(frequencies, system, board.name)
    return frequencies
