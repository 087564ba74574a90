"""How camera and stage are mounted: orientation, angle, pixel, and the play of the stage."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from lsm.calibrate._frames import Taker, as_plane, shift_between
from lsm.calibrate.stage import ALIKE, Matrix, StageAffine, StageMoves
from lsm.calibration import Measured, Orientation, StageFacts
from lsm.devices import Frame, Microscope, Observe
from lsm.errors import CalibrationFailed
from lsm.illum import Pattern

REPEATS = 6
# of the matrix between stage and image, with the intercept
FITTED_PER_AXIS = 3
# of a length in the image: what fading edges and the grid of 1/50 px do to every shift alike. Seen on 20 simulated
# rigs: 7e-5 root mean square, where scatter told 5e-5
READING = 5e-5


@dataclass(frozen=True, eq=False)
class BacklashFound:
    """By how much further a place lies that is approached from above; seen_um: every look [axis, look]."""

    um: tuple[Measured, Measured]
    seen_um: Float[np.ndarray, "axis look"]


class Upright:
    """A microscope whose images are turned upright before anyone sees them."""

    def __init__(self, microscope: Microscope, orientation: Orientation) -> None:
        self.board = microscope.board
        self._microscope, self._orientation = microscope, orientation

    def observe(self, request: Observe) -> Frame:
        """The frame of the microscope, upright."""
        frame = self._microscope.observe(request)
        return frame if self._orientation.upright else replace(frame, image=self._orientation.apply(frame.image))

    def close(self) -> None:
        """The microscope belongs to whoever opened it."""


def orientation_of(um_per_px: Matrix) -> Orientation:
    """The nearest of the eight ways to mount a camera. Raises CalibrationFailed half way between two."""
    directions = um_per_px / np.linalg.norm(um_per_px, axis=0)
    nearest = np.round(directions)
    if not (np.abs(nearest).sum(axis=0) == 1).all() or not (np.abs(nearest).sum(axis=1) == 1).all():
        turn = math.degrees(math.atan2(um_per_px[1, 0], um_per_px[0, 0]))
        raise CalibrationFailed(
            f"The camera is turned by {turn:.0f} deg against the stage, half way between two axes.",
            hint="turn it to within 30 deg of the stage's axes",
        )
    return Orientation(
        transpose=bool(nearest[0, 0] == 0),
        flip_columns=bool(nearest[0].sum() < 0),
        flip_rows=bool(nearest[1].sum() < 0),
    )


def upright_matrix(um_per_px: Matrix, orientation: Orientation) -> Matrix:
    """The same matrix for images that were turned upright."""
    turned = um_per_px[:, ::-1] if orientation.transpose else um_per_px
    signs = np.array([-1.0 if orientation.flip_columns else 1.0, -1.0 if orientation.flip_rows else 1.0])
    upright: Matrix = turned * signs
    return upright


def measure_backlash(
    microscope: Microscope,
    pattern: Pattern,
    moves: StageMoves,
    um_per_px: Matrix,
    *,
    exposure_ms: float,
    repeats: int = REPEATS,
) -> BacklashFound:
    """The play of both axes: one place approached from below and from above, by turns, and the image's shift.

    What the stage reads back of the difference is taken off. Ends where it began, approached from below. Raises
    CalibrationFailed for images in which there is nothing to follow, and what the microscope raises.
    """
    taker = Taker(microscope, exposure_ms, xy_backlash_um=moves.backlash_um)
    middle = taker.take(Observe(pattern, exposure_ms)).xy_um
    seen = np.zeros((2, repeats))
    for axis in range(2):
        for look in range(repeats):
            taker.approach(xy_um=middle)
            below = taker.take(Observe(pattern, exposure_ms, middle))
            beyond = np.array(middle)
            beyond[axis] += moves.backlash_um
            taker.take(replace(below.request, xy_um=(float(beyond[0]), float(beyond[1]))))
            above = taker.take(Observe(pattern, exposure_ms, middle))
            seen[axis, look] = _further(below, above, um_per_px)[axis]
    taker.approach(xy_um=middle)
    sigma = seen.std(axis=1, ddof=1) / math.sqrt(repeats) * of_few(repeats - 1)
    x, y = (Measured(value=float(mean), sigma=float(s)) for mean, s in zip(seen.mean(axis=1), sigma, strict=True))
    return BacklashFound((x, y), seen)


def stage_facts(affine: StageAffine, backlash: BacklashFound) -> StageFacts:
    """Both together, of the upright image."""
    orientation = orientation_of(affine.um_per_px)
    matrix = upright_matrix(affine.um_per_px, orientation)
    sigma = affine.sigma_um_per_px[:, ::-1] if orientation.transpose else affine.sigma_um_per_px
    angle = 0.5 * (math.atan2(matrix[1, 0], matrix[0, 0]) - math.atan2(matrix[0, 1], matrix[1, 1]))
    sigma = sigma * of_few(affine.moves - FITTED_PER_AXIS)
    sigma_angle = math.hypot(sigma[1, 0], sigma[0, 1]) / 2 / affine.pixel_um
    by_scatter = affine.sigma_pixel_um * of_few(affine.moves - FITTED_PER_AXIS)
    return StageFacts(
        um_per_px=_pairs(matrix),
        sigma_um_per_px=_pairs(sigma),
        pixel_um=Measured(value=affine.pixel_um, sigma=math.hypot(by_scatter, READING * affine.pixel_um)),
        angle_deg=Measured(value=math.degrees(angle), sigma=math.degrees(sigma_angle)),
        backlash_um=backlash.um,
        orientation=orientation,
    )


def of_few(freedom: int) -> float:
    """Standard deviation of Student's t: by how much scatter of few values falls short (GUM, supplement 1, 6.4.9)."""
    return math.sqrt(freedom / (freedom - 2))


def _further(below: Frame, above: Frame, um_per_px: Matrix) -> Float[np.ndarray, " 2"]:
    """Stage micrometres by which `above` was really taken further than it reads back."""
    shift = shift_between(as_plane(below.image), as_plane(above.image))
    if shift.likeness < ALIKE:
        raise CalibrationFailed(
            f"Two images of one place agree only to {shift.likeness:.2f}, where {ALIKE:g} is needed.",
            hint="the play may be larger than the image; go to a place with cells in focus, or expose longer",
        )
    read_back = np.array(above.xy_um) - np.array(below.xy_um)
    further: Float[np.ndarray, " 2"] = -um_per_px @ shift.px - read_back
    return further


def _pairs(matrix: Matrix) -> tuple[tuple[float, float], tuple[float, float]]:
    (a, b), (c, d) = matrix.tolist()
    return (a, b), (c, d)
