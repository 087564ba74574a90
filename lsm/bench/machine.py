"""The machine and the programs that figures were measured with, and the limits of its cores and memory."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsm.bench.timing import Effort, Job, in_turns
from lsm.commit import source_commit
from lsm.optics import _native
from lsm.threads import threads

PACKAGES = ("learned-sensing-microscope", "torch", "numpy", "torchoptics", "fpm-py")
MATRIX = 1024
# far more than any cache holds
COPIED_BYTES = 2**28


@dataclass(frozen=True)
class Machine:
    """Where and with what a benchmark ran. versions: None for a package that is not installed."""

    date: str
    commit: str
    cpu: str
    cores: int
    memory_gib: float
    system: str
    instruction_set: str
    fft: str
    versions: Mapping[str, str | None]


@dataclass(frozen=True)
class Limit:
    """sgemm_gflops: of a product of 1024 x 1024 float32. copy_gb_s: bytes read plus bytes written."""

    threads: int
    sgemm_gflops: float
    copy_gb_s: float


def this_machine() -> Machine:
    """Facts that a figure means nothing without."""
    has_mkl: Any = torch.backends.mkl.is_available
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=source_commit(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.platform()}, Python {platform.python_version()}",
        instruction_set=_native.instruction_set(),
        fft="MKL" if has_mkl() else "pocketfft",
        versions={name: _version(name) for name in PACKAGES},
    )


def measure_limit(count: int, effort: Effort) -> Limit:
    """What `count` threads reach in arithmetic and in copying."""
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    product = torch.empty_like(a)
    source = torch.zeros(COPIED_BYTES // 4)
    target = torch.zeros_like(source)
    jobs = (
        Job("sgemm", lambda: torch.mm(a, b, out=product), 1),
        Job("copy", lambda: target.copy_(source), 1),
    )
    with threads(count):
        seconds = in_turns(jobs, effort)
    return Limit(
        threads=count,
        sgemm_gflops=2 * MATRIX**3 / float(np.median(seconds["sgemm"])) / 1e9,
        copy_gb_s=2 * COPIED_BYTES / float(np.median(seconds["copy"])) / 1e9,
    )


def _cpu() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
