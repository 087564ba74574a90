"""The whole way from a thin sample to one image per LED."""

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float, Int, Int32
from torch import Tensor

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem
from lsm.optics.illumination import die_offsets, die_points, led_directions
from lsm.optics.intensity import intensity_images
from lsm.optics.plan import Plan
from lsm.optics.pupil import PupilFactor, PupilFunction
from lsm.optics.windows import Edge, Windows, check_reach, find_windows, is_open, pupil_table

# bins of all windows of one call to the kernel; with a pupil of complex64 this is 16 MB
TABLE_BINS = 2**21
# side up to which the phase that centres the grid is kept as a plane: 8 MB of complex64
RAMP_PX = 1024


class AliasingWarning(UserWarning):
    """The camera's pixels are too large for what the objective resolves."""


def led_stack(
    transmission: Complex[Tensor, "*batch y x"],
    board: LedBoard,
    system: ImagingSystem,
    *,
    leds: Int[Tensor, " led"] | None = None,
    positions_mm: Float[Tensor, "all 3"] | None = None,
    tile_um: tuple[float, float] = (0.0, 0.0),
    defocus_um: float | Float[Tensor, "*_"] = 0.0,
    pupil: PupilFactor | PupilFunction | None = None,
    pixel: Literal["area", "point"] = "area",
    tilt: Literal["exact", "bin"] = "exact",
    edge: Edge = "hard",
) -> Float[Tensor, "*batch led cy cx"]:
    """One intensity image per LED [..., led, camera_px, camera_px]; 1.0 is the empty bright field.

    transmission: complex amplitude [..., sample_px, sample_px], taken as periodic; row 0 at smallest y.
    leds: indices in board order, all when None. The LED's relative irradiance is not included.
    positions_mm: of all LEDs, in place of the board's.
    tile_um: place (x, y) of the sample's centre relative to the optical axis; sets the LEDs' directions.
    defocus_um: distance from the sample to the plane in focus, along the light; one, or one per sample [...].
    pupil: a PupilFunction such as ZernikePupil, evaluated exactly; or a factor [computed_px, computed_px]
    on `frequency_axis`, read bilinearly. Either multiplies aperture and defocus.
    pixel: "area" averages over the camera pixel, "point" samples at its centre; they differ by about
    9 % of the peak, so compare only like with like. `integrate_pixels` turns summed points into area.
    tilt: "exact" puts the pupil at each LED's true frequency; "bin" moves the LED to the nearest
    frequency bin, off by up to wavelength / (2 field_um) in NA (0.001 at 0.53 um and 269 um).
    An LED with a finite `die_mm` is a sum over `die_points` of its emitter.
    edge: "hard" passes a bin whole or not at all; "soft" passes the part of it inside the aperture.
    Differentiable in transmission, pupil, defocus_um and positions_mm (whose gradient through the
    aperture needs edge="soft"). Linear in time and, without gradients, only the result is kept.
    Warns (AliasingWarning, once) where the camera undersamples the image.
    Raises WrongFormat for a sample that does not fit or is not finite, ConfigError where the grid is too coarse.
    """
    chosen = _chosen(board, leds)
    alone = np.arange(len(chosen) + 1, dtype=np.int32)
    view = _view(board, system, tile_um, tilt, edge, pixel)
    plan = _plan(view, chosen, alone, positions_mm)
    return _images(transmission, plan, None, defocus_um, pupil, edge)


def pattern_stack(
    transmission: Complex[Tensor, "*batch y x"],
    board: LedBoard,
    system: ImagingSystem,
    weights: Float[Tensor, "capture led"],
    *,
    positions_mm: Float[Tensor, "all 3"] | None = None,
    tile_um: tuple[float, float] = (0.0, 0.0),
    defocus_um: float | Float[Tensor, "*_"] = 0.0,
    pupil: PupilFactor | PupilFunction | None = None,
    pixel: Literal["area", "point"] = "area",
    tilt: Literal["exact", "bin"] = "exact",
    edge: Edge = "hard",
) -> Float[Tensor, "*batch capture cy cx"]:
    """Images under patterns [..., capture, camera_px, camera_px]: `pattern_image` of `led_stack`, without the stack.

    weights: from `effective_weights`; LEDs of weight 0 cost nothing. The other arguments, warnings and
    errors are those of `led_stack`. Needs memory for the images alone, where the stack holds one per LED;
    many patterns of many LEDs are faster from a stack, which is computed once.
    Differentiable like `led_stack`, and in the weights that are not 0.
    """
    if weights.shape[-1] != board.n_leds:
        raise WrongFormat(
            f"{weights.shape[-1]} weights do not fit board '{board.name}' with {board.n_leds} LEDs.",
            hint="give one weight per LED, in board order",
        )
    capture, led = (weights.detach() != 0).nonzero(as_tuple=True)
    starts = torch.searchsorted(capture, torch.arange(weights.shape[0] + 1, device=capture.device))
    view = _view(board, system, tile_um, tilt, edge, pixel)
    plan = _plan(view, led.cpu().numpy(), starts.to(torch.int32).cpu().numpy(), positions_mm)
    weight = weights[capture, led].to(transmission.device, transmission.real.dtype)
    return _images(transmission, plan, weight, defocus_um, pupil, edge)


def sample_spectrum(transmission: Complex[Tensor, "batch y x"], system: ImagingSystem) -> Complex[Tensor, "batch y x"]:
    """Fourier coefficients of the sample, with the origin at the first camera pixel's centre."""
    n = system.sample_px
    spectrum: Tensor = torch.fft.fft2(transmission, norm="forward")
    if n <= RAMP_PX:
        factors = [_square_ramp(n, system.decimation, transmission.dtype)]
    else:
        ramp = _ramp(n, system.decimation, transmission.dtype)
        factors = [ramp, ramp[:, None]]
    for factor in factors:
        there = factor.to(transmission.device)
        spectrum = spectrum * there if spectrum.requires_grad else spectrum.mul_(there)
    return spectrum


@lru_cache(maxsize=16)
def _ramp(n: int, decimation: int, dtype: torch.dtype) -> Tensor:
    # the first camera pixel is centred between sample pixels when the decimation is even
    cycles = torch.fft.fftfreq(n, dtype=torch.float64) * (decimation - 1) / 2
    return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles).to(dtype)


@lru_cache(maxsize=4)
def _square_ramp(n: int, decimation: int, dtype: torch.dtype) -> Tensor:
    ramp = _ramp(n, decimation, dtype)
    return ramp * ramp[:, None]


@lru_cache(maxsize=64)
def warn_undersampled(system: ImagingSystem) -> None:
    """Warns once per system whose camera holds fewer than 4 r + 1 pixels across the field (r: pupil radius in bins)."""
    if system.undersampled:
        warnings.warn(
            f"Camera pixels of {system.camera_pixel_um} um undersample the image: "
            f"{system.computed_px} across the field, where {4 * system.pupil_radius_bins + 1:.1f} are needed, "
            "and fine detail shows as moire, as in a real camera. "
            f"Hint: use camera_pixel_um below {system.wavelength_um / (4 * system.na):.3f} to avoid it.",
            AliasingWarning,
            stacklevel=4,
        )


def _chosen(board: LedBoard, leds: Int[Tensor, " led"] | None) -> Int[np.ndarray, " led"]:
    if leds is None:
        return np.arange(board.n_leds)
    chosen: Int[np.ndarray, " led"] = leds.cpu().numpy().astype(np.int64)
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < board.n_leds:
        raise WrongFormat(
            f"LEDs {int(chosen.min())} to {int(chosen.max())} do not all exist on board '{board.name}'.",
            hint=f"LEDs are 0 to {board.n_leds - 1}",
        )
    return chosen


def _check_finite(transmission: Tensor, spectrum: Tensor) -> None:
    # the mean is not finite as soon as one value is not
    if bool(torch.isfinite(torch.view_as_real(spectrum[:, 0, 0].detach())).all()):
        return
    bad = (~torch.isfinite(transmission.detach().abs())).nonzero()
    if not len(bad):
        raise WrongFormat("The sample's values are too large to be summed.", hint="a transmission is at most about 1")
    place = tuple(bad[0].tolist())
    raise WrongFormat(
        f"The sample holds {transmission[place].item()} at {place}, and {len(bad)} such values in all.",
        hint="a transmission is finite everywhere",
    )


def _one_of(name: str, value: str, allowed: tuple[str, str]) -> bool:
    """Whether the value is the second of two. Raises ConfigError when it is neither."""
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is not known.", hint=f"use {allowed[0]!r} or {allowed[1]!r}")
    return value == allowed[1]


@dataclass(frozen=True)
class _View:
    """Geometry of a computation, apart from its light."""

    board: LedBoard
    system: ImagingSystem
    tile_um: tuple[float, float]
    snap: bool
    edge: Edge
    area: bool


def _view(
    board: LedBoard, system: ImagingSystem, tile_um: tuple[float, float], tilt: str, edge: str, pixel: str
) -> _View:
    soft = _one_of("edge", edge, ("hard", "soft"))
    snap = _one_of("tilt", tilt, ("exact", "bin"))
    area = _one_of("pixel", pixel, ("point", "area"))
    return _View(board, system, tile_um, snap, "soft" if soft else "hard", area)


def _plan(
    view: _View,
    sources: Int[np.ndarray, " source"],
    group_start: Int32[np.ndarray, " edges"],
    positions_mm: Tensor | None,
) -> Plan:
    if positions_mm is None:
        return _known_plan(view, sources.tobytes(), group_start.tobytes())
    if positions_mm.shape != view.board.positions_mm.shape:
        raise WrongFormat(
            f"positions_mm is {tuple(positions_mm.shape)}, not {view.board.positions_mm.shape}.",
            hint="give a position (x, y, z) for every LED of the board",
        )
    return _new_plan(view, sources, group_start, positions_mm)


@lru_cache(maxsize=32)
def _known_plan(view: _View, sources: bytes, group_start: bytes) -> Plan:
    return _new_plan(view, np.frombuffer(sources, np.int64), np.frombuffer(group_start, np.int32), None)


def _new_plan(
    view: _View,
    sources: Int[np.ndarray, " source"],
    group_start: Int32[np.ndarray, " edges"],
    positions_mm: Tensor | None,
) -> Plan:
    board, system = view.board, view.system
    points = die_points(board, system)
    where = torch.from_numpy(board.positions_mm) if positions_mm is None else positions_mm
    where = where[torch.tensor(sources)]
    if points > 1:
        where = (where[:, None] + die_offsets(board, points)[torch.tensor(sources)].to(where)).reshape(-1, 3)
        group_start = group_start * points**2
    frequencies = led_directions(board, positions_mm=where, tile_um=view.tile_um)[:, :2].cpu() / system.wavelength_um
    if len(frequencies):
        check_reach(frequencies, system, board.name)
    windows = find_windows(frequencies, system, snap=view.snap, edge=view.edge)
    return Plan(windows, group_start, system, view.area, points**2)


def _images(
    transmission: Tensor,
    plan: Plan,
    weight: Tensor | None,
    defocus_um: float | Tensor,
    pupil: PupilFactor | PupilFunction | None,
    edge: Edge,
) -> Tensor:
    """Images [..., group, camera_px, camera_px] of a sample that is checked here."""
    n = plan.system.sample_px
    if not isinstance(transmission, Tensor) or transmission.dtype not in (torch.complex64, torch.complex128):
        raise WrongFormat(
            f"The sample is a {getattr(transmission, 'dtype', type(transmission).__name__)}, not a complex tensor.",
            hint="give its amplitude and phase as a torch tensor of complex64 or complex128",
        )
    if transmission.shape[-2:] != (n, n):
        raise WrongFormat(
            f"The sample is {tuple(transmission.shape[-2:])}, not {(n, n)} px.",
            hint="render it with sample_px and sample_pixel_um of the imaging system",
        )
    batch = transmission.reshape(-1, n, n)
    if not bool(torch.isfinite(torch.as_tensor(defocus_um)).all()):
        raise ConfigError(f"A defocus of {defocus_um} um is impossible.", hint="defocus_um is finite")
    if isinstance(defocus_um, Tensor) and defocus_um.numel() not in (1, batch.shape[0]):
        raise WrongFormat(
            f"{defocus_um.numel()} values of defocus_um do not fit {batch.shape[0]} samples.",
            hint="give one, or one per sample",
        )
    warn_undersampled(plan.system)
    spectrum = sample_spectrum(batch, plan.system)
    _check_finite(transmission, spectrum)
    images = _spectrum_images(spectrum, plan, weight, defocus_um, pupil, edge)
    return images.reshape(*transmission.shape[:-2], *images.shape[1:])


def _spectrum_images(
    spectrum: Tensor,
    plan: Plan,
    weight: Tensor | None,
    defocus_um: float | Tensor,
    pupil: PupilFactor | PupilFunction | None,
    edge: Edge,
) -> Tensor:
    weight = _per_source(weight, plan, spectrum)
    fixed = pupil is None and not isinstance(defocus_um, Tensor) and not plan.windows.fx.requires_grad
    bins = len(plan.windows.rows) * plan.windows.window_px**2
    if fixed and (bins <= TABLE_BINS or is_open(defocus_um, pupil, edge)):
        table = _known_table(plan.windows, plan.system, defocus_um, edge, spectrum.dtype, spectrum.device)
        return intensity_images(spectrum, table, weight, plan)

    def part(first: int, out: Tensor | None = None) -> Tensor:
        some = plan.part(first, min(first + size, plan.groups))
        table = pupil_table(
            some.windows,
            some.system,
            defocus_um=defocus_um,
            pupil=pupil,
            edge=edge,
            dtype=spectrum.dtype,
            device=spectrum.device,
        )
        sources = slice(int(plan.group_start[first]), int(plan.group_start[first]) + len(some.windows.rows))
        return intensity_images(spectrum, table, None if weight is None else weight[sources], some, out=out)

    size = max(1, plan.groups * TABLE_BINS // max(1, bins))
    starts = range(0, plan.groups, size)
    head = part(0)
    if len(starts) < 2:
        return head
    if head.requires_grad:
        return torch.cat([head, *(part(first) for first in starts[1:])], dim=1)
    images = head.new_empty(head.shape[0], plan.groups, *head.shape[2:])
    images[:, :size] = head
    for first in starts[1:]:
        part(first, images[:, first : first + size])
    return images


def _per_source(weight: Tensor | None, plan: Plan, spectrum: Tensor) -> Tensor | None:
    """One weight per source from one per LED of a pattern, both None where they are 1."""
    if plan.points_per_led == 1:
        return weight
    if weight is None:
        weight = spectrum.real.new_ones(len(plan.windows.rows) // plan.points_per_led)
    return weight.repeat_interleave(plan.points_per_led) / plan.points_per_led


@lru_cache(maxsize=4)
def _known_table(
    windows: Windows, system: ImagingSystem, defocus_um: float, edge: Edge, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    return pupil_table(windows, system, defocus_um=defocus_um, pupil=None, edge=edge, dtype=dtype, device=device)
