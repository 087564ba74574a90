"""How fast episodes of `lsm/AdaptiveIllumination-v0` are computed, in a batch and one by one, beside memory itself."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Bool
from rich.console import Group
from rich.table import Table
from torch import Tensor

from lsm.agent.adaptive import AdaptiveConfig, AdaptiveWorld, BatchAdaptiveEnv, CellBudget, CellSource, Meter
from lsm.agent.adaptive.env import AdaptiveIlluminationEnv
from lsm.agent.adaptive.naive import NaiveReader
from lsm.bench.agent_training import QUICK, WHOLE, TrainingRates, training_rates
from lsm.bench.machine import Limit, Machine, measure_limit, this_machine
from lsm.bench.promises import Promise
from lsm.bench.timing import Effort, Job, in_turns
from lsm.heap import keep_freed
from lsm.optics import Camera
from lsm.optics.exposures import expose_rows
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import Lamps
from lsm.threads import threads
from lsm.twin import GridBoardConfig

CELLS, CELLS_QUICK = 4096, 256
EPISODES, EPISODES_QUICK = 1024, 128
SIDE_PX: Final = 16
BOARD: Final = GridBoardConfig(rows=9, columns=9, pitch_mm=4.0)
OBJECTIVE_NA: Final = 0.10
PATTERNS: Final = 24
STRIDE: Final = 7
CAPTURES: Final = 5
"""Of each episode; its sixth step is a declaration, which reads no image."""

THREADS: Final = 2
BYTES_PER_PIXEL: Final = 2
BATCH, LIGHT, NOISE, GYMNASIUM, PLAIN = (
    "batch, optics and noise",
    "of it: weighted sums alone",
    "of it: noise alone",
    "one episode, Gymnasium",
    "one episode, plain numpy",
)
OURS, USUAL, VECTOR = (
    "learning: PPO",
    "Stable-Baselines3's RecurrentPPO, 8 environments",
    "the same in our vector form",
)
STEPS_PROMISE, TIMES_PROMISE = 100_000.0, 50.0
TRAINING: Final[tuple[tuple[str, str, float], ...]] = (
    ("PPO training", "steps/s", 8000.0),
    ("PPO training, over Stable-Baselines3's RecurrentPPO", "x", 10.0),
)


@dataclass(frozen=True)
class Rate:
    """steps_s: median over the repetitions. gb_s: of the images that a step reads; 0 where it reads none."""

    name: str
    episodes: int
    steps_s: float
    gb_s: float


@dataclass(frozen=True)
class AgentComparison:
    """All with `limit.threads` threads. seed: of cells, episodes and actions.

    training: of a policy, beside Stable-Baselines3's.
    """

    machine: Machine
    limit: Limit
    read_gb_s: float
    seed: int
    cells: int
    lamps: int
    side_px: int
    rates: tuple[Rate, ...]
    training: TrainingRates

    def rate(self, name: str) -> Rate:
        """The measurement of that name."""
        return next(one for one in self.rates if one.name == name)

    @property
    def share_of_memory(self) -> float:
        """Images that the batch reads in a second over what reading alone reaches here, 0..1."""
        return self.rate(BATCH).gb_s / self.read_gb_s

    def promises(self) -> list[Promise]:
        """Speed in absolute terms is promised of the full batch alone."""
        batch, whole = self.rate(BATCH), self.rate(BATCH).episodes == EPISODES
        text = f"{EPISODES} episodes, {SIDE_PX}^2 px, {self.lamps} lamps: {BATCH}"
        single = self.rate(GYMNASIUM).steps_s
        found = (self.training.ours, self.training.times) if whole else (None, None)
        return [
            Promise(text, "steps/s", STEPS_PROMISE, True, batch.steps_s if whole else None),
            Promise(f"{BATCH}, over {GYMNASIUM}", "x", TIMES_PROMISE, True, batch.steps_s / single if whole else None),
            *(
                Promise(name, unit, limit, True, measured)
                for (name, unit, limit), measured in zip(TRAINING, found, strict=True)
            ),
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        promises = [asdict(one) | {"kept": one.kept} for one in self.promises()]
        return asdict(self) | {"share_of_memory": self.share_of_memory, "promises": promises}


def compare_agent(
    *, quick: bool = False, seed: int = 0, on_step: Callable[[str], None] = lambda name: None
) -> AgentComparison:
    """Time a batch, its parts, and one episode at a time, in turns.

    quick: a small batch, few repetitions and one thread. on_step: told what is measured next.
    """
    cells, episodes = (CELLS_QUICK, EPISODES_QUICK) if quick else (CELLS, EPISODES)
    effort = Effort(3, 0.02) if quick else Effort(9, 0.5)
    keep_freed()
    on_step("making cells")
    world = bench_world(cells, seed)
    count = 1 if quick else THREADS
    with threads(count):
        on_step("stepping")
        jobs = _jobs(world, episodes, seed)
        seconds = in_turns(jobs, effort)
        on_step("reading memory")
        read_gb_s = _read_gb_s(world.source.stack, effort)
        on_step("learning")
        learning = training_rates(bench_world(cells, seed, captures=CAPTURES), QUICK if quick else WHOLE, seed=seed)
    image_gb = world.source.stack.n_lamps * SIDE_PX**2 * BYTES_PER_PIXEL / 1e9
    captures = {LIGHT: 1.0, NOISE: 0.0}
    rates = []
    for job in jobs:
        steps_s = 1 / float(np.median(seconds[job.name]))
        read_gb = image_gb * captures.get(job.name, CAPTURES / (CAPTURES + 1))
        rates.append(Rate(job.name, job.units, steps_s, steps_s * read_gb))
    return AgentComparison(
        machine=this_machine(),
        limit=measure_limit(count, effort),
        read_gb_s=read_gb_s,
        seed=seed,
        cells=cells,
        lamps=world.source.stack.n_lamps,
        side_px=SIDE_PX,
        rates=tuple(rates),
        training=learning,
    )


def show_agent(comparison: AgentComparison) -> Group:
    """Tables for a terminal."""
    table = Table(
        title=f"{comparison.cells} cells, {comparison.lamps} lamps, {comparison.side_px}^2 px, half precision"
    )
    for column in ("what", "episodes", "steps/s", "GB/s of images"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for rate in comparison.rates:
        read = f"{rate.gb_s:.2f}" if rate.gb_s else "-"
        table.add_row(rate.name, str(rate.episodes), f"{rate.steps_s:,.0f}", read)
    learning = comparison.training
    for name, rate_s in ((OURS, learning.ours), (USUAL, learning.usual), (VECTOR, learning.vector)):
        if rate_s is not None:
            table.add_row(name, "", f"{rate_s:,.0f}", "-")
    limit = comparison.limit
    return Group(
        f"{comparison.machine.cpu}, {limit.threads} threads, {comparison.machine.date}, seed {comparison.seed}: "
        f"reads {comparison.read_gb_s:.1f} GB/s, copies {limit.copy_gb_s:.1f} GB/s read and written.",
        table,
        f"The batch reads images at {100 * comparison.share_of_memory:.0f} % of what reading alone reaches.",
        *(one.told() for one in comparison.promises()),
    )


def bench_world(cells: int, seed: int, *, captures: int = PATTERNS) -> AdaptiveWorld:
    """Cells of noise under 81 lamps, and patterns that light all of them: what they show does not matter here.

    captures: the budget of an episode.
    """
    board = BOARD.board()
    lamps = Lamps(board, np.arange(board.n_leds), np.ones(board.n_leds, dtype=np.int64), OBJECTIVE_NA)
    rng = np.random.default_rng(seed)
    images = rng.random((cells, board.n_leds, SIDE_PX, SIDE_PX), dtype=np.float32).astype(np.float16)
    stack = CellStack(
        images,
        led=lamps.led,
        colour=lamps.colour,
        infected=np.arange(cells) % 2 == 0,
        patient=np.array([f"P{number % 50}" for number in range(cells)]),
        crop=np.arange(cells),
        board=board,
        system=None,
        source="noise",
    )
    camera = Camera()
    meter = Meter.of(stack, lamps, PhotonBudget(), camera)
    book = meter.book(rng.uniform(0.1, 1.0, (PATTERNS, board.n_leds)))
    templates = torch.from_numpy(rng.integers(-99, 99, (PATTERNS, SIDE_PX**2)).astype(np.float64))
    scale = torch.full((PATTERNS,), 1e-2, dtype=torch.float64)
    reader = NaiveReader(templates, scale, torch.zeros_like(scale), 4095.0)
    config = AdaptiveConfig(budget=CellBudget(captures=captures), captures_min=0)
    irradiance = lamps.irradiance.astype(np.float32)
    return AdaptiveWorld(CellSource(stack), book, reader, irradiance=irradiance, config=config, camera=camera)


def _jobs(world: AdaptiveWorld, episodes: int, seed: int) -> Sequence[Job]:
    actions = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(world.source.stack), (episodes,), generator=actions)
    weights = torch.rand(episodes, world.source.stack.n_lamps, generator=actions)
    rate = world.source.rate(rows, weights)
    key, number = torch.stack([rows, rows], 1), torch.zeros_like(rows)
    exposure_ms = torch.ones(episodes)
    single = AdaptiveIlluminationEnv(world)
    return (
        Job(BATCH, _together(world, episodes, seed), episodes),
        Job(LIGHT, lambda: world.source.rate(rows, weights), episodes),
        Job(NOISE, lambda: expose_rows(rate, exposure_ms, world.camera, key, number), episodes),
        Job(GYMNASIUM, _one_by_one(single, seed), 1),
        Job(PLAIN, _one_by_one(PlainEnv(world), seed), 1),
    )


def _together(world: AdaptiveWorld, episodes: int, seed: int) -> Callable[[], object]:
    """A step of every episode, each by a list of its own; those that are over begin anew first."""
    batch = BatchAdaptiveEnv(world)
    batch.reset(episodes, seed)
    place = torch.arange(episodes)

    def step(ends: Bool[Tensor, " episode"] | None = None) -> None:
        batch.renew(batch.done)
        captures = batch.state.captures
        over = captures == CAPTURES if ends is None else ends
        batch.step(torch.where(over, world.rules.first_declaration, (place + STRIDE * captures) % PATTERNS))

    # from now on every step ends as many episodes
    for phase in range(CAPTURES + 1):
        step(place % (CAPTURES + 1) == phase)
    return step


def _one_by_one(env: gym.Env[Any, Any], seed: int) -> Callable[[], object]:
    rng = np.random.default_rng(seed)
    state: dict[str, Any] = {"mask": env.reset(seed=seed)[1]["action_mask"]}

    def step() -> None:
        allowed = np.flatnonzero(state["mask"][:PATTERNS])
        ends = len(allowed) <= PATTERNS - CAPTURES
        action = np.int64(PATTERNS if ends else allowed[rng.integers(len(allowed))])
        *_, terminated, _, info = env.step(action)
        state["mask"] = env.reset()[1]["action_mask"] if terminated else info["action_mask"]

    return step


class PlainEnv(gym.Env[np.ndarray, np.int64]):
    """The same task as somebody would write it for one episode: numpy, Poisson noise, a generator, no checks."""

    def __init__(self, world: AdaptiveWorld) -> None:
        book: Any = world.light
        self._images = world.source.stack.images.reshape(len(world.source.stack), book.duty.shape[1], -1)
        self._infected, self._camera = world.source.stack.infected, world.camera
        self._weights = book.duty * world.irradiance * world.flux_e_per_ms * book.exposure_ms[:, None]
        self._weights = self._weights.astype(np.float32)
        self._templates = np.random.default_rng(0).integers(-99, 99, (len(book), SIDE_PX**2)).astype(np.float64)
        self._size = 2 * len(book) + 10 + SIDE_PX**2

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self._row = int(self.np_random.integers(len(self._images)))
        self._used = np.zeros(PATTERNS, dtype=np.int8)
        self._odds = 0.0
        return np.zeros(self._size, dtype=np.float32), {"action_mask": 1 - self._used}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        camera, observation = self._camera, np.zeros(self._size, dtype=np.float32)
        if action >= PATTERNS:
            right = (action == PATTERNS) == self._infected[self._row]
            return observation, float(right), True, False, {"action_mask": 1 - self._used}
        mean = self._weights[action] @ self._images[self._row].astype(np.float32)
        charge = np.minimum(self.np_random.poisson(mean), camera.full_well_e)
        charge = charge + camera.read_noise_e * self.np_random.standard_normal(len(mean))
        adu = np.clip(np.round(charge / camera.gain_e_per_adu + camera.offset_adu), 0, 2**camera.bits - 1)
        self._odds += 1e-4 * float(self._templates[action] @ (adu - adu.mean())) / (adu.std() + 12)
        self._used[action] = 1
        observation[: SIDE_PX**2] = adu / 2**camera.bits
        observation[SIDE_PX**2 : SIDE_PX**2 + PATTERNS] = self._used
        observation[-1] = self._odds
        return observation, -0.01, False, False, {"action_mask": 1 - self._used}


def _read_gb_s(stack: CellStack, effort: Effort) -> float:
    """What these threads read of the stack when they do nothing but add up 64-bit words."""
    whole = torch.from_numpy(stack.images.reshape(-1).view(np.int64))
    times = in_turns([Job("read", lambda: whole.sum(), 1)], effort)["read"]
    return whole.nbytes / float(np.median(times)) / 1e9
