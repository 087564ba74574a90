"""How a recovery runs."""

from typing import Annotated

from pydantic import Field

from lsm.config import Config

Rate = Annotated[float, Field(ge=0, le=10)]
Count = Annotated[int, Field(ge=1)]


class RecoverConfig(Config):
    """Steps, rates and freedoms of `recover`; the defaults suit some 40 to 400 images.

    seed: of the start and of the order in which LEDs are taken. The same seed gives the same result.
    epochs, batch_leds: passes over all images, and images per step.
    grow_epochs: passes during which LEDs enter from the axis outwards, so that phase spreads through the overlap.
    calibrate_from: first pass in which pupil, positions and defocus move.
    board_error_mm: how far the board as a whole may be off. Above 0.3 it is first moved as a rigid body,
    twice; distance, the least certain, then settles too.
    position_error_mm: how far single LEDs may lie from the board. Above 0.3 a search comes first, since
    gradients lead back over about one frequency bin only (0.2 mm at 0.63 um, 90 mm and a field of 300 um).
    dark_weight: an image of mean m counts as m ** -dark_weight; 1 makes all equal, 0 favours bright field.
    edge_na: width of the aperture's edge, smoothed by finite LEDs and bandwidth; fitted from there.
    phase_order, amplitude_order: highest radial Zernike order of the pupil; 0 leaves it flat.
    fit_positions, fit_gains, fit_defocus: whether they are recovered or kept as given.
    rate_*: Adam step sizes, decaying along a cosine; rate_sample in units of the sample's expected spectrum.
    offset_prior: weight against single LEDs leaving the board's rigid shape.
    checkpoint_s: seconds between checkpoints, where a checkpoint is asked for.
    """

    seed: int = 0
    epochs: Count = 90
    batch_leds: Count = 12
    grow_epochs: Count = 6
    calibrate_from: Annotated[int, Field(ge=0)] = 6
    board_error_mm: Annotated[float, Field(ge=0, le=5)] = 0.3
    position_error_mm: Annotated[float, Field(ge=0, le=5)] = 0.3
    dark_weight: Annotated[float, Field(ge=0, le=1)] = 0.25
    edge_na: Annotated[float, Field(gt=0, le=0.05)] = 0.004
    phase_order: Annotated[int, Field(ge=0, le=8)] = 6
    amplitude_order: Annotated[int, Field(ge=0, le=8)] = 4
    fit_positions: bool = True
    fit_gains: bool = True
    fit_defocus: bool = True
    rate_sample: Rate = 0.3
    rate_pose: Rate = 0.03
    rate_offset_mm: Rate = 0.02
    rate_pupil: Rate = 0.003
    rate_edge: Rate = 0.003
    rate_gain: Rate = 0.01
    rate_defocus_um: Rate = 1.0
    offset_prior: Annotated[float, Field(ge=0)] = 1e-3
    checkpoint_s: Annotated[float, Field(gt=0)] = 30.0
