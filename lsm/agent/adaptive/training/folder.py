"""A policy for single cells as it lies in a folder: network, world, configuration and figures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsm.agent.adaptive.policies.checkpoint import load_policy
from lsm.agent.adaptive.policies.protocol import Policy
from lsm.agent.adaptive.training.config import CellTrainingConfig
from lsm.agent.adaptive.training.run import CONFIG, FIGURES, POLICY, WORLD
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.agent.adaptive.worldfile import load_world
from lsm.errors import FileMissing, WrongFormat
from lsm.sensing.cells import CellStack

_HINT = "name a folder that 'lsm train-policy cells' wrote"


@dataclass(frozen=True, eq=False)
class PolicyFolder:
    """A trained policy with what it was trained for. figures: as `judge` and the training gave them."""

    folder: Path
    policy: Policy
    world: AdaptiveWorld
    config: CellTrainingConfig
    figures: dict[str, Any]

    @classmethod
    def load(cls, folder: Path, cells: CellStack | None = None) -> "PolicyFolder":
        """The policy in a folder, in a world of these cells or of none.

        Raises FileMissing, WrongFormat for a damaged file, ModelMismatch for cells or parts of another rig.
        """
        if not folder.is_dir():
            raise FileMissing(f"There is no folder {folder} with a policy.", hint=_HINT)
        world = load_world(folder / WORLD, cells)
        policy = load_policy(folder / POLICY, world)
        config = CellTrainingConfig.from_table(_table(folder / CONFIG), source=str(folder / CONFIG))
        return cls(folder, policy, world, config, _table(folder / FIGURES))


def _table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileMissing(f"{path} does not exist.", hint=_HINT) from None
    except (ValueError, OSError) as error:
        raise WrongFormat(f"{path} cannot be read: {error}.", hint=_HINT) from error
    if not isinstance(table, dict):
        raise WrongFormat(f"{path} is no table.", hint=_HINT)
    return table
