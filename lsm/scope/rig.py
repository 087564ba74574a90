"""The rig file: everything that differs between a simulated, a demonstration and a real microscope."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.types import PositiveFloat, PositiveInt

from lsm.config import Config
from lsm.errors import FileMissing
from lsm.illum import LedBoard
from lsm.safety import Limits

NonNegative = Annotated[float, Field(ge=0)]


class BoardConfig(Config):
    """Geometry of a flat LED board, or of one listed in a CSV file (x_mm,y_mm,z_mm)."""

    rows: PositiveInt = 13
    columns: PositiveInt = 13
    pitch_mm: PositiveFloat = 3.0
    distance_mm: PositiveFloat = 50.0
    csv: Path | None = None

    def build(self) -> LedBoard:
        """The board. Raises FileMissing or WrongFormat for a CSV file."""
        if self.csv is not None:
            return LedBoard.from_csv(self.csv)
        return LedBoard.grid(rows=self.rows, columns=self.columns, pitch_mm=self.pitch_mm, distance_mm=self.distance_mm)


class LedConfig(Config):
    """How the LED board is reached.

    kind: "serial" is a board with this project's firmware, "illuminate" one with the illuminate firmware.
    port: the serial port (COM5, /dev/ttyACM0) or tcp:HOST:PORT; the simulator fills it in itself.
    baud: of a UART, also of one behind a USB plug: this project's builds for the Arduino Mega and ESP32 talk at
    1000000. Boards with USB of their own (Teensy, RP2040) ignore it.
    hold_margin_ms: how long beyond the exposure the board holds the light when it hears nothing.
    limit_ma: ceiling for the board's current, below its own; None keeps the board's default.
    """

    kind: Literal["serial", "illuminate"] = "serial"
    port: str = ""
    baud: PositiveInt = 115_200
    board: BoardConfig = BoardConfig()
    hold_margin_ms: NonNegative = 500.0
    limit_ma: PositiveInt | None = None


class Objective(Config):
    """na: numerical aperture in air. magnification: as engraved."""

    na: float = Field(gt=0, lt=1)
    magnification: PositiveFloat


class CameraConfig(Config):
    """pixel_um: sensor pixel. shape_px: rows and columns of an image; None takes what comes."""

    pixel_um: PositiveFloat
    shape_px: tuple[PositiveInt, PositiveInt] | None = None


class DeviceLabels(Config):
    """Labels in the Micro-Manager configuration; empty takes the device of that role there."""

    camera: str = ""
    xy_stage: str = ""
    focus: str = ""


class Timeouts(Config):
    """Seconds after which a wait is an error; the camera's counts from the end of the exposure."""

    stage: PositiveFloat = 10.0
    camera: PositiveFloat = 5.0


class Settling(Config):
    """Milliseconds to wait after a move and after the light has come on."""

    xy: NonNegative = 0.0
    z: NonNegative = 0.0
    led: NonNegative = 0.0


class Trigger(Config):
    """How camera and LED board are wired for bursts; a rig without this table takes bursts frame by frame.

    input: the board's trigger input that the camera's exposure output goes to; None: there is no such wire.
    edge: which edge of that signal ends an exposure, and so steps to the next pattern.
    output: the board's trigger output that starts the camera's exposures; None: the camera keeps its own rhythm.
    delay_us: from latched LEDs to the pulse of `output`, and the least time between two steps.
    camera_properties: [device, property, value] set for a burst, in this order, and set back after it.
    """

    input: Annotated[int, Field(ge=0, le=255)] | None = None
    edge: Literal["rising", "falling"] = "falling"
    output: Annotated[int, Field(ge=0, le=255)] | None = None
    delay_us: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    camera_properties: tuple[tuple[str, str, str], ...] = ()


class Tolerances(Config):
    """Largest difference between a position asked for and the one read back, in micrometres."""

    xy: PositiveFloat = 2.0
    z: PositiveFloat = 0.5


class Simulator(Config):
    """A stand-in for hardware, found by its entry point in the group `lsm.rigs`; it checks its options itself."""

    entry: str
    options: dict[str, Any] = Field(default_factory=dict)


class RigConfig(Config):
    """A rig. Paths in a rig file are relative to that file.

    cfg: Micro-Manager's device configuration, beside the rig file or in the Micro-Manager folder.
    micro_manager: folder with the device adapters; None searches MICROMANAGER_PATH and the usual places.
    properties: [device, property, value] set once after loading.
    """

    name: str
    backend: Literal["python", "java"] = "python"
    micro_manager: Path | None = None
    cfg: Path | None = None
    properties: tuple[tuple[str, str, str], ...] = ()
    devices: DeviceLabels = DeviceLabels()
    led: LedConfig = LedConfig()
    objective: Objective
    camera: CameraConfig
    limits: Limits
    timeouts_s: Timeouts = Timeouts()
    settle_ms: Settling = Settling()
    tolerance_um: Tolerances = Tolerances()
    trigger: Trigger = Trigger()
    simulator: Simulator | None = None

    @property
    def camera_pixel_um(self) -> float:
        """Camera pixel at the sample."""
        return self.camera.pixel_um / self.objective.magnification

    @classmethod
    def from_file(cls, path: Path, **overrides: Any) -> "RigConfig":
        """The rig in a TOML file, with its paths made absolute. Raises FileMissing or ConfigError."""
        rig = super().from_file(path, **overrides)
        folder = path.resolve().parent
        board = rig.led.board
        if board.csv is not None:
            board = board.model_copy(update={"csv": folder / board.csv})
        return rig.model_copy(
            update={
                "cfg": None if rig.cfg is None else _beside(rig.cfg, folder),
                "micro_manager": None if rig.micro_manager is None else folder / rig.micro_manager,
                "led": rig.led.model_copy(update={"board": board}),
            }
        )


def find_rig(name: str) -> Path:
    """The rig file that the package ships under that bare name, or the one of that path. Raises FileMissing."""
    shipped = Path(str(resources.files("lsm"))) / "configs" / "rigs"
    candidate = shipped / f"{Path(name).stem}.toml"
    if candidate.is_file() and name == candidate.stem:
        return candidate
    if Path(name).is_file():
        return Path(name)
    if candidate.is_file() and Path(name).name in (candidate.name, candidate.stem):
        return candidate
    known = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
    raise FileMissing(f"There is no rig file '{name}'.", hint=f"give a path, or one of: {known}")


def _beside(cfg: Path, folder: Path) -> Path:
    """The file beside the rig file where there is one; otherwise Micro-Manager looks in its own folder."""
    return folder / cfg if (folder / cfg).is_file() else cfg
