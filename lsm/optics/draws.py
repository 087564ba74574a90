"""Random numbers by their place in a run: the n-th exposure and the n-th move, whatever came before.

A run that was interrupted can so be continued with the numbers that it would have had.
"""

import numpy as np
import torch

NOISE, PLAY, STAGE = 0, 1, 2
"""What numbers of one seed are for; each is independent of the others."""


def draws(seed: int, *key: int) -> np.random.Generator:
    """A generator that depends on these numbers alone; a negative seed is one of its own."""
    # torch takes negative seeds, numpy does not
    return np.random.default_rng([seed % 2**64, *key])


def exposure_noise(seed: int, exposure: int) -> torch.Generator:
    """The generator of the camera noise of exposure 0, 1, 2, ... of a run."""
    return torch.Generator().manual_seed(int(draws(seed, NOISE, exposure).integers(2**63)))
