"""Real cells one by one: each crop alone in the middle of an empty slide."""

from typing import get_args

import numpy as np
from jaxtyping import Complex64, Float, Float32

from lsm.errors import ConfigError, WrongFormat
from lsm.samples._absorbing import CROP_RADII, PATH_UM_PER_ABSORBANCE, SIDE, Absorbing, Grey, absorbing, in_crop
from lsm.samples.crops import CellCrops
from lsm.samples.images import middle_absorbance
from lsm.samples.smear import SmearConfig
from lsm.samples.stain import Stain

RADIUS_UM = SmearConfig().radius_um


def single_cells(
    crops: CellCrops,
    *,
    n_px: int,
    pixel_um: float,
    wavelength_um: float,
    grey: Grey = "own",
    path_um_per_absorbance: float = PATH_UM_PER_ABSORBANCE,
    stain_exponent: float | Float[np.ndarray, " crop"] = 1.0,
) -> Complex64[np.ndarray, "crop n_px n_px"]:
    """Complex amplitude transmission [crop, n_px, n_px] of each crop, upright and 7.8 um wide; 1 around it.

    Row 0 is at the smallest y; pixel k lies at (k - (n_px - 1) / 2) * pixel_um from the cell's middle.
    grey: what a crop's grey levels mean. "own": relative to the crop's own brightest level, which is the
    middle of a normal cell, as in CellImageSmear. "fixed": relative to 230, the empty slide of a typical
    photograph, so that differences in brightness between photographs count as absorption.
    path_um_per_absorbance: optical path per unit of green absorbance.
    stain_exponent: power of the stain's transmission, one for all or one per crop; the path stays.
    Assumed: all of the cell absorbs like eosin in other colours, the crops being grey.
    Raises ConfigError for an unknown `grey` or a slide too small for a cell, WrongFormat for exponents
    that do not fit.
    """
    if grey not in get_args(Grey):
        raise ConfigError(f"grey='{grey}' is not known.", hint=f"use one of {', '.join(get_args(Grey))}")
    if n_px * pixel_um < 2 * CROP_RADII * RADIUS_UM:
        raise ConfigError(
            f"{n_px} px of {pixel_um:g} um are too small for a cell of {2 * RADIUS_UM:g} um.",
            hint=f"give a slide of at least {2 * CROP_RADII * RADIUS_UM:.1f} um",
        )
    exponent = np.asarray(stain_exponent, dtype=np.float32)
    if exponent.shape not in ((), (len(crops),)) or not np.isfinite(exponent).all():
        raise WrongFormat(
            f"Stain exponents of shape {exponent.shape} do not fit {len(crops)} crops.",
            hint="give one finite number, or one per crop",
        )
    axis = (np.arange(n_px) - (n_px - 1) / 2) * (pixel_um / RADIUS_UM)
    near = np.flatnonzero(np.abs(axis) <= CROP_RADII * (SIDE + 1) / (SIDE - 1))
    window = slice(int(near[0]), int(near[-1]) + 1)
    absorbance = _absorbance(absorbing(crops, grey), axis[window].astype(np.float32), grey)
    dyed = absorbance * (exponent[..., None, None] * np.float32(-Stain.EOSIN.relative_absorbance(wavelength_um) / 2))
    phase = absorbance * np.float32(2 * np.pi * path_um_per_absorbance / wavelength_um)
    amplitude = np.exp(dyed)
    slides = np.ones((len(crops), n_px, n_px), dtype=np.complex64)
    cells = slides[:, window, window]
    np.multiply(amplitude, np.cos(phase), out=cells.real)
    np.multiply(amplitude, np.sin(phase), out=cells.imag)
    return slides


def _absorbance(crops: Absorbing, axis: Float32[np.ndarray, " x"], grey: Grey) -> Float32[np.ndarray, "crop x x"]:
    """Green absorbance on a square grid; bilinear reading of upright crops is a product with a matrix on each side."""
    position = in_crop(axis)
    first = position.astype(np.int64)
    between = np.zeros((len(axis), SIDE), dtype=np.float32)
    rows = np.arange(len(axis))
    between[rows, first] = 1 - (position - first)
    between[rows, first + 1] = position - first
    images = crops.above
    if grey == "own":
        images = images + np.float32(middle_absorbance(SmearConfig())) * crops.mask
    absorbance: Float32[np.ndarray, "crop x x"] = between @ images.astype(np.float32) @ between.T
    return absorbance
