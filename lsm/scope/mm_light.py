"""LED arrays that are devices of Micro-Manager, as Illuminators.

What such a device cannot promise, whatever is written here: it has no watchdog. A timer of this program puts the light
out when it has been held for too long, and so does leaving Python; but when the program is killed, or a call into the
device hangs, the LEDs stay as they are until somebody switches them off. Nor does it say what its LEDs do: at best
Micro-Manager repeats the settings that it sent.
"""

import atexit
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np

from lsm.devices import Shown
from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.scope._watchdog import DRIVER_ERRORS, Watchdog
from lsm.scope.rig import LedConfig, MmLedConfig
from lsm.types import DutyLevels

FULL = 255
SHORTEST_HOLD_MS = 2000.0
LONGEST_TEXT = 1023
"""Characters of a property's value that every device adapter keeps."""

T = TypeVar("T")


def open_mm_light(
    core: Any, led: LedConfig, *, within_s: float, on_close: Callable[[], None] | None = None
) -> "MmPropertyLight | MmSlmLight":
    """The light of a rig whose LED array is a device of `core`; it is dark. Raises as their constructors do."""
    kind = MmPropertyLight if led.kind == "mm_property" else MmSlmLight
    return kind(core, led.board.build(), led.micro_manager, within_s=within_s, on_close=on_close)


class MmLight(ABC):
    """What lights over a property and over an SLM have in common.

    core: pycromanager's. within_s: longest wait for one call. on_close: called after the light is dark for good.
    Raises ConfigError (no such device, property or size), IlluminatorError, IlluminatorTimeout.
    """

    reads_back: ClassVar[bool]
    """Whether Shown repeats what the device reports; otherwise it is what was sent."""

    goes_dark_alone: ClassVar[bool] = False
    """Whether the LEDs go out when this program is killed."""

    def __init__(
        self,
        core: Any,
        board: LedBoard,
        config: MmLedConfig,
        *,
        within_s: float,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._core = core
        self._board = board
        self._config = config
        self._within_s = within_s
        self._on_close = on_close
        self._watchdog = Watchdog()
        self._lock = threading.RLock()
        self._latch = 0
        self._lit: Shown | None = None
        self._closed = False
        self._timer = threading.Timer(0.0, self._expire, (0,))
        self._call(self._check)
        self.dark()
        atexit.register(self._dark_quietly)

    @property
    def board(self) -> LedBoard:
        return self._board

    def show(self, pattern: Pattern, *, hold_ms: float) -> Shown:
        """Light `pattern`; see `reads_back` for what the answer is worth.

        The LEDs change while the device draws them, not on one edge. A timer here puts them out after
        max(2000, hold_ms) milliseconds. Raises WrongFormat for a pattern of another board or with levels that the
        device does not have (nothing is lit), IlluminatorTimeout or IlluminatorError: the LEDs are dark, or the
        device does not answer and they may be lit.
        """
        self._refuse(pattern)
        with self._lock:
            self._timer.cancel()
            try:
                self._call(lambda: self._light(pattern.levels))
            except IlluminatorError:
                self._dark_quietly()
                raise
            self._latch += 1
            self._lit = Shown(pattern.levels, latch=self._latch)
            self._timer = threading.Timer(max(SHORTEST_HOLD_MS, hold_ms) / 1000, self._expire, (self._latch,))
            self._timer.daemon = True
            self._timer.start()
            return self._lit

    def still_lit(self, shown: Shown) -> bool:
        """Whether nothing here has changed the light since show() returned it, nor, where it reads back, elsewhere."""
        with self._lock:
            if self._lit is None or self._lit.latch != shown.latch:
                return False
            return self._call(lambda: self._agrees(shown.levels))

    def dark(self) -> None:
        """All LEDs off. Raises IlluminatorTimeout or IlluminatorError: they may still be lit."""
        with self._lock:
            self._timer.cancel()
            self._lit = None
            self._call(self._put_out)

    def close(self) -> None:
        """Dark, then release the device; never raises for a device that is gone."""
        if self._closed:
            return
        self._dark_quietly()
        self._closed = True
        self._watchdog.close()
        atexit.unregister(self._dark_quietly)
        if self._on_close is not None:
            self._on_close()

    @abstractmethod
    def _check(self) -> None:
        """Raise ConfigError where the device is not what the rig says."""

    @abstractmethod
    def _light(self, levels: DutyLevels) -> None: ...

    @abstractmethod
    def _agrees(self, levels: DutyLevels) -> bool: ...

    @abstractmethod
    def _put_out(self) -> None: ...

    def _on(self, levels: DutyLevels) -> np.ndarray:
        """The level [led] in the device's colours, which all shine alike."""
        return levels[:, self._config.colours[0]]

    def _refuse(self, pattern: Pattern) -> None:
        device, colours = self._config.device, list(self._config.colours)
        if pattern.board != self._board.digest:
            raise WrongFormat(
                f"Pattern '{pattern.name}' was made for another board than '{self._board.name}'.",
                hint="build it with Pattern.of(board, duty) from the rig's own board",
            )
        on = self._on(pattern.levels)[:, None]
        wanted = np.zeros_like(pattern.levels)
        wanted[:, colours] = on
        if not np.array_equal(wanted, pattern.levels):
            raise WrongFormat(
                f"Pattern '{pattern.name}' asks for colours that '{device}' cannot show: its LEDs shine in channel "
                f"{' and '.join(str(colour) for colour in colours)} alone.",
                hint="build the pattern in these colours, or correct led.micro_manager.colours",
            )
        partial = np.flatnonzero((on > 0) & (on < FULL))
        if partial.size and not self._config.grey:
            led = int(partial[0])
            raise WrongFormat(
                f"Pattern '{pattern.name}' drives LED {led} at {int(on[led, 0])} of {FULL}; '{device}' can only switch "
                "LEDs on and off.",
                hint="round the pattern to 0 and 1; lsm.illum.compile_light splits one into captures for such a drive",
            )

    def _call(self, work: Callable[[], T]) -> T:
        def told() -> T:
            try:
                return work()
            except DRIVER_ERRORS as error:
                raise IlluminatorError(
                    f"The LED array '{self._config.device}' refuses: {error}.",
                    hint="check its settings in Micro-Manager's device property browser",
                ) from error

        what = f"LED array '{self._config.device}'"
        return self._watchdog.call(told, what=what, within_s=self._within_s, error=IlluminatorTimeout)

    def _refuse_absent_device(self) -> None:
        known = [str(label) for label in self._core.get_loaded_devices()]
        if self._config.device not in known:
            raise ConfigError(
                f"Micro-Manager has no device '{self._config.device}', which led.micro_manager.device names.",
                hint=f"its devices: {', '.join(known)}",
            )

    def _expire(self, latch: int) -> None:
        """Put out the light of this latch; another may be on by the time that the lock is free."""
        with self._lock:
            if self._lit is not None and self._lit.latch == latch:
                self._dark_quietly()

    def _dark_quietly(self) -> None:
        if self._closed:
            return
        try:
            self.dark()
        except IlluminatorError:
            self._lit = None


class MmPropertyLight(MmLight):
    """A LED array whose property takes a list of LEDs, such as ManualLedList of the IlluminateLEDArray adapter.

    LEDs are on or off. The list and the settings around it are read back before and after they are shown: that finds
    what the adapter refused or cut off, and what somebody changed in Micro-Manager; it is the adapter's memory, not
    the board's. Raises as MmLight does, and ConfigError where the device tells another number of LEDs.
    """

    reads_back = True

    def _check(self) -> None:
        self._refuse_absent_device()
        config = self._config
        for name in (
            config.property,
            *(each for each, _ in (*config.show, *config.off)),
            *filter(None, [config.count]),
        ):
            if not self._core.has_property(config.device, name):
                known = ", ".join(self._core.get_device_property_names(config.device))
                raise ConfigError(f"'{config.device}' has no property '{name}'.", hint=f"its properties: {known}")
        if config.count:
            self._refuse_other_count(str(self._core.get_property(config.device, config.count)))

    def _refuse_other_count(self, told: str) -> None:
        if told != str(self._board.n_leds):
            raise ConfigError(
                f"'{self._config.device}' has {told} LEDs, the rig file's board {self._board.n_leds}.",
                hint="correct [led.board]",
            )

    def _refuse(self, pattern: Pattern) -> None:
        super()._refuse(pattern)
        length = len(self._text(pattern.levels))
        if length > LONGEST_TEXT:
            raise WrongFormat(
                f"The list of LEDs of pattern '{pattern.name}' has {length} characters; "
                f"a property holds {LONGEST_TEXT}.",
                hint="light fewer LEDs at a time",
            )

    def _text(self, levels: DutyLevels) -> str:
        return self._config.separator.join(str(led + self._config.first) for led in np.flatnonzero(self._on(levels)))

    def _light(self, levels: DutyLevels) -> None:
        if not levels.any():
            self._put_out()
            return
        self._set(self._config.property, self._text(levels))
        for name, value in self._config.show:
            self._set(name, value)

    def _agrees(self, levels: DutyLevels) -> bool:
        config = self._config
        settings = [(config.property, self._text(levels)), *config.show] if levels.any() else self._dark_settings()
        return all(self._core.get_property(config.device, name) == value for name, value in settings)

    def _put_out(self) -> None:
        for name, value in self._dark_settings():
            self._set(name, value)

    def _dark_settings(self) -> list[tuple[str, str]]:
        return list(self._config.off) or [(self._config.property, "")]

    def _set(self, name: str, value: str) -> None:
        self._core.set_property(self._config.device, name, value)
        got = self._core.get_property(self._config.device, name)
        if got != value:
            raise IlluminatorError(
                f"'{self._config.device}' keeps '{got}' as {name} where '{value}' was set.",
                hint="check led.micro_manager in the rig file against the device's property browser",
            )


class MmSlmLight(MmLight):
    """A LED array that Micro-Manager takes for a spatial light modulator: one pixel per LED, row by row.

    Micro-Manager's interface has no way to read an SLM back: Shown is what was sent, and still_lit() knows only what
    this program did. Raises as MmLight does, and ConfigError for an SLM with another number of pixels than LEDs.
    """

    reads_back = False

    def _check(self) -> None:
        self._refuse_absent_device()
        label = self._config.device
        self._shape = (int(self._core.get_slm_height(label)), int(self._core.get_slm_width(label)))
        n_bytes = int(self._core.get_slm_bytes_per_pixel(label))
        if self._shape[0] * self._shape[1] != self._board.n_leds or n_bytes != 1:
            raise ConfigError(
                f"The SLM '{label}' has {self._shape[0]} x {self._shape[1]} pixels of {n_bytes} bytes, "
                f"the rig file's board {self._board.n_leds} LEDs of one.",
                hint="correct [led.board], or the SLM's size in Micro-Manager",
            )

    def _light(self, levels: DutyLevels) -> None:
        self._display(np.ascontiguousarray(self._on(levels)).reshape(self._shape))

    def _agrees(self, levels: DutyLevels) -> bool:
        return True

    def _put_out(self) -> None:
        self._display(np.zeros(self._shape, dtype=np.uint8))

    def _display(self, pixels: np.ndarray) -> None:
        self._core.set_slm_image(self._config.device, pixels)
        self._core.display_slm_image(self._config.device)
