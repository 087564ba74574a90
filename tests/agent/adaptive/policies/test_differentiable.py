"""Light learned through the sum over lamps, in the riddle with free weights."""

from pathlib import Path

import pytest
import torch
from riddle import NEVER_REFER, World, riddle

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget, CellCosts
from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.evaluate import Trial, try_policy
from lsm.agent.adaptive.invented import invented_stack, invented_world
from lsm.agent.adaptive.policies import (
    DifferentiablePolicy,
    GlimpseConfig,
    GlimpseNetwork,
    Policy,
    load_policy,
    save_policy,
    train_differentiable,
)
from lsm.agent.adaptive.policies.differentiable import expected_loss, exposed, shown
from lsm.errors import ConfigError, ModelMismatch
from lsm.optics import ImagingSystem
from lsm.sensing.cells import CellStack

ONE = AdaptiveConfig(budget=CellBudget(captures=1), reward=NEVER_REFER)
SMALL = GlimpseConfig(units=16, updates=3, cells=16)


@pytest.fixture(scope="module")
def world() -> World:
    return riddle(ONE, free=True)


def _trial(world: World) -> Trial:
    return Trial(BatchAdaptiveEnv(world.held_out), torch.arange(512), seed=5)


def test_one_capture_of_several_lamps_answers_the_riddle(world: World):
    config = GlimpseConfig(units=16, updates=160, cells=96, learning_rate=1e-2, spread=0.05)
    trial, rules = _trial(world), world.train.rules
    trained = DifferentiablePolicy(train_differentiable(world.train, config, seed=0), rules)
    untrained = DifferentiablePolicy(GlimpseNetwork(world.train, config, torch.Generator().manual_seed(0)), rules)
    ours = try_policy(trained, trial)
    assert (ours.captures == 1).all()
    # one lamp alone is right in three quarters of the cells
    assert ours.mean("correct") > 0.85
    assert try_policy(untrained, trial).mean("correct") < 0.7
    duty = trained.network.duties(trained.start(1)[:, :-1], torch.tensor([False]))[0].detach()
    assert float(duty.max() / duty.min()) > 1.5


def test_gradients_pass_through_exposure_sum_and_camera(world: World):
    rows = torch.arange(64)

    def brightness(duty: torch.Tensor) -> torch.Tensor:
        frame, _ = exposed(world.train, rows, duty.expand(64, -1), torch.Generator().manual_seed(3))
        signs = torch.from_numpy(world.train.source.stack.images[:64, 1, 0, 0] > 0.5).float() * 2 - 1
        return ((frame[:, :, :2].mean((1, 2)) - frame[:, :, 2:].mean((1, 2))) * signs).mean()

    duty = torch.tensor([0.5, 0.5, 0.5], requires_grad=True)
    brightness(duty).backward()
    step = torch.zeros(3)
    step[1] = 0.1
    with torch.no_grad():
        slope = float(brightness(duty + step) - brightness(duty - step)) / 0.2
    # a central difference over a fifth of the duty, and the digits' rounding
    assert float(duty.grad[1]) == pytest.approx(slope, rel=0.05)
    # the meter holds the sum of light, so that one lamp's gain is the others' loss
    assert float(duty.grad[0]) < 0 < float(duty.grad[1])


def test_dearer_captures_are_fewer():
    captures = []
    for price in (0.0, 1.0):
        config = AdaptiveConfig(budget=CellBudget(captures=2), costs=CellCosts(per_capture=price), reward=NEVER_REFER)
        world = riddle(config, free=True)
        learn = GlimpseConfig(units=16, updates=60, cells=64, learning_rate=1e-2, nats_per_cost=2.0)
        policy = DifferentiablePolicy(train_differentiable(world.train, learn, seed=0), world.train.rules)
        captures.append(try_policy(policy, _trial(world)).mean("captures"))
    assert captures[1] < 1.2
    assert captures[0] > captures[1]


def test_levels_round_forwards_and_not_backwards():
    duty = torch.tensor([[-0.2, 0.301, 0.5, 1.4]], requires_grad=True)
    board = shown(duty)
    levels = board.detach() * 255
    # float32 of numbers up to 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    board.sum().backward()
    assert duty.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_same_seed_same_weights_and_files_keep_them(world: World, tmp_path: Path):
    first, second = (train_differentiable(world.train, SMALL, seed=4) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    path = tmp_path / "policy.safetensors"
    save_policy(path, first, world.train)
    loaded = load_policy(path, world.held_out)
    assert isinstance(loaded, DifferentiablePolicy)
    assert isinstance(loaded, Policy)
    ours, again = (
        try_policy(policy, _trial(world)) for policy in (DifferentiablePolicy(first, world.train.rules), loaded)
    )
    assert (ours.log_score == again.log_score).all()
    assert (ours.declared == again.declared).all()
    with pytest.raises(ModelMismatch):
        load_policy(path, riddle(ONE).train)


def test_nothing_it_does_is_refused():
    config = AdaptiveConfig(budget=CellBudget(captures=3), captures_min=2)
    world = invented_world(config, free=True)
    network = train_differentiable(world, SMALL, seed=0)
    env = BatchAdaptiveEnv(world)
    policy = DifferentiablePolicy(network, world.rules)
    view, memory = env.reset(32, 0), policy.start(32)
    while not bool(env.done.all()):
        choice = policy.act(view, memory)
        # shares of a float32 sum
        assert torch.allclose(choice.probabilities.sum(1), torch.ones(32), atol=1e-6)
        step = env.step(choice.action)
        assert not bool(step.refused.any())
        view, memory = step.view, choice.memory
    assert int(env.state.captures.min()) >= 2


def test_the_loss_without_stops_is_that_of_the_last_capture(world: World):
    network = GlimpseNetwork(world.train, SMALL, torch.Generator().manual_seed(0))
    rows = torch.arange(32)
    first = expected_loss(network, world.train, rows, torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.stop.bias += 5.0
    # with one capture there is nothing to stop
    assert torch.equal(first, expected_loss(network, world.train, rows, torch.Generator().manual_seed(1)))


def test_books_and_other_budgets_are_refused():
    with pytest.raises(ConfigError):
        GlimpseNetwork(invented_world(), SMALL)
    config = AdaptiveConfig(budget=CellBudget(captures=2, light_led_s=1.0))
    with pytest.raises(ConfigError):
        train_differentiable(invented_world(config, free=True), SMALL, seed=0)


def test_it_may_begin_outside_the_objective():
    stack, lamps = invented_stack(16)
    optics = ImagingSystem(
        na=lamps.na_objective, wavelength_um=0.53, camera_pixel_um=1.2, sample_px=64, sample_pixel_um=0.3
    )
    known = CellStack(
        stack.images,
        led=stack.led,
        colour=stack.colour,
        infected=stack.infected,
        patient=stack.patient,
        crop=stack.crop,
        board=stack.board,
        system=optics,
        source=stack.source,
    )
    config, generator = GlimpseConfig(inside_logit=-4.0), torch.Generator().manual_seed(0)
    network = GlimpseNetwork(build_world(known, lamps), config, generator)
    start = network.duties(torch.zeros(1, 2 * config.units), torch.zeros(1, dtype=torch.bool))[0].detach()
    inside = torch.from_numpy(lamps.na <= lamps.na_objective)
    assert float(start[inside].max()) < 0.1
    assert float(start[~inside].min()) > 0.3
    with pytest.raises(ConfigError, match="optics"):
        GlimpseNetwork(build_world(stack, lamps), config, generator)
