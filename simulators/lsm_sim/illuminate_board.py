"""Third-party illuminate boards behind a pseudo-terminal, with the traps of their firmware.

Written from the documented behaviour of zfphil/illuminate r1 ("v1") and sci-microscopy/illuminate v2, whose file
or document is named with each trap. Both:

- Numbers are read with base 0: `l.010` lights LED 8, `l.12abc` LED 12, `l.abc` LED 0, `l.-1` all, and a number that
  overflows all (commandrouting, ledarray, led array interfaces).
- `pvals` reads the buffer, not the LEDs; `ac` without argument toggles; `l` draws one colour (ledarray).
- `sb` rounds levels up, `sc` down, so their order matters (ledarray).
- Answers are long or short, as `human` or `machine` said last; power-on is long (ledarray).
- `sseq` lights a stored pattern; patterns are stored without lighting anything (ledsequence).

v1:

- A command that is not complete when no byte is waiting is forgotten, and its rest is taken for a command: the end of
  `ssl.1` is `l.1`. What arrives behind a newline is thrown away (commandrouting).
- An error is text before the end mark `-==-` (commandrouting).
- `ssv.<n>.<led>.<level>...` stores 8-bit levels, for all colours of an LED alike; it makes room for n numbers and
  writes one more (commandrouting, ledsequence). Here the board then hangs, the worst that can follow.
- Commands up to about 1500 characters are known to work (pyilluminate).

v2:

- Reading goes on until the newline, and "nothing there" becomes a byte 0xFF: a pause within `l.12.345.7` can light
  LED 3, or LED 0, and the answer is `-==-`. A pause can be that between two 64-byte USB packets (commandrouting).
- When 16 KiB are full of such bytes, the line is dropped without any answer (commandrouting).
- Errors are `ERROR[n]: text` and a newline, without end mark (commandrouting).
- 300 words and more overrun a list (illuminate.ino). Here the board then hangs.
- `sc` divides by the strongest channel; `ssc.<channel>.<level>` sets levels as given (ledarray).
- Stored patterns have no levels (ledsequence). `pvals` has 16 bits (led array interfaces).
- A closed shutter (`gs.0`) erases the buffer and keeps everything from the LEDs, darkness too (led array interfaces).
- `l` alone changes LED 0 in the buffer, and only there (ledarray).

Not emulated: triggers (`trs` wants all its five arguments), running sequences, and the patterns that the firmware
draws itself (`na.25` is 0.25, `na.5` is 0.50); the client uses none of them.
"""

import contextlib
import os
import pty
import select
import tempfile
import threading
import time
import tty
from pathlib import Path

import numpy as np

from lsm.led import SerialTransport
from lsm.types import DutyLevels, LedMask
from lsm_sim.illuminate_firmware import IlluminateFirmware

READ_BYTES = 4096
SLICE_S = 0.02
NOISE_S = 0.05  # a shorter pause within a command is this computer's, not the line's


class EmulatedBoard:
    """A powered illuminate board on a serial port, until close() or unplug().

    port: name of the serial port. log: what the LEDs latched, with monotonic nanoseconds, since power-on.
    """

    def __init__(self, firmware: IlluminateFirmware) -> None:
        self._firmware = firmware
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        # a name of its own, since the system gives that of a closed terminal to the next program that asks
        self._folder = tempfile.TemporaryDirectory(prefix="lsm-illuminate-")
        self.port = str(Path(self._folder.name) / "port")
        Path(self.port).symlink_to(os.ttyname(self._slave))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def log(self) -> list[tuple[int, DutyLevels]]:
        return list(self._firmware.lamps.log)

    def lit(self) -> DutyLevels:
        """The light that is on now [led, colour]."""
        return self.log[-1][1]

    def ever_lit(self) -> LedMask:
        """Whether each LED has been on at any moment since power-on."""
        brightest = np.stack([levels for _, levels in self.log]).max(axis=(0, 2))
        mask: LedMask = brightest > 0
        return mask

    def open_transport(self) -> SerialTransport:
        return SerialTransport(self.port)

    def power_cycle(self, firmware: IlluminateFirmware) -> None:
        """Run another program from its start, on the same port."""
        self._firmware = firmware

    def unplug(self) -> None:
        """Pull the cable, which also feeds the LEDs."""
        self.close()
        self._firmware.lamps.clear()
        self._firmware.lamps.update()

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._folder.cleanup()
            os.close(self._master)
            os.close(self._slave)

    def __enter__(self) -> "EmulatedBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            if not select.select([self._master], [], [], SLICE_S)[0]:
                continue
            now = time.monotonic()
            data = os.read(self._master, READ_BYTES)
            while not data.endswith(b"\n") and select.select([self._master], [], [], NOISE_S)[0]:
                data += os.read(self._master, READ_BYTES)
            self._send(self._firmware.receive(data, pause_s=now - last))
            last = time.monotonic()

    def _send(self, answer: bytes) -> None:
        while answer and not self._stop.is_set():
            if select.select([], [self._master], [], SLICE_S)[1]:
                with contextlib.suppress(BlockingIOError):
                    answer = answer[os.write(self._master, answer) :]
