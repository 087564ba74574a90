"""One capture, the network that reads it, and the training of both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.experiments.sim_to_real.config import CaptureConfig, ReaderTraining, SimToRealConfig
from lsm.experiments.sim_to_real.phantoms import FINER_TRUTH, Fields
from lsm.illum import LEVELS, LedBoard
from lsm.sensing.illumination import quantise
from lsm.sensing.schedule import one_cycle, set_rates

PEAK = 0.995
SHARPNESS = 3.0
Images = Float[Tensor, "image y x"]


def exposure(rate: Float[Tensor, "image y x"], config: CaptureConfig) -> Float[Tensor, "image 1 1"]:
    """Factor from intensity to electrons that fills each image as the configuration says."""
    well_e, each = config.camera.full_well_e, rate.detach().flatten(1)
    by_mean = config.mean_signal * well_e / each.mean(dim=1)
    by_peak = config.peak_signal * well_e / torch.quantile(each, PEAK, dim=1)
    return torch.minimum(by_mean, by_peak)[:, None, None]


def captured(rate: Images, config: CaptureConfig, generator: torch.Generator) -> Images:
    """Noisy electrons of one capture of each image, exposed by the rule."""
    return config.camera.electrons(rate, exposure(rate, config), generator)


def captured_shots(
    shots: Sequence[Float[Tensor, "y x"]], config: CaptureConfig, generator: torch.Generator
) -> Float[Tensor, "y x"]:
    """Noisy electrons of the sum of several exposures, which share the light of one: each has its own read noise."""
    factor = exposure(torch.stack(list(shots)).sum(dim=0, keepdim=True), config)[0]
    electrons: Tensor = torch.stack([config.camera.electrons(shot, factor, generator) for shot in shots]).sum(dim=0)
    return electrons


class Reader(nn.Module):
    """Log-odds that a place is stained [image, 2 y, 2 x] from images [image, y, x] in any unit.

    Each image is brought to mean 0 and variance 1 first, so that nothing hangs on a camera's gain.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # layers that look 1, 1, 2 and 3 pixels apart see 15 pixels in all, three cells
        spread = (1, 1, 2, 3)
        layers: list[nn.Module] = []
        before = 1
        for apart in spread:
            layers += [nn.Conv2d(before, channels, 3, padding=apart, dilation=apart, padding_mode="replicate")]
            layers += [nn.ReLU()]
            before = channels
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, FINER_TRUTH**2, 1), nn.PixelShuffle(FINER_TRUTH))

    def forward(self, images: Images) -> Float[Tensor, "image fy fx"]:
        spread = images.std(dim=(1, 2), keepdim=True)
        normal = (images - images.mean(dim=(1, 2), keepdim=True)) / spread.clamp_min(1e-6)
        odds: Tensor = self.layers(normal[:, None].contiguous(memory_format=torch.channels_last))[:, 0]
        return odds


@dataclass(frozen=True, eq=False)
class Trained:
    """levels: 8-bit drive of each LED [led] of the one capture. reader: what was trained for it."""

    levels: UInt8[np.ndarray, " led"]
    reader: Reader

    @torch.no_grad()
    def read(self, images: Images) -> Float[Tensor, "image fy fx"]:
        """Log-odds for captured images."""
        odds: Tensor = self.reader(images)
        return odds


def weights_of(levels: UInt8[np.ndarray, " led"], board: LedBoard) -> Float[Tensor, " led"]:
    """Drive times irradiance: the weight of each LED's image."""
    return torch.from_numpy(levels / LEVELS * board.relative_irradiance).float()


def train(
    fields: Fields,
    board: LedBoard,
    config: SimToRealConfig,
    fixed: UInt8[np.ndarray, " led"] | None,
    seed: int,
    advance: Callable[[float], None] = lambda _: None,
) -> Trained:
    """A reader for the light `fixed`, or, where that is None, reader and light learned together."""
    settings = config.training
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(settings.channels).to(memory_format=torch.channels_last)
    logits = _start(settings, board, config.rig.na, generator).requires_grad_(fixed is None)
    groups = [{"params": list(reader.parameters()), "largest_lr": settings.rate}]
    if fixed is None:
        groups.append({"params": [logits], "largest_lr": settings.light_rate})
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-4)
    irradiance = torch.from_numpy(board.relative_irradiance).float()
    known = None if fixed is None else fields.images(weights_of(fixed, board))
    for step in range(settings.steps):
        set_rates(optimizer, one_cycle(step, settings.steps))
        optimizer.zero_grad()
        chosen = torch.randint(len(fields), (settings.batch,), generator=generator)
        rates = fields.images(_duty(logits) * irradiance, chosen.tolist()) if known is None else known[chosen]
        images = captured(rates, config.capture, generator)
        loss = F.binary_cross_entropy_with_logits(reader(images), fields.truth[chosen])
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(reader.parameters(), 2.0)
        optimizer.step()
        advance(loss.item())
    levels = fixed if fixed is not None else (_duty(logits.detach()) * LEVELS).round().to(torch.uint8).numpy()
    return Trained(levels, reader.eval())


def _duty(logits: Float[Tensor, " led"]) -> Float[Tensor, " led"]:
    """Drive as the board will show it: the strongest LED at full, in whole levels."""
    duty = torch.sigmoid(SHARPNESS * logits)
    return quantise(duty / duty.max())


def _start(settings: ReaderTraining, board: LedBoard, na: float, generator: torch.Generator) -> Float[Tensor, " led"]:
    inside = torch.from_numpy(board.na <= na)
    bright = {"outside": ~inside, "inside": inside, "even": torch.zeros_like(inside)}[settings.start]
    noise = settings.start_noise * torch.randn(board.n_leds, generator=generator)
    logits: Tensor = (2.0 * bright - 1.0) * settings.start_logit + noise
    return logits
