"""Whether a policy decides alike in the batched environment, on the twin, and on Micro-Manager with firmware.

    lsm train-policy cells --out out/policies/cells
    python experiments/policy_parity/run.py --policy out/policies/cells    # ten minutes of one core
    python experiments/policy_parity/run.py                                # a network of random weights

What came of it goes into results.json beside this file, with --policy only. docs/decisions/0013 says what is compared.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsm.agent.adaptive import AdaptiveWorld, BatchAdaptiveEnv
from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.light import lamps_of_stack, named_lights
from lsm.agent.adaptive.parity import EpisodeRenderer, agreement, batch_episodes, episodes_of, read_again
from lsm.agent.adaptive.policies import CellNetwork, CellNetworkConfig, Policy, TrainedPolicy
from lsm.agent.adaptive.run import CellPlace, CellRun, run_cell
from lsm.agent.adaptive.training import CellTrainingConfig, PolicyFolder
from lsm.agent.adaptive.training.run import light_names
from lsm.bench.machine import this_machine
from lsm.config import Config, shipped_config
from lsm.devices import Microscope
from lsm.samples import ProceduralSmear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing.cells import CellStack, from_smears
from lsm.threads import threads
from lsm.twin import Twin, TwinConfig

HERE = Path(__file__).parent
FIRST_SMEAR = 5_000_000
"""Seed of the first smear; trainings use those below."""


class PolicyParityConfig(Config):
    """How many episodes, at cells of how many smears."""

    seed: int
    smears: int
    twin_episodes: int
    micro_manager_episodes: int


@dataclass(frozen=True, eq=False)
class Case:
    """Cells of smears that nobody trained on, and the policy that looks at them."""

    config: PolicyParityConfig
    training: CellTrainingConfig
    policy: Policy
    world: AdaptiveWorld

    @property
    def cells(self) -> CellStack:
        return self.world.source.stack

    def smear(self, name: str) -> ProceduralSmear:
        return ProceduralSmear(self.training.cells.smear, int(name))

    def rows(self, episodes: int) -> dict[str, list[int]]:
        """Rows of the first episodes, by smear; an episode is one row."""
        chosen: dict[str, list[int]] = {}
        for row in range(episodes):
            chosen.setdefault(str(self.cells.patient[row]), []).append(row)
        return chosen

    def place(self, row: int) -> CellPlace:
        x_um, y_um = self.cells.made["places_um"][row]
        return CellPlace((x_um, y_um), 0.0)

    def twin_config(self) -> TwinConfig:
        rig = self.training.rig
        flux = self.training.photons.flux_e_per_ms
        return TwinConfig(system=rig.system, camera=rig.camera, led_board=rig.board, led_flux_e_per_ms=flux)


def open_case(config: PolicyParityConfig, folder: Path | None) -> Case:
    """With a trained policy, or with a network of random weights that has strong opinions."""
    training = CellTrainingConfig.from_file(shipped_config("policy/cells.toml"))
    if folder is not None:
        training = PolicyFolder.load(folder).config
    cells = _cells(config, training)
    if folder is not None:
        found = PolicyFolder.load(folder, cells)
        return Case(config, training, found.policy, found.world)
    lamps = lamps_of_stack(cells)
    duty = named_lights(lamps, training.lights)
    names = light_names(training, duty)
    world = build_world(cells, lamps, duty=duty, names=names, config=training.episode, budget=training.photons)
    network = CellNetwork(world, CellNetworkConfig(head_gain=3.0), torch.Generator().manual_seed(config.seed))
    return Case(config, training, TrainedPolicy(network, name="random weights"), world)


def _cells(config: PolicyParityConfig, training: CellTrainingConfig) -> CellStack:
    most = max(config.twin_episodes, config.micro_manager_episodes)
    names = [str(FIRST_SMEAR + config.seed * 1000 + number) for number in range(config.smears)]
    return from_smears(
        {name: ProceduralSmear(training.cells.smear, int(name)) for name in names},
        board=training.rig.board.board(),
        system=training.rig.system,
        cells_per_smear=-(-most // config.smears),
        seed=config.seed,
        colours=(training.rig.colour,),
        off_centre_um=training.cells.off_centre_um,
    )


Begin = Callable[[int], None]


def runs_on(case: Case, episodes: int, microscope_of: Callable[[str], tuple[Microscope, Begin]]) -> list[CellRun]:
    """One run per row, on a microscope for each smear."""
    runs: dict[int, CellRun] = {}
    for name, rows in case.rows(episodes).items():
        microscope, begin = microscope_of(name)
        try:
            for row in rows:
                begin(row)
                runs[row] = run_cell(microscope, case.policy, case.world, case.place(row))
        finally:
            microscope.close()
    return [runs[row] for row in sorted(runs)]


def twin(case: Case, env: BatchAdaptiveEnv | None, *, half: bool = False) -> Callable[[str], tuple[Twin, Begin]]:
    """A twin per smear: with the noise of the environment's episodes, or with its own where there is none.

    half: the image under each LED rounded as in the environment's stack.
    """

    def open_twin(name: str) -> tuple[Twin, Begin]:
        config, sample = case.twin_config(), case.smear(name)
        if env is None:
            return Twin(sample, config, case.config.seed), lambda _: None
        renderer = EpisodeRenderer(sample, config.led_board.board(), config, half=half)
        keys = env.key
        return (
            Twin(sample, config, case.config.seed, renderer=renderer),
            lambda row: renderer.begin(keys[row]),
        )

    return open_twin


def micro_manager(case: Case) -> Callable[[str], tuple[Microscope, Begin]]:
    """Micro-Manager's core with simulated camera and stage, lit by what the compiled firmware shows."""

    def open_rig(name: str) -> tuple[Microscope, Begin]:
        training = case.training
        shipped = RigConfig.from_file(find_rig("simulated"))
        side = training.rig.system.camera_px
        optics = training.rig.model_dump(include={"sample_pixel_um", "sample_px", "margin_px"})
        # the twin's stage goes where it is sent
        options = {**optics, "repeatability_um": 0.0, "camera": training.rig.camera.model_dump(), "colours": ()}
        simulator = shipped.simulator.model_copy(update={"options": {**shipped.simulator.options, **options}})
        camera = shipped.camera.model_copy(update={"shape_px": (side, side)})
        rig = shipped.model_copy(update={"simulator": simulator, "camera": camera})
        return connect(rig, sample=case.smear(name), seed=case.config.seed), lambda _: None

    return open_rig


def compare(case: Case, *, twin_episodes: int, micro_manager_episodes: int) -> dict[str, Any]:
    """Every comparison of docs/decisions/0013, counted."""
    rows = torch.arange(twin_episodes)
    env = BatchAdaptiveEnv(case.world)
    env.reset(twin_episodes, case.config.seed, rows=rows)
    batch = batch_episodes(case.policy, env)
    found: dict[str, Any] = {"policy": case.policy.name, "actions": _used(batch.kinds[batch.kinds >= 0].tolist(), case)}
    rounded = runs_on(case, twin_episodes, twin(case, env, half=True))
    found["twin, in half precision"] = asdict(agreement(batch, rounded))
    full = runs_on(case, twin_episodes, twin(case, env))
    found["twin, in full precision"] = asdict(agreement(batch, full))
    own_noise = runs_on(case, twin_episodes, twin(case, None))
    found["twin, noise of its own, frames read again in a batch"] = asdict(
        agreement(read_again(case.policy, case.world, own_noise), own_noise)
    )
    found["twin, noise of its own"] = _outcomes(case, batch, own_noise) | asdict(agreement(batch, own_noise))
    on_twin = runs_on(case, micro_manager_episodes, twin(case, None))
    on_rig = runs_on(case, micro_manager_episodes, micro_manager(case))
    found["Micro-Manager and firmware, against the twin"] = asdict(agreement(episodes_of(on_twin), on_rig))
    return found


def _used(kinds: Iterable[int], case: Case) -> dict[str, int]:
    numbers, counts = np.unique(list(kinds), return_counts=True)
    names = case.world.rules.kind_names
    return {names[number]: count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}


def _outcomes(case: Case, batch: Any, runs: list[CellRun]) -> dict[str, Any]:
    """Share of cells declared rightly in the environment and with noise of the twin's own, and captures."""
    truth = np.where(case.cells.infected[: len(runs)], "infected", "healthy")
    last = [int(batch.kinds[batch.length(row) - 1, row]) for row in range(len(runs))]
    declared = np.array([case.world.rules.kind_names[kind] for kind in last])
    ours = np.array([run.declared for run in runs])
    lengths = [batch.length(row) - 1 for row in range(len(runs))]
    return {
        "right_in_the_environment": float((declared == truth).mean()),
        "right_on_the_twin": float((ours == truth).mean()),
        "captures_in_the_environment": float(np.mean(lengths)),
        "captures_on_the_twin": float(np.mean([run.captures for run in runs])),
    }


def main() -> None:
    """Compare, and write what came of it."""
    config = PolicyParityConfig.from_file(HERE / "config.toml")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, default=None)
    options = parser.parse_args()
    with threads(1):
        case = open_case(config, options.policy)
        found = compare(case, twin_episodes=config.twin_episodes, micro_manager_episodes=config.micro_manager_episodes)
    for name, figures in found.items():
        print(name, json.dumps(figures))
    if options.policy is None:
        print("results.json is left as it is: it holds the trained policy")
        return
    facts = {"machine": asdict(this_machine()), "config": config.model_dump(mode="json")}
    facts["training"] = {"digest": case.training.digest(), "world": case.world.digest}
    (HERE / "results.json").write_text(json.dumps(facts | {"compared": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
