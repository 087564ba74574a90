"""Microscopes for `lsm policy run`: a rig, the twin or a measured stack, and the cells to look at on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lsm.agent.adaptive.fits import RigFacts, find_cells, require_fit
from lsm.agent.adaptive.light import lamps_of_stack
from lsm.agent.adaptive.run import CellPlace, CellSearch
from lsm.agent.adaptive.training import PolicyFolder
from lsm.agent.codebook import Codebook
from lsm.devices import Microscope
from lsm.errors import InputError
from lsm.record.replay import Noise, Replay
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import open_stack
from lsm.samples import ProceduralSmear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.twin import Twin, TwinConfig
from lsm.vision import FieldReader

TWIN = "twin"
STACKS = (".h5", ".hdf5", ".npz")

FIRST_SMEAR = 6_000_000
"""Number of the twin's first smear, far from those that policies are trained on."""


@dataclass(frozen=True)
class Aim:
    """Which cells: places of the stage, focus, most cells at each, the finder's model; or the one in the middle."""

    places_um: tuple[tuple[float, float], ...]
    z_um: float | None
    most: int
    finder: str
    middle: bool


@dataclass(frozen=True)
class Opened:
    """A microscope and where to begin: a simulated stage in the middle of its travel, others where they are."""

    microscope: Microscope
    xy_um: tuple[float, float] | None = None


@contextmanager
def opened(name: str, policy: PolicyFolder, seed: int, *, as_measured: bool = False) -> Iterator[Opened]:
    """The microscope of that name, if the policy was trained for it. Raises ModelMismatch, and as its parts do.

    as_measured: give frames of a measured stack no fresh noise.
    """
    path, world = Path(name), policy.world
    measured = name != TWIN and (path.suffix in STACKS or path.is_dir())
    if as_measured and not measured:
        raise InputError(f"'{name}' is no measured stack.", hint="leave --as-measured out")
    if name == TWIN:
        twin = TwinConfig.default()
        require_fit(policy.folder, world, RigFacts.of_twin(twin))
        yield Opened(Twin(ProceduralSmear(policy.config.cells.smear, FIRST_SMEAR + seed), twin, seed))
    elif measured:
        camera = world.camera
        known = StackCamera(
            offset_adu=camera.offset_adu, gain_e_per_adu=camera.gain_e_per_adu, read_noise_e=camera.read_noise_e
        )
        board = lamps_of_stack(world.source.stack).board
        # without fresh noise a light that is asked for twice would give the same frame twice, which tells nothing new
        noise: Noise = "as measured" if as_measured else "as captured"
        replay = Replay(open_stack(path, board=board, camera=known), noise=noise, saturated="mask", seed=seed)
        try:
            require_fit(policy.folder, world, RigFacts.of_stack(replay.stack))
            yield Opened(replay)
        finally:
            replay.close()
    else:
        rig = RigConfig.from_file(find_rig(name))
        facts = RigFacts.of_rig(rig)
        require_fit(policy.folder, world, facts)
        simulation: dict[str, Any] = {} if rig.simulator is None else {"seed": seed}
        with connect(rig, **simulation) as microscope:
            # a board may have been set to another limit than its firmware begins with
            require_fit(policy.folder, world, replace(facts, limit_ma=microscope.current_limit_ma()))
            if rig.simulator is None:
                yield Opened(microscope)
                return
            low, high = zip(rig.limits.x_um, rig.limits.y_um, strict=True)
            yield Opened(microscope, ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2))


class Cells:
    """Places of cells, found as they are asked for. total: how many there are as far as is known.

    on_search: told of every look for cells before the first of them is given. finder_led_s: light spent on looking.
    """

    def __init__(
        self, where: Opened, policy: PolicyFolder, aim: Aim, on_search: Callable[[CellSearch], object]
    ) -> None:
        self._microscope, self._begin = where.microscope, where.xy_um
        self._policy, self._aim, self._on_search = policy, aim, on_search
        self.total, self.finder_led_s = 0, 0.0

    def __iter__(self) -> Iterator[CellPlace]:
        aim = self._aim
        begin = [CellPlace(xy_um, aim.z_um) for xy_um in aim.places_um] or [CellPlace(self._begin, aim.z_um)]
        if aim.middle:
            self.total = len(begin)
            yield from begin
            return
        bundle = Bundle.named(aim.finder)
        reader, codebook = FieldReader(bundle), Codebook.from_bundle(bundle, self._microscope.board).first(1)
        for place in begin:
            found = find_cells(self._microscope, reader, codebook, self._policy.world, place, most=aim.most)
            self._on_search(found)
            self.finder_led_s += found.frame.light_dose / 1000
            self.total += len(found.cells)
            yield from found.cells
        if not self.total:
            raise InputError("No red cell was found at these places.", hint="name others with --place, or use --middle")
