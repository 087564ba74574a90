"""Hardware-in-the-loop controller for learned-sensing microscopes."""

import os

__version__ = "0.1.0"

# Torch's threads spin for microseconds while they wait, and then sleep. They would spin for milliseconds, on the cores
# on which our own kernels compute. GNU's OpenMP reads this once, when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
