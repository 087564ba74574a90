"""From a network in floating point to the reader in whole numbers."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.agent.adaptive.readers.network import SetNetwork
from lsm.agent.adaptive.readers.set_reader import ADDED_LEVELS, HEAD_LEVELS, SetReader
from lsm.agent.adaptive.readers.whole import EXACT, LEVELS, LEVELS_PER_SPREAD, NEXT_SIDE
from lsm.errors import ConfigError

REACH: Final = 0.9995
"""Share of the activations that fit into their levels; larger ones are cut off."""

FINE_LEVELS: Final = 2**15
"""Of the weights of the head, whose sums are in float64."""

TINY: Final = 1e-9


class Reaches(NamedTuple):
    """What stands for the highest level of each unit: of both convolutions, of the memory, of the head."""

    first: Float[Tensor, " unit"]
    second: Float[Tensor, " unit2"]
    third: Float[Tensor, " unit3"]
    fourth: Float[Tensor, " unit4"]


class Layer(NamedTuple):
    """Whole weights and offsets, and what a unit of their sums is worth."""

    weight: Tensor
    offset: Tensor
    worth: Tensor


@torch.no_grad()
def quantised(
    network: SetNetwork,
    samples: Sequence[tuple[Tensor, Tensor, Tensor]],
    memories: Float[Tensor, "set unit"],
    full_adu: float,
) -> SetReader:
    """The network in whole numbers, not yet calibrated (slope 1, offset 0).

    samples: frames and brightness in whole numbers with their patterns, on which it is found how far activations
    reach. memories: sums over captures, for the head. Raises ConfigError where sums could pass 2^24.
    """
    reach = _reaches(network, samples, memories)
    second = network.config.channels[1]
    pixel = torch.full((network.first.shape[1],), 1 / LEVELS_PER_SPREAD)
    one = _layer(network.first, network.offsets[0], pixel, LEVELS)
    two = _layer(network.second, network.offsets[1], (reach.first / LEVELS).repeat(NEXT_SIDE**2), LEVELS)
    places = (len(network.third) - 2) // second
    entries = torch.cat([(reach.second / LEVELS).repeat(places), torch.full((2,), 1 / LEVELS)])
    three = _layer(network.third, network.offsets[2], entries, LEVELS)
    for layer in (one, two, three):
        _check_exact(layer)
    unit = (reach.third / ADDED_LEVELS).double()
    four = _layer(network.fourth.double(), network.head_offset.double(), unit, FINE_LEVELS)
    known = torch.cat([unit, (reach.fourth / HEAD_LEVELS).double()])
    five = _layer(network.last.double(), network.last_offset.double(), known, FINE_LEVELS)
    worth = float(five.worth)
    return SetReader(
        first=one.weight,
        first_offset=one.offset,
        first_factor=one.worth * LEVELS / reach.first,
        second=two.weight,
        second_offset=two.offset,
        second_factor=two.worth * LEVELS / reach.second,
        third=three.weight,
        third_offset=three.offset,
        third_factor=three.worth * ADDED_LEVELS / reach.third,
        fourth=four.weight,
        fourth_offset=four.offset,
        fourth_factor=four.worth * HEAD_LEVELS / reach.fourth.double(),
        last=five.weight[:, 0],
        slope=torch.full((1,), worth, dtype=torch.float64),
        offset=five.offset * worth,
        size=torch.tensor([len(network.first), *network.side_px]),
        full_adu=torch.tensor(full_adu, dtype=torch.float64),
    )


def _reaches(
    network: SetNetwork, samples: Sequence[tuple[Tensor, Tensor, Tensor]], memories: Float[Tensor, "set unit"]
) -> Reaches:
    first, second = network.config.channels
    maps = [network.maps(*sample) for sample in samples]
    added = torch.cat([network.added(*sample) for sample in samples])
    hidden, seen = (torch.cat([each[k].reshape(-1, size) for each in maps]) for k, size in ((0, first), (1, second)))
    return Reaches(*(_reach(each) for each in (hidden, seen, added, network.judged(memories)[1])))


def _reach(values: Float[Tensor, "some unit"]) -> Float[Tensor, " unit"]:
    rank = max(1, round(REACH * len(values)))
    return values.abs().kthvalue(rank, dim=0).values.clamp_min(1e-3)


def _layer(
    weight: Float[Tensor, "*pattern entry unit"], offset: Float[Tensor, "*any unit"], entry: Tensor, levels: int
) -> Layer:
    """Weights over whole entries that are worth `entry` each, as whole numbers of at most `levels`."""
    real = weight * entry[:, None]
    worth = real.abs().amax(-2).clamp_min(TINY) / levels
    return Layer((real / worth.unsqueeze(-2)).round(), (offset / worth).round(), worth)


def _check_exact(layer: Layer) -> None:
    largest = float((layer.weight.abs().sum(-2) * LEVELS + layer.offset.abs()).max())
    if largest >= EXACT:
        raise ConfigError(
            f"Sums of up to {largest:.3g} are not exact in 32 bits.", hint="give the reader fewer channels"
        )
