"""Policies in files: safetensors with the identity of the environment and of the rig they were trained for."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from lsm.agent.adaptive.policies.differentiable import DifferentiablePolicy, GlimpseConfig, GlimpseNetwork
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig, TrainedPolicy
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import ModelMismatch, WrongFormat
from lsm.sensing.bundle import tensors_digest
from lsm.tensorfile import read_tensors, under, write_tensors

NETWORK: Final = "network."
CHOOSING: Final = "chooses patterns"
PAINTING: Final = "paints patterns"
_HINT: Final = "train a policy for it with 'lsm train-policy'"


def rig_digest(world: AdaptiveWorld) -> str:
    """Identity of the hardware: board, lamps, optics, irradiance, brightness and camera."""
    stack = world.source.stack
    words = (
        "" if stack.board is None else stack.board.digest,
        "" if stack.system is None else stack.system.digest(),
        world.camera.digest(),
        f"{world.flux_e_per_ms:g}",
    )
    arrays = (stack.led, stack.colour, np.asarray(world.irradiance, dtype=np.float32))
    return hashlib.sha256(b"".join([" ".join(words).encode(), *(part.tobytes() for part in arrays)])).hexdigest()[:16]


def identity(world: AdaptiveWorld, tensors: Mapping[str, Tensor], *parts: tuple[str, str]) -> dict[str, str]:
    """The words that go beside the tensors."""
    words = {"world": world.digest, "rig": rig_digest(world), "contents": tensors_digest(tensors)}
    return words | dict(parts)


def read_checked(path: Path, world: AdaptiveWorld) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Words and tensors of a policy's file.

    Raises FileMissing, WrongFormat for a damaged file, ModelMismatch for a file of another rig or environment.
    """
    words, tensors = read_tensors(path, hint="name the file that a training wrote", what="policy")
    if words.get("contents") != tensors_digest(tensors):
        raise WrongFormat(f"{path} is damaged.", hint="delete it, and train again")
    if words.get("rig") != rig_digest(world):
        raise ModelMismatch(f"{path} holds a policy for another rig than {world.source.stack.source}.", hint=_HINT)
    if words.get("world") != world.digest:
        raise ModelMismatch(f"{path} holds a policy for other lights, rules or another reader on this rig.", hint=_HINT)
    return words, tensors


def save_policy(path: Path, network: CellNetwork | GlimpseNetwork, world: AdaptiveWorld) -> None:
    """Write the network as a policy for this world; the old file stays until the new one is complete."""
    tensors = {f"{NETWORK}{key}": value for key, value in network.state_dict().items()}
    kind = CHOOSING if isinstance(network, CellNetwork) else PAINTING
    words = ("kind", kind), ("network", network.config.model_dump_json())
    write_tensors(path, tensors, identity(world, tensors, *words))


def load_policy(
    path: Path, world: AdaptiveWorld, *, generator: torch.Generator | None = None, name: str = "trained"
) -> TrainedPolicy | DifferentiablePolicy:
    """The policy in a file of `save_policy`, or in the checkpoint of a training by PPO.

    generator: draws the actions of a policy that chooses patterns; without one the likeliest is taken.
    Raises as `read_checked`.
    """
    words, tensors = read_checked(path, world)
    network: CellNetwork | GlimpseNetwork
    try:
        if words["kind"] == PAINTING:
            network = GlimpseNetwork(world, GlimpseConfig.model_validate_json(words["network"]))
        else:
            network = CellNetwork(world, CellNetworkConfig.model_validate_json(words["network"]))
        network.load_state_dict(under(tensors, NETWORK))
    except (KeyError, RuntimeError, ValueError) as error:
        raise WrongFormat(f"{path} is not a policy: {error}.", hint="name the file that a training wrote") from error
    network.to(world.source.device)
    if isinstance(network, GlimpseNetwork):
        return DifferentiablePolicy(network, world.rules, name=name)
    return TrainedPolicy(network, generator=generator, name=name)
