"""Whoever is tested was never trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.errors import ConfigError, InputError
from lsm.sensing.cells.folds import check_disjoint, patient_folds


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(2, 6), st.integers(0, 2**31))
def test_every_patient_is_in_one_fold_and_folds_are_alike(members: list[int], folds: int, seed: int):
    patient = np.array([f"C{member}" for member in members])
    names = np.unique(patient)
    if len(names) < folds:
        with pytest.raises(ConfigError, match="cannot be shared out"):
            patient_folds(patient, folds, seed)
        return
    fold = patient_folds(patient, folds, seed)
    of_patient = [set(fold[patient == name]) for name in names]
    assert all(len(found) == 1 for found in of_patient)
    counts = np.bincount([found.pop() for found in of_patient], minlength=folds)
    assert counts.max() - counts.min() <= 1
    for k in range(folds):
        check_disjoint(patient, fold != k, fold == k)


def test_seeds_share_the_patients_out_differently():
    patient = np.array([f"P{k}" for k in range(50)])
    assert not np.array_equal(patient_folds(patient, 4, 1), patient_folds(patient, 4, 2))
    assert np.array_equal(patient_folds(patient, 4, 1), patient_folds(patient, 4, 1))


def test_a_patient_on_both_sides_is_named():
    patient = np.array(["a", "a", "b"])
    train = np.array([True, False, True])
    with pytest.raises(InputError, match="Patient a is trained on and tested"):
        check_disjoint(patient, train, ~train)
