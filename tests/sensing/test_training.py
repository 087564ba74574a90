"""Light and classifier learn together, and an interrupted run ends where an uninterrupted one does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sensing_phantom import phantom_fields, phantom_model

from lsm.errors import ModelMismatch, WrongFormat
from lsm.sensing.schedule import one_cycle
from lsm.sensing.training import TrainingConfig, score_true_cells, train_sensing
from lsm.stats import auc

FIELDS = phantom_fields()
SHORT = TrainingConfig(steps=8, fields_per_step=1, cells_per_field=8, checkpoint_every=3)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(model: torch.nn.Module) -> dict[str, list[float]]:
    return {key: value.tolist() for key, value in model.state_dict().items()}


def test_training_lowers_the_loss_and_beats_chance_on_new_fields():
    model = phantom_model()
    config = TrainingConfig(steps=80, fields_per_step=2, cells_per_field=12, learning_rate=1e-2)
    losses = train_sensing(model, FIELDS, config, generator())
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    held_out = phantom_fields(seed=99)
    scored = list(score_true_cells(model, held_out, generator()))
    odds = np.concatenate([odds for _, odds in scored], axis=1).astype(np.float64)
    infected = np.concatenate([cells.infected for cells, _ in scored])
    # 24 of each class: a coin reaches 0.75 in 1 of 1,000 tries
    assert auc(odds[3], infected) > 0.75


def test_the_light_itself_learns():
    model = phantom_model()
    before = model.illumination.levels()
    train_sensing(model, FIELDS, TrainingConfig(steps=10, cells_per_field=12, fields_per_step=1), generator())
    after = model.illumination.levels()
    assert torch.equal(before[0], after[0])
    assert int((before[1].int() - after[1].int()).abs().max()) > 3


@pytest.mark.parametrize("stop_at", [3, 5])
def test_a_resumed_run_gives_the_same_bytes_as_one_that_never_stopped(tmp_path: Path, stop_at: int):
    """Stopping on a checkpoint and two steps after one are both resumed exactly."""
    whole = phantom_model()
    train_sensing(whole, FIELDS, SHORT, generator())
    path = tmp_path / "run.safetensors"
    train_sensing(phantom_model(), FIELDS, SHORT, generator(), checkpoint=path, digest="d", stop_at=stop_at)
    resumed = phantom_model(seed=77)
    train_sensing(resumed, FIELDS, SHORT, generator(88), checkpoint=path, digest="d")
    assert weights(resumed) == weights(whole)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    runs = []
    for seed in (5, 5, 6):
        model = phantom_model()
        train_sensing(model, FIELDS, SHORT, generator(seed))
        runs.append(weights(model))
    assert runs[0] == runs[1] != runs[2]


def test_training_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    train_sensing(phantom_model(), FIELDS, SHORT, generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path):
    path = tmp_path / "run.safetensors"
    train_sensing(phantom_model(), FIELDS, SHORT, generator(), checkpoint=path, digest="one", stop_at=3)
    with pytest.raises(ModelMismatch, match="another configuration"):
        train_sensing(phantom_model(), FIELDS, SHORT, generator(), checkpoint=path, digest="two")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(WrongFormat, match="not a safetensors file"):
        train_sensing(phantom_model(), FIELDS, SHORT, generator(), checkpoint=path, digest="d")


def test_the_learning_rate_rises_then_falls_to_nothing():
    factors = [one_cycle(step, 100) for step in range(100)]
    peak = int(np.argmax(factors))
    assert 15 <= peak <= 25
    assert factors[peak] == pytest.approx(1.0, abs=0.01)
    assert np.all(np.diff(factors[:peak]) > 0)
    assert np.all(np.diff(factors[peak:]) < 0)
    assert factors[-1] < 0.001
