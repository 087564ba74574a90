"""Hardware-in-the-loop controller for learned-sensing microscopes."""

import os

__version__ = "0.1.0"

# Torch's threads sleep while they wait, where they would spin on the cores on which our own kernels compute.
# OpenMP reads this once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
