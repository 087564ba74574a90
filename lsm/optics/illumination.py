"""Directions from which the sample is lit, and the points of an LED's emitter."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.errors import ConfigError
from lsm.illum import LedBoard, arriving_sine
from lsm.optics.grid import ImagingSystem

# half an emitter's width, as a share of the pupil's radius, that one more point along its side stands for
WIDTH_PER_POINT = 0.07


def led_directions(
    board: LedBoard,
    *,
    positions_mm: Float[Tensor, "led 3"] | None = None,
    tile_um: tuple[float, float] = (0.0, 0.0),
) -> Float[Tensor, "led 3"]:
    """Unit vectors [led, 3], float64, of the light that arrives at `tile_um` (x, y) of the sample, in air.

    positions_mm: of the LEDs, in place of the board's; differentiable, through the board's glass too.
    Raises ConfigError for a position that is not finite or not below the glass.
    """
    given = torch.from_numpy(board.positions_mm) if positions_mm is None else positions_mm.double()
    _check(given.detach(), board)
    point_mm = torch.tensor([tile_um[0] / 1000, tile_um[1] / 1000, 0.0], dtype=torch.float64, device=given.device)
    towards = point_mm - given
    height_mm = towards[:, 2]
    # on the axis the offset has no derivative, and the sine's with respect to the position is 0
    offset_mm = torch.sqrt((towards[:, 0] ** 2 + towards[:, 1] ** 2).clamp_min(1e-30))
    sine = _sine(offset_mm, height_mm, board)
    cosine = torch.sqrt(1 - sine**2)
    glass_mm = board.glass.thickness_mm
    offset_per_sine = (height_mm - glass_mm) / cosine + glass_mm / _in_glass(sine, board)
    return torch.cat([towards[:, :2] / offset_per_sine[:, None], cosine[:, None]], dim=1)


def _check(positions_mm: Tensor, board: LedBoard) -> None:
    wrong = ~(torch.isfinite(positions_mm).all(dim=1) & (positions_mm[:, 2] < -board.glass.thickness_mm))
    if bool(wrong.any()):
        led = int(wrong.to(torch.int8).argmax())
        place = ", ".join(f"{value:g}" for value in positions_mm[led].tolist())
        raise ConfigError(
            f"LED {led} of board '{board.name}' is moved to ({place}) mm.",
            hint=f"LEDs lie below the sample and its glass, at z below {-board.glass.thickness_mm:g} mm",
        )


def _in_glass(sine: Tensor, board: LedBoard) -> Tensor:
    return torch.sqrt(board.glass.refractive_index**2 - sine**2)


def _sine(offset_mm: Tensor, height_mm: Tensor, board: LedBoard) -> Tensor:
    """`lsm.illum.arriving_sine`, differentiable: one step of Newton's method from its solution has its derivative."""
    found = arriving_sine(offset_mm.detach().cpu().numpy(), height_mm.detach().cpu().numpy(), board.glass)
    start = torch.from_numpy(found).to(offset_mm.device)
    cosine, in_glass, glass_mm = torch.sqrt(1 - start**2), _in_glass(start, board), board.glass.thickness_mm
    air_mm = height_mm - glass_mm
    miss = air_mm * start / cosine + glass_mm * start / in_glass - offset_mm
    slope = air_mm.detach() / cosine**3 + glass_mm * board.glass.refractive_index**2 / in_glass**3
    sine: Tensor = start - miss / slope
    return sine


def die_points(board: LedBoard, system: ImagingSystem) -> int:
    """Points along each side of an LED's emitter that stand for it in an image; 1 for a small one.

    The board's own `die_points` if it gives them. Otherwise as many as keep the images of a strongly
    scattering sample within 1 to 2 % (root mean square, of the mean) of a far finer sum in bright field;
    in dark field, where the mean is small, that is 3 to 10 %, and LEDs whose emitter lies across the
    pupil's edge converge only as 1 / points. 0.3 mm at 68 mm and NA 0.1 is one point, 3 mm are four.
    """
    if board.die_mm == 0.0:
        return 1
    if board.die_points:
        return board.die_points
    nearest_mm = float(np.linalg.norm(board.positions_mm, axis=1).min())
    return 1 + math.floor(board.die_mm / 2 / nearest_mm / system.na / WIDTH_PER_POINT)


def die_offsets(board: LedBoard, points: int) -> Float[Tensor, "led point 3"]:
    """Places of an emitter's points around its LED, mm; all points give the same light.

    They are the middles of equal squares in the plane across each LED's normal. An image jumps where a bin
    of the spectrum enters the pupil: such points converge faster than those of a Gauss quadrature.
    """
    normal = torch.from_numpy(board.normals)
    # any direction that is far from the normal spans the emitter's plane with it
    helper = torch.eye(3, dtype=torch.float64)[normal.abs().argmin(dim=1)]
    side = torch.linalg.cross(normal, helper)
    side = side / torch.linalg.vector_norm(side, dim=1, keepdim=True)
    other = torch.linalg.cross(normal, side)
    at = ((torch.arange(points, dtype=torch.float64) + 0.5) / points - 0.5) * board.die_mm
    a, b = torch.meshgrid(at, at, indexing="ij")
    offsets: Tensor = a.reshape(1, -1, 1) * side[:, None] + b.reshape(1, -1, 1) * other[:, None]
    return offsets
