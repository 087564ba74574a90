"""A policy by backward induction: at every state each action is tried, and networks learn what it comes to.

From the last capture backwards, one network for each number of captures learns the return of every kind of action
(fitted Q iteration: Ernst et al., J. Mach. Learn. Res. 6, 503 (2005)). What follows an action is what the later
networks' choices really earned, not what they promised, so that no maximum over noisy promises makes looking seem good
(as in least squares Monte Carlo: Longstaff and Schwartz, Rev. Financ. Stud. 14, 113 (2001)).
"""

from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, View
from lsm.agent.adaptive.policies.ppo import CellPpo, taken_steps
from lsm.agent.adaptive.policies.protocol import Choice, Memory, certain, stopping_costs
from lsm.agent.adaptive.policies.rollouts import SEED_BITS
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.agent.adaptive.state import belief_in, n_facts
from lsm.agent.ppo import descend
from lsm.config import Config
from lsm.errors import ConfigError

Count = Annotated[int, Ge(1)]
PLACES = 8192
"""Of a batch in which actions are tried."""


class BackwardsConfig(Config):
    """How it learns.

    cells: episodes in which every action is tried, at each number of captures. sweeps: over all numbers of captures; on
    the first, patterns on the way are drawn at random, later a share `explored` of them. units: of both hidden layers.
    held_out: share of the patients whose episodes choose the number of epochs.
    """

    cells: Annotated[int, Ge(8)] = 6144
    sweeps: Count = 2
    explored: Annotated[float, Ge(0), Le(1)] = 0.5
    units: Annotated[int, Ge(4), Le(512)] = 64
    epochs: Count = 30
    rows_per_step: Count = 256
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-3
    held_out: Annotated[float, Gt(0), Lt(1)] = 0.25


class Tried(NamedTuple):
    """Episodes at one number of captures: facts, what may be done, what each kind came to, held out of learning."""

    facts: Float32[Tensor, "episode fact"]
    allowed: Bool[Tensor, "episode kind"]
    earned: Float32[Tensor, "episode kind"]
    held: Bool[Tensor, " episode"]


class StageValues(nn.Module):
    """Expected return of every kind of action by the number of captures so far.

    A network that has learned nothing expects of a declaration what the reader's belief says, and of a capture as much
    as of the best declaration. Raises ConfigError where weights are free.
    """

    def __init__(self, rules: AdaptiveRules, n_features: int, units: int, generator: torch.Generator) -> None:
        super().__init__()
        if rules.free:
            raise ConfigError(
                "Backward induction tries every pattern, and the weights are free.",
                hint="use a book of lights, or the differentiable policy",
            )
        self.rules = rules
        sizes = n_facts(rules, n_features), units, units, rules.n_kinds
        self.stages = nn.ModuleList(_layers(sizes, generator) for _ in range(rules.budget.captures + 1))

    def forward(
        self, facts: Float32[Tensor, "episode fact"], allowed: Bool[Tensor, "episode kind"]
    ) -> Float32[Tensor, "episode kind"]:
        """Values, -inf where not allowed."""
        stage = self.captures(facts)
        values = self.start(facts)
        for number in set(stage.tolist()):
            rows = (stage == number).nonzero()[:, 0]
            values = values.index_add(0, rows, self.stages[number](facts[rows]))
        return values.masked_fill(~allowed, -torch.inf)

    def start(self, facts: Float32[Tensor, "episode fact"]) -> Float32[Tensor, "episode kind"]:
        """What is expected before anything was learned."""
        declared = -stopping_costs(belief_in(facts, self.rules), self.rules)
        return torch.cat([declared.amax(1, keepdim=True).expand(-1, self.rules.n_patterns), declared], 1)

    def captures(self, facts: Float32[Tensor, "episode fact"]) -> Int[Tensor, " episode"]:
        """Captures so far, at most as many as the rules' own budget has."""
        used = facts[:, : self.rules.n_patterns].sum(1) * self.rules.repeats
        return used.round().long().clamp_max(len(self.stages) - 1)


class ValuePolicy:
    """Does what promises most."""

    def __init__(self, values: StageValues, *, name: str = "trained backwards") -> None:
        self.values, self.name = values.eval(), name

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 1)

    @torch.no_grad()
    def act(self, view: View, memory: Memory) -> Choice:
        value, action = self.values(view.facts, view.allowed).max(1)
        return certain(action, view, memory)._replace(value=value)


def train_backwards(env: BatchAdaptiveEnv, config: BackwardsConfig, *, seed: int) -> StageValues:
    """The networks, learned at the cells of this environment. The same arguments give the same weights."""
    generator = torch.Generator().manual_seed(seed)
    values = StageValues(env.rules, env.world.reader.n_features, config.units, generator)
    names = np.unique(env.world.source.stack.patient)
    held = np.random.default_rng(seed).permutation(names)[: round(config.held_out * len(names))]
    for sweep in range(config.sweeps):
        explored = config.explored if sweep else 1.0
        for stage in range(env.rules.budget.captures, -1, -1):
            _fit(
                values, stage, _try_all(env, values, stage, explored, config.cells, held, generator), config, generator
            )
    return values.eval()


def imitate(ppo: CellPpo, teacher: StageValues, updates: int) -> None:
    """Let the network of a training do as the teacher where its own choices lead it; the training's steps go on after.

    Ross et al., AISTATS 2011 (DAgger). The network's value learns the teacher's.
    """
    for _ in range(updates):
        rollout = ppo.collect().rollout
        nothing = torch.zeros_like(rollout.reward)
        steps = taken_steps(rollout, nothing, nothing, torch.arange(rollout.reward.shape[1]))
        with torch.no_grad():
            promised, wanted = teacher(steps.facts, steps.allowed).max(1)
        scores, value = ppo.network.whole(steps.facts, steps.frame, steps.allowed, steps.alive)
        loss = nn.functional.nll_loss(scores, wanted)
        loss = loss + ppo.config.value_weight * nn.functional.smooth_l1_loss(value, promised)
        descend(ppo.optimiser, loss, max_gradient=ppo.config.max_gradient)


@torch.no_grad()
def _try_all(
    env: BatchAdaptiveEnv,
    values: StageValues,
    stage: int,
    explored: float,
    cells: int,
    held: np.ndarray,
    generator: torch.Generator,
) -> Tried:
    """Episodes brought to so many captures; there every action is tried, and followed by the best that is known."""
    kinds, parts = env.rules.n_kinds, []
    size = max(1, PLACES // kinds)
    for first in range(0, cells, size):
        n = min(size, cells - first)
        view = _brought(env, values, stage, explored, n, generator)
        tried = env.branched(kinds)
        action = torch.arange(kinds).repeat(n)
        possible = view.allowed.flatten()
        # what is not allowed is not learned from; anything that is allowed ends sooner or later
        instead = view.allowed.float().argmax(1).repeat_interleave(kinds)
        step = tried.step(torch.where(possible, action, instead))
        earned = step.reward
        while not bool(tried.done.all()):
            step = tried.step(values(step.view.facts, step.view.allowed).argmax(1))
            earned = earned + step.reward
        patient = env.world.source.stack.patient[env.row.numpy()]
        parts.append((view.facts, view.allowed, earned.reshape(n, kinds), torch.from_numpy(np.isin(patient, held))))
    return Tried(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _brought(
    env: BatchAdaptiveEnv, values: StageValues, stage: int, explored: float, n: int, generator: torch.Generator
) -> View:
    """New episodes after so many captures, where budgets allow them."""
    view = env.reset(n, torch.randint(1 << SEED_BITS, (n,), generator=generator))
    patterns = env.rules.n_patterns
    for _ in range(stage):
        may = view.allowed[:, :patterns]
        best = values(view.facts, view.allowed)[:, :patterns].argmax(1)
        drawn = torch.multinomial(may.float() + ~may.any(1, keepdim=True), 1, generator=generator)[:, 0]
        astray = torch.rand(n, generator=generator) < explored
        view = env.step(torch.where(astray, drawn, best)).view
    return view


def _fit(values: StageValues, stage: int, tried: Tried, config: BackwardsConfig, generator: torch.Generator) -> None:
    """Least squares on what was earned beyond what was expected; of all epochs the one that held-out ones choose."""
    network = values.stages[stage]
    wanted = tried.earned - values.start(tried.facts)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)

    def loss(rows: Int[Tensor, " row"]) -> Float[Tensor, ""]:
        error: Tensor = (network(tried.facts[rows]) - wanted[rows]).square() * tried.allowed[rows]
        return error.sum() / tried.allowed[rows].sum()

    @torch.no_grad()
    def judged() -> float:
        return float(loss(judges)) if len(judges) else -torch.inf

    learned, judges = (~tried.held).nonzero()[:, 0], tried.held.nonzero()[:, 0]
    best, kept = judged(), _copied(network)
    for _ in range(config.epochs):
        order = learned[torch.randperm(len(learned), generator=generator)]
        for first in range(0, len(order), config.rows_per_step):
            rows = order[first : first + config.rows_per_step]
            descend(optimiser, loss(rows), max_gradient=1.0)
        if (found := judged()) <= best:
            best, kept = found, _copied(network)
    network.load_state_dict(kept)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def _layers(sizes: tuple[int, int, int, int], generator: torch.Generator) -> nn.Sequential:
    """Three layers, of which the last begins at zero."""
    first, second, last = (nn.Linear(a, b) for a, b in pairwise(sizes))
    for layer in (first, second, last):
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(last.weight)
    for layer in (first, second):
        nn.init.orthogonal_(layer.weight, 1.4, generator=generator)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
