"""How the camera looks at the stage: pixel size, rotation and mirror, measured from moves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from lsm.calibrate._frames import Shift, Taker, as_plane, shift_between
from lsm.config import Config
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import Pattern

Matrix = Float[np.ndarray, "2 2"]
Points = Float[np.ndarray, "move 2"]
Positive = Annotated[float, Field(gt=0)]

ALIKE = 0.3
# of the nominal pixel: what no wrong magnification explains, but an image that does not follow the stage does
WRONG_BY = 3.0


class StageMoves(Config):
    """Which moves to make, around where the stage is or `xy_um`.

    pixel_um: nominal camera pixel at the sample.
    reach: farthest move along each axis, as a share of the image's shorter side.
    backlash_um: every place is approached from so much below in x and y; take more than the stage's backlash.
    """

    pixel_um: Positive
    reach: Annotated[float, Field(gt=0, le=0.3)] = 0.2
    backlash_um: Annotated[float, Field(ge=0)] = 20.0


@dataclass(frozen=True, eq=False)
class StageAffine:
    """What is at (column, row) from the image's middle is brought there by a stage move of um_per_px @ (column, row).

    um_per_px [x y, column row]; sigma_um_per_px: its standard uncertainties.
    residual_um: root mean square of what the matrix leaves of the moves. drift_um: by how much the image
    of the last frame, taken where the first was, lies elsewhere than the stage says.
    """

    um_per_px: Matrix
    sigma_um_per_px: Matrix
    residual_um: float
    drift_um: float
    moves: int
    frames: int
    dose_led_ms: float

    @property
    def mirrored(self) -> bool:
        """True where the image is a mirror image of the stage's axes."""
        return float(np.linalg.det(self.um_per_px)) < 0

    @property
    def pixel_um(self) -> float:
        """Side of the square with a pixel's area."""
        return math.sqrt(abs(float(np.linalg.det(self.um_per_px))))

    @property
    def sigma_pixel_um(self) -> float:
        """Its standard uncertainty."""
        # d sqrt|det M| = sqrt|det M| / 2 * sum of inv(M).T * dM
        by_entry = self.pixel_um / 2 * np.linalg.inv(self.um_per_px).T
        return float(np.linalg.norm(by_entry * self.sigma_um_per_px))

    @property
    def rotation_rad(self) -> float:
        """Angle from the stage's +x to the image's columns, counted towards +y."""
        return math.atan2(float(self.um_per_px[1, 0]), float(self.um_per_px[0, 0]))

    @property
    def pixel_xy_um(self) -> tuple[float, float]:
        """Lengths on the stage of a step of one column and of one row."""
        columns, rows = np.linalg.norm(self.um_per_px, axis=0)
        return float(columns), float(rows)

    @property
    def shear_rad(self) -> float:
        """By how much the image's axes miss the right angle; positive where they open too far, mirror aside."""
        columns, rows = self.um_per_px.T
        cosine = float(columns @ rows) / float(np.linalg.norm(columns) * np.linalg.norm(rows))
        return math.acos(max(-1.0, min(1.0, cosine))) - math.pi / 2


def measure_stage(
    microscope: Microscope,
    pattern: Pattern,
    moves: StageMoves,
    *,
    exposure_ms: float,
    xy_um: tuple[float, float] | None = None,
) -> StageAffine:
    """The matrix between image and stage, from moves to eight places around and back; the stage is left in the middle.

    Each image is compared with the first. Raises CalibrationFailed for images in which there is nothing to follow, or
    that do not follow the stage, and what the microscope raises.
    """
    taker = Taker(microscope, exposure_ms, xy_backlash_um=moves.backlash_um)
    if xy_um is None:
        xy_um = taker.take(Observe(pattern, exposure_ms)).xy_um
    taker.approach(xy_um=xy_um)
    first = taker.take(Observe(pattern, exposure_ms, xy_um))
    reference = as_plane(first.image)
    step_um = moves.reach * min(reference.shape) * moves.pixel_um
    shifts, sent = [], []
    for column, row in _around():
        place = (xy_um[0] + column * step_um, xy_um[1] + row * step_um)
        taker.approach(xy_um=place)
        frame = taker.take(Observe(pattern, exposure_ms, place))
        shift = shift_between(reference, as_plane(frame.image))
        _refuse_nothing_seen(shift, place)
        shifts.append(shift.px)
        sent.append((frame.xy_um[0] - first.xy_um[0], frame.xy_um[1] - first.xy_um[1]))
    matrix, sigma, residual_um = _fit(np.array(sent), np.array(shifts), moves)
    return StageAffine(
        um_per_px=matrix,
        sigma_um_per_px=sigma,
        residual_um=residual_um,
        drift_um=float(np.linalg.norm(np.array(sent[-1]) + matrix @ shifts[-1])),
        moves=len(shifts),
        frames=taker.frames,
        dose_led_ms=taker.dose_led_ms,
    )


def _around() -> Sequence[tuple[int, int]]:
    """Eight places around the middle, and the middle last."""
    ring = [(column, row) for row in (-1, 0, 1) for column in (-1, 0, 1) if (column, row) != (0, 0)]
    return [*ring, (0, 0)]


def _refuse_nothing_seen(shift: Shift, place: tuple[float, float]) -> None:
    if shift.likeness < ALIKE:
        raise CalibrationFailed(
            f"The image at ({place[0]:.1f}, {place[1]:.1f}) um agrees with the first only to {shift.likeness:.2f}, "
            f"where {ALIKE:g} is needed.",
            hint="go to a place with cells and focus there, or expose longer",
        )


def _fit(sent_um: Points, shifts_px: Points, moves: StageMoves) -> tuple[Matrix, Matrix, float]:
    """Matrix, its standard uncertainties, and the root mean square residual in um.

    Pixels are fitted to micrometres, because the stage's read-back is the more exact of the two; the first frame,
    with which all are compared, is a point like the others, so there is an intercept.
    """
    design = np.column_stack([sent_um, np.ones(len(sent_um))])
    solution, *_ = np.linalg.lstsq(design, shifts_px, rcond=None)
    forward = solution[:2].T
    nominal = 1 / moves.pixel_um
    size = math.sqrt(abs(float(np.linalg.det(forward))))
    if not nominal / WRONG_BY <= size <= nominal * WRONG_BY:
        raise CalibrationFailed(
            f"The image moves {size:.3g} px for each um of the stage, where {nominal:.3g} were expected.",
            hint="check objective and camera pixel of the rig; or the camera sees dust of its own and no sample",
        )
    # the sample moves against the field of view
    matrix = -np.linalg.inv(forward)
    left_px = shifts_px - design @ solution
    freedom = len(sent_um) - design.shape[1]
    inverse = np.linalg.inv(design.T @ design)
    # of each row of `forward`, from the scatter of that image axis
    covariances = [float((left_px[:, axis] ** 2).sum()) / freedom * inverse[:2, :2] for axis in (0, 1)]
    joint = np.zeros((4, 4))
    joint[:2, :2], joint[2:, 2:] = covariances
    # d(-inv F) = inv F dF inv F, with dF stacked row by row
    back = np.linalg.inv(forward)
    jacobian = np.kron(back, back.T)
    sigma = np.sqrt(np.diag(jacobian @ joint @ jacobian.T)).reshape(2, 2)
    residual_um = float(np.sqrt(((left_px @ matrix.T) ** 2).sum(axis=1).mean()))
    return matrix, sigma, residual_um
