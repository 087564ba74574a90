"""The same episodes in the batched environment and on a microscope: whether every decision is the same.

A computed microscope draws its noise with a seed and a count of exposures, the environment with the episode's key and
the number of the capture. Both are rules of a random number for a place, so that the microscope may be given the
environment's: `EpisodeRenderer` takes light and optics from the twin and the camera's noise from
`lsm.optics.exposures`. What differs then is what is being compared: who computes the light, who shows it, who moves
and exposes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.actions import Lights, lights_of
from lsm.agent.adaptive.batch import BatchAdaptiveEnv, view_of
from lsm.agent.adaptive.policies.protocol import Policy
from lsm.agent.adaptive.reader import Capture
from lsm.agent.adaptive.run import CellLook, CellRun
from lsm.agent.adaptive.state import NOTHING, after_decision, after_reading, equal_budgets, is_allowed, start
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError
from lsm.illum import LEVELS, LedBoard
from lsm.optics import led_stack
from lsm.optics.exposures import expose_rows
from lsm.optics.lamps import mix_rows
from lsm.samples import Smear
from lsm.twin import FieldRenderer, TwinConfig
from lsm.types import DutyLevels, Image


class EpisodeRenderer(FieldRenderer):
    """A twin's images with the noise that an episode of the environment has.

    Exposure 0, 1, 2, ... since `begin` has the noise of the captures 0, 1, 2, ... of the episode with that key.
    half: round the image under each LED to half precision, as the stacks of the environment are, and sum as it does.
    Without it the light is the twin's own to the bit.
    """

    def __init__(self, sample: Smear, board: LedBoard, config: TwinConfig, *, half: bool = False) -> None:
        super().__init__(sample, board, config)
        self._camera, self._half = config.camera, half
        self._per_duty = (board.relative_irradiance.astype(np.float32) * config.led_flux_e_per_ms).astype(np.float32)
        self._held: tuple[tuple[float, ...], Float16[np.ndarray, "1 led pixel"]] | None = None
        self._key: Int[Tensor, " 2"] | None = None
        self._number = 0

    def begin(self, key: Int[Tensor, " 2"]) -> None:
        """The next exposure is the first of the episode with this key."""
        self._key, self._number = key, 0

    def rate(self, levels: DutyLevels, xy_um: tuple[float, float], z_um: float) -> Float32[Tensor, "cy cx"]:
        if not self._half:
            return super().rate(levels, xy_um, z_um)
        side = self._config.system.camera_px
        total = torch.zeros(side, side)
        for colour in np.flatnonzero(levels.any(axis=0)).tolist():
            duty = torch.from_numpy(levels[:, colour]).float() / LEVELS
            weights = duty * torch.from_numpy(self._per_duty)
            images = self._rounded(colour, xy_um, z_um)
            total += mix_rows(images, np.zeros(1, dtype=np.int64), weights[None, None])[0, 0].reshape(side, side)
        return total

    def _rounded(self, colour: int, xy_um: tuple[float, float], z_um: float) -> Float16[np.ndarray, "1 led pixel"]:
        """The image under each LED at this place; the last ones are kept."""
        key = (float(colour), *xy_um, z_um)
        if self._held is None or self._held[0] != key:
            sample, system = self._transmission(xy_um, colour)[None], self._system(colour)
            with torch.no_grad():
                images = led_stack(sample, self._board, system, defocus_um=z_um)
            self._held = key, images.flatten(2).numpy().astype(np.float16)
        return self._held[1]

    def exposed(self, rate_e_per_ms: Tensor, exposure_ms: float, generator: torch.Generator) -> Image:
        if self._key is None:
            raise InputError("No episode has begun.", hint="call begin() with its key first")
        number, exposures_ms = torch.tensor([self._number]), torch.tensor([exposure_ms], dtype=torch.float64)
        frame = expose_rows(rate_e_per_ms[None].contiguous(), exposures_ms, self._camera, self._key[None], number)
        self._number += 1
        image: Image = frame[0].numpy().astype(np.uint16)
        return image


@dataclass(frozen=True, eq=False)
class Episodes:
    """What a policy did in the environment, episode by episode, padded after an episode's end.

    kinds: actions, NOTHING after the end. odds: belief after each, steps of 1/256 nat. probabilities: of each kind of
    action. frames: ADU of the last capture after each step.
    """

    kinds: Int[Tensor, "moment episode"]
    odds: Int[Tensor, "moment episode"]
    probabilities: Float[Tensor, "moment episode kind"]
    frames: Int32[Tensor, "moment episode y x"]

    def length(self, episode: int) -> int:
        """Steps of that episode."""
        return int((self.kinds[:, episode] != NOTHING).sum())


@dataclass(frozen=True)
class Agreement:
    """How far episodes agree, counted.

    decisions, captures: of the microscope, in all episodes. same_decisions: episodes in which every action is the same;
    of these same_beliefs have every belief to the step, same_frames every pixel of every frame. belief_off_steps:
    largest difference of a belief, in steps of 1/256 nat, and probability_off of a probability of an action, both
    where decisions are the same. pixels_off: pixels that differ, of `pixels`; most_adu: by how much at most.
    other: numbers of the episodes with another decision; their frames count until they part.
    """

    episodes: int
    decisions: int
    captures: int
    same_decisions: int
    same_beliefs: int
    same_frames: int
    belief_off_steps: int
    probability_off: float
    pixels: int
    pixels_off: int
    most_adu: int
    other: tuple[int, ...]


def batch_episodes(policy: Policy, env: BatchAdaptiveEnv) -> Episodes:
    """All episodes of an environment that was reset, to their ends."""
    view, memory = env.view, policy.start(len(env.row))
    moments: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    while not bool((done := env.done).all()):
        choice = policy.act(view, memory)
        memory = choice.memory
        view = env.step(choice.action).view
        kinds = torch.where(done, NOTHING, choice.action)
        moments.append((kinds, env.state.log_odds, choice.probabilities.double(), env.state.frame))
    return Episodes(*(torch.stack(column) for column in zip(*moments, strict=True)))


def agreement(batch: Episodes, runs: Sequence[CellRun]) -> Agreement:
    """Episodes of the environment against the same ones on a microscope."""
    tallies = [_episode(batch, number, run) for number, run in enumerate(runs)]
    agreed = [tally for tally in tallies if tally.same]
    return Agreement(
        episodes=len(runs),
        decisions=sum(len(run.decisions) for run in runs),
        captures=sum(run.captures for run in runs),
        same_decisions=len(agreed),
        same_beliefs=sum(tally.belief_off == 0 for tally in agreed),
        same_frames=sum(tally.pixels_off == 0 for tally in agreed),
        belief_off_steps=max((tally.belief_off for tally in agreed), default=0),
        probability_off=max((tally.probability_off for tally in agreed), default=0.0),
        pixels=sum(tally.pixels for tally in tallies),
        pixels_off=sum(tally.pixels_off for tally in tallies),
        most_adu=max((tally.most_adu for tally in tallies), default=0),
        other=tuple(number for number, tally in enumerate(tallies) if not tally.same),
    )


@dataclass(frozen=True)
class _Tally:
    same: bool
    belief_off: int
    pixels: int
    pixels_off: int
    most_adu: int
    probability_off: float


def _episode(batch: Episodes, number: int, run: CellRun) -> _Tally:
    length = batch.length(number)
    held = batch.kinds[:length, number].tolist()
    odds = batch.odds[:length, number].tolist()
    same = held == [decision.kind for decision in run.decisions]
    pixels = pixels_off = most = 0
    off = 0.0
    for moment, decision in enumerate(run.decisions):
        # after another light the frames are not to be compared
        if moment >= length or decision.kind != held[moment]:
            break
        wanted = batch.probabilities[moment, number]
        off = max(off, float((wanted - torch.tensor(decision.probabilities, dtype=torch.float64)).abs().max()))
        if decision.look is not None:
            apart = np.abs(batch.frames[moment, number].numpy() - decision.look.pixels)
            pixels += apart.size
            pixels_off += int((apart > 0).sum())
            most = max(most, int(apart.max()))
    steps = [abs(ours - decision.odds_after) for ours, decision in zip(odds, run.decisions, strict=False)]
    return _Tally(same, max(steps, default=0) if same else 0, pixels, pixels_off, most, off)


@torch.no_grad()
def read_again(policy: Policy, world: AdaptiveWorld, runs: Sequence[CellRun]) -> Episodes:
    """What the policy decides, all runs side by side, on the frames that each run took; no light is computed.

    A run that comes to another decision than it took has no frame for it and ends there. Raises InputError where
    weights are free.
    """
    lights = lights_of(world.light, world.source.device)
    if not isinstance(lights, Lights):
        raise InputError("Free weights cannot be read again.", hint="use a book of lights")
    rules, n, reader = world.rules, len(runs), world.reader
    state = start(rules, equal_budgets(rules.budget, n), n_features=reader.n_features, n_units=reader.n_units)
    memory, alive = policy.start(n), torch.ones(n, dtype=torch.bool)
    moments: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    while bool(alive.any()):
        view = view_of(state, rules)
        choice = policy.act(view, memory)
        memory = choice.memory
        decision = lights.decide(choice.action, rules)
        allowed = is_allowed(state, decision, view.allowed, rules) & alive
        kinds = torch.where(alive, choice.action, NOTHING)
        looks = [_look(run, len(moments), int(kind)) for run, kind in zip(runs, kinds, strict=True)]
        after = after_decision(state, decision, allowed, rules)
        rows = (after.captures > state.captures).nonzero()[:, 0]
        seen = torch.tensor([looks[row] is not None for row in rows.tolist()], dtype=torch.bool)
        alive = alive.index_put((rows[~seen],), torch.tensor(False))
        rows = rows[seen]
        if len(rows):
            frames = np.stack([look.pixels for row in rows.tolist() if (look := looks[row]) is not None])
            capture = Capture(
                torch.from_numpy(frames),
                decision.kind[rows],
                decision.duty[rows],
                decision.exposure_ms[rows],
                after.captures[rows] - 1,
            )
            after = after_reading(after, rows, capture, reader.read(capture, state.memory[rows]), rules)
        state = after
        moments.append((kinds, state.log_odds, choice.probabilities.double(), state.frame))
        alive = alive & (state.declared == NOTHING) & (state.steps < rules.steps_max)
    return Episodes(*(torch.stack(column) for column in zip(*moments, strict=True)))


def _look(run: CellRun, moment: int, kind: int) -> CellLook | None:
    """What the run saw at that moment if it took this decision."""
    decision = run.decisions[moment] if moment < len(run.decisions) else None
    return decision.look if decision is not None and decision.kind == kind else None


def episodes_of(runs: Sequence[CellRun]) -> Episodes:
    """Runs as episodes, to compare others with them. Raises InputError for none, or for one that saw nothing."""
    looks = [look for run in runs for decision in run.decisions if (look := decision.look) is not None]
    if not looks:
        raise InputError("There are no runs that saw anything.", hint="give at least one with a capture")
    longest, kinds = max(len(run.decisions) for run in runs), len(runs[0].decisions[0].probabilities)
    found = Episodes(
        torch.full((longest, len(runs)), NOTHING),
        torch.zeros(longest, len(runs), dtype=torch.int64),
        torch.zeros(longest, len(runs), kinds, dtype=torch.float64),
        torch.zeros(longest, len(runs), *looks[0].pixels.shape, dtype=torch.int32),
    )
    for number, run in enumerate(runs):
        seen = np.zeros_like(looks[0].pixels)
        for moment, decision in enumerate(run.decisions):
            seen = seen if decision.look is None else decision.look.pixels
            found.kinds[moment, number], found.odds[moment, number] = decision.kind, decision.odds_after
            found.probabilities[moment, number] = torch.tensor(decision.probabilities, dtype=torch.float64)
            found.frames[moment, number] = torch.from_numpy(np.ascontiguousarray(seen))
    return found
