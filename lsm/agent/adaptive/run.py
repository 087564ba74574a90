"""A policy at one cell of any microscope: it lights, exposes, reads and decides as it does in the environment.

The state is carried forward by the same pure functions (`lsm.agent.adaptive.state`), so that a policy which sees the
same frames makes the same decisions. No truth is known here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor

from lsm.agent.adaptive.actions import Lights, lights_of
from lsm.agent.adaptive.batch import View, view_of
from lsm.agent.adaptive.light import LightBook, lamps_of_stack, lamps_pattern
from lsm.agent.adaptive.outside import declaration
from lsm.agent.adaptive.policies.protocol import Choice, Policy
from lsm.agent.adaptive.reader import Capture, probability
from lsm.agent.adaptive.rules import CellBudget
from lsm.agent.adaptive.state import (
    NOTHING,
    CellState,
    Decision,
    after_decision,
    after_reading,
    allowed_kinds,
    equal_budgets,
    is_allowed,
    start,
)
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.devices import Frame, Microscope, Observe
from lsm.errors import IlluminatorError, InputError, ModelMismatch

FREE: Final = "free weights"


@dataclass(frozen=True)
class CellPlace:
    """Where one cell is.

    xy_um, z_um: where stage and focus go; None leaves them. centre_px: row and column of the cell's middle in the
    frames, where (0, 0) is the middle of the first pixel; None is the middle of the frame.
    """

    xy_um: tuple[float, float] | None = None
    z_um: float | None = None
    centre_px: tuple[float, float] | None = None

    def corner_px(self, frame_px: tuple[int, int], side_px: tuple[int, int]) -> tuple[int, int]:
        """First row and column of the cell's own pixels. Raises InputError where they are not all in the frame."""
        centre = self.centre_px or ((frame_px[0] - 1) / 2, (frame_px[1] - 1) / 2)
        row, column = (round(middle - (side - 1) / 2) for middle, side in zip(centre, side_px, strict=True))
        if row < 0 or column < 0 or row + side_px[0] > frame_px[0] or column + side_px[1] > frame_px[1]:
            raise InputError(
                f"A cell at row {centre[0]:g}, column {centre[1]:g} of a frame of {frame_px[0]} x {frame_px[1]} px "
                f"has not all of its {side_px[0]} x {side_px[1]} px in it.",
                hint="choose a cell further from the rim, or take larger frames",
            )
        return row, column


@dataclass(frozen=True, eq=False)
class CellSearch:
    """One look for cells. frame: as the microscope gave it. cells: those to look at, nearest to its middle first."""

    place: CellPlace
    frame: Frame
    cells: tuple[CellPlace, ...]


@dataclass(frozen=True, eq=False)
class CellLook:
    """What one capture showed.

    levels: 8-bit drive of every lamp as the board read it back. pixels: the cell's own, ADU. corner_px: their place in
    the frame. frame: as the microscope gave it.
    """

    light: str
    levels: UInt8[np.ndarray, " lamp"]
    exposure_ms: float
    pixels: Int32[np.ndarray, "y x"]
    corner_px: tuple[int, int]
    frame: Frame


@dataclass(frozen=True, eq=False)
class CellDecision:
    """One decision, what was known when it was taken, and what came of it.

    kind: number of the action. name: the light's, or what was declared. probabilities: of every kind of action.
    value: the policy's own, 0 where it has none. odds_before, odds_after: belief in infection in steps of 1/256 nat.
    belief_before, belief_after: probabilities. captures, light_led_s, time_s: spent at this cell so far.
    look: None for a declaration and for what was refused.
    """

    step: int
    kind: int
    name: str
    allowed: bool
    probabilities: tuple[float, ...]
    value: float
    odds_before: int
    odds_after: int
    belief_before: float
    belief_after: float
    captures: int
    light_led_s: float
    time_s: float
    look: CellLook | None = None


@dataclass(frozen=True, eq=False)
class CellRun:
    """One cell from the first look to the declaration; `declared` is empty where it was cut off without one."""

    policy: str
    place: CellPlace
    declared: str
    belief: float
    decisions: tuple[CellDecision, ...]

    @property
    def captures(self) -> int:
        return self.decisions[-1].captures

    @property
    def light_led_s(self) -> float:
        return self.decisions[-1].light_led_s

    @property
    def time_s(self) -> float:
        """Modelled: exposures and overheads, as the environment charges them."""
        return self.decisions[-1].time_s


class CellSession:
    """One cell on a microscope, one action at a time.

    budget: in place of the world's. A capture that the microscope had to repeat is charged each time it was tried.
    When a capture fails the state is that of before it.
    Raises ModelMismatch where the microscope's board is not that of the world.
    """

    def __init__(
        self,
        microscope: Microscope,
        world: AdaptiveWorld,
        place: CellPlace | None = None,
        *,
        budget: CellBudget | None = None,
    ) -> None:
        self.world, self.rules, self.place = world, world.rules, place or CellPlace()
        self._microscope = microscope
        self._lamps = lamps_of_stack(world.source.stack)
        if microscope.board.digest != self._lamps.board.digest:
            raise ModelMismatch(
                f"The lights are for the board '{self._lamps.board.name}', the microscope has "
                f"'{microscope.board.name}' with other LEDs.",
                hint="use the rig that the policy was trained for, or train one for this rig",
            )
        device = world.source.device
        self._light = lights_of(world.light, device)
        budgets = equal_budgets(budget or self.rules.budget, 1, device)
        reader = world.reader
        self.state: CellState = start(self.rules, budgets, n_features=reader.n_features, n_units=reader.n_units)

    @property
    def view(self) -> View:
        """What a policy may know now."""
        return view_of(self.state, self.rules)

    @property
    def done(self) -> bool:
        """Declared, or cut off after `steps_max` steps."""
        return int(self.state.declared[0]) > NOTHING or int(self.state.steps[0]) >= self.rules.steps_max

    def act(self, action: Int[Tensor, " 1"] | Float[Tensor, "1 number"]) -> tuple[Decision, bool, CellLook | None]:
        """Carry out one action: what it meant, whether it was allowed, and what it showed.

        An action that is not allowed only counts as a step. Raises WrongFormat for what is no action, InputError for
        a cell that is not all in the frame, IlluminatorError where the board showed another light, and what the
        microscope raises.
        """
        allowed_now = allowed_kinds(self.state, self.rules)
        decision = self._decide(action.to(self.state.frame.device), allowed_now)
        allowed = is_allowed(self.state, decision, allowed_now, self.rules)
        after = after_decision(self.state, decision, allowed, self.rules)
        look = None
        if int(after.captures[0]) > int(self.state.captures[0]):
            look = self._look(decision)
            after = self._read(_charged(after, decision, look.frame), decision, look)
        self.state = after
        return decision, bool(allowed[0]), look

    def name_of(self, decision: Decision) -> str:
        """The light's name, or what is declared."""
        kind, light = int(decision.kind[0]), self.world.light
        if kind >= self.rules.first_declaration:
            return declaration(kind - self.rules.first_declaration)
        if not isinstance(light, LightBook):
            return FREE
        return light.names[kind] if light.names else self.rules.kind_names[kind]

    def _decide(self, action: Tensor, allowed: Tensor) -> Decision:
        if isinstance(self._light, Lights):
            return self._light.decide(action, self.rules)
        return self._light.decide(action, allowed, self.rules)

    def _look(self, decision: Decision) -> CellLook:
        name, lamps = self.name_of(decision), self._lamps
        pattern = lamps_pattern(lamps, decision.duty[0].cpu().numpy(), name)
        exposure_ms = float(decision.exposure_ms[0])
        frame = self._microscope.observe(Observe(pattern, exposure_ms, self.place.xy_um, self.place.z_um))
        if not np.array_equal(frame.shown.levels, pattern.levels):
            dimmed = frame.shown.levels.sum(dtype=np.int64) / pattern.levels.sum(dtype=np.int64)
            raise IlluminatorError(
                f"The board showed {dimmed:.0%} of the light '{name}', or other LEDs than asked for.",
                hint="its current limit dims what is brighter: raise led.limit_ma, or train with lights that fit",
            )
        side_px = self.rules.side_px
        row, column = self.place.corner_px((frame.image.shape[0], frame.image.shape[1]), side_px)
        pixels = frame.image[row : row + side_px[0], column : column + side_px[1]].astype(np.int32)
        levels = frame.shown.levels[lamps.led, lamps.colour]
        return CellLook(name, levels, exposure_ms, pixels, (row, column), frame)

    def _read(self, state: CellState, decision: Decision, look: CellLook) -> CellState:
        device = state.frame.device
        row = torch.zeros(1, dtype=torch.int64, device=device)
        pattern = decision.kind.new_full((1,), NOTHING) if self.rules.free else decision.kind
        pixels = torch.from_numpy(np.ascontiguousarray(look.pixels))[None].to(device)
        capture = Capture(pixels, pattern, decision.duty, decision.exposure_ms, state.captures - 1)
        reading = self.world.reader.read(capture, state.memory)
        return after_reading(state, row, capture, reading, self.rules)


OnDecision = Callable[[CellDecision], object]


def run_cell(
    microscope: Microscope,
    policy: Policy,
    world: AdaptiveWorld,
    place: CellPlace | None = None,
    *,
    budget: CellBudget | None = None,
    on_decision: OnDecision = lambda _: None,
) -> CellRun:
    """Look at one cell with a policy until it declares or is cut off.

    on_decision: called after every decision, before the next light; what it raises ends the run. Decisions before a
    failure have been told when it is raised. Raises as CellSession does.
    """
    session = CellSession(microscope, world, place, budget=budget)
    memory = policy.start(1)
    taken: list[CellDecision] = []
    while not session.done:
        before = session.state
        choice = policy.act(session.view, memory)
        memory = choice.memory
        decision, allowed, look = session.act(choice.action)
        told = _told(session, before, choice, decision, allowed, look)
        taken.append(told)
        on_decision(told)
    declared = declaration(int(session.state.declared[0]))
    return CellRun(policy.name, session.place, declared, float(session.view.belief[0]), tuple(taken))


def _told(
    session: CellSession, before: CellState, choice: Choice, decision: Decision, allowed: bool, look: CellLook | None
) -> CellDecision:
    after = session.state
    return CellDecision(
        step=int(before.steps[0]),
        kind=int(decision.kind[0]),
        name=session.name_of(decision),
        allowed=allowed,
        probabilities=tuple(choice.probabilities[0].double().tolist()),
        value=float(choice.value[0]),
        odds_before=int(before.log_odds[0]),
        odds_after=int(after.log_odds[0]),
        belief_before=float(probability(before.log_odds)[0]),
        belief_after=float(probability(after.log_odds)[0]),
        captures=int(after.captures[0]),
        light_led_s=float(after.light_led_s[0]),
        time_s=float(after.time_s[0]),
        look=look,
    )


def _charged(state: CellState, decision: Decision, frame: Frame) -> CellState:
    """With the light and time of attempts that the microscope repeated."""
    again = max(1, int(frame.metadata.get("attempts", "1"))) - 1
    return replace(
        state,
        light_led_s=state.light_led_s + again * decision.light_led_s,
        time_s=state.time_s + again * decision.time_s,
    )
