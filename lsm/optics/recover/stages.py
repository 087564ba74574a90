"""What is fitted after what: positions that are far off are caught from the axis outwards."""

from dataclasses import dataclass

from lsm.optics.recover.config import RecoverConfig

# beyond this, gradients of single LEDs lead astray: about one and a half frequency bins
CLOSE_MM = 0.3


@dataclass(frozen=True)
class Stage:
    """One fit from an empty sample of the LEDs up to `reach_na`, around the positions found before."""

    config: RecoverConfig
    reach_na: float


def plan_stages(config: RecoverConfig, na: float, last_na: float) -> tuple[Stage, ...]:
    """The last stage fits all LEDs; more come before it where positions may be further off than CLOSE_MM.

    Few LEDs close to the axis overlap so much that they find their places from far; each further ring
    then meets a sample that is known almost up to it.
    """
    final = Stage(config, last_na)
    if not config.fit_positions or config.position_error_mm <= CLOSE_MM:
        return (final,)
    catch = config.model_copy(
        update={
            "epochs": 40,
            "batch_leds": 8,
            "grow_epochs": 20,
            "calibrate_from": 1,
            "rate_offset_mm": 0.05,
            # single LEDs move first: a pose fitted to some of them would carry the others away
            "rate_pose": 0.01,
            "rate_edge": 0.0,
            "offset_prior": 0.1 * config.offset_prior,
        }
    )
    reaches = [1.5 * na, 2.0 * na, 2.0 * na]
    while reaches[-1] < last_na:
        reaches.append(min(reaches[-1] + 0.5 * na, last_na))
    return (*(Stage(catch, reach) for reach in reaches), final)
