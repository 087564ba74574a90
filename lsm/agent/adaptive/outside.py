"""What Gymnasium sees of episodes: spaces, observations as arrays, and the options of a reset."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float32, Int
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, View
from lsm.agent.adaptive.rules import DECLARATIONS, AdaptiveRules, CellBudget
from lsm.agent.adaptive.state import Budgets, equal_budgets, n_facts
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError

OBSERVATION_LIMIT: Final = 4.0
OPTIONS: Final = ("cell", "patient", "budget")

SEED_BITS: Final = 2**63 - 1


def observation_space(world: AdaptiveWorld) -> spaces.Box:
    """The facts, then the pixels of the last frame row by row."""
    height, width = world.source.side_px
    size = n_facts(world.rules, world.reader.n_features) + height * width
    return spaces.Box(-OBSERVATION_LIMIT, OBSERVATION_LIMIT, (size,), np.float32)


def action_space(rules: AdaptiveRules) -> spaces.Space[Any]:
    """Numbers of kinds; or drives of all lamps and a preference for each kind."""
    if rules.free:
        return spaces.Box(-1.0, 1.0, (rules.lamps + rules.n_kinds,), np.float32)
    return spaces.Discrete(rules.n_kinds)


def observations(view: View, world: AdaptiveWorld) -> Float32[np.ndarray, "episode entry"]:
    """One row per episode. Pixels are shares of the camera's range above its offset."""
    camera = world.camera
    whole = 2**camera.bits - 1 - camera.offset_adu
    frame = view.frame.flatten(1)
    # a frame of zeros is none: the offset alone makes a dark one brighter
    pixels = torch.where(frame.any(1, keepdim=True), (frame - camera.offset_adu) / whole, 0.0)
    entries = torch.cat([view.facts, pixels], 1).clamp(-OBSERVATION_LIMIT, OBSERVATION_LIMIT)
    array: Float32[np.ndarray, "episode entry"] = entries.cpu().numpy()
    return array


def information(batch: BatchAdaptiveEnv, refused: Tensor) -> dict[str, np.ndarray]:
    """What is known of every episode beside the observation; the truth is not in it."""
    state = batch.state
    return {
        "belief": batch.view.belief.cpu().numpy(),
        "captures": state.captures.cpu().numpy(),
        "light_led_s": state.light_led_s.cpu().numpy(),
        "time_s": state.time_s.cpu().numpy(),
        "declared": state.declared.cpu().numpy(),
        "action_mask": batch.view.allowed.cpu().numpy().astype(np.int8),
        "refused": refused.cpu().numpy(),
    }


def start_options(options: Mapping[str, Any] | None, world: AdaptiveWorld, n: int) -> dict[str, Tensor | Budgets]:
    """The arguments of `BatchAdaptiveEnv.reset` that options of a reset mean.

    cell: a row of the stack. patient: a name; cells are drawn among those of that patient. budget: a table as of
    CellBudget, what it leaves out is as in the rules. Raises InputError for others or for what is not there.
    """
    given = dict(options or {})
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise InputError(f"A reset has no option '{unknown[0]}'.", hint=f"options are {', '.join(OPTIONS)}")
    meant: dict[str, Tensor | Budgets] = {}
    if "cell" in given:
        meant["rows"] = _cell(given["cell"], world).expand(n)
    if "patient" in given:
        meant["among"] = world.source.rows_of(str(given["patient"]))
    if "budget" in given:
        meant["budgets"] = _budgets(given["budget"], world, n)
    return meant


def declaration(number: int) -> str:
    """Name of what was declared; empty for nothing."""
    return DECLARATIONS[number] if number >= 0 else ""


def _cell(number: Any, world: AdaptiveWorld) -> Int[Tensor, " 1"]:
    cells = len(world.source.stack)
    if not 0 <= int(number) < cells:
        raise InputError(f"There is no cell {number}.", hint=f"cells are 0 to {cells - 1}")
    return torch.tensor([int(number)], device=world.source.device)


def _budgets(table: Mapping[str, Any], world: AdaptiveWorld, n: int) -> Budgets:
    whole = world.config.budget.model_dump() | dict(table)
    budget = CellBudget.from_table(whole, source="the option 'budget'")
    if budget.captures >= world.config.steps_max or budget.captures < world.config.captures_min:
        raise InputError(
            f"A budget of {budget.captures} captures does not fit these rules.",
            hint=f"give {max(1, world.config.captures_min)} to {world.config.steps_max - 1}",
        )
    return equal_budgets(budget, n, world.source.device)
