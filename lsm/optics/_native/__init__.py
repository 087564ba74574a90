"""The compiled kernel, where it was built: led_images.h, lamps.h and expose.h say what it computes.

It is called through ctypes, which releases the interpreter's lock: the images of one call are shared
out over as many threads as torch uses. `LSM_NATIVE=0` in the environment turns it off.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

LIBRARY = "led_images.so"
ABI = 3
RADICES = (8, 7, 5, 3, 4, 2)
_MAX_STAGES = 16


class Geometry(ctypes.Structure):
    """lsm_geometry in led_images.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("sample_px", "window_px", "grid_px", "step", "first", "camera_px")),
        *((name, ctypes.c_int64) for name in ("groups", "image_batch_stride", "table_batch_stride", "stages")),
        ("radix", ctypes.c_int64 * _MAX_STAGES),
        *((name, ctypes.c_void_p) for name in ("row", "column", "extent", "group_start")),
        *((name, ctypes.c_void_p) for name in ("table", "weight", "transfer", "twiddle")),
    )


class Lamps(ctypes.Structure):
    """lsm_lamps in lamps.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("lamps", "pixels", "captures", "weight_stride")),
        *((name, ctypes.c_void_p) for name in ("images", "rows")),
    )


class Exposure(ctypes.Structure):
    """lsm_exposure in expose.h."""

    _fields_ = (
        ("pixels", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("dark_e_per_ms", "full_well_e", "read_noise_e")),
        *((name, ctypes.c_float) for name in ("gain_e_per_adu", "offset_adu", "most_adu")),
        *((name, ctypes.c_void_p) for name in ("response", "dark_e", "normal", "exposure_ms", "key", "number")),
    )


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The kernel, or None where it was not built, is of another version or is turned off."""
    path = Path(__file__).with_name(LIBRARY)
    if os.environ.get("LSM_NATIVE", "1") == "0" or not path.is_file():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError:  # built for another processor or C library
        return None
    if loaded.lsm_abi() != ABI:
        return None
    loaded.lsm_instruction_set.restype = ctypes.c_char_p
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    loaded.lsm_will_fill.argtypes = [pointer, count]
    loaded.lsm_forward.argtypes = [ctypes.c_int, ctypes.POINTER(Geometry), pointer, pointer, count, count]
    loaded.lsm_backward.argtypes = [ctypes.c_int, ctypes.POINTER(Geometry), *[pointer] * 5, count, count]
    for function, arrays in ((loaded.lsm_mix, 2), (loaded.lsm_mix_back, 2), (loaded.lsm_widen, 1)):
        function.argtypes = [ctypes.POINTER(Lamps), *[pointer] * arrays, count, count]
        function.restype = None
    loaded.lsm_expose.argtypes = [ctypes.POINTER(Exposure), pointer, pointer, count, count]
    loaded.lsm_expose.restype = None
    return loaded


def instruction_set() -> str:
    """What the kernel runs on, such as "avx512"; "none" where the torch path is used."""
    found = library()
    return found.lsm_instruction_set().decode() if found is not None else "none"


@lru_cache(maxsize=64)
def radices(n: int) -> tuple[int, ...]:
    """Stages of a transform of n points; empty where n has a factor the kernel does not know."""
    stages = []
    for radix in RADICES:
        while n % radix == 0:
            stages.append(radix)
            n //= radix
    return tuple(stages) if n == 1 and 0 < len(stages) <= _MAX_STAGES else ()


@lru_cache(maxsize=32)
def twiddles(n: int, dtype: torch.dtype) -> torch.Tensor:
    """Cosine and sine after each butterfly, in the order in which the stages read them."""
    turns, length = [], n
    for radix in radices(n):
        p, j = np.meshgrid(np.arange(length // radix), np.arange(1, radix), indexing="ij")
        turns.append((p * j / length).ravel())
        length //= radix
    angle = 2 * np.pi * np.concatenate(turns)
    return torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], axis=1)).to(dtype).contiguous()


def share_out(jobs: int, work: Callable[[int, int, int], int]) -> None:
    """Call work(thread, first_job, end_job) on torch's number of threads. Raises MemoryError when one fails."""
    threads = max(1, min(torch.get_num_threads(), jobs))
    edges = [jobs * i // threads for i in range(threads + 1)]
    rest = _pool(threads - 1, os.getpid()).map(work, range(1, threads), edges[1:-1], edges[2:]) if threads > 1 else ()
    if any([work(0, 0, edges[1]), *rest]):
        raise MemoryError("The optics kernel has no memory for its scratch planes.")


@lru_cache(maxsize=4)
def _pool(threads: int, pid: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked child asks with another pid and gets its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="lsm-optics")
