"""Designed light on the project's firmware: compiled, shown, read back."""

from dataclasses import dataclass
from types import TracebackType

import numpy as np
from jaxtyping import Int, UInt8

from lsm.experiments.sim_to_real.config import Colour, SimToRealConfig
from lsm.experiments.sim_to_real.slide import CHANNEL, Levels, Shot
from lsm.illum import LEVELS, CompiledLight, Drive, compile_light
from lsm.scope import RigConfig, find_rig, open_light

EXPOSURE_MS = 10.0
HOLD_MS = 100.0


@dataclass(frozen=True, eq=False)
class Lit:
    """What the board read back as lit, one shot per frame, in the LEDs' order of the slide.

    rms_error: of the compiled light, relative to what was asked. as_sent: whether each LED and colour of every frame
    was read back as it was sent. elsewhere: largest level of an LED that the slide lacks, or of another colour.
    """

    shots: list[Shot]
    rms_error: float
    current_ma: float
    as_sent: bool
    elsewhere: int


class LightBoard:
    """The simulated board: the firmware, compiled for this computer, as a 15 x 15 grid behind its serial port.

    Raises ToolMissing without a C compiler.
    """

    def __init__(self, config: SimToRealConfig) -> None:
        rig = RigConfig.from_file(find_rig("simulated"))
        sides = config.rig.model_dump(include={"rows", "columns", "pitch_mm", "distance_mm"})
        led = rig.led.model_copy(update={"board": rig.led.board.model_copy(update=sides)})
        self._device = open_light(rig.model_copy(update={"led": led}))

    def __enter__(self) -> "LightBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._device.close()

    def drive(self, bits: int, frames: int) -> Drive:
        """The firmware's own drive, with levels of so many bits and at most so many frames for a capture."""
        return Drive.of_firmware(self._device.board).model_copy(update={"level_bits": bits, "max_patterns": frames})

    def show(self, levels: Levels, colour: Colour, place: Int[np.ndarray, " led"], drive: Drive) -> Lit:
        """Compile a light of the slide's LEDs, show every frame of it, and return what was read back."""
        light = self._compiled(levels, colour, place, drive)
        shots: list[Shot] = []
        as_sent, elsewhere = True, 0
        for frame in light.frames:
            shown = self._device.show(frame.pattern, hold_ms=HOLD_MS)
            as_sent &= not shown.limited and np.array_equal(shown.levels, frame.pattern.levels)
            there: UInt8[np.ndarray, "led colour"] = shown.levels.copy()
            shots.append((there[place, CHANNEL[colour]].copy(), frame.exposure_ms))
            there[place, CHANNEL[colour]] = 0
            elsewhere = max(elsewhere, int(there.max()))
        self._device.dark()
        return Lit(shots, light.rms_error, light.peak_current_ma, as_sent, elsewhere)

    def _compiled(self, levels: Levels, colour: Colour, place: Int[np.ndarray, " led"], drive: Drive) -> CompiledLight:
        board = self._device.board
        weights = np.zeros(board.n_leds)
        weights[place] = levels / LEVELS
        return compile_light(
            board, weights, drive, exposure_ms=EXPOSURE_MS, colour=CHANNEL[colour], max_rms_error=np.inf
        )
