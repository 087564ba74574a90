"""Ten cells of one small smear under 25 LEDs: a world whose twin computes the same light from the same slide."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from lsm.agent.adaptive import AdaptiveConfig, AdaptiveWorld, CellBudget, View, build_world
from lsm.agent.adaptive.light import lamps_of_stack, named_lights
from lsm.agent.adaptive.parity import EpisodeRenderer
from lsm.agent.adaptive.policies import (
    CellNetwork,
    CellNetworkConfig,
    Choice,
    SequentialTest,
    Thresholds,
    TrainedPolicy,
)
from lsm.agent.adaptive.run import CellPlace
from lsm.devices import Frame, Observe
from lsm.optics import ImagingSystem
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.sensing.cells import from_smears
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.twin import GridBoardConfig, Twin, TwinConfig

BOARD = GridBoardConfig(rows=5, columns=5, pitch_mm=4.0)
SYSTEM = ImagingSystem(sample_px=48, margin_px=2)
TWIN = TwinConfig(system=SYSTEM, led_board=BOARD)
CELLS = 10
Answer = Callable[[int, Frame], Frame]
NAMES = ("centre", "bright field", "dark field")


@lru_cache(maxsize=1)
def smear() -> ProceduralSmear:
    config = SmearConfig(width_um=160, height_um=120, parasitaemia=0.4, monolayer_per_mm2=4000, thick_factor=1.0)
    return ProceduralSmear(config, 7)


@lru_cache(maxsize=4)
def world(captures: int = 4, light_led_s: float | None = None) -> AdaptiveWorld:
    cells = from_smears(
        {"a": smear(), "b": ProceduralSmear(smear().config, 8)},
        board=BOARD.board(),
        system=SYSTEM,
        cells_per_smear=CELLS,
        seed=0,
    )
    lamps = lamps_of_stack(cells)
    config = AdaptiveConfig(repeats=2, budget=CellBudget(captures=captures, light_led_s=light_led_s))
    photons = PhotonBudget(electrons=200.0, exposure_max_ms=300.0)
    duty = named_lights(lamps, NAMES)
    return build_world(cells, lamps, duty=duty, names=NAMES, config=config, budget=photons)


def opinionated(seed: int = 4) -> TrainedPolicy:
    """An untrained network with strong opinions, so that every situation has its own decision."""
    network = CellNetwork(world(), CellNetworkConfig(units=16, head_gain=4.0), torch.Generator().manual_seed(seed))
    return TrainedPolicy(network)


def sequence() -> SequentialTest:
    """Stops where the evidence is enough, so that every cell has its own number of captures."""
    return SequentialTest(world().rules, (0, 2, 1, 2), Thresholds(-0.4, 0.4))


def twin(*, renderer: EpisodeRenderer | None = None) -> Twin:
    return Twin(smear(), TWIN, 3, renderer=renderer)


def place(row: int) -> CellPlace:
    x_um, y_um = world().source.stack.made["places_um"][row]
    return CellPlace((x_um, y_um), 0.0)


@dataclass
class Script:
    """A policy that asks for these actions, one after the other, whether allowed or not."""

    actions: tuple[int, ...]
    name: str = "script"

    def start(self, n: int) -> torch.Tensor:
        return torch.zeros(n, 1)

    def act(self, view: View, memory: torch.Tensor) -> Choice:
        step = min(int(memory[0, 0]), len(self.actions) - 1)
        kinds = view.allowed.shape[1]
        chances = torch.full((1, kinds), 1 / kinds)
        return Choice(torch.tensor([self.actions[step]]), chances, torch.zeros(1), memory + 1)


class Watched:
    """A microscope that keeps what it was asked, and changes or refuses what it answers."""

    def __init__(self, microscope: Twin, answer: Answer = lambda number, frame: frame) -> None:
        self._microscope, self._answer = microscope, answer
        self.board, self.asked = microscope.board, []

    def observe(self, request: Observe) -> Frame:
        self.asked.append(request)
        return self._answer(len(self.asked) - 1, self._microscope.observe(request))

    def close(self) -> None:
        """Nothing to release."""

    @property
    def light_led_s(self) -> float:
        return sum(float(ask.pattern.levels.sum(dtype=np.int64)) / 255 * ask.exposure_ms / 1000 for ask in self.asked)
