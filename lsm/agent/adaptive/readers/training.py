"""Training of a set reader: random sets of captures, cross entropy after each, calibrated on patients set aside."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn

from lsm.agent.adaptive.light import LightBook
from lsm.agent.adaptive.reader import Capture
from lsm.agent.adaptive.readers.frames import BookFrames
from lsm.agent.adaptive.readers.network import SetNetwork, SetReaderConfig
from lsm.agent.adaptive.readers.quantise import quantised
from lsm.agent.adaptive.readers.set_reader import SetReader
from lsm.agent.adaptive.readers.whole import whole_frames
from lsm.errors import InputError
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps
from lsm.sensing.schedule import one_cycle, set_rates

SAMPLES = 4
SAMPLE_FRAMES = 512
CALIBRATION_SETS = 6000
NEWTON_STEPS = 30


def train_set_reader(
    stack: CellStack,
    rows: Int[np.ndarray, " row"],
    lamps: Lamps,
    book: LightBook,
    config: SetReaderConfig,
    *,
    camera: Camera,
    flux_e_per_ms: float,
    seed: int,
    check: Int[np.ndarray, " other"] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> SetReader:
    """A reader of this book that learned on these rows, but for the patients that calibrate it.

    check: rows of other patients that calibrate it in their place; it then learns on all of `rows`.
    progress: called with the number of epochs done and the mean loss in nats.
    Raises InputError where learning or calibration would see cells of one kind only, ConfigError as its parts do.
    """
    generator = torch.Generator().manual_seed(seed)
    learn, kept = set_aside(stack, rows, config.aside, seed) if check is None else (rows, check)
    full_adu = float(2**camera.bits - 1)

    def lit(some: Int[np.ndarray, " row"], *, turned: bool) -> BookFrames:
        return BookFrames.of(stack, some, lamps, book, camera, flux_e_per_ms, turned=turned)

    frames = lit(learn, turned=config.turned)
    network = SetNetwork(len(book), stack.shape[2:], config, generator)
    _learn(network, frames, full_adu, generator, progress)
    reader = _in_whole_numbers(network, frames, full_adu, generator)
    return calibrate(reader, lit(kept, turned=False), config.captures, generator)


def set_aside(
    stack: CellStack, rows: Int[np.ndarray, " row"], share: float, seed: int
) -> tuple[Int[np.ndarray, " learn"], Int[np.ndarray, " check"]]:
    """Rows to learn from and rows of other patients, about `share` of these. Raises InputError for one kind only."""
    patient = stack.patient[rows]
    names = np.unique(patient)
    count = min(max(1, round(share * len(names))), len(names) - 1)
    kept = np.isin(patient, np.random.default_rng([seed, 7]).permutation(names)[:count])
    for part in (rows[~kept], rows[kept]):
        labels = stack.infected[part]
        if len(part) == 0 or labels.all() or not labels.any():
            raise InputError(
                f"A part of the {len(names)} patients of {stack.source} has cells of one kind only.",
                hint="give more patients, or another seed",
            )
    return rows[~kept], rows[kept]


def calibrate(reader: SetReader, frames: BookFrames, captures: int, generator: torch.Generator) -> SetReader:
    """The reader with one slope and offset for each number of captures, from random sets of captures of these cells.

    Logistic regression of the label on the score (Platt, 1999), the share of infected cells taken out.
    """
    repeats = max(1, CALIBRATION_SETS // len(frames.infected))
    cell = torch.arange(len(frames.infected)).repeat(repeats)
    infected = frames.infected[cell].double()
    memory = torch.zeros(len(cell), reader.n_units)
    slopes, offsets = [], []
    for number in range(captures):
        pattern = torch.randint(frames.n_patterns, (len(cell),), generator=generator)
        capture = as_capture(frames.exposed(cell, pattern, generator), pattern, number)
        memory = memory + reader.added(capture)
        score, _ = reader.judged(memory)
        slope, offset = _logistic(score, infected)
        slopes.append(slope)
        offsets.append(offset)
    return reader.calibrated(*(torch.tensor(each, dtype=torch.float64) for each in (slopes, offsets)))


def as_capture(frame: Tensor, pattern: Int[Tensor, " frame"], number: int) -> Capture:
    """Frames as captures whose light nobody asks for."""
    nothing = torch.zeros(len(frame))
    return Capture(frame, pattern, nothing[:, None], nothing, torch.full_like(pattern, number))


def _learn(
    network: SetNetwork,
    frames: BookFrames,
    full_adu: float,
    generator: torch.Generator,
    progress: Callable[[int, float], None] | None,
) -> None:
    config = network.config
    weights = [each for each in network.parameters() if each.ndim > 1]
    rest = [each for each in network.parameters() if each.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay, "largest_lr": config.learning_rate},
        {"params": rest, "weight_decay": 0.0, "largest_lr": config.learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate)
    count = len(frames.infected)
    per_epoch = max(1, count // config.cells)
    for epoch in range(config.epochs):
        order, total = torch.randperm(count, generator=generator), 0.0
        for step in range(per_epoch):
            set_rates(optimiser, one_cycle(epoch * per_epoch + step, config.epochs * per_epoch))
            cells = order[step * config.cells : (step + 1) * config.cells]
            loss = _loss(network, frames, cells, full_adu, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            total += loss.item()
        if progress is not None:
            progress(epoch + 1, total / per_epoch)


def _loss(
    network: SetNetwork, frames: BookFrames, cells: Int[Tensor, " cell"], full_adu: float, generator: torch.Generator
) -> Float[Tensor, ""]:
    """Cross entropy after every capture of a random sequence and of each alone, kinds of cells weighted alike."""
    captures = network.config.captures
    frame, bright, pattern = _random_sets(frames, cells, captures, full_adu, generator)
    added = network.added(frame, bright, pattern, generator).reshape(len(cells), captures, -1)
    # every frame alone too, so that patterns which say little are learned as well
    odds, _ = network.judged(torch.cat([added.cumsum(1), added[:, 1:]], 1))
    infected = frames.infected[cells].float()
    share = frames.infected.float().mean()
    weight = torch.where(infected > 0, 0.5 / share, 0.5 / (1 - share))
    wrong = nn.functional.binary_cross_entropy_with_logits(odds, infected[:, None].expand_as(odds), reduction="none")
    return (wrong * weight[:, None]).mean()


def _random_sets(
    frames: BookFrames, cells: Int[Tensor, " cell"], captures: int, full_adu: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Int[Tensor, " frame"]]:
    """Frames, brightness and patterns of random captures, those of a cell side by side and in the same turn."""
    pattern = torch.randint(frames.n_patterns, (len(cells) * captures,), generator=generator)
    turns = torch.randint(len(frames.rate), (len(cells),), generator=generator).repeat_interleave(captures)
    frame = frames.exposed_as(turns, cells.repeat_interleave(captures), pattern, generator)
    return (*whole_frames(frame, full_adu), pattern)


@torch.no_grad()
def _in_whole_numbers(
    network: SetNetwork, frames: BookFrames, full_adu: float, generator: torch.Generator
) -> SetReader:
    captures, samples, memories = network.config.captures, [], []
    for _ in range(SAMPLES):
        cells = torch.randint(len(frames.infected), (SAMPLE_FRAMES // captures,), generator=generator)
        sample = _random_sets(frames, cells, captures, full_adu, generator)
        added = network.added(*sample).reshape(len(cells), captures, -1)
        samples.append(sample)
        memories.append(added.cumsum(1).flatten(0, 1))
    return quantised(network, samples, torch.cat(memories), full_adu)


def _logistic(score: Float64[Tensor, " set"], infected: Float64[Tensor, " set"]) -> tuple[float, float]:
    """Slope and offset of the log-likelihood ratio by Newton's method, with a small penalty on both."""
    scale = score.std().clamp_min(1e-12)
    inputs = torch.stack([score / scale, torch.ones_like(score)], 1)
    weights = torch.zeros(2, dtype=torch.float64)
    penalty = torch.eye(2, dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        chance = torch.sigmoid(inputs @ weights)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty
        weights = weights + torch.linalg.solve(curvature, inputs.T @ (infected - chance) - penalty @ weights)
    prior = torch.logit(infected.mean(), eps=1e-6)
    return float(weights[0] / scale), float(weights[1] - prior)


def calibration_error(log_odds: Float64[Tensor, " set"], infected: Bool[Tensor, " set"], bins: int = 10) -> float:
    """Mean distance of the belief from the share of infected cells, over bins of equally many sets."""
    believed = torch.sigmoid(log_odds)
    order = believed.argsort()
    parts = zip(believed[order].chunk(bins), infected[order].double().chunk(bins), strict=True)
    return float(sum(abs(float(b.mean() - t.mean())) * len(b) for b, t in parts) / len(order))
