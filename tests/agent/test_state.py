"""Rules of a search hold for every sequence of actions, and the observation says what its table promises."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import SearchRules
from lsm.agent.state import Reading, after_action, allowed_actions, evidence, observation_size, start, view
from lsm.agent.tables import SlideTables
from lsm.stats import ScoreCalibration


def _reading(rules: SearchRules, bits: int) -> Reading:
    return Reading(torch.full((1, rules.n_bins), float(bits % 5)), torch.tensor([[0.3, 1.0]]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**16), min_size=1, max_size=40))
def test_allowed_actions_never_break_a_rule(rules: SearchRules, draws: list[int]):
    state = start(rules, 1)
    for draw in draws:
        allowed = torch.nonzero(allowed_actions(state, rules)[0])[:, 0].tolist()
        assert allowed
        action = allowed[draw % len(allowed)]
        before = state
        if action == rules.stop:
            assert int(state.captures[0]) > 0
            return
        assert int(state.captures[0]) < rules.capture_budget
        assert int(state.actions[0]) < rules.action_budget - 1
        state = after_action(state, torch.tensor([action]), _reading(rules, draw), rules)
        if action < rules.n_patterns:
            assert not int(before.mask_here[0]) >> action & 1
            assert int(state.field[0]) == int(before.field[0])
        else:
            assert 0 <= int(before.last_action[0]) < rules.n_patterns
            assert int(state.mask_here[0]) < rules.n_masks - 1
            columns = rules.grid.columns
            (y0, x0), (y1, x1) = divmod(int(before.field[0]), columns), divmod(int(state.field[0]), columns)
            assert 0 <= int(state.field[0]) < rules.grid.n_fields
            if action == rules.jump:
                assert int(state.mask_here[0]) == 0
            else:
                step = [(1, 0), (-1, 0), (0, 1), (0, -1)][action - rules.n_patterns]
                assert (x1 - x0, y1 - y0) == step


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**16), min_size=1, max_size=24))
def test_every_field_counts_once_with_its_last_set_of_captures(rules: SearchRules, draws: list[int]):
    state, last = start(rules, 1), {}
    for draw in draws:
        allowed = torch.nonzero(allowed_actions(state, rules)[0])[:, 0].tolist()
        action = allowed[draw % len(allowed)]
        if action == rules.stop:
            break
        reading = _reading(rules, draw)
        state = after_action(state, torch.tensor([action]), reading, rules)
        if action < rules.n_patterns:
            last[int(state.field[0])] = (int(state.mask_here[0]), reading.hist[0].numpy())
    expected = np.zeros((rules.n_masks, rules.n_bins))
    for mask, hist in last.values():
        expected[mask] += hist
    assert np.array_equal(evidence(state, rules)[0].numpy(), expected)


def test_jumps_follow_the_serpentine(rules: SearchRules):
    state, path = start(rules, 1), [0]
    for _ in range(7):
        state = after_action(state, torch.tensor([0]), _reading(rules, 1), rules)
        state = after_action(state, torch.tensor([rules.jump]), _reading(rules, 1), rules)
        path.append(int(state.field[0]))
    assert path == [0, 1, 2, 3, 7, 6, 5, 4]


def test_costs_of_a_move_are_its_length_and_the_settling(rules: SearchRules):
    state = after_action(start(rules, 1), torch.tensor([0]), _reading(rules, 1), rules)
    state = after_action(state, torch.tensor([rules.n_patterns]), _reading(rules, 1), rules)
    assert float(state.travel_um[0]) == rules.grid.pitch_um
    expected_s = 0.02 + rules.costs.settle_s + rules.grid.pitch_um / 1000 / rules.costs.stage_mm_per_s
    # three float64 additions
    assert abs(float(state.time_s[0]) - expected_s) < 1e-12
    assert float(state.light_dose[0]) == 20.0


def test_observation_has_the_promised_entries(rules: SearchRules, world: tuple[SlideTables, ScoreCalibration]):
    model = EvidenceModel.of(world[1])
    state = after_action(start(rules, 1), torch.tensor([1]), _reading(rules, 2), rules)
    observation = view(state, rules, model).observation[0]
    k, b = rules.n_patterns, rules.n_bins
    assert len(observation) == observation_size(rules)
    assert observation[:k].tolist() == [0.0, 1.0]
    # ten equal bins in float32
    assert torch.allclose(observation[k : k + b], torch.full((b,), 0.1), atol=1e-6)
    assert observation[k + b + 1 : k + b + 3].tolist() == [torch.tensor(0.3).item(), 1.0]
    assert observation[k + b + 3 : k + b + 9].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    assert observation[-rules.n_actions :].tolist() == [0.0, 1.0] + [0.0] * 6


def test_observation_of_many_searches_equals_that_of_each(rules: SearchRules, env: BatchSlideEnv):
    generator = torch.Generator().manual_seed(0)
    seen = env.reset(32, generator)
    for _ in range(5):
        seen = env.step(torch.multinomial(seen.allowed.float(), 1, generator=generator)[:, 0]).view
    fields = env.state.__dataclass_fields__
    for row in (0, 7, 31):
        one = type(env.state)(*(getattr(env.state, name)[row : row + 1] for name in fields))
        alone = view(one, rules, env.model)
        # sums over other batch sizes may round differently in the last bit of float32
        assert torch.allclose(alone.observation[0], seen.observation[row], atol=1e-6)
        assert torch.equal(alone.allowed[0], seen.allowed[row])
