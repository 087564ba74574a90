"""Ways to a board: they move bytes and know nothing of what the bytes mean."""

import errno
import socket
import time
from pathlib import Path
from typing import Protocol, runtime_checkable

import serial

from lsm.errors import FileMissing, IlluminatorTimeout, PortBusy

SLICE_S = 0.01  # how late a read that finds nothing may end
CONNECT_S = 2.0


@runtime_checkable
class Transport(Protocol):
    """A byte stream to one board, owned by one program.

    A board that is gone raises IlluminatorTimeout from write and read.
    """

    @property
    def name(self) -> str: ...

    def write(self, data: bytes) -> None:
        """Hand over all bytes before returning."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, as soon as there is any; b"" after `timeout_s` of silence."""
        ...

    def reopen(self) -> None:
        """Close and open the same port again, after a board was unplugged. Raises PortBusy or FileMissing."""
        ...

    def close(self) -> None:
        """Release the port; may be called twice, never raises."""
        ...


class SerialTransport:
    """A serial port that no other program can open meanwhile.

    Raises FileMissing when the port does not exist, PortBusy when another program holds it.
    """

    def __init__(self, port: str, *, baud: int = 115200) -> None:
        self._name = port
        self._baud = baud
        self._serial = self._open()

    def _open(self) -> serial.Serial:
        try:
            return serial.Serial(self._name, self._baud, timeout=SLICE_S, write_timeout=CONNECT_S, exclusive=True)
        except (serial.SerialException, OSError) as error:
            raise _refusal(self._name, error) from error

    def reopen(self) -> None:
        self.close()
        self._serial = self._open()

    @property
    def name(self) -> str:
        return self._name

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise _gone(self._name, error) from error

    def read(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                if waiting := self._serial.in_waiting:
                    return bytes(self._serial.read(waiting))
                if time.monotonic() >= deadline:
                    return b""
                first = bytes(self._serial.read(1))
                if first:
                    return first + bytes(self._serial.read(self._serial.in_waiting))
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: closed from another thread
            raise _gone(self._name, error) from error

    def close(self) -> None:
        try:
            self._serial.close()
        except (serial.SerialException, OSError):
            return


class SocketTransport:
    """A TCP connection, for boards on the network and simulated ones. Raises FileMissing when nothing listens."""

    def __init__(self, host: str, port: int) -> None:
        self._name = f"{host}:{port}"
        self._address = (host, port)
        self._socket = self._open()

    def _open(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._address, timeout=CONNECT_S)
        except OSError as error:
            raise FileMissing(
                f"No LED board answers at {self._name}: {error.strerror or error}.", hint="check address and port"
            ) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def reopen(self) -> None:
        self.close()
        self._socket = self._open()

    @property
    def name(self) -> str:
        return self._name

    def write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(CONNECT_S)
            self._socket.sendall(data)
        except OSError as error:
            raise _gone(self._name, error) from error

    def read(self, timeout_s: float) -> bytes:
        try:
            self._socket.settimeout(max(timeout_s, 0.001))
            data = self._socket.recv(65536)
        except TimeoutError:
            return b""
        except OSError as error:
            raise _gone(self._name, error) from error
        if not data:
            raise _gone(self._name, ConnectionError("the connection was closed"))
        return data

    def close(self) -> None:
        self._socket.close()


def find_again(transport: Transport) -> None:
    """The same port once more, after the board was away. Raises IlluminatorTimeout while it still is."""
    try:
        transport.reopen()
    except (PortBusy, FileMissing) as error:
        raise IlluminatorTimeout(
            f"The LED board on {transport.name} is gone: {error.message}", hint=error.hint
        ) from error


def _refusal(port: str, error: OSError) -> PortBusy | FileMissing:
    if error.errno in (errno.EAGAIN, errno.EBUSY):
        return PortBusy(f"Another program holds the serial port {port}.", hint="close it and try again")
    if error.errno == errno.EACCES or "denied" in str(error).lower():  # Windows says this of a port in use
        return PortBusy(
            f"The serial port {port} may not be opened.",
            hint="close the program that holds it, or add your user to the group of the port (often dialout)",
        )
    reason = "is no serial port" if Path(port).exists() else "does not exist"
    return FileMissing(
        f"The port {port} {reason}.", hint="plug in the board; python -m serial.tools.list_ports lists the serial ports"
    )


def _gone(name: str, error: Exception) -> IlluminatorTimeout:
    return IlluminatorTimeout(
        f"The LED board on {name} is gone: {error}.", hint="check cable and power; the board goes dark by itself"
    )
