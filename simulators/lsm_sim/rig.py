"""A rig without hardware: the real firmware, real protocol and real Micro-Manager core around a computed world."""

import tempfile
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lsm.config import Config
from lsm.devices import Illuminator, Observe
from lsm.errors import ConfigError
from lsm.led import LedBoardClient
from lsm.optics import Camera, ImagingSystem
from lsm.optics.stage import StageErrors
from lsm.samples import ProceduralSmear, Smear, SmearConfig
from lsm.scope import MicroManagerMicroscope, RigConfig, open_microscope
from lsm.twin import FieldRenderer, TwinConfig
from lsm_sim.board import Board, NativeBoard
from lsm_sim.emulators import N_LEDS, AvrBoard, Stm32Board
from lsm_sim.hidden import Hidden, HiddenRenderer
from lsm_sim.trigger_wires import TriggerWires
from lsm_sim.world import Renderer, World, drop_world, put_world

NonNegative = Annotated[float, Field(ge=0)]


class SimulatorOptions(Config):
    """The table [simulator.options] of a rig file.

    sample_pixel_um, sample_px, margin_px, led_flux_e_per_ms: see lsm.optics.ImagingSystem and lsm.twin.TwinConfig.
    smear: the sample where `connect` is given none.
    repeatability_um, move_ms, stage, exposure_takes_time, colours: see lsm_sim.world.World.
    hidden: how the rig differs from its file; None where it does not.
    shutter: a shutter in front of the camera, which Micro-Manager opens for every image by itself.
    board: "native" compiles the firmware for this computer; "avr_mega" and "stm32f405" run the chips' own binaries on
    emulated chips, with 32 x 32 LEDs. sanitize: compile the native one with address and undefined-behaviour sanitizers.
    """

    sample_pixel_um: Annotated[float, Field(gt=0)] = 0.3
    sample_px: Annotated[int, Field(gt=0)] = 896
    margin_px: Annotated[int, Field(ge=0)] = 16
    led_flux_e_per_ms: Annotated[float, Field(gt=0)] = 100.0
    camera: Camera = Camera()
    smear: SmearConfig = SmearConfig()
    repeatability_um: NonNegative = 0.5
    move_ms: NonNegative = 0.0
    stage: StageErrors | None = None
    hidden: Hidden | None = None
    exposure_takes_time: bool = False
    colours: tuple[int, ...] = (1,)
    shutter: bool = False
    board: Literal["native", "avr_mega", "stm32f405"] = "native"
    sanitize: bool = True


class SimulatedMicroscope:
    """A MicroManagerMicroscope with, for tests and demonstrations, what stands in for its hardware.

    native_board: the process that runs the firmware.
    world: sample, stage and camera; None where the devices are adapters.
    """

    def __init__(
        self, microscope: MicroManagerMicroscope, native_board: Board, world: World | None, stop: ExitStack
    ) -> None:
        self.native_board = native_board
        self.world = world
        self._microscope = microscope
        self._stop = stop
        self.board = microscope.board
        self.observe = microscope.observe
        self.burst = microscope.burst
        self.where = microscope.where
        self.current_limit_ma = microscope.current_limit_ma
        self.saving_ndtiff = microscope.saving_ndtiff
        self.halt = microscope.halt
        self.release = microscope.release

    def close(self) -> None:
        """Light off, devices unloaded, board switched off; may be called twice."""
        self._stop.close()


def simulated(
    rig: RigConfig,
    *,
    sample: Smear | None = None,
    seed: int = 0,
    renderer: Renderer | None = None,
    board_folder: Path | None = None,
    history: Iterable[Observe] = (),
    light: Callable[[Board], Illuminator] | None = None,
) -> SimulatedMicroscope:
    """The microscope of a rig whose LED board runs the real firmware.

    Where the rig names a `cfg`, its Micro-Manager devices are used and only the board is simulated. Otherwise
    camera, stage and focus are simulated too, over `sample` (default: the smear of the options, grown from `seed`),
    and the image is lit by what the firmware shows. renderer: computes the images instead of lsm.twin.
    board_folder: where the board leaves its log of all lit frames (frames.bin); default: a temporary folder.
    history: captures of before, so that a run goes on; a capture that was tried twice stands there twice.
    light: makes the light source of the board that was switched on, instead of a client with the rig's settings.

    Raises ConfigError for options that are wrong, ToolMissing without a C compiler, DeviceError.
    """
    options = _options(rig)
    with ExitStack() as undo:
        board = undo.enter_context(_power_on(rig, options, board_folder))
        world = None
        if rig.cfg is None:
            world = _world(rig, options, board, renderer or _twin(rig, options, sample, seed), seed=seed)
            world.relive(history)
            if rig.trigger.input is not None and rig.trigger.output is not None:
                world.wires = TriggerWires(board, to_board=rig.trigger.input, to_camera=rig.trigger.output)
            rig = rig.model_copy(update={"cfg": _publish(world, rig, undo, shutter=options.shutter)})
        microscope = open_microscope(rig, light(board) if light else _client(rig, board))
        undo.callback(microscope.close)
        return SimulatedMicroscope(microscope, board, world, undo.pop_all())


class SimulatedBoard(LedBoardClient):
    """The LED board of a simulated rig alone; closing it switches the board off."""

    def __init__(self, rig: RigConfig) -> None:
        self._powered = _power_on(rig, _options(rig), None)
        super().__init__(
            self._powered.open_transport(),
            rig.led.board.build(),
            limit_ma=rig.led.limit_ma,
            pose_tolerance_mm=rig.led.board.pose_tolerance_mm,
        )

    def close(self) -> None:
        super().close()
        self._powered.close()


def simulated_board(rig: RigConfig) -> SimulatedBoard:
    """The entry point for the LED board of a simulated rig. Raises as simulated() does."""
    return SimulatedBoard(rig)


def _options(rig: RigConfig) -> SimulatorOptions:
    return SimulatorOptions.from_table(rig.simulator.options if rig.simulator else {}, source=f"rig '{rig.name}'")


def _client(rig: RigConfig, board: Board) -> LedBoardClient:
    geometry = rig.led.board
    return LedBoardClient(
        board.open_transport(),
        geometry.build(),
        limit_ma=rig.led.limit_ma,
        pose_tolerance_mm=geometry.pose_tolerance_mm,
    )


def _power_on(rig: RigConfig, options: SimulatorOptions, folder: Path | None) -> Board:
    geometry = rig.led.board
    if options.board == "native":
        return NativeBoard(
            rows=geometry.rows,
            columns=geometry.columns,
            pitch_mm=geometry.pitch_mm,
            distance_mm=geometry.distance_mm,
            run_dir=folder,
            sanitize=options.sanitize,
        )
    if geometry.rows * geometry.columns != N_LEDS:
        n_leds = geometry.rows * geometry.columns
        raise ConfigError(
            f"The board '{options.board}' of rig '{rig.name}' has {N_LEDS} LEDs, not {n_leds}.",
            hint="set 32 rows and 32 columns in [led.board], or board = 'native'",
        )
    return AvrBoard(run_dir=folder) if options.board == "avr_mega" else Stm32Board(run_dir=folder)


def _twin(rig: RigConfig, options: SimulatorOptions, sample: Smear | None, seed: int) -> Renderer:
    hidden = options.hidden or Hidden()
    # a calibration tells what lsm believes, not what the rig is
    nominal = rig.led.board.nominal()
    config = TwinConfig(
        system=ImagingSystem(
            na=rig.objective.na,
            sample_pixel_um=options.sample_pixel_um * hidden.pixel_factor,
            camera_pixel_um=rig.camera_pixel_um * hidden.pixel_factor,
            sample_px=options.sample_px,
            margin_px=options.margin_px,
        ),
        camera=options.camera,
        led_flux_e_per_ms=options.led_flux_e_per_ms,
    )
    smear = sample or ProceduralSmear(options.smear, seed)
    if options.hidden is None:
        return FieldRenderer(smear, nominal, config)
    middle_um = (sum(rig.limits.x_um) / 2, sum(rig.limits.y_um) / 2)
    return HiddenRenderer(FieldRenderer(smear, hidden.board(nominal), config), hidden, middle_um)


def _world(rig: RigConfig, options: SimulatorOptions, board: Board, renderer: Renderer, *, seed: int) -> World:
    return World(
        renderer,
        board.lit,
        xy_um=(sum(rig.limits.x_um) / 2, sum(rig.limits.y_um) / 2),
        seed=seed,
        repeatability_um=options.repeatability_um,
        move_ms=options.move_ms,
        stage=options.stage,
        colours=options.colours,
        exposure_takes_time=options.exposure_takes_time,
    )


def _publish(world: World, rig: RigConfig, undo: ExitStack, *, shutter: bool) -> Path:
    """Register the world and write the Micro-Manager configuration whose devices look it up."""
    name = uuid.uuid4().hex
    put_world(name, world)
    undo.callback(drop_world, name)
    folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="lsm-rig-")))
    rows, columns = rig.camera.shape_px or (192, 192)
    devices = {"Camera": "mmcamera,SimCamera", "XY": "mmstage,SimXYStage", "Z": "mmstage,SimFocus"}
    roles = {"Camera": "Camera", "XYStage": "XY", "Focus": "Z"}
    if shutter:
        devices["Shutter"], roles["Shutter"] = "mmstage,SimShutter", "Shutter"
    lines = [
        "Property,Core,Initialize,0",
        *(f"#py pyDevice,{label},lsm_sim.{kind}" for label, kind in devices.items()),
        *(f"#py Property,{label},World,{name}" for label in devices),
        f"#py Property,Camera,Rows,{rows}",
        f"#py Property,Camera,Columns,{columns}",
        "Property,Core,Initialize,1",
        *(f"#py Property,Core,{role},{label}" for role, label in roles.items()),
    ]
    path = folder / "simulated.cfg"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
