"""Training ends when held-back slides say so, gives its best state, and resumes to the bit."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sensing_phantom import phantom_fields, phantom_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lsm.errors import ConfigError, ToolMissing
from lsm.sensing.early_stop import EarlyStop
from lsm.sensing.fields import FieldSet
from lsm.sensing.progress import Journal, Silent, Stage
from lsm.sensing.tensorboard import TensorBoardReporter
from lsm.sensing.training import SensingModel, TrainingConfig, train_sensing

FIELDS = phantom_fields()
CHECKED = TrainingConfig(
    steps=30, fields_per_step=1, cells_per_field=8, checkpoint_every=4, patience=2, check_every=2, held_back=0.25
)
STUCK = CHECKED.model_copy(update={"learning_rate": 1e-30, "light_learning_rate": 0.0, "weight_decay": 0.0})


class Notes:
    """A journal that keeps what it is told."""

    def __init__(self, picture_every: int = 1000) -> None:
        self.picture_every = picture_every
        self.began: list[int] = []
        self.told: list[tuple[int, Mapping[str, float]]] = []
        self.drawn: dict[int, np.ndarray] = {}

    def begin(self, step: int) -> None:
        self.began.append(step)

    def values(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, values))

    def wants_picture(self, step: int) -> bool:
        return step % self.picture_every == 0

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        assert name == "light"
        self.drawn[step] = pixels

    def held_back(self) -> dict[int, float]:
        return {step: values["held back/loss"] for step, values in self.told if "held back/loss" in values}


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(model: torch.nn.Module) -> dict[str, list[float]]:
    return {key: value.tolist() for key, value in model.state_dict().items()}


def trained(config: TrainingConfig = CHECKED, **more: Any) -> tuple[SensingModel, Notes]:
    model, notes = phantom_model(), Notes(more.pop("picture_every", 1000))
    train_sensing(model, more.pop("fields", FIELDS), config, generator(), journal=notes, **more)
    return model, notes


def test_a_run_that_gets_no_better_ends_after_its_patience():
    model, notes = trained(STUCK)
    losses = notes.held_back()
    # the statistics of exposure still move, so the first checks may differ
    best = min(losses, key=lambda step: losses[step])
    assert max(losses) == best + 4 < STUCK.steps
    assert max(step for step, _ in notes.told) == max(losses)
    assert not model.training


def test_the_state_with_the_lowest_loss_is_what_comes_out():
    """The same run, ended by hand at its best check, has the same weights."""
    config = CHECKED.model_copy(update={"learning_rate": 0.3, "patience": 20})
    whole, notes = trained(config)
    losses = notes.held_back()
    best = min(losses, key=lambda step: losses[step])
    assert best < config.steps
    ended, _ = trained(config, stop_at=best)
    assert weights(ended) == weights(whole)


def test_no_step_is_taken_on_the_held_back_slides():
    changed = np.array(FIELDS.stacks)
    changed[3] = 0.5
    other = FieldSet(changed, FIELDS.slide, FIELDS.cells)
    config = CHECKED.model_copy(update={"steps": 8, "patience": 100})
    (_, first), (_, second) = trained(config), trained(config, fields=other)

    def losses(notes: Notes) -> list[float]:
        return [values["loss"] for _, values in notes.told if "loss" in values]

    assert losses(first) == losses(second)
    assert first.held_back() != second.held_back()


@pytest.mark.parametrize("stop_at", [4, 7])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path: Path, stop_at: int):
    config = CHECKED.model_copy(update={"learning_rate": 0.1, "steps": 16})
    whole, notes = trained(config)
    path = tmp_path / "run.safetensors"
    trained(config, checkpoint=path, stop_at=stop_at)
    resumed, further = trained(config, checkpoint=path)
    assert further.began == [stop_at]
    assert weights(resumed) == weights(whole)
    assert further.told[-1] == notes.told[-1]


def test_a_run_that_ended_early_stays_ended(tmp_path: Path):
    path = tmp_path / "run.safetensors"
    first, notes = trained(STUCK, checkpoint=path)
    again, silence = trained(STUCK, checkpoint=path)
    assert notes.told
    assert silence.told == []
    assert weights(again) == weights(first)


def test_one_slide_cannot_be_held_back():
    single = FieldSet(FIELDS.stacks, np.zeros(4, dtype=np.int64), FIELDS.cells)
    with pytest.raises(ConfigError, match="one slide only"):
        trained(fields=single)


def test_checks_that_are_off_are_no_part_of_the_digest():
    off = TrainingConfig.from_table({"patience": 0, "check_every": 7, "held_back": 0.5})
    assert off.digest() == TrainingConfig().digest()
    digests = {TrainingConfig.from_table({"patience": 3, "check_every": every}).digest() for every in (5, 6)}
    assert len(digests | {off.digest()}) == 3


def test_a_loss_that_is_no_number_is_never_the_best():
    module = torch.nn.Linear(1, 1)
    stop = EarlyStop(module, 2)
    assert not stop.check(math.nan)
    stop.use_best()
    assert stop.check(1.0)
    assert not stop.check(math.nan)
    assert not stop.over
    assert not stop.check(1.0)
    assert stop.over


def test_a_journal_is_told_rates_and_sees_the_light():
    _, notes = trained(CHECKED.model_copy(update={"steps": 6, "patience": 100}), picture_every=4)
    rates = [values["rate/light"] for _, values in notes.told if "rate/light" in values]
    assert len(rates) == 6
    assert 0 < max(rates) <= CHECKED.light_learning_rate
    assert sorted(notes.drawn) == [4, 6]
    assert all(pixels.std() > 10 for pixels in notes.drawn.values())


def test_tensorboard_reads_what_a_resumed_design_wrote(tmp_path: Path):
    config = CHECKED.model_copy(update={"steps": 8, "patience": 100})
    path = tmp_path / "run.safetensors"
    for stop_at in (6, None):
        reporter = TensorBoardReporter(Silent(), tmp_path / "events", picture_every=4)
        with reporter.stage("learned classifier", config.steps) as stage:
            assert isinstance(stage, Stage)
            assert isinstance(stage, Journal)
            model = phantom_model()
            train_sensing(
                model,
                FIELDS,
                config,
                generator(),
                checkpoint=path,
                advance=stage.advance,
                journal=stage,
                stop_at=stop_at,
            )
    found = EventAccumulator(str(tmp_path / "events" / "learned-classifier"), size_guidance={"images": 0})
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [event.step for event in found.Scalars("held back/accuracy")] == [2, 4, 6, 8]
    assert {event.step for event in found.Images("light")} == {4, 6, 8}
    assert found.Scalars("rate/network")[0].value > 0


def test_what_a_design_wrote_before_its_first_checkpoint_is_replaced(tmp_path: Path):
    config = CHECKED.model_copy(update={"steps": 4, "patience": 100})
    for stop_at in (3, None):
        with TensorBoardReporter(Silent(), tmp_path).stage("classifier", config.steps) as stage:
            assert isinstance(stage, Journal)
            train_sensing(phantom_model(), FIELDS, config, generator(), journal=stage, stop_at=stop_at)
    found = EventAccumulator(str(tmp_path / "classifier"), size_guidance={"images": 0})
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [1, 2, 3, 4]


def test_a_stage_without_a_journal_has_its_loss_and_one_without_a_loss_no_file(tmp_path: Path):
    reporter = TensorBoardReporter(Silent(), tmp_path)
    with reporter.stage("cell finder", 2) as stage:
        stage.advance(0.5)
        stage.advance(0.25)
    with reporter.stage("LED stacks", 1) as stage:
        stage.advance()
    assert [path.name for path in tmp_path.iterdir()] == ["cell-finder"]
    found = EventAccumulator(str(tmp_path / "cell-finder"))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 0.5), (2, 0.25)]


def test_without_tensorboard_the_hint_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ToolMissing, match="not installed") as told:
        TensorBoardReporter(Silent(), tmp_path)
    assert "[tensorboard]" in told.value.hint
