"""One cell, light by light: choose what to light it with, stop, and declare what it is."""

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, Step, View
from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.light import LightBook, Meter, named_lights
from lsm.agent.adaptive.naive import NaiveReader, fit_naive_reader
from lsm.agent.adaptive.reader import Capture, Reader, Reading
from lsm.agent.adaptive.rules import AdaptiveConfig, AdaptiveRules, CellBudget, CellCosts, CellReward
from lsm.agent.adaptive.source import CellSource
from lsm.agent.adaptive.state import Budgets
from lsm.agent.adaptive.world import AdaptiveWorld

__all__ = [
    "AdaptiveConfig",
    "AdaptiveRules",
    "AdaptiveWorld",
    "BatchAdaptiveEnv",
    "Budgets",
    "Capture",
    "CellBudget",
    "CellCosts",
    "CellReward",
    "CellSource",
    "LightBook",
    "Meter",
    "NaiveReader",
    "Reader",
    "Reading",
    "Step",
    "View",
    "build_world",
    "fit_naive_reader",
    "named_lights",
]
