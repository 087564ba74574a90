"""COCO's run lengths: a mask as the lengths of its runs down the columns, off first; as numbers or as text."""

from collections.abc import Iterator, Sequence

import numpy as np

from lsm.errors import WrongFormat
from lsm.vision.data.objects import Mask

_LOWEST = 48
"""The digit 0; every character holds five bits of a number and, as its sixth, whether the number goes on."""

_LONGEST = 7
"""Characters of one number: 35 bits are more than any image has pixels."""


def mask_from_runs(runs: Sequence[int], height: int, width: int) -> Mask | None:
    """The mask, or None where no pixel is on. Raises WrongFormat unless the runs fill the image exactly."""
    whole = all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in runs)
    if not whole or sum(runs) != height * width:
        raise WrongFormat(
            f"Run lengths fill {sum(runs) if whole else 'no whole number of'} pixels of {height} x {width}.",
            hint="they are damaged, or belong to an image of another size",
        )
    ends = np.cumsum(np.array(runs, dtype=np.int64))
    starts, ends = ends[0::2][: len(ends) // 2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if len(starts) == 0:
        return None
    left, right = int(starts[0]) // height, (int(ends[-1]) - 1) // height
    turns = np.zeros((right - left + 1) * height + 1, dtype=np.int8)
    np.add.at(turns, starts - left * height, 1)
    np.add.at(turns, ends - left * height, -1)
    piece = Mask.of(np.cumsum(turns[:-1], dtype=np.int8).astype(bool).reshape(-1, height).T)
    return Mask(piece.top, piece.left + left, piece.inside)


def runs_from_mask(mask: Mask, height: int, width: int) -> list[int]:
    """The lengths of the runs of a mask in an image of this size; the first is of pixels outside and may be 0."""
    left = min(max(mask.left, 0), width)
    right = max(min(mask.left + mask.inside.shape[1], width), left)
    down = Mask(mask.top, mask.left - left, mask.inside).whole(height, right - left).T.reshape(-1)
    turns = np.flatnonzero(np.diff(down, prepend=False, append=False)) + left * height
    runs: list[int] = np.diff([0, *turns.tolist(), height * width]).tolist()
    return runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs


def text_from_runs(runs: Sequence[int]) -> str:
    """COCO's text for run lengths: from the fourth on, each is told by its difference to the last but one."""
    told = [run - runs[k - 2] if k > 2 else run for k, run in enumerate(runs)]
    return "".join(chr(_LOWEST + bits) for number in told for bits in _bits(number))


def runs_from_text(text: str) -> list[int]:
    """Run lengths from COCO's text. Raises WrongFormat for what is none."""
    runs: list[int] = []
    for number in _numbers(text):
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
    return runs


def _bits(number: int) -> Iterator[int]:
    while True:
        low, number = number & 31, number >> 5
        # it ends where the rest is only the sign of the five bits
        if number == (-1 if low & 16 else 0):
            yield low
            return
        yield low | 32


def _numbers(text: str) -> Iterator[int]:
    number = length = 0
    for character in text:
        bits = ord(character) - _LOWEST
        if not 0 <= bits < 64 or length >= _LONGEST:
            raise WrongFormat(f"'{text[:20]}' is no text of run lengths.", hint="COCO's own tools write such texts")
        number |= (bits & 31) << (5 * length)
        length += 1
        if not bits & 32:
            yield number - (1 << (5 * length)) if bits & 16 else number
            number = length = 0
    if length:
        raise WrongFormat(f"The text of run lengths '{text[:20]}' is cut off.", hint="COCO's own tools write it whole")
