"""A board as one rigid body, fitted to the directions of its LEDs."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from lsm.illum import LedBoard
from lsm.types import LedMask, LedVectors

Pose = Float[np.ndarray, " 6"]


@dataclass(frozen=True, eq=False)
class RigidBoard:
    """The rigid body that comes nearest to LEDs' directions, and where each ray meets its plane.

    positions_mm: on the rays; sigma_distance_mm: standard uncertainty of the mean distance, from what the body leaves.
    left_mm: root mean square distance of LEDs from their places on the body, along the board.
    """

    positions_mm: LedVectors
    body_mm: LedVectors
    sigma_distance_mm: float
    left_mm: float


def rigid_board(described: LedBoard, found_mm: LedVectors, known: LedMask) -> RigidBoard:
    """Distance and tilt from the described pitch: images tell directions alone, which a nearer board with wider
    spaces has too.

    described: with its LEDs about where they are, as `survey.BoardTurn` says. found_mm: any places on the rays.
    known: LEDs whose rays were seen; the others take their place on the body.
    """
    tangents = found_mm[:, :2] / found_mm[:, 2:]
    nominal = described.positions_mm

    def misses(pose: Pose) -> Float[np.ndarray, " number"]:
        body = _posed(nominal, pose)[known]
        away: Float[np.ndarray, " number"] = (tangents[known] * body[:, 2:] - body[:, :2]).ravel()
        return away

    # one LED that is wired to another place must not carry the board along
    fit = least_squares(misses, np.zeros(6), loss="soft_l1", f_scale=0.2, x_scale=[1, 1, 0.03, 0.03, 0.03, 0.03])
    body = _posed(nominal, fit.x)
    left = misses(fit.x)
    freedom = max(1, left.size - 6)
    covariance = float((left**2).sum()) / freedom * np.linalg.inv(fit.jac.T @ fit.jac)
    on_rays = np.column_stack([tangents * body[:, 2:], body[:, 2]])
    return RigidBoard(
        positions_mm=np.where(known[:, None], on_rays, body),
        body_mm=body,
        sigma_distance_mm=math.sqrt(float(covariance[3, 3])) * float(-body[:, 2].mean()),
        left_mm=math.sqrt(float((left**2).mean())),
    )


def _posed(nominal: LedVectors, pose: Pose) -> LedVectors:
    """Shifted, turned, further away by the exponential of pose[3], tilted."""
    x, y, z = nominal.T
    cosine, sine = math.cos(pose[2]), math.sin(pose[2])
    posed: LedVectors = np.column_stack(
        [
            cosine * x - sine * y + pose[0],
            sine * x + cosine * y + pose[1],
            z * math.exp(pose[3]) + pose[4] * x + pose[5] * y,
        ]
    )
    return posed
