"""Files that were damaged on the disk are refused or still hold what they held."""

from pathlib import Path

import numpy as np
import pytest

from lsm_sim.torture.host import HostTrial, damaged, damaged_file, host_trials
from lsm_sim.torture.tally import Outcome

TRIALS = 15


@pytest.fixture(scope="module")
def classes() -> dict[str, HostTrial]:
    return host_trials()


@pytest.mark.parametrize("kind", ["damaged recording", "damaged model", "damaged checkpoint", "damaged tables"])
def test_no_damage_is_read_as_the_truth(classes: dict[str, HostTrial], kind: str):
    rng = np.random.default_rng(1)
    trials = [classes[kind](rng) for _ in range(TRIALS)]
    assert [trial.note for trial in trials if not trial.good] == []
    assert sum(trial.outcome is Outcome.STOPPED for trial in trials) > TRIALS / 2


def test_numbers_that_cannot_be_are_refused(classes: dict[str, HostTrial]):
    rng = np.random.default_rng(2)
    trials = [classes["configuration: NaN or out of range"](rng) for _ in range(40)]
    assert [trial.note for trial in trials if not trial.good] == []


def test_a_reader_that_checks_nothing_is_silently_wrong():
    def write(folder: Path) -> list[Path]:
        (folder / "numbers").write_bytes(bytes(range(100)))
        return [folder / "numbers"]

    def reads_the_same(folder: Path) -> bool:
        return (folder / "numbers").read_bytes() == bytes(range(100))

    careless = damaged_file("careless", write, reads_the_same)
    rng = np.random.default_rng(3)
    assert {careless(rng).outcome for _ in range(10)} == {Outcome.WRONG}


def test_damage_changes_the_bytes():
    rng = np.random.default_rng(4)
    data = rng.bytes(2000)
    assert all(damaged(data, rng)[0] != data for _ in range(200))
