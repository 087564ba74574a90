"""The decision state: from what was read so far to the observation and the allowed actions.

Every environment and every run uses these pure functions, for one search or for thousands at once, so
that a policy sees the same numbers everywhere.

Observation (float32), K patterns and B score bins:

| entries | meaning | unit, range |
|---|---|---|
| K | pattern k was captured at this field | 0 or 1 |
| B | share of this field's red cells per score bin, by its last set of captures | 0..1 |
| 1 | red cells in this field | 1 is CELLS_SCALE cells |
| 2 | this field's quality numbers: overlap, darkness | fraction 0..1 |
| 2 | column and row of this field | 0..1 over the grid |
| 4 | the neighbour at +x, -x, +y, -y was captured or is off the slide | 0 or 1 |
| 1 | this field had been captured before the stage came here | 0 or 1 |
| 1 | fields captured | fraction of the slide |
| 1 | capture budget left | 0..1 |
| 1 | action budget left | 0..1 |
| 1 | light emitted | fraction of the budget at the brightest pattern |
| 1 | time used | fraction of the budget at the longest exposure |
| 1 | estimated prevalence p | log10(p / e0 + 1) / 2 with the reward's floor e0 |
| 1 | half-width of its 95 % interval relative to p + e0 | log10, -2..2, times 0.5 |
| 1 | red cells in the evidence | log10(1 + cells) / 4 |
| K + 6 | last action, one-hot; all zero before the first | 0 or 1 |

Actions: 0..K-1 capture with pattern k; K..K+3 move by one field to +x, -x, +y, -y; K+4 jump to the next
unvisited field in serpentine order; K+5 stop. Not allowed: a pattern twice at one field; leaving the
slide; leaving a field that was not captured; stopping before the first capture; a jump when every
field was visited; anything but stopping when a budget is used up.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import SearchRules

CELLS_SCALE = 200.0
N_QUALITY = 2
NO_ACTION = -1


@dataclass(frozen=True, eq=False)
class SearchState:
    """What n searches have done and read so far.

    field: where the stage is. masks: set of captures per field, bit k is pattern k. hists: red cells per
    score bin and field, by the last set of captures. quality: overlap and darkness of every field.
    revisit: the present field had captures when the stage came. light_dose: LED channels at full drive
    times milliseconds. last_action: NO_ACTION before the first.
    """

    field: Int[Tensor, " search"]
    masks: Int[Tensor, "search field"]
    hists: Float[Tensor, "search field bin"]
    quality: Float[Tensor, "search field quality"]
    revisit: Bool[Tensor, " search"]
    captures: Int[Tensor, " search"]
    actions: Int[Tensor, " search"]
    light_dose: Float[Tensor, " search"]
    time_s: Float[Tensor, " search"]
    travel_um: Float[Tensor, " search"]
    last_action: Int[Tensor, " search"]

    @property
    def mask_here(self) -> Int[Tensor, " search"]:
        """Set of captures of the present field."""
        return self.masks.gather(1, self.field[:, None])[:, 0]


class Reading(NamedTuple):
    """What one field gave, per search: red cells per score bin and the two quality numbers."""

    hist: Float[Tensor, "search bin"]
    quality: Float[Tensor, "search quality"]


class View(NamedTuple):
    """What a policy may know: observation, allowed actions, and the estimate behind them."""

    observation: Float[Tensor, "search entry"]
    allowed: Bool[Tensor, "search action"]
    prevalence: Float[Tensor, " search"]


def observation_size(rules: SearchRules) -> int:
    """Entries of the observation."""
    return 2 * rules.n_patterns + rules.n_bins + 24


def start(rules: SearchRules, n: int, *, field: int = 0) -> SearchState:
    """As many searches as `n` that have seen nothing, the stage at `field`."""
    n_fields = rules.grid.n_fields
    count = torch.zeros(n, dtype=torch.int64)
    amount = torch.zeros(n, dtype=torch.float64)
    return SearchState(
        field=count + field,
        masks=torch.zeros(n, n_fields, dtype=torch.int64),
        hists=torch.zeros(n, n_fields, rules.n_bins),
        quality=torch.zeros(n, n_fields, N_QUALITY),
        revisit=torch.zeros(n, dtype=torch.bool),
        captures=count,
        actions=count,
        light_dose=amount,
        time_s=amount,
        travel_um=amount,
        last_action=count + NO_ACTION,
    )


def merged(rows: Bool[Tensor, " search"], these: SearchState, others: SearchState) -> SearchState:
    """`these` where `rows` is True, `others` elsewhere."""
    columns = {}
    for each in fields(SearchState):
        first, second = getattr(these, each.name), getattr(others, each.name)
        columns[each.name] = torch.where(rows.reshape(-1, *[1] * (first.ndim - 1)), first, second)
    return SearchState(**columns)


def evidence(state: SearchState, rules: SearchRules) -> Float[Tensor, "search mask bin"]:
    """Red cells per set of captures and score bin; every field once, with its last set."""
    counts = torch.zeros(len(state.masks), rules.n_masks, rules.n_bins)
    return counts.scatter_add_(1, state.masks[:, :, None].expand_as(state.hists), state.hists)


def target_field(state: SearchState, action: Int[Tensor, " search"], rules: SearchRules) -> Int[Tensor, " search"]:
    """Field on the axis after `action`; captures, the stop and moves that would leave the slide stay."""
    columns, first_move = rules.grid.columns, rules.n_patterns
    steps = torch.zeros(rules.n_actions, dtype=torch.int64)
    steps[first_move : first_move + 4] = torch.tensor([1, -1, columns, -columns])
    moved = torch.where(
        _on_slide(state, rules).gather(1, action[:, None])[:, 0], state.field + steps[action], state.field
    )
    return torch.where(action == rules.jump, _next_unvisited(state, rules), moved)


def after_action(
    state: SearchState, action: Int[Tensor, " search"], reading: Reading, rules: SearchRules
) -> SearchState:
    """State after one allowed action each; `reading` counts only where the action was a capture.

    reading: the field under the new set of captures.
    """
    capture = action < rules.n_patterns
    field = target_field(state, action, rules)
    moved = (action >= rules.n_patterns) & (action != rules.stop)
    pattern = torch.where(capture, action, 0)
    mask = torch.where(capture, state.mask_here | (1 << pattern), state.mask_here)
    here = state.field[:, None]
    keep = ~capture[:, None]
    old_hist, old_quality = (_at(table, state.field) for table in (state.hists, state.quality))
    hists = _put(state.hists, state.field, torch.where(keep, old_hist, reading.hist))
    quality = _put(state.quality, state.field, torch.where(keep, old_quality, reading.quality))
    masks = state.masks.scatter(1, here, mask[:, None])
    travel_um = _distance_um(state.field, field, rules)
    exposure_ms, dose = (
        torch.tensor(numbers, dtype=torch.float64)[pattern] * capture
        for numbers in (rules.exposures_ms, rules.light_doses)
    )
    moving_s = rules.costs.settle_s * moved.double() + travel_um / 1000 / rules.costs.stage_mm_per_s
    return replace(
        state,
        field=field,
        masks=masks,
        hists=hists,
        quality=quality,
        revisit=torch.where(moved, masks.gather(1, field[:, None])[:, 0] > 0, state.revisit),
        captures=state.captures + capture,
        actions=state.actions + 1,
        light_dose=state.light_dose + dose,
        time_s=state.time_s + exposure_ms / 1000 + moving_s,
        travel_um=state.travel_um + travel_um,
        last_action=action,
    )


def allowed_actions(state: SearchState, rules: SearchRules) -> Bool[Tensor, "search action"]:
    """True for every action that the rules allow; at least one always is."""
    patterns = torch.arange(rules.n_patterns)
    new_here = (state.mask_here[:, None] >> patterns) & 1 == 0
    going = (state.captures < rules.capture_budget) & (state.actions < rules.action_budget - 1)
    looked = (state.last_action >= 0) & (state.last_action < rules.n_patterns)
    moves = _open_neighbours(state, rules) & looked[:, None]
    jump = (state.masks == 0).any(1) & looked
    early = torch.cat([new_here, moves, jump[:, None]], 1) & going[:, None]
    return torch.cat([early, (state.captures > 0)[:, None]], 1)


def view(state: SearchState, rules: SearchRules, model: EvidenceModel) -> View:
    """Observation, allowed actions and prevalence estimate after the history held in `state`."""
    counts = evidence(state, rules)
    prevalence = model.prevalence(counts)
    half_width = model.half_width(counts, prevalence)
    floor, budget = rules.reward.floor, rules.capture_budget
    hist = _at(state.hists, state.field)
    cells = hist.sum(1, keepdim=True)
    column, row = state.field % rules.grid.columns, state.field // rules.grid.columns
    captured = (state.mask_here[:, None] >> torch.arange(rules.n_patterns)) & 1
    numbers = torch.stack(
        [
            column / max(1, rules.grid.columns - 1),
            row / max(1, rules.grid.rows - 1),
            *_neighbours_done(state, rules).unbind(1),
            state.revisit,
            (state.masks > 0).double().mean(1),
            1 - state.captures / budget,
            1 - state.actions / rules.action_budget,
            state.light_dose / (budget * max(*rules.light_doses, 1e-9)),
            state.time_s / (budget * (rules.costs.settle_s + max(rules.exposures_ms) / 1000)),
            torch.log10(prevalence / floor + 1) / 2,
            torch.log10(half_width / (prevalence + floor)).clamp(-2, 2) / 2,
            torch.log10(1 + counts.sum((1, 2))) / 4,
        ],
        1,
    )
    last = state.last_action[:, None] == torch.arange(rules.n_actions)
    quality = _at(state.quality, state.field)
    parts = [captured, hist / cells.clamp_min(1), cells / CELLS_SCALE, quality, numbers, last]
    return View(torch.cat([part.float() for part in parts], 1), allowed_actions(state, rules), prevalence)


def _at(table: Float[Tensor, "search field entry"], field: Int[Tensor, " search"]) -> Float[Tensor, "search entry"]:
    return table[torch.arange(len(field)), field]


def _put(
    table: Float[Tensor, "search field entry"], field: Int[Tensor, " search"], entries: Float[Tensor, "search entry"]
) -> Float[Tensor, "search field entry"]:
    return table.index_put((torch.arange(len(field)), field), entries)


def _on_slide(state: SearchState, rules: SearchRules) -> Bool[Tensor, "search action"]:
    """True for the axis moves that end on the slide, False for every other action."""
    columns, rows = rules.grid.columns, rules.grid.rows
    column, row = state.field % columns, state.field // columns
    inside = torch.stack([column + 1 < columns, column > 0, row + 1 < rows, row > 0], 1)
    before, after = (torch.zeros(len(column), n, dtype=torch.bool) for n in (rules.n_patterns, 2))
    return torch.cat([before, inside, after], 1)


def _neighbour_masks(state: SearchState, rules: SearchRules) -> Int[Tensor, "search 4"]:
    """Sets of captures of the neighbours at +x, -x, +y, -y; the full set off the slide."""
    inside = _on_slide(state, rules)[:, rules.n_patterns : rules.n_patterns + 4]
    offsets = torch.tensor([1, -1, rules.grid.columns, -rules.grid.columns])
    neighbours = (state.field[:, None] + offsets).clamp(0, rules.grid.n_fields - 1)
    return torch.where(inside, state.masks.gather(1, neighbours), rules.n_masks - 1)


def _neighbours_done(state: SearchState, rules: SearchRules) -> Bool[Tensor, "search 4"]:
    return _neighbour_masks(state, rules) > 0


def _open_neighbours(state: SearchState, rules: SearchRules) -> Bool[Tensor, "search 4"]:
    return _neighbour_masks(state, rules) < rules.n_masks - 1


def _next_unvisited(state: SearchState, rules: SearchRules) -> Int[Tensor, " search"]:
    """The first field ahead along the serpentine, around its end if need be, without a capture; else the present."""
    order = torch.tensor(rules.grid.serpentine())
    place = torch.argsort(order)
    ahead = (place - place[state.field][:, None]) % rules.grid.n_fields
    return (
        torch.where(state.masks > 0, rules.grid.n_fields, ahead).argmin(1).where((state.masks == 0).any(1), state.field)
    )


def _distance_um(
    start: Int[Tensor, " search"], end: Int[Tensor, " search"], rules: SearchRules
) -> Float[Tensor, " search"]:
    columns = rules.grid.columns
    steps = torch.stack([end % columns - start % columns, end // columns - start // columns]).double()
    return torch.hypot(steps[0], steps[1]) * rules.grid.pitch_um
