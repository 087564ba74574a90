"""The error tree. Every error says in one sentence what is wrong and, as a hint, what to do.

LsmError                  exit status 1: the work failed
├── InputError            exit status 2: what was given is wrong
│   ├── ConfigError       a key or value in a configuration
│   ├── FileMissing       a file or folder that is not there
│   ├── WrongFormat       a file, image or array of the wrong kind or shape
│   ├── ToolMissing       a program this work needs is not installed
│   └── NotMeasured       a recorded stack does not hold what a request asks for
├── DeviceError           a device failed; its light is off
│   ├── PortBusy          another program holds the serial port
│   ├── IlluminatorError  the LED board refused or answered nonsense
│   │   └── IlluminatorTimeout   the LED board is silent
│   ├── CameraError       no image, or one that cannot be right
│   ├── StageError        a move failed or ended in the wrong place
│   └── Halted            somebody pressed stop; nothing moves or shines until it is released
├── LimitExceeded         a request outside the rig's limits; nothing moved or lit
├── RunStopped            its operator ended a run; what it recorded is kept
├── CalibrationFailed     images do not tell what was to be measured
├── RecordError           a recording cannot be written or read
└── ModelMismatch         weights do not belong to this rig or version
"""

from typing import ClassVar


class LsmError(Exception):
    """Base of everything lsm raises on purpose.

    message: one sentence naming the object, the value and the allowed range.
    hint: what the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class InputError(LsmError):
    """What the user gave is wrong."""

    exit_code = 2


class ConfigError(InputError):
    """A key or value in a configuration is wrong."""


class FileMissing(InputError):
    """A file or folder is not there."""


class WrongFormat(InputError):
    """A file, image or array has the wrong kind or shape."""


class ToolMissing(InputError):
    """A program that this work needs is not installed."""


class NotMeasured(InputError):
    """A replayed stack does not hold the light, place or exposure that was asked for."""


class DeviceError(LsmError):
    """A device failed; whoever raises it has turned the light off or could not reach it."""


class PortBusy(DeviceError):
    """Another program holds the serial port."""


class IlluminatorError(DeviceError):
    """The LED board refused a command or answered something that cannot be."""


class IlluminatorTimeout(IlluminatorError):
    """The LED board is silent; its own watchdog turns the LEDs dark."""


class CameraError(DeviceError):
    """The camera gave no image, or one that cannot be right."""


class StageError(DeviceError):
    """A move failed or ended in the wrong place."""


class Halted(DeviceError):
    """Somebody stopped the microscope: it is dark and still until it is released."""

    def __init__(self) -> None:
        super().__init__(
            "The microscope was stopped by hand: it is dark and stands still.",
            hint="release the stop when it is safe to go on",
        )


class LimitExceeded(LsmError):
    """A request outside the rig's limits; nothing moved and nothing was lit."""


class RunStopped(LsmError):
    """The operator ended a run; what it recorded is kept."""


class CalibrationFailed(LsmError):
    """The images do not tell what was to be measured."""


class RecordError(LsmError):
    """A recording cannot be written or read."""


class ModelMismatch(LsmError):
    """Weights do not belong to this rig, board or version."""
