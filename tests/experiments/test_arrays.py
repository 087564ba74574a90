"""Arrays by name in a file that is there whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from lsm.experiments.arrays import read_arrays, write_arrays


def test_arrays_come_back_as_they_were(tmp_path: Path):
    path = tmp_path / "deep" / "a.npz"
    arrays = {"odds": np.linspace(0, 1, 5, dtype=np.float32), "names": np.array(["one", "two"])}
    write_arrays(path, arrays)
    held = read_arrays(path)
    assert set(held) == set(arrays)
    for name, values in arrays.items():
        assert held[name].dtype == values.dtype
        assert np.array_equal(held[name], values)
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"rows": np.arange(3)})
    with pytest.raises(ValueError, match="pickle"):
        write_arrays(path, {"rows": np.array([object()])})
    assert np.array_equal(read_arrays(path)["rows"], np.arange(3))
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]
