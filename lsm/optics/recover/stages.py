"""What is fitted after what: positions that are far off are caught from the axis outwards."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lsm.optics.recover.config import RecoverConfig

# beyond this, gradients of single LEDs lead astray: about one and a half frequency bins
CLOSE_MM = 0.3
FOLDS = 3

Mask = Bool[np.ndarray, " led"]


@dataclass(frozen=True, eq=False)
class Stage:
    """One fit from an empty sample around the positions found before, and LEDs to look for in it afterwards.

    fitted, sought: of the stack's images. An LED is sought in a sample that its own image did not shape:
    a sample fitted around a wrong place looks right from there.
    """

    config: RecoverConfig
    fitted: Mask
    sought: Mask


def plan_stages(config: RecoverConfig, na: Float[np.ndarray, " led"], objective_na: float) -> tuple[Stage, ...]:
    """The last stage fits all LEDs; more come before it where positions may be further off than CLOSE_MM.

    Few LEDs close to the axis overlap so much that most find their places from far. Those are put right that
    did not, a third at a time; then each further ring meets a sample that is known almost up to it.
    """
    every = np.ones(len(na), dtype=bool)
    final = Stage(config, every, ~every)
    if not config.fit_positions:
        return (final,)
    # the second begins with a sample that was never fitted around the wrong board
    rigid = (Stage(_rigid(config), every, ~every),) * 2 if config.board_error_mm > CLOSE_MM else ()
    if config.position_error_mm <= CLOSE_MM:
        return (*rigid, final)
    # at least a dozen LEDs to begin with
    reaches = [float(max(1.5 * objective_na, np.sort(na)[min(11, len(na) - 1)]))]
    while reaches[-1] < na.max():
        reaches.append(min(reaches[-1] + 0.5 * objective_na, float(na.max())))
    rings = [na <= reach * (1 + 1e-9) for reach in reaches]
    first, careful = _catching(config, 60), _catching(config, 30)
    stages = [Stage(first, rings[0], ~every)]
    for number, ring in enumerate(rings):
        # what starts wrong near the axis carries on outwards; LEDs found at the rim of what is known lie too far in
        if number < 2 or ring.all():
            thirds = np.cumsum(ring) % FOLDS
            stages += [Stage(careful, ring & (thirds != k), ring & (thirds == k)) for k in range(FOLDS)]
        if number + 1 < len(rings):
            stages.append(Stage(careful, ring, rings[number + 1] & ~ring))
    return (*rigid, *stages, final)


def _rigid(config: RecoverConfig) -> RecoverConfig:
    """Only the board moves: one sample cannot be bent around LEDs that must all be wrong alike."""
    return config.model_copy(
        update={
            "epochs": 60,
            "grow_epochs": 40,
            "calibrate_from": 1,
            "rate_offset_mm": 0.0,
            "rate_pose": 0.05,
            "rate_edge": 0.0,
        }
    )


def _catching(config: RecoverConfig, epochs: int) -> RecoverConfig:
    return config.model_copy(
        update={
            "epochs": epochs,
            "batch_leds": 8,
            "grow_epochs": epochs // 3,
            "calibrate_from": 1,
            "rate_offset_mm": 0.05,
            # single LEDs move first: a pose fitted to some of them would carry the others away
            "rate_pose": 0.01,
            "rate_edge": 0.0,
            "offset_prior": 0.1 * config.offset_prior,
        }
    )
