"""The two control lines of a running QEMU: QMP, and qtest for what happens at the chip's pins."""

import json
import socket
import time
from typing import Any

from lsm.errors import DeviceError

ANSWER_S = 10.0  # a loaded machine may keep an emulator waiting
EXTI_PATH = "/machine/unattached/device[0]/exti"
EXTI_IMR = 0x40013C00  # reference manual RM0090
EXTI_PR = 0x40013C14
TIM2_CNT = 0x40000024
USART1_CR1 = 0x4001100C
USART_RE = 4


class Control:
    """Lines over one end of a socket pair, whose other end a child process inherits.

    Raises DeviceError when the child is silent or gone.
    """

    def __init__(self) -> None:
        self._socket, self.child_end = socket.socketpair()
        self._socket.settimeout(ANSWER_S)
        self._lines = self._socket.makefile("rw", encoding="utf-8")

    def write(self, line: str) -> None:
        try:
            self._lines.write(line + "\n")
            self._lines.flush()
        except OSError as error:
            raise _gone() from error

    def read(self) -> str:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise _gone() from error
        if not line:
            raise _gone()
        return line.strip()

    def close(self) -> None:
        self.child_end.close()
        self._socket.close()


class Monitor(Control):
    """QMP, as QEMU documents it: JSON objects, one per line."""

    def greet(self) -> None:
        """To be called once the child runs."""
        self.read()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """What the command returns; events that come in between are dropped."""
        self.write(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            answer = json.loads(self.read())
            if "error" in answer:
                raise DeviceError(f"QEMU refuses {command}: {answer['error']}.", hint="use QEMU 7.2 or newer")
            if "return" in answer:
                return answer["return"]


class Pins(Control):
    """qtest: levels on the chip's pins, and its registers."""

    def pulse(self, pin: int) -> None:
        """A rising and a falling edge; returns once the processor has taken them."""
        self._ask(f"set_irq_in {EXTI_PATH} unnamed-gpio-in {pin} 1")
        self._await_taken(pin)
        self._ask(f"set_irq_in {EXTI_PATH} unnamed-gpio-in {pin} 0")
        self._await_taken(pin)

    def listens(self) -> bool:
        """Whether the board has switched its receiver on: before, bytes from the host are lost."""
        return bool(self._register(USART1_CR1) & USART_RE)

    def now_us(self) -> int:
        """The board's clock."""
        return self._register(TIM2_CNT)

    def _await_taken(self, pin: int) -> None:
        # A real edge waits for the processor, too, but a real processor is never held up by its host.
        deadline = time.monotonic() + ANSWER_S
        while self._register(EXTI_PR) >> pin & 1 and self._register(EXTI_IMR) >> pin & 1:
            if time.monotonic() > deadline:
                raise DeviceError(f"The emulated board does not take an edge on input {pin}.", hint="see its board.log")

    def _register(self, address: int) -> int:
        return int(self._ask(f"readl {address:#x}").split()[1], 16)

    def _ask(self, line: str) -> str:
        self.write(line)
        answer = self.read()
        while answer.startswith("IRQ"):
            answer = self.read()
        if not answer.startswith("OK"):
            raise DeviceError(f"QEMU refuses '{line}': {answer}.", hint="use QEMU 7.2 or newer")
        return answer


def _gone() -> DeviceError:
    return DeviceError("The emulated LED board does not answer any more.", hint="see its board.log")
