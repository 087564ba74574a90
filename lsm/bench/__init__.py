"""Benchmarks: lsm beside other programs, on the machine at hand."""

from lsm.bench.optics import Comparison, compare_optics
from lsm.bench.promises import Promise
from lsm.bench.tables import show

__all__ = ["Comparison", "Promise", "compare_optics", "show"]
