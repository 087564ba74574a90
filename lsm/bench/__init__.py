"""Benchmarks: lsm beside other programs, on the machine at hand."""

from lsm.bench.led import LedComparison, compare_led, show_led
from lsm.bench.optics import Comparison, compare_optics
from lsm.bench.promises import Promise
from lsm.bench.tables import show

__all__ = ["Comparison", "LedComparison", "Promise", "compare_led", "compare_optics", "show", "show_led"]
