"""Light learned by back-propagation through the sum over lamps: a recurrent network that paints its next pattern.

After Chaware et al., "Towards an intelligent microscope: adaptively learned illumination for optimal sample
classification" (ICASSP 2020): glimpse network, LSTM, next weights with Gaussian noise, stop or go on, class.
What differs: each frame has the camera's noise, exposure and digits, through which gradients pass; duties are what a
board can show, 0..1 in whole levels, so that no signed pattern passes as one capture; and the stop is learned with
the rest, as the expectation over all moments at which the network may stop, instead of a fixed number of glimpses.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from lsm.agent.adaptive.batch import View
from lsm.agent.adaptive.light import Meter, in_levels, lamps_of_stack, lit_lamps
from lsm.agent.adaptive.policies.network import in_own_spread
from lsm.agent.adaptive.policies.protocol import Choice, Memory, best_declaration
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.config import Config
from lsm.errors import ConfigError

Fraction = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]


class GlimpseConfig(Config):
    """Size of the network and how it learns.

    units: of the glimpse and of the memory. spread: standard deviation of the noise on duties while it learns.
    updates: steps, each on `cells` cells. nats_per_cost: how much log loss one unit of cost (a missed infection) is
    worth, which is what sets how many captures it takes. inside_logit: added at the beginning to the logits of lamps
    inside the objective; few of them light the bright field, and from light that holds them gradients do not find the
    way out, so that a start without them needs a number well below 0. learning_rate falls linearly to `final_rate` of
    itself.
    """

    units: Annotated[int, Ge(4), Le(512)] = 64
    spread: Annotated[float, Ge(0)] = 0.17
    updates: Annotated[int, Ge(1)] = 400
    cells: Annotated[int, Ge(2)] = 128
    nats_per_cost: Annotated[float, Ge(0)] = 2.0
    inside_logit: float = 0.0
    learning_rate: Positive = 2e-3
    final_rate: Fraction = 0.05
    max_gradient: Positive = 1.0


class Glimpse(NamedTuple):
    """What the network thinks after a capture.

    infected: log-odds that the cell is. stop: log-odds of stopping here. memory: of the LSTM, hidden and cell side
    by side.
    """

    infected: Float32[Tensor, " episode"]
    stop: Float32[Tensor, " episode"]
    memory: Memory


class GlimpseNetwork(nn.Module):
    """Frame and light to a glimpse, glimpses to a memory, memory to class, stop and next light.

    Raises ConfigError for a book of patterns, for budgets of light or time, which it does not know, and for an
    `inside_logit` where the stack does not tell its optics.
    """

    def __init__(self, world: AdaptiveWorld, config: GlimpseConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        rules = world.rules
        if not rules.free or rules.budget.light_led_s is not None or rules.budget.time_s is not None:
            raise ConfigError(
                "The differentiable policy needs free weights and no budget but captures.",
                hint="make the world with a meter, and price light and time instead",
            )
        self.config, self.full_adu = config, float(2**world.camera.bits - 1)
        units, (height, width) = config.units, ((side + 3) // 4 for side in rules.side_px)
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()
        )
        self.image = nn.Linear(16 * height * width + 2, units)
        self.light = nn.Linear(rules.lamps, units)
        self.memory = nn.LSTMCell(units, units)
        self.infected = nn.Linear(units, 1)
        self.stop = nn.Linear(units, 1)
        self.next = nn.Linear(units, rules.lamps)
        self.first = nn.Parameter(torch.zeros(rules.lamps))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.orthogonal_(parameter, generator=generator)
            else:
                nn.init.normal_(parameter, std=0.1, generator=generator)
        if config.inside_logit:
            _lean(self, world, config.inside_logit)

    def forward(
        self,
        frame: Float32[Tensor, "episode y x"],
        duty: Float32[Tensor, "episode lamp"],
        memory: Memory,
    ) -> Glimpse:
        """Take in one capture: frame in ADU and the duties that made it."""
        flat = frame.flatten(1)
        bright = torch.stack([flat.mean(1), flat.std(1, unbiased=False)], 1) / self.full_adu
        code = torch.cat([self.convolutions(in_own_spread(frame)[:, None]).flatten(1), 4 * bright], 1)
        glimpse = torch.relu(self.image(code) + self.light(duty))
        hidden, cell = self.memory(glimpse, memory.chunk(2, 1))
        return Glimpse(self.infected(hidden)[:, 0], self.stop(hidden)[:, 0], torch.cat([hidden, cell], 1))

    def duties(self, memory: Memory, begun: Bool[Tensor, " episode"]) -> Float32[Tensor, "episode lamp"]:
        """The next light, 0..1; before the first capture the same for every cell."""
        hidden = memory.chunk(2, 1)[0]
        return torch.sigmoid(torch.where(begun[:, None], self.next(hidden), self.first))


@torch.no_grad()
def _lean(network: GlimpseNetwork, world: AdaptiveWorld, logit: float) -> None:
    """Shift where the light begins, first and next alike, at the lamps inside the objective."""
    lamps = lamps_of_stack(world.source.stack)
    inside = torch.from_numpy(lamps.na <= lamps.na_objective)
    for begin in (network.first, network.next.bias):
        begin[inside] += logit


class DifferentiablePolicy:
    """The network as a Policy for free weights; it declares what costs least by its own class, not the reader's."""

    def __init__(self, network: GlimpseNetwork, rules: AdaptiveRules, *, name: str = "differentiable") -> None:
        self.network, self.name, self._rules = network.eval(), name, rules

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 2 * self.network.config.units + 1)

    @torch.no_grad()
    def act(self, view: View, memory: Memory) -> Choice:
        memory = memory.to(view.facts.device)
        begun, held = memory[:, -1] > 0, memory[:, :-1]
        lamps = self._rules.lamps
        seen = self.network(view.frame.float(), view.facts[:, lamps : 2 * lamps], held)
        held = torch.where(begun[:, None], seen.memory, held)
        prior = torch.tensor(self._rules.infected_share)
        belief = torch.where(begun, torch.sigmoid(seen.infected), prior.to(held.device))
        stopping = torch.where(begun, torch.sigmoid(seen.stop), torch.zeros_like(belief))
        declaration = best_declaration(belief, self._rules)
        captures_left = view.allowed[:, 0]
        kind = torch.where((stopping > 0.5) | ~captures_left, declaration, 0)
        wanted, second = (
            torch.nn.functional.one_hot(each, self._rules.n_kinds).float() for each in (kind, declaration)
        )
        # where the wanted kind is not allowed, the declaration is, or nothing but a capture
        preferences = 2 * wanted + second
        duty = in_levels(self.network.duties(held, begun))
        memory = torch.cat([held, (memory[:, -1:] + 1)], 1)
        probabilities = second * stopping[:, None]
        probabilities[:, 0] += 1 - stopping
        return Choice(torch.cat([duty, preferences], 1), probabilities, torch.zeros_like(belief), memory)


def train_differentiable(
    world: AdaptiveWorld,
    config: GlimpseConfig,
    *,
    seed: int,
    rows: Int[Tensor, " row"] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> GlimpseNetwork:
    """A network that learned on these rows of the world's cells (all, where none are given).

    progress: called with the number of updates done and the last loss in nats. Raises ConfigError as the network.
    """
    device = world.source.device
    first = torch.Generator().manual_seed(seed)
    network = GlimpseNetwork(world, config, first).to(device)
    generator = torch.Generator(device).manual_seed(seed + 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rows = torch.arange(len(world.source.stack), device=device) if rows is None else rows.to(device)
    for update in range(config.updates):
        left = 1 - update / config.updates
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * (left + (1 - left) * config.final_rate)
        loss = expected_loss(network, world, _drawn(world, rows, config.cells, generator), generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), config.max_gradient)
        optimiser.step()
        if progress is not None:
            progress(update + 1, float(loss.detach()))
    return network.eval()


def expected_loss(
    network: GlimpseNetwork, world: AdaptiveWorld, rows: Int[Tensor, " cell"], generator: torch.Generator
) -> Float[Tensor, ""]:
    """Log loss in nats plus the price of captures, in expectation over the captures after which it may stop."""
    rules, config = world.rules, network.config
    infected = world.source.infected[rows].float()
    memory = torch.zeros(len(rows), 2 * config.units, device=rows.device)
    going = torch.ones(len(rows), device=rows.device)
    spent = torch.zeros(len(rows), device=rows.device)
    total = torch.zeros(len(rows), device=rows.device)
    for capture in range(rules.budget.captures):
        duty = network.duties(memory, torch.full_like(going, capture > 0, dtype=torch.bool))
        noise = torch.randn(duty.shape, generator=generator, device=duty.device)
        duty = shown(duty + config.spread * noise)
        frame, price = exposed(world, rows, duty, generator)
        seen = network(frame, duty, memory)
        memory, spent = seen.memory, spent + price
        error = nn.functional.binary_cross_entropy_with_logits(seen.infected, infected, reduction="none")
        last, early = capture + 1 == rules.budget.captures, capture + 1 < rules.captures_min
        stop = torch.ones_like(going) if last else torch.sigmoid(seen.stop) * (not early)
        total = total + going * stop * (error + config.nats_per_cost * spent)
        going = going * (1 - stop)
    return total.mean()


def shown(duty: Float32[Tensor, "cell lamp"]) -> Float32[Tensor, "cell lamp"]:
    """Duties in the levels of a board, with the gradient of the duties before rounding."""
    inside = duty.clamp(0, 1)
    return inside + (in_levels(inside) - inside).detach()


def exposed(
    world: AdaptiveWorld, rows: Int[Tensor, " cell"], duty: Float32[Tensor, "cell lamp"], generator: torch.Generator
) -> tuple[Float32[Tensor, "cell y x"], Float32[Tensor, " cell"]]:
    """Noisy frames in ADU and what each capture costs, both differentiable in the duties."""
    if not isinstance(world.light, Meter):
        raise ConfigError("A book of patterns has no meter for free weights.", hint="make the world with a meter")
    costs = world.rules.costs
    exposure_ms = world.light.exposure_ms(duty)
    rate = world.source.rate(rows, duty * world.per_duty_e_per_ms)
    electrons = world.camera.electrons(rate, exposure_ms.float()[:, None, None], generator)
    # the number of lamps is rounded to levels of the board, so its gradient is that of the plain sum
    lit = lit_lamps(duty.detach()) + (duty - duty.detach()).sum(1)
    seconds = exposure_ms / 1000
    price = costs.per_capture + costs.per_led_s * lit * seconds + costs.per_s * (seconds + costs.overhead_s)
    return world.camera.adu_straight_through(electrons), price.float()


def _drawn(
    world: AdaptiveWorld, rows: Int[Tensor, " row"], cells: int, generator: torch.Generator
) -> Int[Tensor, " cell"]:
    """Cells among the rows, infected ones in the share of the rules."""
    infected = world.source.infected[rows]
    share = world.rules.infected_share
    count = infected.double().mean().clamp(1e-9, 1 - 1e-9)
    weight = torch.where(infected, share / count, (1 - share) / (1 - count))
    return rows[torch.multinomial(weight, cells, replacement=True, generator=generator)]
