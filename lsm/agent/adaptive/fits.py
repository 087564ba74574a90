"""Whether a policy for single cells and a microscope belong together, and where in a frame its cells are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsm.agent.adaptive.light import LightBook, lamps_of_stack
from lsm.agent.adaptive.run import CellPlace, CellSearch
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.agent.codebook import Codebook
from lsm.agent.findings import RED_CELL
from lsm.agent.search import Reads
from lsm.devices import Microscope, Observe
from lsm.errors import LimitExceeded, ModelMismatch
from lsm.illum import LEVELS, LedBoard
from lsm.illum.drive import FIRMWARE_CHANNEL_MA
from lsm.optics import Camera
from lsm.record.stacks import LedImages
from lsm.safety import Limits
from lsm.scope import RigConfig
from lsm.twin import TwinConfig

RELATIVE = 1e-6
"""By which numbers of two files may differ that mean the same."""


@dataclass(frozen=True)
class RigFacts:
    """What of a microscope a policy depends on; None where nobody has said it.

    flux_e_per_ms: electrons per ms and pixel in the empty bright field under the strongest LED at full drive.
    limits: what the rig refuses. limit_ma: of the board at present, which dims what draws more.
    """

    name: str
    board: LedBoard
    na: float | None = None
    camera_pixel_um: float | None = None
    offset_adu: float | None = None
    gain_e_per_adu: float | None = None
    read_noise_e: float | None = None
    flux_e_per_ms: float | None = None
    limits: Limits | None = None
    limit_ma: float | None = None

    @classmethod
    def of_rig(cls, rig: RigConfig) -> "RigFacts":
        """Of a rig file; the brightness is known of simulated rigs only, the board's own limit once it is connected."""
        options = rig.simulator.options if rig.simulator is not None else {}
        flux = options.get("led_flux_e_per_ms")
        camera = rig.camera
        return cls(
            f"rig '{rig.name}'",
            rig.led.board.build(),
            rig.objective.na,
            rig.camera_pixel_um,
            camera.offset_adu,
            camera.gain_e_per_adu,
            camera.read_noise_e,
            None if flux is None else float(flux),
            rig.limits,
            rig.led.limit_ma if rig.led.kind == "serial" else None,
        )

    @classmethod
    def of_twin(cls, twin: TwinConfig) -> "RigFacts":
        """Of a computed microscope."""
        camera, system = twin.camera, twin.system
        return cls(
            "the twin",
            twin.led_board.board(),
            system.na,
            system.camera_pixel_um,
            *_digits(camera),
            twin.led_flux_e_per_ms,
        )

    @classmethod
    def of_stack(cls, stack: LedImages) -> "RigFacts":
        """Of a measured stack, which says nothing of its objective."""
        camera = stack.camera
        return cls(
            f"the stack {stack.source}",
            stack.board,
            offset_adu=camera.offset_adu,
            gain_e_per_adu=camera.gain_e_per_adu,
            read_noise_e=camera.read_noise_e,
        )

    @classmethod
    def of_world(cls, world: AdaptiveWorld) -> "RigFacts":
        """Of the rig that a policy was trained for."""
        lamps, system = lamps_of_stack(world.source.stack), world.source.stack.system
        pixel_um = None if system is None else system.camera_pixel_um
        return cls("its rig", lamps.board, lamps.na_objective, pixel_um, *_digits(world.camera), world.flux_e_per_ms)


def require_fit(policy: Path, world: AdaptiveWorld, found: RigFacts) -> None:
    """Raises ModelMismatch, naming the first difference, where a policy was trained for another rig.

    So it does for a light of its book that the rig would refuse or dim: a run would end in the middle of a cell.
    """
    wanted = RigFacts.of_world(world)
    if wanted.board.digest != found.board.digest:
        raise _mismatch(policy, found, f"the board '{wanted.board.name}'", f"'{found.board.name}' with other LEDs")
    numbers = {
        "na": "an objective of NA {:g}",
        "camera_pixel_um": "camera pixels of {:g} um at the sample",
        "offset_adu": "a dark signal of {:g} ADU",
        "gain_e_per_adu": "{:g} electrons per ADU",
        "read_noise_e": "{:g} electrons of read noise",
        "flux_e_per_ms": "{:g} electrons per ms from an LED",
    }
    for name, words in numbers.items():
        theirs, ours = getattr(found, name), getattr(wanted, name)
        if theirs is not None and ours is not None and abs(theirs - ours) > RELATIVE * abs(ours):
            raise _mismatch(policy, found, words.format(ours), f"{theirs:g}")
    if isinstance(world.light, LightBook):
        for pattern, exposure_ms in zip(
            world.light.patterns(lamps_of_stack(world.source.stack)), world.light.exposure_ms.tolist(), strict=True
        ):
            _require_shown(policy, Observe(pattern, exposure_ms), found)


def find_cells(
    microscope: Microscope,
    reader: Reads,
    codebook: Codebook,
    world: AdaptiveWorld,
    place: CellPlace,
    *,
    most: int,
) -> CellSearch:
    """Red cells whose pixels are all in the frame at this place, nearest to its middle first, and the frame.

    One capture in bright field, the first pattern of a model, whose reader finds them; what it thinks of them is not
    used. Raises what the microscope raises.
    """
    request = Observe(codebook.patterns[0], codebook.exposures_ms[0], place.xy_um, place.z_um)
    frame = microscope.observe(request)
    cells = reader.read({0: frame.image}).cells
    middle = (np.array(frame.image.shape) - 1) / 2
    centres = np.stack([cells.y_px, cells.x_px], axis=1)[cells.kind == RED_CELL]
    room = middle + 0.5 - np.array(world.source.side_px) / 2
    inside = centres[(np.abs(centres - middle) <= room).all(axis=1)]
    order = np.argsort(np.hypot(*(inside - middle).T), kind="stable")[:most]
    # without moving: the cells are looked at where they were found
    found = (CellPlace(place.xy_um, place.z_um, (float(row), float(column))) for row, column in inside[order])
    return CellSearch(place, frame, tuple(found))


def _require_shown(policy: Path, light: Observe, found: RigFacts) -> None:
    name = light.pattern.name
    drawn_ma = float(light.pattern.levels.sum(dtype=np.int64)) * FIRMWARE_CHANNEL_MA / LEVELS
    if found.limit_ma is not None and drawn_ma > found.limit_ma:
        raise ModelMismatch(
            f"{policy} holds a policy with the light '{name}', which draws {drawn_ma:.0f} mA; the board of "
            f"{found.name} dims what draws more than {found.limit_ma:g} mA.",
            hint="raise led.limit_ma in the rig file if the supply allows it, or train a policy without this light",
        )
    if found.limits is None:
        return
    try:
        found.limits.check(light)
    except LimitExceeded as error:
        raise ModelMismatch(
            f"{policy} holds a policy with the light '{name}', which {found.name} refuses: {error.message}",
            hint=f"{error.hint}; or train a policy without this light",
        ) from error


def _digits(camera: Camera) -> tuple[float, float, float]:
    return camera.offset_adu, camera.gain_e_per_adu, camera.read_noise_e


def _mismatch(policy: Path, found: RigFacts, ours: str, theirs: str) -> ModelMismatch:
    return ModelMismatch(
        f"{policy} holds a policy for {ours}, {found.name} has {theirs}.",
        hint="train one for this rig with 'lsm train-policy', or use the rig that it was trained for",
    )
