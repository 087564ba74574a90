"""Light designed on simulated blood, scored on a measured slide without any retraining.

One capture is read by a small convolutional network that says of every place whether it is stained (a cell) or empty
slide. Light and network are trained on phantoms under the rig as it is described; the same network is trained for
fixed lights. Then all of them meet the slide `fpm_blood_smear`: through `lsm.record.replay`, and with their light
compiled for the project's firmware, shown by it and read back.
"""

from lsm.experiments.sim_to_real.config import SimToRealConfig
from lsm.experiments.sim_to_real.run import run

__all__ = ["SimToRealConfig", "run"]
