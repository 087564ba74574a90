"""Calibration targets: shapes whose image is known, on the square grid of an imaging system.

Each is a complex transmission [n_px, n_px] with the target in the middle. Opaque shapes are covered by
area, on 8 x 8 points in each pixel, so that an edge may lie anywhere.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from lsm.errors import ConfigError
from lsm.types import Transmission

Plane: TypeAlias = Float[np.ndarray, "y x"]
Shape: TypeAlias = Callable[[Plane, Plane], Bool[np.ndarray, "y x"]]

POINTS_PER_PIXEL = 8


def coordinates(n_px: int, pixel_um: float) -> tuple[Plane, Plane]:
    """Places x and y of the pixels' centres from the middle of the grid, um."""
    if n_px < 1 or not 0 < pixel_um < math.inf:
        raise ConfigError(
            f"A grid of {n_px} pixels of {pixel_um} um is impossible.", hint="both are positive; um at the sample"
        )
    axis_um = (np.arange(n_px) - (n_px - 1) / 2) * pixel_um
    x_um, y_um = np.meshgrid(axis_um, axis_um)
    return x_um, y_um


def covered(shape: Shape, n_px: int, pixel_um: float) -> Plane:
    """Share of each pixel's area inside a shape, 0 to 1."""
    x_um, y_um = coordinates(n_px, pixel_um)
    total = np.zeros((n_px, n_px))
    inside_pixel = ((np.arange(POINTS_PER_PIXEL) + 0.5) / POINTS_PER_PIXEL - 0.5) * pixel_um
    for dy_um in inside_pixel:
        for dx_um in inside_pixel:
            total += shape(x_um + dx_um, y_um + dy_um)
    return total / POINTS_PER_PIXEL**2


def opaque(share: Plane) -> Transmission:
    """A film that lets no light through where it covers."""
    transmission: Transmission = (1 - share).astype(np.complex128)
    return transmission


def pinhole(n_px: int, pixel_um: float, *, diameter_um: float = 1.0) -> Transmission:
    """A round hole in an opaque film."""
    radius_um = diameter_um / 2
    return opaque(1 - covered(lambda x, y: np.hypot(x, y) <= radius_um, n_px, pixel_um))


def siemens_star(n_px: int, pixel_um: float, *, spokes: int = 36, diameter_um: float = 0.0) -> Transmission:
    """Opaque spokes, as wide as the gaps; diameter 0 fills four fifths of the grid.

    At radius r the period is 2 pi r / spokes, so the radius where contrast ends tells the resolution.
    """
    radius_um = (diameter_um or 0.8 * n_px * pixel_um) / 2

    def spoke(x_um: Plane, y_um: Plane) -> Bool[np.ndarray, "y x"]:
        turn = np.sin(spokes * np.arctan2(y_um, x_um)) > 0
        inside: Bool[np.ndarray, "y x"] = turn & (np.hypot(x_um, y_um) <= radius_um)
        return inside

    return opaque(covered(spoke, n_px, pixel_um))


def bar_groups(n_px: int, pixel_um: float, *, first_lp_per_mm: float = 0.0, groups: int = 3) -> Transmission:
    """Groups of three opaque bars in both directions, each step finer by the sixth root of two, as in USAF 1951.

    A bar is half a line pair wide and five times as long. Each group is a column of six steps, coarsest at
    small y; the next begins an octave finer. first_lp_per_mm: of the first bars; 0 fills the grid.
    Raises ConfigError for bars that do not fit.
    """
    steps = [2 ** (-step / 6) for step in range(6)]
    height, width = 7 * sum(steps), 13 * sum(2.0**-group for group in range(groups))
    largest_um = 0.9 * n_px * pixel_um / max(height, width)
    coarsest_um = 500 / first_lp_per_mm if first_lp_per_mm else largest_um
    if coarsest_um > largest_um:
        raise ConfigError(
            f"Bars of {first_lp_per_mm:g} line pairs/mm do not fit {n_px} pixels of {pixel_um} um.",
            hint=f"begin at {500 / largest_um:.4g} line pairs/mm or more, or take a larger grid",
        )
    share = np.zeros((n_px, n_px))
    left_um = -width * coarsest_um / 2
    for group in range(groups):
        top_um = -height * coarsest_um / 2
        for step in steps:
            bar_um = coarsest_um * step / 2**group
            share += _three_bars(n_px, pixel_um, (left_um, top_um), bar_um)
            share += _three_bars(n_px, pixel_um, (top_um, left_um + 6 * bar_um), bar_um).T
            top_um += 7 * bar_um
        left_um += 13 * coarsest_um / 2**group
    return opaque(share)


def _three_bars(n_px: int, pixel_um: float, corner_um: tuple[float, float], bar_um: float) -> Plane:
    """Share of each pixel under three bars along y, side by side along x, exactly."""
    left_um, top_um = corner_um
    along_x = sum(_overlap(n_px, pixel_um, left_um + i * bar_um, bar_um) for i in (0, 2, 4))
    return np.outer(_overlap(n_px, pixel_um, top_um, 5 * bar_um), along_x)


def _overlap(n_px: int, pixel_um: float, begin_um: float, length_um: float) -> Float[np.ndarray, " pixel"]:
    """Share of each pixel of one axis inside an interval."""
    edges_um = (np.arange(n_px + 1) - n_px / 2) * pixel_um
    inside_um = np.clip(edges_um, begin_um, begin_um + length_um)
    share: Float[np.ndarray, " pixel"] = np.diff(inside_um) / pixel_um
    return share


def checkerboard(n_px: int, pixel_um: float, *, square_um: float = 5.0) -> Transmission:
    """Opaque and open squares that meet at their corners."""

    def is_dark(x_um: Plane, y_um: Plane) -> Bool[np.ndarray, "y x"]:
        dark: Bool[np.ndarray, "y x"] = (np.floor(x_um / square_um) + np.floor(y_um / square_um)) % 2 == 0
        return dark

    return opaque(covered(is_dark, n_px, pixel_um))


def amplitude_grating(
    n_px: int, pixel_um: float, *, period_um: float = 4.0, modulation: float = 0.2, angle_rad: float = 0.0
) -> Transmission:
    """Amplitude 1 + modulation * cos across lines; angle 0 varies along x. Whole periods fit the grid."""
    grating: Transmission = (1 + modulation * _wave(n_px, pixel_um, period_um, angle_rad)).astype(np.complex128)
    return grating


def phase_grating(
    n_px: int, pixel_um: float, *, period_um: float = 4.0, amplitude_rad: float = 0.2, angle_rad: float = 0.0
) -> Transmission:
    """Phase amplitude_rad * cos across lines; angle 0 varies along x. Whole periods fit the grid."""
    grating: Transmission = np.exp(1j * amplitude_rad * _wave(n_px, pixel_um, period_um, angle_rad))
    return grating


def _wave(n_px: int, pixel_um: float, period_um: float, angle_rad: float) -> Plane:
    """A cosine of the nearest period that repeats at the grid's edges, where the computation wraps around."""
    if not 2 * pixel_um <= period_um <= n_px * pixel_um:
        raise ConfigError(
            f"A period of {period_um} um does not fit {n_px} pixels of {pixel_um} um.",
            hint=f"use {2 * pixel_um:g} to {n_px * pixel_um:g} um",
        )
    x_um, y_um = coordinates(n_px, pixel_um)
    field_um = n_px * pixel_um
    cycles = [round(field_um / period_um * part) for part in (math.cos(angle_rad), math.sin(angle_rad))]
    wave: Plane = np.cos(2 * np.pi * (cycles[0] * x_um + cycles[1] * y_um) / field_um)
    return wave


def phase_disc(n_px: int, pixel_um: float, *, diameter_um: float = 10.0, phase_rad: float = 1.0) -> Transmission:
    """A transparent disc that delays light by phase_rad."""
    share = covered(lambda x, y: np.hypot(x, y) <= diameter_um / 2, n_px, pixel_um)
    disc: Transmission = 1 + share * (np.exp(1j * phase_rad) - 1)
    return disc


def microsphere(
    n_px: int, pixel_um: float, *, diameter_um: float = 6.0, index_contrast: float = 0.05, wavelength_um: float = 0.53
) -> Transmission:
    """A transparent sphere as a thin sample: phase 2 pi / wavelength * index_contrast * thickness.

    index_contrast: sphere minus medium; 0.05 is silica in 1.41, 0.26 polystyrene in water.
    """
    x_um, y_um = coordinates(n_px, pixel_um)
    thickness_um = 2 * np.sqrt(np.clip((diameter_um / 2) ** 2 - x_um**2 - y_um**2, 0.0, None))
    sphere: Transmission = np.exp(2j * np.pi / wavelength_um * index_contrast * thickness_um)
    return sphere


TARGETS: Mapping[str, Callable[..., Transmission]] = MappingProxyType(
    {
        "amplitude-grating": amplitude_grating,
        "bars": bar_groups,
        "checkerboard": checkerboard,
        "microsphere": microsphere,
        "phase-disc": phase_disc,
        "phase-grating": phase_grating,
        "pinhole": pinhole,
        "siemens-star": siemens_star,
    }
)
"""All targets by name, as functions of (n_px, pixel_um) and what each adds."""


def target(name: str, n_px: int, pixel_um: float, *, wavelength_um: float) -> Transmission:
    """A target by its name, with its own default sizes. Raises ConfigError for a name that is not in `TARGETS`."""
    if name not in TARGETS:
        raise ConfigError(f"There is no target '{name}'.", hint=f"choose from {', '.join(TARGETS)}")
    if name == "microsphere":
        return microsphere(n_px, pixel_um, wavelength_um=wavelength_um)
    return TARGETS[name](n_px, pixel_um)
