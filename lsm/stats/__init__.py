"""Intervals, curves and prevalence from imperfect scores; numpy and scipy only."""

from lsm.stats.estimate import PrevalenceEstimate

__all__ = ["PrevalenceEstimate"]
