"""What becomes of memory that this process frees."""

import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
KEPT_BYTES: Final = 2**28
LARGEST_BYTES: Final = 2**25
"""Of one allocation that is kept; glibc takes no larger bound."""


def keep_freed() -> bool:
    """Whether freed memory now stays with this process, to be used again: up to KEPT_BYTES, in parts of LARGEST_BYTES.

    Steps of a thousand episodes free and allocate some megabytes each, a hundred times a second. Unless told otherwise
    glibc gives them back to the system, which then clears every page anew. Elsewhere nothing happens.
    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES))
