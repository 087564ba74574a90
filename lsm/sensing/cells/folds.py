"""Shares of the patients: whoever is tested was never trained on."""

import numpy as np
from jaxtyping import Bool, Int

from lsm.errors import ConfigError, InputError


def patient_folds(patient: np.ndarray, n_folds: int, seed: int) -> Int[np.ndarray, " row"]:
    """Fold number of each row; all rows of a patient are in one fold, and folds hold about equally many patients.

    patient: identifier of each row. Raises ConfigError for fewer patients than folds, or fewer than two folds.
    """
    names, member = np.unique(patient, return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise ConfigError(
            f"{len(names)} patients cannot be shared out to {n_folds} folds.",
            hint=f"give 2 to {len(names)} folds",
        )
    fold = np.empty(len(names), dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % n_folds
    return fold[member]


def check_disjoint(patient: np.ndarray, train: Bool[np.ndarray, " row"], test: Bool[np.ndarray, " row"]) -> None:
    """Raises InputError if a patient is both trained on and tested."""
    both = np.intersect1d(patient[train], patient[test])
    if len(both):
        raise InputError(
            f"Patient {both[0]} is trained on and tested ({len(both)} such patients).",
            hint="split by patient: see lsm.sensing.cells.patient_folds",
        )
