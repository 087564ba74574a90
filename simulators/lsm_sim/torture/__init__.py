"""Faults of every kind put to a rig, and what came of each."""

from lsm_sim.torture.campaign import torture
from lsm_sim.torture.tally import TortureReport

__all__ = ["TortureReport", "torture"]
