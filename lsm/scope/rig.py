"""The rig file: everything that differs between a simulated, a demonstration and a real microscope."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator
from pydantic.types import PositiveFloat

from lsm.calibration import Calibration
from lsm.config import Config, shipped_config
from lsm.errors import ConfigError, FileMissing
from lsm.illum import LedBoard
from lsm.safety import Limits

NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0, le=65_536)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
Micrometres = Annotated[float, Field(gt=0, le=1000)]
Setting = tuple[str, str]

POSE_TOLERANCE_MM = 1.5
DeviceSetting = tuple[str, str, str]


class _Calibrated(Config):
    """Part of a rig that may name a calibration; without one it keeps the digest that recordings carry."""

    calibration: Path | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, serialise: Callable[["_Calibrated"], dict[str, Any]]) -> dict[str, Any]:
        table = serialise(self)
        return table if self.calibration is not None else {k: v for k, v in table.items() if k != "calibration"}


class BoardConfig(_Calibrated):
    """Geometry of a flat LED board, or of one listed in a CSV file (x_mm,y_mm,z_mm).

    calibration: the file whose places and brightness take the place of these; a rig's own sets it.
    """

    rows: Count = 13
    columns: Count = 13
    pitch_mm: PositiveFloat = 3.0
    distance_mm: PositiveFloat = 50.0
    csv: Path | None = None

    def build(self) -> LedBoard:
        """The board, calibrated where it is. Raises FileMissing or WrongFormat for a file, ConfigError."""
        nominal = self.nominal()
        leds = None if self.calibration is None else Calibration.read(self.calibration).leds
        return nominal if leds is None else leds.board(nominal)

    @property
    def pose_tolerance_mm(self) -> float:
        """How far the firmware's LEDs may lie from these: it knows the board as designed, not as mounted."""
        return POSE_TOLERANCE_MM if self.calibration is None else math.inf

    def nominal(self) -> LedBoard:
        """The board as it is described. Raises FileMissing or WrongFormat for a CSV file."""
        if self.csv is not None:
            return LedBoard.from_csv(self.csv)
        return LedBoard.grid(rows=self.rows, columns=self.columns, pitch_mm=self.pitch_mm, distance_mm=self.distance_mm)


class MmLedConfig(Config):
    """A LED array that is a device of Micro-Manager: the table [led.micro_manager] of a rig file.

    device: its label in the Micro-Manager configuration.
    property: for "mm_property", the one that takes the numbers of the lit LEDs, joined by `separator`.
    first: the number that the device gives to LED 0.
    show, off: [property, value] set after the list so that it is lit, and to put all LEDs out; without `off` the
    list is emptied.
    colours: the colour channels in which a lit LED shines on this device.
    grey: for "mm_slm", the device shows 256 levels; otherwise its LEDs are on or off.
    count: the property in which the device tells how many LEDs it has; empty where it does not.
    """

    device: str = ""
    property: str = ""
    separator: str = "."
    first: Annotated[int, Field(ge=0, le=1)] = 0
    show: tuple[Setting, ...] = ()
    off: tuple[Setting, ...] = ()
    colours: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (1,)
    grey: bool = False
    count: str = ""


class LedConfig(Config):
    """How the LED board is reached.

    kind: "serial" is a board with this project's firmware, "illuminate" one with the illuminate firmware; "mm_property"
    and "mm_slm" are devices of Micro-Manager, see [led.micro_manager].
    port: the serial port (COM5, /dev/ttyACM0) or tcp:HOST:PORT; the simulator fills it in itself.
    baud: of a UART, also of one behind a USB plug: this project's builds for the Arduino Mega and ESP32 talk at
    1000000. Boards with USB of their own (Teensy, RP2040) ignore it.
    hold_margin_ms: how long beyond settling and exposure the board holds the light when it hears nothing. A
    board with this project's firmware is asked during exposures above 1.5 s, and holds it as long as in shorter ones.
    limit_ma: ceiling for the board's current, below its own; None keeps the board's default.
    """

    kind: Literal["serial", "illuminate", "mm_property", "mm_slm"] = "serial"
    port: str = ""
    baud: Annotated[int, Field(gt=0, le=12_000_000)] = 115_200
    board: BoardConfig = BoardConfig()
    hold_margin_ms: Milliseconds = 500.0
    limit_ma: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    micro_manager: MmLedConfig = MmLedConfig()

    @property
    def in_micro_manager(self) -> bool:
        """The light is a device of Micro-Manager; there is no port to open."""
        return self.kind in ("mm_property", "mm_slm")

    @model_validator(mode="after")
    def _complete(self) -> "LedConfig":
        """A ConfigError is no ValueError, so that pydantic passes its sentence on as it is."""
        device = self.micro_manager
        if self.in_micro_manager and not device.device:
            raise ConfigError(
                f"led.kind = '{self.kind}' needs the label of the device in led.micro_manager.device.",
                hint="it is the name of the LED array in Micro-Manager's device list",
            )
        if self.kind == "mm_property" and not device.property:
            raise ConfigError(
                f"led.kind = 'mm_property' needs the property of '{device.device}' that takes the list of lit LEDs.",
                hint="set led.micro_manager.property, for example 'ManualLedList'",
            )
        if not self.in_micro_manager and device.device:
            raise ConfigError(
                f"led.micro_manager names the device '{device.device}', but led.kind is '{self.kind}'.",
                hint="set led.kind = 'mm_property' or 'mm_slm', or leave [led.micro_manager] out",
            )
        return self


class Objective(Config):
    """na: numerical aperture. magnification: as engraved.

    immersion_index: refractive index between objective and sample: 1 in air, 1.33 in water, 1.515 in oil.
    """

    na: float = Field(gt=0, lt=2)
    magnification: Annotated[float, Field(gt=0, le=1000)]
    immersion_index: float = Field(default=1.0, ge=1, lt=2)

    @model_validator(mode="after")
    def _below_its_index(self) -> "Objective":
        if self.na >= self.immersion_index:
            raise ConfigError(
                f"An objective of NA {self.na:g} in a medium of index {self.immersion_index:g} is impossible.",
                hint="NA is below objective.immersion_index: 1 in air, 1.33 in water, 1.515 in oil",
            )
        return self


class CameraConfig(Config):
    """pixel_um: sensor pixel. shape_px: rows and columns of an image; None takes what comes.

    noise: no two images of it are the same, so that one that is given twice is noticed; false for the test images of
    demonstration cameras, which repeat and do not depend on the light.
    offset_adu, gain_e_per_adu, read_noise_e, saturated_adu: of the sensor, where they are known (EMVA 1288): dark
    signal, electrons per digital number, temporal dark noise, value from which a pixel is saturated. Recordings carry
    them, and what is computed from recordings needs them.
    """

    pixel_um: Micrometres
    shape_px: tuple[Count, Count] | None = None
    noise: bool = True
    offset_adu: NonNegative | None = None
    gain_e_per_adu: PositiveFloat | None = None
    read_noise_e: NonNegative | None = None
    saturated_adu: PositiveFloat | None = None


class DeviceLabels(Config):
    """Labels in the Micro-Manager configuration; empty takes the device of that role there."""

    camera: str = ""
    xy_stage: str = ""
    focus: str = ""
    shutter: str = ""
    autofocus: str = ""


class JavaServer(Config):
    """The ZMQ server of a running Micro-Manager, for backend = "java".

    port: as Micro-Manager's options tell it. timeout_s: longest wait for it to answer when connecting.
    """

    port: Annotated[int, Field(gt=0, le=65_535)] = 4827
    timeout_s: Seconds = 5.0


class Timeouts(Config):
    """Seconds after which a wait is an error; the camera's counts from the end of the exposure."""

    stage: Seconds = 10.0
    camera: Seconds = 5.0


class Settling(Config):
    """Milliseconds to wait after a move and after the light has come on."""

    xy: Milliseconds = 0.0
    z: Milliseconds = 0.0
    led: Milliseconds = 0.0


class Trigger(Config):
    """How camera and LED board are wired for bursts; a rig without this table takes bursts frame by frame.

    input: the board's trigger input that the camera's exposure output goes to; None: there is no such wire.
    edge: which edge of that signal ends an exposure, and so steps to the next pattern.
    output: the board's trigger output that starts the camera's exposures; None: there is no such wire. With one wire
    alone nobody could tell whether the light had changed before the next exposure: bursts then go frame by frame.
    delay_us: from latched LEDs to the pulse of `output`, and the least time between two steps.
    camera_properties: [device, property, value] set for a burst, in this order, and set back after it.
    """

    input: Annotated[int, Field(ge=0, le=255)] | None = None
    edge: Literal["rising", "falling"] = "falling"
    output: Annotated[int, Field(ge=0, le=255)] | None = None
    delay_us: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    camera_properties: tuple[DeviceSetting, ...] = ()


class Tolerances(Config):
    """Largest difference between a position asked for and the one read back, in micrometres."""

    xy: Micrometres = 2.0
    z: Micrometres = 0.5


class Simulator(Config):
    """A stand-in for hardware, found by its entry point in the group `lsm.rigs`; it checks its options itself."""

    entry: str
    options: dict[str, Any] = Field(default_factory=dict)


class RigConfig(_Calibrated):
    """A rig. Paths in a rig file are relative to that file.

    calibration: what `lsm calibrate run` measured of it. Its board and its camera's numbers take the place of those
    given here; a file of a rig that was described otherwise is refused.

    backend: "python" loads `cfg` into this process; "java" uses the devices of a Micro-Manager that is running.
    cfg: Micro-Manager's device configuration, beside the rig file or in the Micro-Manager folder.
    micro_manager: folder with the device adapters; None searches MICROMANAGER_PATH and the usual places.
    properties: [device, property, value] set once after loading.
    """

    name: str
    backend: Literal["python", "java"] = "python"
    java: JavaServer = JavaServer()
    micro_manager: Path | None = None
    cfg: Path | None = None
    properties: tuple[DeviceSetting, ...] = ()
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

    @model_validator(mode="after")
    def _fitting_its_backend(self) -> "RigConfig":
        if self.backend == "java" and (self.cfg is not None or self.micro_manager is not None):
            given = "cfg" if self.cfg is not None else "micro_manager"
            raise ConfigError(
                f"Rig '{self.name}' has backend = 'java' and '{given}': a running Micro-Manager has loaded its own.",
                hint=f"leave '{given}' out, or use backend = 'python' and close Micro-Manager",
            )
        if self.backend == "java" and self.simulator is not None:
            raise ConfigError(
                f"Rig '{self.name}' has backend = 'java' and is simulated; the simulator works in this process.",
                hint="use backend = 'python'",
            )
        return self

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
        whole = rig.model_copy(
            update={
                "cfg": None if rig.cfg is None else _beside(rig.cfg, folder),
                "micro_manager": None if rig.micro_manager is None else folder / rig.micro_manager,
                "led": rig.led.model_copy(update={"board": board}),
            }
        )
        return whole if rig.calibration is None else whole.calibrated(folder / rig.calibration)

    @property
    def optics_digest(self) -> str:
        """Identity of what a calibration measures, as the rig file describes it: board, objective and pixels."""
        board = self.led.board.model_copy(update={"calibration": None, "csv": None})
        shape = {"pixel_um": self.camera.pixel_um, "shape_px": self.camera.shape_px}
        parts = [board.model_dump(mode="json"), self.objective.model_dump(mode="json"), shape]
        if self.led.board.csv is not None:
            parts.append({"leds": self.led.board.nominal().digest})
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def calibrated(self, path: Path) -> "RigConfig":
        """The rig with what the file at `path` measured. Raises FileMissing, WrongFormat or ConfigError."""
        found = Calibration.read(path)
        if found.rig_digest != self.optics_digest:
            raise ConfigError(
                f"The calibration {path} is of a rig that was described otherwise than '{self.name}' is now.",
                hint="undo the change of board, objective or camera, or calibrate again: lsm calibrate run",
            )
        camera = self.camera
        if found.camera is not None:
            names = ("offset_adu", "gain_e_per_adu", "read_noise_e")
            camera = camera.model_copy(update={name: getattr(found.camera, name).value for name in names})
        board = self.led.board.model_copy(update={"calibration": path})
        led = self.led.model_copy(update={"board": board})
        return self.model_copy(update={"calibration": path, "camera": camera, "led": led})

    def uncalibrated(self) -> "RigConfig":
        """The rig without its calibration's board; the camera's numbers stay."""
        board = self.led.board.model_copy(update={"calibration": None})
        return self.model_copy(update={"calibration": None, "led": self.led.model_copy(update={"board": board})})


def find_rig(name: str) -> Path:
    """The rig file that the package ships under that bare name, or the one of that path. Raises FileMissing."""
    shipped = shipped_config("rigs")
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
