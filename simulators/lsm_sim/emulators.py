"""The LED boards' real binaries on emulated chips: the ATmega2560 under libsimavr, the STM32F405 under QEMU.

Their times are the emulated board's own: nanoseconds since power-on.
"""

import time
from pathlib import Path

from lsm.errors import DeviceError
from lsm.led import SerialTransport, SocketTransport
from lsm_sim._build import Toolchain, build_target
from lsm_sim._emulator_qemu import Monitor, Pins
from lsm_sim.board import ANSWER_S, START_S, Board

POLL_S = 0.002
N_LEDS = 32 * 32
AVR = Toolchain(
    packages="make gcc gcc-avr avr-libc",
    programs=("make", "avr-gcc", "avr-size"),
    libraries=("avr-gcc", "-mmcu=atmega2560", "-include", "avr/io.h", "-x", "c", "-", "-o", "/dev/null"),
)
SIMAVR = Toolchain(
    packages="make gcc libc6-dev libsimavr-dev libelf-dev",
    programs=("make", "cc"),
    libraries=("cc", "-include", "simavr/sim_avr.h", "-x", "c", "-", "-lsimavr", "-lelf", "-o", "/dev/null"),
)
ARM = Toolchain(
    packages="make gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    programs=("make", "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"),
    libraries=(
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m4",
        "--specs=nano.specs",
        "--specs=nosys.specs",
        "-x",
        "c",
        "-",
        "-o",
        "/dev/null",
    ),
)
EDGE_PERIOD_US_MIN = 50  # what the interrupt takes, and a little: closer edges merge, as on the chip

# 8 ns per instruction, about what a Cortex-M4 with flash wait states takes at 168 MHz. The clock stands still while the
# host has no time for the emulator, and does not run ahead of the wall clock.
CLOCK = "-accel tcg -icount shift=3,sleep=on,align=on"

# Ends the emulator with this process, however that ends: its standard input is then closed.
LEASH = 'exec 3<&0; (cat <&3 >/dev/null; kill $$) & exec 3<&-; exec "$@" </dev/null'


class AvrBoard(Board):
    """An ATmega2560 with 32 x 32 LEDs under libsimavr.

    mono: the build with one level per LED and one colour per frame. realtime: virtual time does not run ahead of the
    wall clock, as a host that keeps the board's watchdog fed expects; otherwise it runs as fast as the machine can.
    eeprom_path: keeps the settings; without it they are lost with the board.
    Raises ToolMissing without compiler or libsimavr, DeviceError when the firmware does not build or start.
    """

    virtual_time = True

    def __init__(
        self,
        *,
        mono: bool = False,
        realtime: bool = True,
        build_dir: Path | None = None,
        run_dir: Path | None = None,
        eeprom_path: Path | None = None,
    ) -> None:
        target = "avr_mega_mono" if mono else "avr_mega"
        harness = build_target("avr_harness", "lsm-avr-harness", SIMAVR, build_dir=build_dir)
        image = build_target(target, f"lsm-{target}.elf", AVR, build_dir=build_dir)
        super().__init__(run_dir, N_LEDS)
        self.image = image
        options: dict[str, object] = {
            "--elf": image,
            "--port": self._folder / "port",
            "--frames": self.frames_path,
            "--realtime": int(realtime),
        }
        if eeprom_path is not None:
            options["--eeprom"] = eeprom_path
        try:
            self._start([str(harness), *(str(item) for pair in options.items() for item in pair)])
            self.port = self._answer("READY", START_S)
        except DeviceError:
            self.close()
            raise

    def open_transport(self) -> SerialTransport:
        """A new connection to the board. Raises PortBusy when one is open."""
        return SerialTransport(self.port, baud=1_000_000)

    def now_ns(self) -> int:
        """The board's time."""
        self._command("time")
        return int(self._answer("TIME", ANSWER_S))

    def inject_edges(self, count: int, *, period_us: int, pin: int = 0) -> None:
        """Put rising edges on a trigger input, in virtual time; returns when the last has come.

        period_us: at least 50, less is taken as that.
        """
        spaced_us = max(period_us, EDGE_PERIOD_US_MIN)
        self._command(f"edges {pin} {count} {spaced_us}")
        self._answer("EDGES", ANSWER_S + count * spaced_us / 1e6)

    def reset(self) -> None:
        """Press the reset button; returns once the board listens again. What the EEPROM holds stays."""
        self._command("reset")
        self._answer("RESET", ANSWER_S)

    def hang(self) -> None:
        """Let the program hang; returns once the chip's own watchdog has reset it and the board listens again."""
        self._command("hang")
        self._answer("RESET", ANSWER_S)


class Stm32Board(Board):
    """An STM32F405 with 32 x 32 LEDs as QEMU's netduinoplus2, whose time is counted in instructions.

    The build differs from the chip's own: LED lane and trigger outputs leave through a serial port, and the settings
    outlive reset() but not the board. A host that stops reading may stop the board, which real hardware does not.
    Raises ToolMissing without compiler or QEMU, DeviceError when the firmware does not build or start.
    """

    virtual_time = True

    def __init__(self, *, build_dir: Path | None = None, run_dir: Path | None = None) -> None:
        qemu = ARM.find("qemu-system-arm")
        target = "stm32f405_emulated"
        image = build_target(target, f"lsm-{target}.elf", ARM, build_dir=build_dir)
        super().__init__(run_dir, N_LEDS)
        self.image = image
        self._monitor = Monitor()
        self._pins = Pins()
        ends = (self._monitor.child_end.fileno(), self._pins.child_end.fileno())
        try:
            self._start(["sh", "-c", LEASH, "sh", qemu, *self._options(image, *ends)], pass_fds=ends)
            self._monitor.child_end.close()
            self._pins.child_end.close()
            self._monitor.greet()
            self.port = self._tcp_port()
            self._await_frame(1)
        except DeviceError as error:
            failure = self._failure("did not start")
            self.close()
            raise failure from error

    def open_transport(self) -> SocketTransport:
        """A new connection to the board, which answers one at a time."""
        return SocketTransport("127.0.0.1", int(self.port))

    def now_ns(self) -> int:
        """The board's time; it wraps around after 71 minutes."""
        return self._pins.now_us() * 1000

    def inject_edges(self, count: int, *, period_us: int, pin: int = 0) -> None:
        """Put rising edges on a trigger input, at least `period_us` apart in the board's time.

        Returns when the last has been taken.
        """
        for index in range(count):
            self._pins.pulse(pin)
            taken_us = self._pins.now_us()
            while index + 1 < count and (rest_us := taken_us + period_us - self._pins.now_us()) > 0:
                time.sleep(max(rest_us / 2e6, POLL_S / 10))

    def reset(self) -> None:
        """Press the reset button; returns once the board listens again. RAM keeps what the firmware does not clear."""
        size = self.frames_path.stat().st_size
        self._monitor.execute("system_reset")
        self._await_frame(size + 1)

    def close(self) -> None:
        """Switch the board off and remove its temporary folder; may be called twice."""
        super().close()
        self._monitor.close()
        self._pins.close()

    def _options(self, image: Path, monitor: int, pins: int) -> list[str]:
        host = "socket,id=host,host=127.0.0.1,port=0,server=on,wait=off,nodelay=on"
        words = f"-M netduinoplus2 -display none -monitor none {CLOCK} -chardev {host} -serial chardev:host"
        control = f"-chardev socket,id=qmp,fd={monitor} -mon chardev=qmp,mode=control"
        edges = f"-chardev socket,id=pins,fd={pins} -object qtest,id=edges,chardev=pins,log=/dev/null"
        lane = ["-chardev", f"file,id=lane,path={self.frames_path},append=on", "-serial", "chardev:lane"]
        return [*words.split(), *lane, *control.split(), *edges.split(), "-kernel", str(image)]

    def _tcp_port(self) -> str:
        for device in self._monitor.execute("query-chardev"):
            if device["label"] == "host":
                return str(device["filename"]).split(",")[0].rsplit(":", 1)[1]
        raise self._failure("has no serial port")

    def _await_frame(self, size: int) -> None:
        """Wait until the frame log holds `size` bytes and the board listens."""
        deadline = time.monotonic() + START_S
        while not self.frames_path.is_file() or self.frames_path.stat().st_size < size or not self._pins.listens():
            if time.monotonic() > deadline or not self.running:
                raise self._failure("emits no LED frame")
            time.sleep(POLL_S)
