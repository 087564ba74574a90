"""JSON files read with care: a fault is told with the file and the place in it."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lsm.errors import FileMissing, WrongFormat


@dataclass(frozen=True)
class Node:
    """One value of a JSON file. where: the file and the way to the value, for errors."""

    value: object
    where: str

    @property
    def is_table(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    def get(self, key: str) -> "Node | None":
        """What a table has under the key; None where it has nothing, or null."""
        held = self.value.get(key) if isinstance(self.value, dict) else None
        return None if held is None else Node(held, f"{self.where}.{key}")

    def key(self, key: str) -> "Node":
        """What a table has under the key. Raises WrongFormat where that is nothing."""
        held = self.get(key)
        if held is None:
            raise WrongFormat(f"{self.where} has no '{key}'.", hint="the file is damaged or of another format")
        return held

    def items(self) -> Iterator["Node"]:
        """The values of a list. Raises WrongFormat where it is none."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        for number, value in enumerate(self.value):
            yield Node(value, f"{self.where}[{number}]")

    def number(self) -> float:
        """A finite number. Raises WrongFormat."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong("a number")
        try:
            value = float(self.value)
        except OverflowError as error:
            raise self.wrong("a number of usual size") from error
        if not math.isfinite(value):
            raise self.wrong("a finite number")
        return value

    def whole(self) -> int:
        """A whole number, also written as 3.0. Raises WrongFormat."""
        value = self.number()
        if value != int(value):
            raise self.wrong("a whole number")
        return int(value)

    def text(self) -> str:
        """Text that can be shown. Raises WrongFormat."""
        if not isinstance(self.value, str) or not self.value.isprintable():
            raise self.wrong("a text")
        return self.value

    def identity(self) -> int | str:
        """A number or text that names something. Raises WrongFormat."""
        return self.text() if isinstance(self.value, str) else self.whole()

    def numbers(self) -> list[float]:
        """A list of finite numbers. Raises WrongFormat."""
        return [each.number() for each in self.items()]

    def flag(self, key: str) -> bool:
        """Whether a table has true, or a number that is not 0, under the key. Raises WrongFormat for other values."""
        held = self.get(key)
        if held is None or isinstance(held.value, bool):
            return held is not None and bool(held.value)
        return held.number() != 0

    def corners(self) -> Float[np.ndarray, "corner 2"]:
        """A list of pairs of numbers. Raises WrongFormat."""
        pairs = [each.numbers() for each in self.items()]
        if any(len(pair) != 2 for pair in pairs):
            raise self.wrong("a list of points [x, y]")
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def wrong(self, expected: str) -> WrongFormat:
        """An error that says what was expected here."""
        shown = repr(self.value)
        return WrongFormat(
            f"{self.where} is {shown if len(shown) <= 40 else shown[:37] + '...'}, not {expected}.",
            hint="the file is damaged or of another format",
        )


def load(path: Path) -> Node:
    """The whole of a JSON file. Raises FileMissing or WrongFormat."""
    if not path.is_file():
        raise FileMissing(f"The annotations {path} do not exist.", hint="check the path")
    try:
        return Node(json.loads(path.read_bytes()), str(path))
    except (ValueError, RecursionError, OSError) as error:
        raise WrongFormat(f"{path} is not JSON: {error}.", hint="fetch or export it again") from error
