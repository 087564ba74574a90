"""Simulated fields under every LED, and which of their pixels are stained: all that is ever trained on."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lsm.experiments.sim_to_real.config import PhantomConfig, SimToRealConfig
from lsm.illum import LedBoard
from lsm.optics import AliasingWarning, ImagingSystem, ZernikePupil, led_stack
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.samples.stain import Stain
from lsm.types import Transmission

SMEAR_UM = (700.0, 420.0)
NOLL = range(5, 12)
FINER_TRUTH = 2
"""Pixels of the truth along the side of one camera pixel."""
# white cells are pale beside their nuclei; on the slide that tells the truth, red cells absorb 1 and more
STAINED = 0.1


@dataclass(frozen=True, eq=False)
class Fields:
    """Fields that were simulated.

    stack: intensity [field, led, y * x], about 1 for the empty bright field. truth: share of a pixel that is stained
    [field, y, x]. It has FINER_TRUTH times as many pixels along each side.
    """

    stack: Float[Tensor, "field led px"]
    truth: Float[Tensor, "field y x"]

    def __len__(self) -> int:
        return len(self.stack)

    def images(self, weights: Float[Tensor, " led"], fields: Sequence[int] | None = None) -> Float[Tensor, "some y x"]:
        """Intensity under weights of those fields, all when None."""
        side = math.isqrt(self.stack.shape[-1])
        chosen = range(len(self)) if fields is None else fields
        # one product per field: a batched one would copy the stacks first, which takes ten times as long
        return torch.stack([weights @ self.stack[field] for field in chosen]).reshape(-1, side, side)


def make_fields(
    config: SimToRealConfig,
    board: LedBoard,
    system: ImagingSystem,
    defocus_um: float,
    *,
    count: int,
    stream: int,
    advance: Callable[[], None] = lambda: None,
) -> Fields:
    """`count` fields; the same configuration and stream give the same ones.

    defocus_um: of the described rig, about which the focus scatters. stream: tells training from test.
    """
    stacks, truths = [], []
    for number in range(count):
        rng = np.random.default_rng([config.seed, stream, number])
        stack, truth = _field(config.phantoms, board, system, defocus_um, rng)
        stacks.append(stack.flatten(1))
        truths.append(truth)
        advance()
    return Fields(torch.stack(stacks), torch.stack(truths))


def _field(
    config: PhantomConfig, board: LedBoard, system: ImagingSystem, defocus_um: float, rng: np.random.Generator
) -> tuple[Float[Tensor, "led y x"], Float[Tensor, "fy fx"]]:
    transmission, stained = _window(config, system, rng)
    pupil = ZernikePupil({noll: config.pupil_waves * float(rng.standard_normal()) for noll in NOLL})
    with warnings.catch_warnings():
        # the camera of the slide undersamples too
        warnings.simplefilter("ignore", AliasingWarning)
        stack = led_stack(
            transmission,
            board,
            system,
            positions_mm=torch.from_numpy(_misplaced(config, board.positions_mm, rng)),
            defocus_um=defocus_um + config.defocus_um * float(rng.standard_normal()),
            pupil=pupil,
        )
    gains = np.exp(config.led_gain * rng.standard_normal(board.n_leds))
    return stack * torch.from_numpy(gains).float()[:, None, None], stained_share(stained, system)


def _window(
    config: PhantomConfig, system: ImagingSystem, rng: np.random.Generator
) -> tuple[Tensor, Bool[np.ndarray, "y x"]]:
    stain, refraction = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (config.stain, config.refraction))
    usual = SmearConfig(width_um=SMEAR_UM[0], height_um=SMEAR_UM[1], white_per_red=config.white_per_red)
    factor = stain / Stain.EOSIN.relative_absorbance(system.wavelength_um)
    shown = usual.model_copy(
        update={
            "base_absorbance": usual.base_absorbance * factor,
            "absorbance_per_um": usual.absorbance_per_um * factor,
            "refractive_contrast": usual.refractive_contrast * refraction,
        }
    )
    # the same objects, all of one strength: what is stained does not depend on how strongly
    plain = usual.model_copy(
        update={"base_absorbance": 1.0, "absorbance_per_um": 0.0, "stain_spread": 0.0, "cell_stain_spread": 0.0}
    )
    seed = int(rng.integers(2**31))
    reach_um = system.field_um / 2
    x_um, y_um = (float(rng.uniform(reach_um, extent - reach_um)) for extent in SMEAR_UM)

    def seen(smear: SmearConfig, wavelength_um: float) -> Transmission:
        return ProceduralSmear(smear, seed).transmission(
            x_um=x_um,
            y_um=y_um,
            n_px=system.sample_px,
            pixel_um=system.sample_pixel_um,
            wavelength_um=wavelength_um,
        )

    transmission, amplitude = seen(shown, system.wavelength_um), np.abs(seen(plain, 0.53))
    return torch.from_numpy(transmission), -2 * np.log(amplitude) > STAINED


def stained_share(stained: Bool[np.ndarray, "y x"], system: ImagingSystem) -> Float[Tensor, "fy fx"]:
    """Share of each truth pixel that is stained, margin cut; stained: [sample_px, sample_px] of the system."""
    side = system.decimation // FINER_TRUTH
    first = system.margin_px * system.decimation
    inside = torch.from_numpy(stained[first : stained.shape[0] - first, first : stained.shape[1] - first])
    share: Tensor = torch.nn.functional.avg_pool2d(inside[None].float(), side)[0]
    return share


def _misplaced(
    config: PhantomConfig, positions_mm: Float[np.ndarray, "led 3"], rng: np.random.Generator
) -> Float[np.ndarray, "led 3"]:
    """The LEDs where they might really be."""
    angle = config.turn_rad * rng.standard_normal()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = positions_mm.copy()
    moved[:, :2] = positions_mm[:, :2] @ turn.T + config.shift_mm * rng.standard_normal(2)
    moved[:, :2] += config.led_mm * rng.standard_normal((len(moved), 2))
    moved[:, 2] += config.distance_mm * rng.standard_normal()
    return moved
