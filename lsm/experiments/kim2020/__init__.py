"""Light and pupil learned together, against each alone and nothing: Kim et al., Opt. Lett. 45, 5684 (2020).

Four arms at one objective: bright field with an open pupil ("nothing"), light learned ("LEDs"), pupil learned under
bright field ("pupil"), both learned ("both"); and bright field at objectives of higher NA, which they are to match.
All arms use the same cells, patients, photons, network and schedule; only what is learned differs.
"""

from lsm.experiments.kim2020.config import KimConfig, Objective
from lsm.experiments.kim2020.run import run

__all__ = ["KimConfig", "Objective", "run"]
