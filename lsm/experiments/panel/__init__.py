"""A virtual proficiency panel: simulated slides in the composition of the WHO's, read by scans, scored by its rules."""

from lsm.experiments.panel.config import Arm, Group, PanelConfig, Variation
from lsm.experiments.panel.run import run, run_panel
from lsm.experiments.panel.score import score_panel
from lsm.experiments.panel.slides import PanelSlide, draw_slides

__all__ = [
    "Arm",
    "Group",
    "PanelConfig",
    "PanelSlide",
    "Variation",
    "draw_slides",
    "run",
    "run_panel",
    "score_panel",
]
