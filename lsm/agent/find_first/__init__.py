"""The search for the first infected cell of a thin film: where to look next, when nothing was found so far."""

from lsm.agent.find_first.env import FindFirstEnv
from lsm.agent.find_first.films import FilmConfig, FilmTables, draw_films
from lsm.agent.find_first.measure import ReadCells, read_cells
from lsm.agent.find_first.network import FieldScorer
from lsm.agent.find_first.planner import BayesPlanner
from lsm.agent.find_first.rates import ReaderRates
from lsm.agent.find_first.rules import FindFirstRules
from lsm.agent.find_first.scans import OrderedScan, at_random, coarse_first, serpentine, with_the_map
from lsm.agent.find_first.trial import FindOutcome, Ratio, ratio_of_means, try_search

__all__ = [
    "BayesPlanner",
    "FieldScorer",
    "FilmConfig",
    "FilmTables",
    "FindFirstEnv",
    "FindFirstRules",
    "FindOutcome",
    "OrderedScan",
    "Ratio",
    "ReadCells",
    "ReaderRates",
    "at_random",
    "coarse_first",
    "draw_films",
    "ratio_of_means",
    "read_cells",
    "serpentine",
    "try_search",
    "with_the_map",
]
