"""Microscopes for a policy at single cells: a rig, the twin or a measured stack, and the cells to look at on them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lsm.agent.adaptive.fits import RigFacts, find_cells, require_fit
from lsm.agent.adaptive.light import lamps_of_stack
from lsm.agent.adaptive.run import CellPlace, CellSearch
from lsm.agent.adaptive.training import PolicyFolder
from lsm.agent.codebook import Codebook
from lsm.devices import LocatedMicroscope, Microscope
from lsm.errors import ConfigError, InputError
from lsm.record import Recording
from lsm.record.replay import Noise, Replay
from lsm.record.stacks import LedImages, StackCamera
from lsm.record.stacks_files import open_stack
from lsm.safety import Interlock
from lsm.samples import ProceduralSmear
from lsm.scope import RigConfig, connect, find_rig
from lsm.sensing import Bundle
from lsm.twin import Twin, TwinConfig
from lsm.vision import FieldReader

TWIN = "twin"
STACKS = (".h5", ".hdf5", ".npz")
RIG_DIGEST = "rig_digest"
"""Key in the header of a recording."""

FIRST_SMEAR = 6_000_000
"""Number of the twin's first smear, far from those that policies are trained on."""


@dataclass(frozen=True)
class Aim:
    """Which cells: places of the stage, focus, most cells at each, the finder's model; or the one in the middle."""

    places_um: tuple[tuple[float, float], ...]
    z_um: float | None
    most: int
    finder: Bundle | None


@dataclass(frozen=True)
class Opened:
    """A microscope and where to begin: a simulated stage in the middle of its travel, others where they are.

    digest: identity of the rig file, the twin's configuration or the stack.
    """

    microscope: Microscope
    digest: str
    xy_um: tuple[float, float] | None = None


@contextmanager
def opened(
    name: str,
    policy: PolicyFolder,
    seed: int,
    *,
    as_measured: bool = False,
    past: Recording | None = None,
    **simulation: Any,
) -> Iterator[Opened]:
    """The microscope of that name, if the policy was trained for it.

    as_measured: give frames of a measured stack no fresh noise. past: of an interrupted run on this microscope, which
    comes to where the run left it, its light accounted for. simulation: for the twin or a simulated rig.
    Raises ModelMismatch, ConfigError where it is not what `past` was recorded on, and as its parts do.
    """
    path = Path(name)
    measured = name != TWIN and (path.suffix in STACKS or path.is_dir())
    if as_measured and not measured:
        raise InputError(f"'{name}' is no measured stack.", hint="leave --as-measured out")
    if name == TWIN:
        with _twin(policy, seed, past, simulation) as found:
            yield found
    elif measured:
        # without fresh noise a light that is asked for twice would give the same frame twice, which tells nothing new
        with _stack(path, policy, seed, "as measured" if as_measured else "as captured", past) as found:
            yield found
    else:
        with _rig(name, policy, seed, past, simulation) as found:
            yield found


@contextmanager
def _twin(policy: PolicyFolder, seed: int, past: Recording | None, simulation: dict[str, Any]) -> Iterator[Opened]:
    config = TwinConfig.default()
    require_fit(policy.folder, policy.world, RigFacts.of_twin(config))
    _require_same(past, config.digest(), "The twin")
    twin = Twin(ProceduralSmear(policy.config.cells.smear, FIRST_SMEAR + seed), config, seed, **simulation)
    if past is not None:
        twin.relive(past.exposures())
    yield Opened(twin, config.digest())


@contextmanager
def _stack(path: Path, policy: PolicyFolder, seed: int, noise: Noise, past: Recording | None) -> Iterator[Opened]:
    camera = policy.world.camera
    known = StackCamera(
        offset_adu=camera.offset_adu, gain_e_per_adu=camera.gain_e_per_adu, read_noise_e=camera.read_noise_e
    )
    board = lamps_of_stack(policy.world.source.stack).board
    replay = Replay(open_stack(path, board=board, camera=known), noise=noise, saturated="mask", seed=seed)
    try:
        require_fit(policy.folder, policy.world, RigFacts.of_stack(replay.stack))
        digest = _digest_of(replay.stack)
        _require_same(past, digest, f"The stack {path}")
        if past is not None:
            replay.relive(past.exposures())
        yield Opened(replay, digest)
    finally:
        replay.close()


@contextmanager
def _rig(
    name: str, policy: PolicyFolder, seed: int, past: Recording | None, simulation: dict[str, Any]
) -> Iterator[Opened]:
    rig, world = RigConfig.from_file(find_rig(name)), policy.world
    facts = RigFacts.of_rig(rig)
    require_fit(policy.folder, world, facts)
    _require_same(past, rig.digest(), f"Rig '{rig.name}'")
    given = simulation if rig.simulator is None else {"seed": seed} | simulation
    if past is not None and rig.simulator is not None and rig.cfg is None:
        # a simulated microscope was switched off with the run and must come to where a real one still is
        given |= {"history": past.exposures()}
    with connect(rig, **given) as microscope:
        # a board may have been set to another limit than its firmware begins with
        require_fit(policy.folder, world, replace(facts, limit_ma=microscope.current_limit_ma()))
        if past is not None:
            for frame in past.frames():
                microscope.charge(frame)
        if rig.simulator is None:
            require_still_there(past, microscope, rig)
            yield Opened(microscope, rig.digest())
            return
        low, high = zip(rig.limits.x_um, rig.limits.y_um, strict=True)
        yield Opened(microscope, rig.digest(), ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2))


class Cells:
    """Places of cells, found as they are asked for. total: how many there are as far as is known.

    on_search: told of every look for cells before the first of them is given. finder_led_s: light spent on looking.
    """

    def __init__(
        self,
        microscope: Microscope,
        begin_um: tuple[float, float] | None,
        policy: PolicyFolder,
        aim: Aim,
        on_search: Callable[[CellSearch], object],
    ) -> None:
        self._microscope, self._begin = microscope, begin_um
        self._policy, self._aim, self._on_search = policy, aim, on_search
        self.total, self.finder_led_s = 0, 0.0

    def __iter__(self) -> Iterator[CellPlace]:
        aim = self._aim
        begin = [CellPlace(xy_um, aim.z_um) for xy_um in aim.places_um] or [CellPlace(self._begin, aim.z_um)]
        if aim.finder is None:
            self.total = len(begin)
            yield from begin
            return
        yield from self._found(begin, aim.finder)

    def _found(self, begin: Sequence[CellPlace], finder: Bundle) -> Iterator[CellPlace]:
        reader, codebook = FieldReader(finder), Codebook.from_bundle(finder, self._microscope.board).first(1)
        for place in begin:
            world, most = self._policy.world, self._aim.most
            found = find_cells(self._microscope, reader, codebook, world, place, most=most)
            self._on_search(found)
            self.finder_led_s += found.frame.light_dose / 1000
            self.total += len(found.cells)
            yield from found.cells
        if not self.total:
            raise InputError("No red cell was found at these places.", hint="name others with --place, or use --middle")


def _digest_of(stack: LedImages) -> str:
    """Identity of a stack as far as it can be told without reading its images."""
    places = [(place.xy_um, place.z_um) for place in stack.places]
    words = (stack.source, stack.board.digest, repr(places), f"{stack.saturated_adu:g}")
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def _require_same(past: Recording | None, digest: str, what: str) -> None:
    if past is not None and past.header.get(RIG_DIGEST) != digest:
        raise ConfigError(
            f"{what} is not as it was when {past.path} was begun.",
            hint="resume on the unchanged one, or start a new run",
        )


def require_still_there(past: Recording | None, microscope: Interlock, rig: RigConfig) -> None:
    """Raises InputError where a run that did not say where to look would go on somewhere else."""
    device = microscope.microscope
    if past is None or not past.n_frames or not isinstance(device, LocatedMicroscope):
        return
    last = past.frame(past.n_frames - 1)
    xy_um, z_um = device.where()
    off_um = max(abs(now - then) for now, then in zip(xy_um, last.xy_um, strict=True))
    if last.request.xy_um is None and off_um > rig.tolerance_um.xy:
        now, then = (f"({x_um:.1f}, {y_um:.1f})" for x_um, y_um in (xy_um, last.xy_um))
        raise _moved(past, f"stage stands at {now}", then)
    if last.request.z_um is None and abs(z_um - last.z_um) > rig.tolerance_um.z:
        raise _moved(past, f"focus stands at {z_um:.2f}", f"{last.z_um:.2f}")


def _moved(past: Recording, now: str, then: str) -> InputError:
    return InputError(
        f"The {now} um; the last frame of {past.path} was taken at {then} um.",
        hint="move it back there, or start a new run",
    )
